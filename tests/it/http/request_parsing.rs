//! Parsing of requests: the same for any split, the same as httparse where that completes, as tolerant as servers are,
//! bounded and linear.

use smsentry::http::Limits;

use crate::support::event_recorder::{Dice, Recorder};

/// A dialogue with the client's side only.
fn client_only(bytes: &[u8]) -> Recorder {
    let mut recorder = Recorder::default();
    recorder.client(bytes, 0);
    recorder.end();
    recorder
}

/// Requests that real servers answer other than by refusing them (nginx, Apache httpd, lighttpd, Python's and Node's),
/// and the result: method, target and host of each request, `-` where there is no host.
const TOLERATED: [(&[u8], &[&str]); 85] = [
    // Line ends, and bytes before a request.
    (b"GET /a HTTP/1.1\nHost: h\n\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\nHost: h\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\nHost: h\r\n\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\r\nHost: h\r\r\n\r\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\rHost: h\r\r", &["GET /a -"]),
    (b"\r\n\r\n\nGET /a HTTP/1.1\r\n\r\n", &["GET /a -"]),
    (b"\rGET /a HTTP/1.1\r\n\r\n", &["GET /a -"]),
    (b"\r\r\r\nGET /a HTTP/1.1\r\n\r\n", &["GET /a -"]),
    (b" GET /a HTTP/1.1\r\n\r\n", &["GET /a -"]),
    (b"\t \tGET /a HTTP/1.1\r\n\r\n", &["GET /a -"]),
    // Blanks in the request line.
    (b"GET   /a HTTP/1.1\r\n\r\n", &["GET /a -"]),
    (b"GET /a   HTTP/1.1\r\n\r\n", &["GET /a -"]),
    (b"GET\t/a\tHTTP/1.1\r\n\r\n", &["GET /a -"]),
    (b"GET\x0b/a\x0cHTTP/1.1\r\n\r\n", &["GET /a -"]),
    (b"GET \t \x0b/a \x0c HTTP/1.1\r\n\r\n", &["GET /a -"]),
    (b"GET /a HTTP/1.1 \r\n\r\n", &["GET /a -"]),
    (b"GET /a HTTP/1.1\t\t\r\n\r\n", &["GET /a -"]),
    (b"GET /a b HTTP/1.1\r\n\r\n", &["GET /a b -"]),
    (b"GET /a\tb c HTTP/1.1\r\n\r\n", &["GET /a\tb c -"]),
    (b"GET /a HTTP/1.1 HTTP/1.1\r\n\r\n", &["GET /a HTTP/1.1 -"]),
    // Versions.
    (b"GET /a\r\n", &["GET /a -"]),
    (b"GET /a\n", &["GET /a -"]),
    (b"get /a\r\n\r\n", &["get /a -"]),
    (b"GET /a\r\nHost: h\r\n\r\n", &["GET /a -"]),
    (b"GET /a HTTP/0.9\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.0\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.2\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.9\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.10\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.01\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/01.1\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/2.0\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/2\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a http/1.1\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a hTTp/1.1\r\nHost: h\r\n\r\n", &["GET /a h"]),
    // Methods.
    (b"Get /a HTTP/1.1\r\n\r\n", &["Get /a -"]),
    (b"BREW /a HTTP/1.1\r\n\r\n", &["BREW /a -"]),
    (b"X /a HTTP/1.1\r\n\r\n", &["X /a -"]),
    (b"G(T /a HTTP/1.1\r\n\r\n", &["G(T /a -"]),
    (b"{\"@\"} /a HTTP/1.1\r\n\r\n", &["{\"@\"} /a -"]),
    (b"G\xcbT /a HTTP/1.1\r\n\r\n", &["G\u{fffd}T /a -"]),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
    (b"PRI /a HTTP/1.1\r\n\r\n", &["PRI /a -"]),
    // Targets.
    (b"GET http://h/a HTTP/1.1\r\nHost: other\r\n\r\n", &["GET http://h/a other"]),
    (b"GET https://h HTTP/1.1\r\n\r\n", &["GET https://h -"]),
    (b"CONNECT h:443 HTTP/1.1\r\n\r\n", &["CONNECT h:443 -"]),
    (b"OPTIONS * HTTP/1.1\r\n\r\n", &["OPTIONS * -"]),
    (b"GET a HTTP/1.1\r\n\r\n", &["GET a -"]),
    (b"GET ?a HTTP/1.1\r\n\r\n", &["GET ?a -"]),
    (b"GET //h/a HTTP/1.1\r\n\r\n", &["GET //h/a -"]),
    (b"GET /%%a%zz%u0041 HTTP/1.1\r\n\r\n", &["GET /%%a%zz%u0041 -"]),
    (b"GET /\x00\x01\x7f HTTP/1.1\r\n\r\n", &["GET /\0\x01\x7f -"]),
    (b"GET /\xe9 HTTP/1.1\r\n\r\n", &["GET /\u{fffd} -"]),
    (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", &["GET /\u{e9} -"]),
    (b"GET /\"<>|^`{}\\ HTTP/1.1\r\n\r\n", &["GET /\"<>|^`{}\\ -"]),
    // Fields.
    (b"GET /a HTTP/1.1\r\nX: a\r\n b\r\n\tc\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\nX: a\r\n \r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\nHost:\r\n h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\n X: a\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\nHost : h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\nhOST:\th \t\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\nno colon\r\n: x\r\nX[1]: a\r\n\xe9: b\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\nX: \x00\x01\rb\r\nHost: h\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", &["GET /a h"]),
    (b"GET /a HTTP/1.1\r\nHost:\r\n\r\n", &["GET /a "]),
    // Bodies, and the data after them.
    (b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nGETGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nxxxGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nContent-Length: 003\r\n\r\nxxxGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nContent-Length:\r\n 3\r\n\r\nxxxGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nContent-Length: -3\r\n\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nContent-Length: 3 3\r\n\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -"]),
    (b"POST /a HTTP/1.1\r\nTransfer-Encoding: CHUNKED\r\n\r\n3;x=\"y\"\r\nGET\r\n0\r\nT: t\r\n\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n00003 \nGET\n0\n\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 70\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nGETGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -"]),
    (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nGET /b HTTP/1.1\r\n\r\n", &["POST /a -", "GET /b -"]),
    (b"@@@@ @@@\r\n\r\nGET /b HTTP/1.1\r\n\r\n", &["GET /b -"]),
];

/// Data that is not an HTTP/1 request.
const NOTHING: [&[u8]; 13] = [
    b"",
    b"\n\n\n\n\n\n",
    b"GET\r\n\r\n",
    b"GET \r\n\r\n",
    b"/a HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"EHLO mail.example\r\nMAIL FROM:<a@b>\r\n",
    b"SSH-2.0-x\r\n",
    b"SET /sms/env x\r\n",
    b"OPTIONS sip:a@b SIP/2.0\r\n\r\n",
    b"DESCRIBE rtsp://h/a RTSP/1.0\r\n\r\n",
    b"\x16\x03\x01\x00\xa5\x01\nGET /a HTTP/1.1\r\n\r\n",
    b"GET /sm",
];

#[test]
fn requests_that_servers_answer_are_parsed() {
    for (bytes, wanted) in TOLERATED {
        assert_eq!(client_only(bytes).lines(), wanted, "{}", bytes.escape_ascii());
    }
    for bytes in NOTHING {
        assert_eq!(client_only(bytes).lines(), [""; 0], "{}", bytes.escape_ascii());
    }
}

#[test]
fn truncated_request_is_reported_once_its_target_is_known() {
    let cases: [(&[u8], Option<&str>); 8] = [
        (b"GET /a HTTP/1.1\r\nHost: h\r\nX: ", Some("GET /a h")),
        (b"GET /a HTTP/1.1\r\n", Some("GET /a -")),
        (b"GET /a HTTP/1.1", Some("GET /a -")),
        (b"GET /a HTT", Some("GET /a -")),
        (b"GET /a ", None),
        (b"GET /a", None),
        (b"GET /a?b", Some("GET /a?b -")),
        (b"BREW /a", None),
    ];
    for (bytes, wanted) in cases {
        let recorder = client_only(bytes);
        assert_eq!(recorder.lines().first().map(String::as_str), wanted, "{}", bytes.escape_ascii());
        assert!(recorder.requests().iter().all(|reported| reported.truncated));
    }
}

/// A part of what a client may send, valid or not.
fn stretch(dice: &mut Dice, into: &mut Vec<u8>) {
    match dice.below(10) {
        0..5 => into.extend_from_slice(TOLERATED[dice.below(TOLERATED.len() as u64) as usize].0),
        5 => into.extend_from_slice(NOTHING[dice.below(NOTHING.len() as u64) as usize]),
        6 => into.extend((0..dice.below(40)).map(|_| dice.below(256) as u8)),
        7 => into.extend_from_slice(b"POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n"),
        8 => into.extend_from_slice(dice.pick(&[
            &b"\r\n"[..],
            b"\n\r\n",
            b"A B HTTP/1.1\n",
            b" x\r\n",
            b"POST ",
            b"0\r\n\r\n",
        ])),
        _ => {
            let names = ["Host", "X", "content-length", "Transfer-Encoding", "Expect"];
            into.extend_from_slice(format!("PUT /{} HTTP/1.1\r\n", dice.below(99)).as_bytes());
            for _ in 0..dice.below(5) {
                into.extend_from_slice(format!("{}: {}\r\n", dice.pick(&names), dice.below(30)).as_bytes());
            }
            into.extend_from_slice(b"\r\n");
        }
    }
}

fn answers(dice: &mut Dice, into: &mut Vec<u8>) {
    let some: [&[u8]; 9] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\nContent-Length: 8\n\n",
        b"HTTP/1.0 200\r\n X: y\r\nContent-Length: 1\r\n\r\nx",
        b"\r\n",
        b"<html>",
        b"HTTP/1.1 abc\r\n\r\n",
    ];
    into.extend_from_slice(some[dice.below(9).min(dice.below(12)) as usize]);
}

/// Feeds both streams in pieces; every byte has the acknowledgment that it has unsplit.
fn in_pieces(streams: &[(bool, Vec<u8>)], limits: Limits, most: u64, dice: &mut Dice) -> Recorder {
    let mut recorder = Recorder::with_limits(limits);
    for (from_client, bytes) in streams {
        let [client, server] = recorder.offsets();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((1 + dice.below(most) as usize).min(rest.len()));
            if *from_client {
                recorder.client(piece, server);
            } else {
                recorder.server(piece, client);
            }
            rest = behind;
        }
    }
    recorder.end();
    recorder
}

