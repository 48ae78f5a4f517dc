//! Directories of captures: which files are read, in which order, and that everything that is left out is named and
//! counted, so that a run never ends with "no alerts" over input that it did not read.

use std::fs;
use std::path::Path;

use serde_json::Value;
use smsentry::capture::file::{Expansion, LeftOutReason, expand};

use crate::support::capture_writer::{self as captures, ByteOrder, Pcap};
use crate::support::compressors;
use crate::support::program::{Ran, run};
use smsentry_generators::http_conversation::{Capture, From, request, response};

/// A capture of one probe, at this second.
fn probe(number: u16, second: i64) -> Vec<u8> {
    let mut capture = Capture::at(second);
    capture.exchange(40_000 + number, &request("GET", &format!("/sms/api/?{number}")), &response("404 Not Found"));
    capture.pcap()
}

/// The records' members `key`, in order.
fn members(ran: &Ran, key: &str) -> Vec<String> {
    let records = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_requests = records.filter(|record| record["event_type"] == "http");
    of_requests.map(|record| record["http"][key].as_str().unwrap().to_owned()).collect()
}

fn read(directory: &Path, more: &[&str]) -> Ran {
    run(&[&["-r", directory.to_str().unwrap(), "--events", "http"], more].concat())
}

fn counter(directory: &Path, name: &str) -> u64 {
    let counters: Value = serde_json::from_slice(&fs::read(directory).unwrap()).unwrap();
    counters[name].as_u64().unwrap_or_else(|| panic!("no counter {name}"))
}

#[test]
fn captures_of_every_compression_and_below_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("monday/morning");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("plain"), probe(0, 1_700_000_000)).unwrap();
    for (number, (ending, compress)) in (1..).zip(compressors::ALL) {
        let place = if number % 2 == 0 { &deep } else { directory.path() };
        fs::write(place.join(format!("capture.{ending}")), compress(&probe(number, 1_700_000_000 + i64::from(number))))
            .unwrap();
    }
    let ran = read(directory.path(), &[]);
    let expected: Vec<String> = (0..6).map(|number| format!("/sms/api/?{number}")).collect();
    assert_eq!((ran.code, members(&ran, "url")), (0, expected), "{}", ran.err);
    assert!(!ran.err.contains("not read"), "{}", ran.err);
}

