//! The fuzz targets without a fuzzer: stored cases, and seeds made of real captures, run through the bodies of the fuzz
//! targets.
//!
//! With `SMSENTRY_FUZZ_CORPUS=DIR` the seeds are written to `DIR/TARGET/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use smsentry::capture::block::{Block, BlockSize};
use smsentry::capture::file;
use smsentry::capture::source::{FillStatus, PacketSource};
use smsentry::decode::{BlockExtras, Decoder, Options};
use smsentry::flow::{self, Chunk, EventTime, FlowView, Flows, Listener, Reason};
use smsentry::packet::Link;
use smsentry::segment::{Segment, Side};
use smsentry::signature::builtin;
use smsentry::time::Timestamp;
use smsentry_fuzz_bodies::LINKS;

use crate::support::encapsulated;

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz");

/// Every file under `cases/TARGET/`. Each must be listed in `cases/README.md`.
#[test]
fn stored_cases_pass() {
    for (target, body) in smsentry_fuzz_bodies::TARGETS {
        let Ok(cases) = fs::read_dir(format!("{TESTS}/cases/{target}")) else { continue };
        let page = fs::read_to_string(format!("{TESTS}/cases/README.md")).unwrap();
        for case in cases {
            let path = case.unwrap().path();
            let name = format!("{target}/{}", path.file_name().unwrap().to_string_lossy());
            assert!(page.contains(&format!("`{name}`")), "cases/README.md does not describe {name}");
            println!("{name}");
            body(&fs::read(&path).unwrap());
        }
    }
}

/// The same bodies on well-formed input.
#[test]
fn seeds_from_captures_pass() {
    let corpus = std::env::var_os("SMSENTRY_FUZZ_CORPUS").map(PathBuf::from);
    let captures = captures(corpus.is_some());
    for (target, body) in smsentry_fuzz_bodies::TARGETS {
        let seeds = seeds_of(target, &captures);
        assert!(!seeds.is_empty(), "{target}");
        for seed in &seeds {
            match &corpus {
                Some(corpus) => write(&corpus.join(target), seed),
                None => body(seed),
            }
        }
        println!("{target}: {} seeds", seeds.len());
    }
}

fn write(directory: &Path, seed: &[u8]) {
    fs::create_dir_all(directory).unwrap();
    let hash = seed
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    fs::write(directory.join(format!("seed-{hash:016x}")), seed).unwrap();
}

/// The bytes and frames of a capture file.
struct Capture {
    bytes: Vec<u8>,
    frames: Vec<(Link, Vec<u8>)>,
}

/// The bundled captures; with `all` those of the shared evasion set too, if present.
fn captures(all: bool) -> Vec<Capture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("SMSENTRY_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let mut paths = vec![root.join("pcaps")];
    if all {
        paths.push(shared.join("evasion"));
    }
    paths.retain(|path| path.is_dir());
    file::expand(&paths).into_iter().flatten().map(|input| read(&input)).collect()
}

fn read(input: &file::Input) -> Capture {
    let bytes = fs::read(input.path.as_ref().unwrap()).unwrap();
    let mut frames = Vec::new();
    let Ok(mut source) = file::open(input, 0, BlockSize::default(), None) else { return Capture { bytes, frames } };
    loop {
        let mut block = Block::default();
        let status = source.fill(&mut block);
        for (at, captured) in block.packets.iter().enumerate() {
            frames.push((captured.link, block.packet(at, 1).bytes.to_vec()));
        }
        if !matches!(status, Ok(FillStatus::More)) {
            return Capture { bytes, frames };
        }
    }
}

/// Seeds of a few kilobytes at most, without duplicates.
fn seeds_of(target: &str, captures: &[Capture]) -> BTreeSet<Vec<u8>> {
    const MOST: usize = 4000;
    let frames = captures.iter().flat_map(|capture| &capture.frames);
    let small = frames.clone().filter(|(_, bytes)| bytes.len() < 600);
    match target {
        "frame" => small
            .step_by(5)
            .map(|(link, bytes)| (*link, bytes.clone()))
            .chain(encapsulated::frames())
            .flat_map(|(link, bytes)| [0, 60].map(|cut| [&[number(link), 2, cut], &bytes[..]].concat()))
            .collect(),
        "capture_file" => {
            captures.iter().map(|capture| [&[3], &capture.bytes[..capture.bytes.len().min(MOST)]].concat()).collect()
        }
        "tcp_script" => scripts(),
        "http_stream" => streams(captures)
            .into_iter()
            .map(|streams| {
                let [client, server] = streams.map(|stream| stream[..stream.len().min(MOST / 2)].to_vec());
                [&[0, 3, 1, 0, 9, 0, 99, 0][..], &(client.len() as u16).to_le_bytes(), &client, &server].concat()
            })
            .collect(),
        "uri" => streams(captures).iter().flat_map(|[client, _]| targets(client)).collect(),
        "defrag" => [&[0, 0, 0, 0, 0, 1, 0][..], &[1, 0, 0, 128, 9, 7, 0, 1, 0, 9, 7], &[0, 7, 2, 0, 7, 1, 0, 7, 0, 0]]
            .map(<[u8]>::to_vec)
            .into_iter()
            .chain(
                (0..8)
                    .map(|id| [0, 1, 2, 3, 4, 3].iter().fold(vec![0], |seed, &at| [&seed[..], &[id, at, 0]].concat())),
            )
            .collect(),
        "signature_file" => builtin()
            .iter()
            .flat_map(|source| {
                let (head, list) = source.text.split_once("[[signature]]").unwrap();
                let parts: Vec<&str> = list.split("[[signature]]").take(3).collect();
                parts.into_iter().map(move |part| format!("{head}[[signature]]{part}").into_bytes())
            })
            .collect(),
        _ => panic!("{target} has no seeds"),
    }
}

