//! Frames that a script trimmed and recorded with the trimmed length as the original one: the IP length exceeds the frame.
//! A host discards a packet that really is so short, so such a segment counts as one with a wrong checksum.

use std::net::{IpAddr, Ipv6Addr};

use crate::support::capture_writer::{self as captures, ByteOrder, Pcap};
use crate::support::program::{Ran, run};
use smsentry_generators::http_conversation::{Capture, From, request, response};

/// Two probes, the second without an answer, from a client of either IP version.
fn conversations(v6: bool) -> Capture {
    let mut capture = Capture::at(1_700_000_000);
    if v6 {
        capture.client = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7));
    }
    capture.exchange(40_000, &request("GET", "/sms/api/?answered"), &response("404 Not Found"));
    let mut connection = capture.open(40_001);
    capture.send(&mut connection, From::Client, &request("GET", "/sms/api/?decoy"));
    capture
}

fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, 9], &frame[12..]].concat()
}

/// Runs over the frames trimmed to `len` bytes, in both file formats.
fn run_trimmed(capture: &Capture, len: usize, vlan: bool, arguments: &[&str]) -> [Ran; 2] {
    let pcap = Pcap::new(ByteOrder::Little, Pcap::MICRO);
    let (mut classic, order) = (pcap.header(), ByteOrder::Big);
    let mut modern = [captures::section(order), captures::interface(order, 1, 0, &[])].concat();
    for (millis, frame) in &capture.frames {
        let mut frame = if vlan { tagged(frame) } else { frame.clone() };
        frame.truncate(len);
        let size = u32::try_from(frame.len()).unwrap();
        let (seconds, micros) = (u32::try_from(millis / 1000).unwrap(), u32::try_from(millis % 1000 * 1000).unwrap());
        classic.extend(pcap.record(seconds, micros, size, &frame));
        let ticks = u64::try_from(*millis).unwrap() * 1000;
        modern.extend(captures::enhanced(order, 0, ticks, size, &frame));
    }
    [classic, modern].map(|bytes| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        run(&[&["-v", "--events", "http", "-r", file.path().to_str().unwrap()], arguments].concat())
    })
}

#[test]
fn trimmed_requests_are_read() {
    for v6 in [false, true] {
        for (vlan, len) in [(false, 116), (false, 121), (true, 125)] {
            for lanes in ["0", "2"] {
                for ran in run_trimmed(&conversations(v6), len, vlan, &["-k", "none", "--lanes", lanes]) {
                    let seen = ran.out.contains("?answered\"");
                    assert!(ran.code == 0 && seen && ran.out.contains("?decoy\""), "{v6} {vlan} {len}: {ran:?}");
                    assert!(ran.err.contains("decode.trimmed 3\n"), "{}", ran.err);
                }
            }
        }
    }
}

/// Of a connection whose checksums are right, a segment that no server accepts needs the server's answer.
#[test]
fn truncated_decoy_is_not_a_request() {
    for policy in ["auto", "all"] {
        for ran in run_trimmed(&conversations(false), 116, false, &["-k", policy]) {
            assert!(ran.code == 0 && !ran.out.contains("?decoy"), "{policy}: {ran:?}");
        }
    }
}