#[test]
fn split_positions_do_not_matter() {
    for seed in 0..3000 {
        let mut dice = Dice::new(seed);
        let mut streams = Vec::new();
        for turn in 0..1 + dice.below(8) {
            let mut bytes = Vec::new();
            for _ in 0..1 + dice.below(4) {
                if turn % 2 == 0 { stretch(&mut dice, &mut bytes) } else { answers(&mut dice, &mut bytes) }
            }
            streams.push((turn % 2 == 0, bytes));
        }
        let limits = match seed % 4 {
            0 => Limits { line: 1 + dice.below(40) as usize, head: 1 + dice.below(90) as usize, pending: 2 },
            1 => Limits { line: 30, head: 20, pending: 1 },
            _ => Limits::default(),
        };
        let whole = in_pieces(&streams, limits, u64::MAX >> 12, &mut dice);
        for most in [1, 7, 60] {
            let cut = in_pieces(&streams, limits, most, &mut dice);
            let text = streams.iter().map(|(c, b)| format!("{c} {}\n", b.escape_ascii())).collect::<String>();
            assert_eq!(cut.requests(), whole.requests(), "seed {seed}, pieces of {most}, {limits:?}:\n{text}");
        }
    }
}

#[test]
fn requests_complete_for_httparse_are_parsed_the_same() {
    let mut completes = 0;
    for seed in 0..20_000 {
        let mut dice = Dice::new(seed);
        let mut bytes = Vec::new();
        stretch(&mut dice, &mut bytes);
        for _ in 0..dice.below(3) {
            let at = dice.below(bytes.len() as u64) as usize;
            if at < bytes.len() {
                bytes[at] =
                    *dice.pick(&[b" ", b"\t", b"\r", b"\n", b"/", b":", b"A", b"\0", b"\x80", b"%"]).first().unwrap();
            }
        }
        let mut slots = [httparse::EMPTY_HEADER; 64];
        let mut theirs = httparse::Request::new(&mut slots);
        let Ok(httparse::Status::Complete(_)) = theirs.parse(&bytes) else { continue };
        if theirs.method == Some("PRI") {
            continue;
        }
        completes += 1;
        for most in [1, u64::MAX >> 12] {
            let mut recorder = Recorder::default();
            for piece in bytes.chunks(usize::try_from(most).unwrap()) {
                recorder.client(piece, 0);
            }
            let ours = recorder.requests().into_iter().next().unwrap_or_else(|| panic!("{}", bytes.escape_ascii()));
            assert_eq!(ours.method, theirs.method.unwrap().as_bytes());
            assert_eq!(ours.target, theirs.path.unwrap().as_bytes());
            assert_eq!(ours.protocol, format!("HTTP/1.{}", theirs.version.unwrap()).as_bytes());
            let host = theirs.headers.iter().find(|header| header.name.eq_ignore_ascii_case("host"));
            assert_eq!(ours.host.as_deref(), host.map(|header| header.value.trim_ascii()), "{}", bytes.escape_ascii());
            assert!(!ours.truncated);
        }
    }
    assert!(completes > 3000, "{completes}");
}