/// The number of a link type in the frame target's list.
fn number(link: Link) -> u8 {
    let other = Link::Other(147);
    let at = |link| LINKS.iter().position(|&known| known == link);
    at(link).or(at(other)).unwrap() as u8
}

/// Scripts of all kinds: in order, out of order, with decoys, with arbitrary segments.
fn scripts() -> BTreeSet<Vec<u8>> {
    let mut scripts = BTreeSet::new();
    for bits in 0..32_u8 {
        let begin = [bits, bits, 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff];
        scripts.insert([&begin[..], &[12, 140, 8, 136]].concat());
        scripts.insert([&begin[..], &[6, 135, 3, 50, 3, 50, 11, 131, 90, 3, 60, 10, 0, 2, 12]].concat());
        scripts.insert([&begin[..], &[0, 9, 0, 99, 0, 3, 0, 99, 13, 5, 0, 2, 0, 0, 0, 99, 14, 9, 0, 1]].concat());
        scripts.insert(
            [&begin[..], &[15, 9, 0, 7, 24, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 0xff, 0xff, 3, 9]].concat(),
        );
    }
    scripts
}

/// The second word of the first line of each request, with its method.
fn targets(stream: &[u8]) -> Vec<Vec<u8>> {
    let lines = stream.split(|&byte| byte == b'\n').filter(|line| line.windows(5).any(|part| part == b"HTTP/"));
    let words = lines.filter_map(|line| line.split(|&byte| byte == b' ').nth(1));
    words.filter(|word| word.len() < 300).map(|word| [&[u8::from(!word.starts_with(b"/"))], word].concat()).collect()
}

/// Collects both directions of every flow.
#[derive(Default)]
struct Collector(Vec<[Vec<u8>; 2]>);

impl Listener for Collector {
    type State = [Vec<u8>; 2];

    fn chunk(&mut self, _: &FlowView<'_>, streams: &mut Self::State, side: Side, chunk: Chunk<'_>) {
        if let Chunk::Data { bytes, .. } = chunk {
            streams[side as usize].extend_from_slice(bytes);
        }
    }

    fn end(&mut self, _: &FlowView<'_>, _: &mut Self::State, _: Side) {}

    fn waits(&mut self, _: &FlowView<'_>, _: &mut Self::State, _: Side) {}

    fn closed(&mut self, _: &FlowView<'_>, state: &mut Self::State, _: Reason) {
        let [one, two] = std::mem::take(state);
        self.0.push(if two.starts_with(b"HTTP/") { [one, two] } else { [two, one] });
    }

    fn waits_for_peer(_: &Self::State) -> bool {
        false
    }
    fn memory(_: &Self::State) -> usize {
        0
    }
}

/// The bytes of client and server in each flow.
fn streams(captures: &[Capture]) -> Vec<[Vec<u8>; 2]> {
    let mut collector = Collector::default();
    for capture in captures {
        let mut decoder = Decoder::new(Options::default(), [1, 2]);
        let mut flows = Flows::new(flow::Options::default(), [1, 2]);
        for (number, (link, bytes)) in (1..).zip(&capture.frames) {
            let mut extras = BlockExtras::default();
            let clock = Timestamp::from_nanos(number * 10_000_000);
            let packet = smsentry::packet::Packet {
                number: number as u64,
                frame: number as u64,
                time: clock,
                link: *link,
                wire_len: bytes.len() as u32,
                bytes,
            };
            let Ok((head, span)) = decoder.decode(&packet, clock, 0, &mut extras) else { continue };
            let place = span.reassembled.map_or(&bytes[..], |whole| &extras.reassembled[whole as usize]);
            let segment = Segment {
                head: &head,
                tcp: &place[span.start as usize..span.end as usize],
                encapsulation: &extras.encapsulations[head.encapsulation as usize],
            };
            flows.feed(&segment, &mut collector);
        }
        flows.finish(EventTime { clock: Timestamp::MAX, number: 0 }, Reason::Stop, &mut collector);
    }
    collector.0.retain(|[client, _]| !client.is_empty());
    collector.0
}