/// The same directory, whatever the names and places: by first packet, for each kind of file.
#[test]
fn order_is_that_of_first_packets_and_then_of_natural_names() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("a")).unwrap();
    let order = ByteOrder::Little;
    let at = |second: u32| Pcap::new(order, Pcap::MICRO).record(second, 0, 3, b"abc");
    let classic = |seconds: &[u32]| {
        let records: Vec<u8> = seconds.iter().flat_map(|&second| at(second)).collect();
        [Pcap::new(order, Pcap::MICRO).header(), records].concat()
    };
    // A large block before the first packet, of which the second one is older.
    let modern = |seconds: &[u64]| {
        let packets = seconds.iter().flat_map(|second| captures::enhanced(order, 0, second * 1_000_000, 3, b"abc"));
        let secrets = captures::block(order, 10, &vec![1; 1 << 20]);
        [captures::section(order), captures::interface(order, 1, 0, &[]), secrets, packets.collect()].concat()
    };
    let files = [
        ("z", classic(&[100])),
        ("a/y.xz", compressors::xz(&modern(&[200, 1]))),
        ("x.gz", compressors::gzip(&classic(&[300]))),
        ("cap", classic(&[400])),
        ("cap1", modern(&[400])),
        ("cap2", classic(&[400, 2])),
        ("cap10", classic(&[400])),
        ("a.pcapng", modern(&[500])),
        // Without a packet.
        ("a1", classic(&[])),
        ("a2", modern(&[])),
        ("a10", classic(&[])),
    ];
    for (name, bytes) in files.iter().rev() {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let found: Vec<String> = expand(&[directory.path().to_owned()])
        .into_iter()
        .map(|input| {
            let path = input.unwrap().path.unwrap();
            path.strip_prefix(directory.path()).unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(found, files.map(|(name, _)| name));
}

/// As tcpdump -C names its files; one connection through all of them.
#[test]
fn connection_through_the_files_of_a_ring_keeps_its_answers() {
    let directory = tempfile::tempdir().unwrap();
    let mut capture = Capture::at(1_700_000_000);
    let mut connection = capture.open(40_000);
    let mut ends = Vec::new();
    for number in 0..12 {
        capture.send(&mut connection, From::Client, &request("GET", &format!("/page{number}")));
        ends.push(capture.pcap().len());
        capture.send(&mut connection, From::Server, &response("200 OK"));
    }
    let whole = capture.pcap();
    let mut begin = 24;
    for (number, end) in ends.into_iter().chain([whole.len()]).enumerate() {
        let name = if number == 0 { "cap.pcap".to_owned() } else { format!("cap.pcap{number}") };
        fs::write(directory.path().join(name), [&whole[..24], &whole[begin..end]].concat()).unwrap();
        begin = end;
    }
    for lanes in ["0", "3"] {
        let ran = read(directory.path(), &["--lanes", lanes]);
        let statuses = ran.out.matches("\"status\":200").count();
        assert_eq!((ran.code, statuses), (0, 12), "{}", ran.err);
    }
}

#[test]
fn what_is_left_out_is_named_and_counted_and_the_last_word() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("captures");
    fs::create_dir_all(path.join("sub")).unwrap();
    let pcap = Pcap::new(ByteOrder::Little, Pcap::MICRO).header();
    let counters = directory.path().join("counters.json");
    let arguments = ["--counters", counters.to_str().unwrap()];
    fs::write(path.join("a.pcap"), &pcap).unwrap();
    fs::write(path.join("empty.pcap"), b"").unwrap();
    let ran = read(&path, &arguments);
    // An empty file has nothing that was not read.
    assert_eq!((ran.code, ran.err.contains("no alerts\n"), ran.err.contains("not read")), (0, true, false), "{ran:?}");
    assert!(ran.err.contains("empty.pcap"));
    for name in [".hidden.pcap", "sub/.other.pcap"] {
        fs::write(path.join(name), &pcap).unwrap();
    }
    (0..20).for_each(|at| fs::write(path.join(format!("sub/notes{at}")), "notes").unwrap());
    fs::write(path.join("log.gz"), compressors::gzip(b"a log")).unwrap();
    std::os::unix::fs::symlink(&path, path.join("sub/loop")).unwrap();
    let ran = read(&path, &arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for named in
        ["log.gz", "sub/notes0, sub/notes1, sub/notes2", "and 13 more", ".hidden.pcap, sub/.other.pcap", "loop"]
    {
        assert!(ran.err.contains(named), "{named}: {}", ran.err);
    }
    assert!(ran.err.contains("no alerts in what was read"), "{}", ran.err);
    assert!(ran.err.contains("not read: 24 files of directories that were left out\n"), "{}", ran.err);
    let counted = ["files", "left_out_file", "empty_file"].map(|name| counter(&counters, &format!("input.{name}")));
    assert_eq!(counted, [1, 24, 1]);
    let expansion = Expansion::new(std::slice::from_ref(&path));
    assert_eq!(expansion.inputs.len(), 1);
    let reasons: Vec<_> = expansion.left_out.iter().map(|left_out| (left_out.reason, left_out.count)).collect();
    let expected = [
        (LeftOutReason::NotACapture, 21),
        (LeftOutReason::Empty, 1),
        (LeftOutReason::Hidden, 2),
        (LeftOutReason::NotRegular, 1),
    ];
    assert_eq!(reasons, expected);
    // Captures in a format that cannot be read are errors.
    fs::write(path.join("netmon.cap"), [&b"GMBU"[..], &[0; 60]].concat()).unwrap();
    let ran = read(&path, &[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("netmon.cap: it is a Network Monitor capture"), "{}", ran.err);
    assert!(ran.err.contains("not read: 1 file that could not be opened; 24 files"), "{}", ran.err);
}

/// Every way in which a part of a file is not read.
#[test]
fn closing_lines_say_what_was_not_read_of_files() {
    let directory = tempfile::tempdir().unwrap();
    let order = ByteOrder::Little;
    let pcap = Pcap::new(order, Pcap::MICRO);
    let whole = [pcap.header(), pcap.record(1, 1, 3, b"abc")].concat();
    let unknown = captures::enhanced(order, 7, 1, 3, b"abc");
    let interface = captures::interface(order, 1, 0, &[]);
    let beyond = [Pcap { snaplen: 2, ..pcap }.header(), whole[24..].to_vec()].concat();
    for (bytes, code, named, closing) in [
        (whole.clone(), 0, "", "no alerts\n"),
        (beyond, 0, "1 packets are longer than the snapshot length", "no alerts\n"),
        (whole[..whole.len() - 1].to_vec(), 1, "after packet 0, at offset 24", "could not be read to its end"),
        (
            [captures::section(order), interface.clone(), unknown].concat(),
            1,
            "after packet 0, at offset 48: a packet of interface 7",
            "not read: 1 packet that the file does not describe\n",
        ),
        (
            [compressors::gzip(&whole), b"garbage".to_vec()].concat(),
            0,
            "7 bytes behind the compressed data",
            "not read: 7 bytes behind compressed data\n",
        ),
    ] {
        let path = directory.path().join("a");
        fs::write(&path, bytes).unwrap();
        let ran = run(&["-r", path.to_str().unwrap()]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.err.contains(named) && ran.err.contains(closing), "{ran:?}");
        assert_eq!(ran.err.contains("smsentry: no alerts\n"), closing == "no alerts\n", "{ran:?}");
    }
}