#[test]
fn random_bytes_do_not_panic_or_use_memory() {
    let words: [&[u8]; 14] = [
        b"GET ",
        b"/a",
        b" HTTP/1.1",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK",
        b"Content-Length: ",
        b"7",
        b"FFFFFFFFFFFFFFFFF",
        b"Transfer-Encoding: chunked",
        b"\0\xff",
        b"CONNECT h:1 HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 101 X\r\n\r\n",
    ];
    for seed in 0..3000 {
        let mut dice = Dice::new(seed);
        let tiny = |dice: &mut Dice| dice.below(4) as usize;
        let limits = match seed % 3 {
            0 => Limits { line: tiny(&mut dice), head: tiny(&mut dice), pending: tiny(&mut dice) },
            1 => Limits { line: 300, head: 100, pending: 3 },
            _ => Limits { line: 100, head: 300, pending: 8 },
        };
        let mut recorder = Recorder::with_limits(limits);
        for _ in 0..200 {
            let mut bytes = Vec::new();
            for _ in 0..dice.below(6) {
                bytes.extend_from_slice(dice.pick(&words));
            }
            let acked = dice.below(3000);
            match dice.below(12) {
                0 => recorder.gap(smsentry::http::Direction::ToServer, dice.below(50)),
                1 => recorder.gap(smsentry::http::Direction::ToClient, dice.below(50)),
                2..7 => recorder.server(&bytes, acked),
                _ => recorder.client(&bytes, acked),
            }
            let memory = recorder.connection.memory();
            assert!(memory < 8192, "seed {seed}: {memory} bytes with {limits:?}");
        }
        recorder.end();
    }
}

