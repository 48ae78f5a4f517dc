//! The beginnings of response bodies as the HTTP parser passes them on: content only, from the first byte, none after a
//! gap, and a bounded part for a response captured before its request.

use smsentry::http::{BODY_BEGINNING, Direction};

use crate::support::event_recorder::Recorder;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

fn counted(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

#[test]
fn content_is_passed_on_without_its_framing() {
    let until_close = [&b"HTTP/1.0 200 OK\r\n\r\n"[..], b"abcdef"].concat();
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n4\r\ncdef\r\n0\r\nT: t\r\n\r\n".to_vec();
    let twice = [counted(b"abcdef"), counted(b"unasked!!")].concat();
    for answer in [counted(b"abcdef"), until_close, chunked, twice] {
        for size in [1, 2, 3, answer.len()] {
            let mut recorder = Recorder::default();
            recorder.client(GET, 0);
            answer.chunks(size).for_each(|piece| recorder.server(piece, GET.len() as u64));
            recorder.end();
            assert_eq!(recorder.requests()[0].begun, b"abcdef", "{size} {}", answer.escape_ascii());
        }
    }
}

#[test]
fn nothing_is_passed_on_after_a_gap() {
    let answer = counted(&[b'x'; 300]);
    let mut recorder = Recorder::default();
    recorder.client(GET, 0);
    recorder.server(&answer[..answer.len() - 200], GET.len() as u64);
    recorder.gap(Direction::ToClient, 50);
    recorder.server(&answer[answer.len() - 150..], GET.len() as u64);
    // The next response is complete again.
    recorder.client(GET, answer.len() as u64);
    recorder.server(&counted(b"next"), 2 * GET.len() as u64);
    recorder.end();
    let begun: Vec<_> =
        recorder.requests().into_iter().map(|reported| (reported.begun, reported.answer_body)).collect();
    assert_eq!(begun, [(vec![b'x'; 100], Some(250 + 50)), (b"next".to_vec(), Some(4))]);
}

#[test]
fn response_before_its_request_keeps_a_kilobyte() {
    for (len, cut) in [(10, 0), (10, 5), (1023, 0), (1024, 0), (1024, 500), (5000, 0), (5000, 4500), (900_000, 0)] {
        let body: Vec<u8> = (0..len as u32).map(|at| (at % 251) as u8).collect();
        let answer = counted(&body);
        let mut recorder = Recorder::default();
        let before = recorder.connection.memory();
        for piece in answer[..answer.len() - cut].chunks(1400) {
            recorder.server(piece, GET.len() as u64);
        }
        assert!(recorder.connection.memory() - before < 2 * BODY_BEGINNING + 2048);
        recorder.client(GET, 0);
        recorder.server(&answer[answer.len() - cut..], GET.len() as u64);
        recorder.end();
        let reported = &recorder.requests()[0];
        assert_eq!(
            (reported.begun.as_slice(), reported.answer_body),
            (&body[..len.min(BODY_BEGINNING)], Some(len as u64))
        );
    }
}

#[test]
fn header_lines_are_the_same_whole_and_in_pieces() {
    for (request, lines) in [
        ("GET /a HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n", "Host: h\r\nX: y\r\n\r\n"),
        ("GET  /a HTTP/1.0\nHost : h\n\n", "Host : h\n\n"),
        ("GET /a\r\n", ""),
    ] {
        for size in [1, 7, request.len()] {
            let mut recorder = Recorder::default();
            request.as_bytes().chunks(size).for_each(|piece| recorder.client(piece, 0));
            recorder.end();
            assert_eq!(recorder.requests()[0].head, lines.as_bytes(), "{size} {request:?}");
        }
    }
}
