//! Decoding of recorded captures: every segment of the evasion set that carries a request is found, whatever the
//! encapsulation; every frame is accounted for. Skipped with a message if the shared captures are missing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use smsentry::decode::{BlockExtras, Counters, Decoder, Options, SkipReason};
use smsentry::packet::{Link, Packet};
use smsentry::segment::{Encapsulation, FlowKey, Head, Side};
use smsentry::time::Timestamp;

/// A directory of the shared captures, if present.
fn shared(folder: &str) -> Option<PathBuf> {
    let base = std::env::var_os("SMSENTRY_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = base.join(folder);
    if !path.is_dir() {
        println!("skipped: no {}", path.display());
        return None;
    }
    Some(path)
}

struct Decoded {
    segments: Vec<(Head, Vec<u8>, Encapsulation)>,
    skips: Vec<SkipReason>,
    counters: Counters,
}

/// Decodes a capture that libpcap reads, as far as it is readable.
fn decode(path: &Path, options: Options) -> Option<Decoded> {
    let mut capture = pcap::Capture::from_file(path).ok()?;
    let link = Link::from_number(u32::try_from(capture.get_datalink().0).unwrap());
    let mut decoder = Decoder::new(options, [1, 2]);
    let (mut extras, mut out) = (BlockExtras::default(), (Vec::new(), Vec::new()));
    let mut clock = Timestamp::ZERO;
    for frame in 1.. {
        let Ok(read) = capture.next_packet() else { break };
        let time = Timestamp::from_secs_nanos(read.header.ts.tv_sec, read.header.ts.tv_usec * 1000);
        clock = clock.max(time);
        let wire_len = read.header.len.max(read.header.caplen);
        let packet = Packet { number: frame, frame, time, link, wire_len, bytes: read.data };
        extras.clear();
        match decoder.decode(&packet, clock, 0, &mut extras) {
            Ok((head, span)) => {
                let bytes = span.reassembled.map_or(read.data, |at| &extras.reassembled[at as usize]);
                let tcp = &bytes[span.start as usize..span.end as usize];
                assert!(tcp.len() >= usize::from(head.header_len));
                out.0.push((head, tcp.to_vec(), extras.encapsulations[head.encapsulation as usize]));
            }
            Err(skip) => out.1.push(skip),
        }
    }
    Some(Decoded { segments: out.0, skips: out.1, counters: *decoder.counters() })
}

/// The bytes of each sender, in sequence order, first copy first.
fn streams(decoded: &Decoded) -> Vec<Vec<u8>> {
    type Parts<'a> = Vec<(u32, &'a [u8])>;
    let mut halves: HashMap<(FlowKey, Side), Parts<'_>> = HashMap::new();
    for (head, tcp, _) in &decoded.segments {
        let payload = &tcp[usize::from(head.header_len)..];
        halves.entry((head.key, head.side)).or_default().push((head.seq.0, payload));
    }
    let join = |mut parts: Parts<'_>| {
        parts.sort_by_key(|(seq, _)| *seq);
        parts.iter().flat_map(|(_, payload)| payload.iter().copied()).collect()
    };
    halves.into_values().map(join).collect()
}

fn holds(stream: &[u8], wanted: &str) -> bool {
    stream.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

#[test]
fn every_request_of_the_network_cases_is_in_a_segment() {
    let Some(folder) = shared("evasion") else { return };
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let mut failed = Vec::new();
    for (name, case) in expected["cases"].as_object().unwrap() {
        let path = folder.join(case["pcap"].as_str().unwrap());
        let options = Options { vlan_tracking: name.starts_with("n027"), ..Options::default() };
        let Some(decoded) = decode(&path, options) else {
            println!("{name}: libpcap does not read it");
            continue;
        };
        if !name.starts_with('n') {
            continue;
        }
        println!(
            "{name}: {} segments, {} skipped, {:?}",
            decoded.segments.len(),
            decoded.skips.len(),
            moved(&decoded.counters)
        );
        let streams = streams(&decoded);
        for request in case["requests"].as_array().unwrap() {
            let line =
                format!("{} {} HTTP/1", request["method"].as_str().unwrap(), request["target"].as_str().unwrap());
            if !streams.iter().any(|stream| holds(stream, &line)) {
                failed.push(format!("{name}: {line}"));
            }
        }
        let published = published(&decoded.counters);
        for (counter, least) in case["counters_at_least"].as_object().into_iter().flatten() {
            if let Some(value) = published.get(counter.as_str())
                && *value < least.as_u64().unwrap()
            {
                failed.push(format!("{name}: {counter} is {value}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn published(counters: &Counters) -> HashMap<&'static str, u64> {
    let mut out = HashMap::new();
    counters.each(&mut |name, value| out.extend([(name, value)]));
    out
}

fn moved(counters: &Counters) -> Vec<(&'static str, u64)> {
    let mut out = Vec::new();
    counters.each(&mut |name, value| out.extend((value > 0).then_some((name, value))));
    out
}

#[test]
fn every_frame_of_real_captures_is_accounted_for() {
    let Some(folder) = shared("corpus") else { return };
    let requests = std::fs::read_to_string(folder.join("requests.tsv")).unwrap();
    let (mut total, mut missing, mut requested) = (Counters::default(), Vec::new(), 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "pcap") {
            continue;
        }
        let Some(decoded) = decode(&path, Options::default()) else { continue };
        assert_eq!(decoded.counters.tcp, decoded.segments.len() as u64);
        assert_eq!(decoded.counters.packets, (decoded.segments.len() + decoded.skips.len()) as u64);
        if decoded.skips.iter().any(|skip| !matches!(skip, SkipReason::NotTcp(_) | SkipReason::NotIp(_))) {
            println!("{}: {:?}", path.file_name().unwrap().display(), moved(&decoded.counters));
        }
        total.merge(&decoded.counters);
        let name = path.file_name().unwrap().to_str().unwrap();
        let streams = streams(&decoded);
        for line in requests.lines().map(|line| line.split('\t').collect::<Vec<_>>()) {
            if let [file, _, _, _, method, target, ..] = line[..]
                && file == name
            {
                // Several requests in one segment are adjacent.
                for (method, target) in method.split(" | ").zip(target.split(" | ")) {
                    let wanted = format!("{method} {target}");
                    requested += 1;
                    if !streams.iter().any(|stream| holds(stream, &wanted)) {
                        missing.push(format!("{name}: {wanted}"));
                    }
                }
            }
        }
    }
    println!("total: {:?}", moved(&total));
    println!("{requested} requests");
    assert!(missing.is_empty(), "{missing:#?}");
    // The unusual frames that the set is known to contain; an unknown link type would show here.
    assert_eq!(total.unknown_link, 0);
}