#[test]
fn limits_truncate_stored_data_but_not_the_parsing() {
    let long = format!("GET /a?{} HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\n\r\n", "x".repeat(5000));
    let recorder = in_pieces(
        &[(true, long.clone().into_bytes())],
        Limits { line: 100, ..Limits::default() },
        9,
        &mut Dice::new(1),
    );
    let reported = recorder.requests();
    assert_eq!((reported.len(), reported[0].target.len(), reported[0].truncated), (2, 96, true));
    assert_eq!(reported[0].host.as_deref(), Some(&b"h"[..]));
    assert_eq!(recorder.counters.line_truncated, 1);

    let head = format!(
        "POST /a HTTP/1.1\r\nContent-Length: 9\r\n{}\r\n123456789GET /b HTTP/1.1\r\n\r\n",
        "X: y\r\n".repeat(500)
    );
    // The limit at every position of a line.
    for most in 1000..1006 {
        let limits = Limits { head: most, ..Limits::default() };
        let recorder = in_pieces(&[(true, head.clone().into_bytes())], limits, 9, &mut Dice::new(1));
        let reported = recorder.requests();
        assert_eq!((reported.len(), reported[0].body, reported[0].truncated), (2, Some(9), true), "{most}");
        assert_eq!((recorder.counters.head_limit, recorder.counters.resync), (1, 0), "{most}");
    }

    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{}\r\nHTTPHTTP/1.1 404 X\r\n\r\n", "X: y\r\n".repeat(500));
    let asked = b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n".to_vec();
    let limits = Limits { head: 1000, ..Limits::default() };
    let recorder = in_pieces(&[(true, asked), (false, head.into_bytes())], limits, 9, &mut Dice::new(1));
    let reported = recorder.requests();
    assert_eq!(
        reported.iter().map(|reported| reported.answer.as_ref().map(|answer| answer.0)).collect::<Vec<_>>(),
        [Some(200), Some(404)]
    );
    assert_eq!(reported[0].answer_body, Some(4));
}

#[test]
fn parsing_resumes_after_a_gap() {
    let request = b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut recorder = Recorder::default();
    recorder.client(b"POST /a HTTP/1.1\r\nContent-Length: 100\r\n\r\n0123456789", 0);
    recorder.gap(smsentry::http::Direction::ToServer, 80);
    recorder.client(&[&b"0123456789"[..], request].concat(), 0);
    assert_eq!(recorder.lines(), ["POST /a -", "GET /b h"]);

    let mut recorder = Recorder::default();
    recorder.client(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r", 0);
    recorder.gap(smsentry::http::Direction::ToServer, 30);
    recorder.client(b"the GET of HTTP/1.1 is\nPLEASE read HTTP/1.1\nGET it\r\n0\r\n\r\n", 0);
    recorder.client(request, 0);
    assert_eq!(recorder.lines(), ["POST /a -", "GET /b h"]);

    let mut recorder = Recorder::default();
    recorder.client(b"\xff\xfe the rest of an upload that began before the capture\n", 0);
    recorder.client(request, 0);
    assert_eq!(recorder.lines(), ["GET /b h"]);
}
