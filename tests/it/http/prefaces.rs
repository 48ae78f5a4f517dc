//! Prefaces of proxies in front of the first request: skipped in both directions wherever they are split, and only if
//! they follow their formats.

use std::net::IpAddr;

use smsentry::record::Body;

use crate::support::event_recorder::Recorder;
use crate::support::segment_builder::{Conn, get, options, run_with};

const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A client's preface, the server's answers to it, and the client that it names.
type Case = (Vec<u8>, Vec<u8>, Option<&'static str>);

fn version_2(command: u8, family: u8, addresses: &[u8], extensions: usize) -> Vec<u8> {
    let len = u16::try_from(addresses.len() + extensions).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &len, addresses, &vec![b'G'; extensions]].concat()
}

fn cases() -> Vec<Case> {
    let v4 = [203, 0, 113, 9, 192, 0, 2, 10, 0xdc, 4, 0, 80];
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    v6[15] = 9;
    let granted = b"\x05\0\x05\0\0\x01\0\0\0\0\0\0";
    let none = Vec::new;
    vec![
        (b"PROXY TCP4 203.0.113.9 192.0.2.10 56324 80\r\n".to_vec(), none(), Some("203.0.113.9")),
        (b"PROXY TCP6 2001:db8::9 2001:db8::1 56324 80\r\n".to_vec(), none(), Some("2001:db8::9")),
        (b"PROXY UNKNOWN\r\n".to_vec(), none(), None),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".to_vec(), none(), None),
        (version_2(0x21, 0x11, &v4, 0), none(), Some("203.0.113.9")),
        (version_2(0x21, 0x11, &v4, 300), none(), Some("203.0.113.9")),
        (version_2(0x21, 0x21, &v6, 0), none(), Some("2001:db8::9")),
        (version_2(0x20, 0x11, &v4, 0), none(), None),
        (version_2(0x20, 0, &[], 0), none(), None),
        (version_2(0x21, 0x31, &[0; 216], 0), none(), None),
        (b"\x04\x01\0\x50\xc0\0\x02\x50user\0".to_vec(), b"\0\x5a\0\0\0\0\0\0".to_vec(), None),
        (b"\x04\x01\0\x50\0\0\0\x01\0www.example.org\0".to_vec(), b"\0\x5a\0\0\0\0\0\0".to_vec(), None),
        (b"\x05\x01\0\x05\x01\0\x01\xc0\0\x02\x50\0\x50".to_vec(), granted.to_vec(), None),
        (
            b"\x05\x02\0\x02\x01\x01u\x02pw\x05\x01\0\x03\x0fwww.example.org\0\x50".to_vec(),
            b"\x05\x02\x01\0\x05\0\0\x03\x01h\0\0".to_vec(),
            None,
        ),
        ([&b"\x05\x01\0\x05\x01\0\x04"[..], &[1; 18]].concat(), [&b"\x05\0\x05\0\0\x04"[..], &[1; 18]].concat(), None),
        (
            b"PROXY TCP4 203.0.113.9 192.0.2.10 56324 80\r\n\x05\x01\0\x05\x01\0\x01\xc0\0\x02\x50\0\x50".to_vec(),
            granted.to_vec(),
            Some("203.0.113.9"),
        ),
    ]
}

fn feed(preface: &[u8], replies: &[u8], most: usize) -> Recorder {
    let mut recorder = Recorder::default();
    let client = [preface, REQUEST, REQUEST].concat();
    let server = [replies, ANSWER, ANSWER].concat();
    let (heads, answered) = (preface.len() + REQUEST.len(), replies.len() + ANSWER.len());
    let mut parts = |from: usize, to: usize, back: usize, end: usize| {
        for piece in client[from..to].chunks(most) {
            recorder.client(piece, back as u64);
        }
        for piece in server[back..end].chunks(most) {
            recorder.server(piece, to as u64);
        }
    };
    parts(0, preface.len(), 0, replies.len());
    parts(preface.len(), heads, replies.len(), answered);
    parts(heads, client.len(), answered, server.len());
    recorder.end();
    recorder
}

#[test]
fn prefaces_are_skipped_wherever_they_are_split() {
    for (preface, replies, source) in cases() {
        for most in [usize::MAX >> 1, 1, 2, 3, 7, 16, 17] {
            let recorder = feed(&preface, &replies, most);
            let requests = recorder.requests();
            let statuses: Vec<_> = requests.iter().map(|one| one.answer.as_ref().map(|answer| answer.0)).collect();
            assert_eq!(statuses, [Some(404), Some(404)], "{} by {most}", preface.escape_ascii());
            assert!(requests.iter().all(|one| one.target == b"/a"));
            let expected = source.map(|source| source.parse::<IpAddr>().unwrap());
            assert!(requests.iter().all(|one| one.proxied_for == expected), "{}", preface.escape_ascii());
            assert!(recorder.counters.prefaces > 0);
        }
    }
}

/// Cut or changed anywhere, a preface may hide the first request but not more, and nothing depends on the splitting.
#[test]
fn broken_prefaces_do_not_depend_on_the_splitting() {
    for (preface, replies, _) in cases() {
        for at in 0..preface.len().min(60) {
            let mut changed = preface.clone();
            changed[at] ^= 1;
            for broken in [preface[..at].to_vec(), changed] {
                let whole = feed(&broken, &replies, usize::MAX >> 1).requests();
                assert_eq!(feed(&broken, &replies, 1).requests(), whole, "{}", broken.escape_ascii());
            }
        }
    }
}

#[test]
fn proxy_header_comes_once_and_first() {
    let header = b"PROXY TCP4 203.0.113.9 192.0.2.10 56324 80\r\n";
    for most in [1, usize::MAX >> 1] {
        let twice = feed(&[&header[..], header].concat(), b"", most);
        assert_eq!(twice.counters.prefaces, 1);
        let later = feed(&[REQUEST, header].concat(), b"", most);
        assert_eq!(later.counters.prefaces, 0);
        assert!(later.requests().iter().all(|one| one.proxied_for.is_none()));
    }
}

#[test]
fn proxy_header_names_the_client_if_its_sender_is_trusted() {
    let conn = Conn::new(1);
    let alert = |trusted: &[&str], fields: &str| {
        let header = "PROXY TCP4 203.0.113.9 192.0.2.10 56324 80\r\n";
        let probe = get("/sms_config.json").replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
        let mut options = options();
        options.trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let run = run_with(&conn.exchange(format!("{header}{probe}"), ANSWER), options);
        let found = run.records.iter().find_map(|record| match &record.body {
            Body::Alert(alert) => Some(alert.forwarded_for.map(|address| address.to_string())),
            _ => None,
        });
        found.expect("an alert")
    };
    let peer = "198.51.0.0/16";
    let field = "X-Forwarded-For: 198.18.0.7\r\n";
    assert_eq!(alert(&[peer], "").as_deref(), Some("203.0.113.9"));
    assert_eq!(alert(&[peer], field).as_deref(), Some("203.0.113.9"));
    // Another proxy before the one that sent the header.
    assert_eq!(alert(&[peer, "203.0.113.0/24"], field).as_deref(), Some("198.18.0.7"));
    assert_eq!(alert(&["192.0.2.99/32"], ""), None);
    assert_eq!(alert(&[], field), None);
}
