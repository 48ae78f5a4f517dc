//! The cost of each stage, in nanoseconds per packet, target or line, on generated data. The whole program, with threads,
//! queues and output, is measured by `whole.sh`.
//!
//! An iteration is one item (a packet, a target, a line); a stage always works through complete rounds of items, and its
//! results are checked, so that nothing is measured that did not happen.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails by a panic has done its work")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use smsentry::capture::block::{Block, BlockSize};
use smsentry::capture::file::{expand, open};
use smsentry::capture::source::{FillStatus, PacketSource};
use smsentry::decode::{self, BlockExtras, Decoder, Span};
use smsentry::format::{Format, InputName, LineContext};
use smsentry::record::{Body, Event, Record};
use smsentry::segment::{Encapsulation, Head, Segment};
use smsentry::sensor::{self, Sensor};
use smsentry::signature::{CachedMatcher, Signatures};
use smsentry::time::Timestamp;
use smsentry::uri::Normaliser;
use smsentry_generators::{http_conversation, web_traffic};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    read(&mut criterion);
    decode(&mut criterion);
    feed(&mut criterion);
    find(&mut criterion);
    format(&mut criterion);
    criterion.final_summary();
}

/// Measures rounds of `items` items each, `bytes` bytes together; `round` does one and returns its time.
fn stage(criterion: &mut Criterion, name: [&str; 2], items: usize, bytes: usize, mut round: impl FnMut() -> Duration) {
    let mut group = criterion.benchmark_group(name[0]);
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: (bytes / items) as u64 });
    group.bench_function(name[1], |bencher| {
        bencher.iter_custom(|wanted| {
            let rounds = wanted.div_ceil(items as u64);
            let spent: Duration = (0..rounds).map(|_| round()).sum();
            spent.mul_f64(wanted as f64 / (rounds * items as u64) as f64)
        });
    });
    group.finish();
}

/// Returns the result of `work` and its time.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = black_box(work());
    (done, begun.elapsed())
}

/// Every block of a capture file.
fn blocks(path: &Path) -> Vec<Block> {
    let mut blocks = Vec::new();
    each_block(path, |block| blocks.push(std::mem::take(block)));
    blocks
}

/// Reads a capture file to its end through one block, as a replay does; returns the packets.
fn each_block(path: &Path, mut visit: impl FnMut(&mut Block)) -> usize {
    let input = expand(&[path.to_owned()]).pop().unwrap().unwrap();
    let mut source = open(&input, 0, BlockSize::default(), None).unwrap();
    let (mut block, mut packets) = (Block::default(), 0);
    loop {
        block.clear();
        let status = source.fill(&mut block).unwrap();
        packets += block.packets.len();
        visit(&mut block);
        if status == FillStatus::End {
            return packets;
        }
    }
}

/// A capture file in the page cache.
fn read(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("browsing.pcap");
    let capture = web_traffic::browsing();
    std::fs::write(&path, capture.pcap()).unwrap();
    let (packets, bytes) = (capture.frames.len(), frame_bytes(&capture));
    stage(criterion, ["read", "pcap"], packets, bytes, || {
        // As the decoder does: an unread frame need not be loaded into the cache.
        let mut sum = 0;
        let look = |block: &mut Block| {
            sum += (0..block.packets.len()).map(|at| u64::from(block.packet(at, 0).bytes[12])).sum::<u64>();
        };
        let (seen, spent) = timed(|| each_block(&path, look));
        assert!(seen == packets && black_box(sum) > 0);
        spent
    });
}

fn frame_bytes(capture: &http_conversation::Capture) -> usize {
    capture.frames.iter().map(|(_, frame)| frame.len()).sum()
}

/// Frames without tags, fragments and tunnels, and recorded ones with two tags, which take the slow path.
fn decode(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("browsing.pcap");
    std::fs::write(&path, web_traffic::browsing().pcap()).unwrap();
    let tagged = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps/qinq.pcap");
    for (name, path) in [("plain", path), ("two tags", tagged)] {
        let blocks = blocks(&path);
        let packets: usize = blocks.iter().map(|block| block.packets.len()).sum();
        let bytes = blocks.iter().flat_map(|block| &block.packets).map(|packet| packet.len as usize).sum();
        let (mut decoder, mut extras) = (Decoder::new(decode::Options::default(), [3, 4]), BlockExtras::default());
        stage(criterion, ["decode", name], packets, bytes, || {
            let (segments, spent) = timed(|| {
                let decode = |block| decode_block(&mut decoder, &mut extras, block);
                blocks.iter().map(decode).sum::<usize>()
            });
            assert_eq!(segments, packets, "a frame without a segment");
            spent
        });
    }
}

fn decode_block(decoder: &mut Decoder, extras: &mut BlockExtras, block: &Block) -> usize {
    extras.clear();
    let (mut head, mut segments) = (Head::default(), 0);
    for (at, captured) in block.packets.iter().enumerate() {
        let packet = block.packet(at, captured.frame);
        let span = decoder.decode_into(&packet, captured.time, 0, extras, &mut head);
        segments += usize::from(black_box(span).is_ok());
        black_box(&head);
    }
    segments
}

/// A decoded capture and a shard to which it is fed repeatedly, each time an hour later, so that no packet is a repeat
/// and the shard is as warm as in a long run.
struct Replay {
    sensor: Sensor,
    search: CachedMatcher,
    frames: Vec<(i64, Vec<u8>)>,
    segments: Vec<(Head, Span)>,
    events: Vec<Event>,
}

impl Replay {
    fn new(capture: http_conversation::Capture, http_events: bool) -> Self {
        let options = sensor::Options { http_events, ..sensor::Options::default() };
        let sensor = Sensor::new(options, [1, 2]);
        let search = CachedMatcher::new(Arc::new(Signatures::builtin().unwrap()));
        let mut replay = Self { sensor, search, frames: capture.frames, segments: Vec::new(), events: Vec::new() };
        let (mut decoder, mut extras) = (Decoder::new(decode::Options::default(), [3, 4]), BlockExtras::default());
        for (at, (millis, bytes)) in replay.frames.iter().enumerate() {
            let time = Timestamp::from_nanos(millis * 1_000_000);
            let (number, link) = (at as u64 + 1, smsentry::packet::Link::Ethernet);
            let wire_len = bytes.len() as u32;
            let packet = smsentry::packet::Packet { number, frame: number, time, link, wire_len, bytes };
            replay.segments.push(decoder.decode(&packet, time, 0, &mut extras).unwrap());
        }
        replay
    }

    /// Feeds the whole capture once; the events stay in `events`.
    fn round(&mut self) -> Duration {
        let Self { sensor, search, frames, segments, events } = self;
        let count = segments.len() as u64;
        for (head, _) in segments.iter_mut() {
            head.time = head.time.after(Duration::from_secs(3600));
            head.clock = head.time;
            head.number += count;
        }
        events.clear();
        let encapsulation = Encapsulation::default();
        timed(|| {
            for ((head, span), (_, bytes)) in segments.iter().zip(frames) {
                let tcp = &bytes[span.start as usize..span.end as usize];
                sensor.feed(&Segment { head, tcp, encapsulation: &encapsulation }, search, events);
            }
        })
        .1
    }
}

/// From segments to records, all in one shard: flow, http, normal form, signatures, outcome.
fn feed(criterion: &mut Criterion) {
    for (name, capture, alerts) in [
        ("browsing", web_traffic::browsing(), 0),
        ("scan without hits", web_traffic::scan(false), 0),
        ("probe storm", web_traffic::scan(true), web_traffic::SCANNED),
    ] {
        let (packets, bytes) = (capture.frames.len(), frame_bytes(&capture));
        let mut replay = Replay::new(capture, false);
        stage(criterion, ["feed", name], packets, bytes, || {
            let before = replay.sensor.http_counters().requests;
            let spent = replay.round();
            assert!(replay.sensor.http_counters().requests > before, "no request was seen");
            assert_eq!(replay.events.len(), alerts, "every probe is reported, and nothing else");
            spent
        });
    }
}

/// Normal form and search, target by target.
fn find(criterion: &mut Criterion) {
    let set = Signatures::builtin().unwrap();
    let hits = set.iter().filter(|signature| !signature.support).flat_map(|signature| &signature.hits);
    let probes = hits.map(|hit| (hit.method.clone(), hit.target.clone())).collect::<Vec<_>>();
    let benign = web_traffic::targets(10_000).into_iter().map(|target| ("GET".to_owned(), target)).collect::<Vec<_>>();
    for (name, requests, expected) in [("benign targets", &benign, 0), ("probes", &probes, probes.len())] {
        let bytes = requests.iter().map(|(_, target)| target.len()).sum();
        let mut normaliser = Normaliser::new();
        stage(criterion, ["find", name], requests.len(), bytes, || {
            let (found, spent) = timed(|| {
                let find = |(method, target): &&(String, String)| {
                    let candidates = normaliser.candidates(method.as_bytes(), target.as_bytes());
                    set.find(method.as_bytes(), target.as_bytes(), &candidates).is_some()
                };
                requests.iter().filter(find).count()
            });
            assert_eq!(found, expected);
            spent
        });
    }
}

/// Records to lines of EVE and of Zeek's JSON.
fn format(criterion: &mut Criterion) {
    let mut replay = Replay::new(web_traffic::scan(true), true);
    replay.round();
    let records = std::mem::take(&mut replay.events).into_iter().filter_map(|event| event.record().cloned());
    let (alerts, requests): (Vec<Record>, Vec<_>) = records.partition(|record| matches!(record.body, Body::Alert(_)));
    assert!(alerts.len() == web_traffic::SCANNED && requests.len() == web_traffic::SCANNED);
    let inputs = vec![InputName::File(PathBuf::from("storm.pcap"))];
    let context = LineContext { sensor_name: Some("sensor-1".to_owned()), inputs, one_stream: true, redact: false };
    let mut out = Vec::new();
    for (name, format, records) in [
        ("eve alert", Format::Eve, &alerts),
        ("eve http", Format::Eve, &requests),
        ("zeek-json alert", Format::ZeekJson, &alerts),
        ("zeek-json http", Format::ZeekJson, &requests),
    ] {
        let mut write = || {
            out.clear();
            records.iter().for_each(|record| format.write(record, &context, &mut out));
            out.len()
        };
        let bytes = write();
        stage(criterion, ["format", name], records.len(), bytes, || {
            let (written, spent) = timed(&mut write);
            assert_eq!(written, bytes);
            spent
        });
    }
}
