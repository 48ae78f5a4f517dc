//! Where the client's stream is found again after a loss or a dispute about the end of a body: at a segment behind an
//! answer, and nowhere without that evidence.

use smsentry::http::Direction::ToServer;

use crate::support::event_recorder::Recorder;

fn get(path: &str) -> Vec<u8> {
    format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What was reported: targets and statuses.
fn reported(recorder: &Recorder) -> Vec<(String, Option<u16>)> {
    let requests = recorder.requests();
    let target = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    requests.iter().map(|one| (target(&one.target), one.answer.as_ref().map(|answer| answer.0))).collect()
}

/// Client data that acknowledges all that the server sent; the answer acknowledges all that the client sent.
fn ask(recorder: &mut Recorder, bytes: &[u8]) {
    let [_, server] = recorder.offsets();
    recorder.client(bytes, server);
}

fn respond(recorder: &mut Recorder) {
    let [client, _] = recorder.offsets();
    recorder.server(ANSWER, client);
}

/// Bodies that end without a line feed, in any number of segments.
const BODIES: [&[u8]; 4] = [b"x", b"{\"size\":1000,\"q\":12}", b"GET /inside HTTP/1.1", b"line\r\nline\r\nyyyy"];

#[test]
fn request_behind_an_answer_is_found_after_a_lost_head() {
    for body in BODIES {
        for (pieces, waited) in [(1, false), (3, false), (1, true), (3, true)] {
            let mut recorder = Recorder::default();
            if waited {
                ask(&mut recorder, &get("first"));
                respond(&mut recorder);
            }
            recorder.gap(ToServer, 60);
            for piece in body.chunks(body.len().div_ceil(pieces)) {
                ask(&mut recorder, piece);
            }
            respond(&mut recorder);
            for byte in [&get("a")[..5], &get("a")[5..]] {
                ask(&mut recorder, byte);
            }
            respond(&mut recorder);
            recorder.end();
            let reported = reported(&recorder);
            assert_eq!(reported.last(), Some(&("/a".to_owned(), Some(200))), "{} {pieces}", body.escape_ascii());
            assert_eq!(reported.len(), 1 + usize::from(waited), "{reported:?}");
        }
    }
}

#[test]
fn request_behind_an_answer_is_found_after_a_pick_up_within_a_body() {
    for body in BODIES {
        let mut recorder = Recorder::default();
        ask(&mut recorder, body);
        ask(&mut recorder, body);
        respond(&mut recorder);
        for path in ["a", "b"] {
            ask(&mut recorder, &get(path));
            respond(&mut recorder);
        }
        let expected = [("/a".to_owned(), Some(200)), ("/b".to_owned(), Some(200))];
        assert_eq!(reported(&recorder), expected, "{}", body.escape_ascii());
    }
}

#[test]
fn request_behind_an_answer_is_found_where_the_server_took_another_length() {
    for (fields, body) in [
        ("Content-Length: 1\r\nContent-Length: 41", "x".repeat(41)),
        ("Content-Length: 41\r\nContent-Length: 1", "x".to_owned()),
        ("Content-Length: 41, 9", "x".repeat(9)),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", "abcde".to_owned()),
        ("Content-Length: 90\r\nTransfer-Encoding: gzip", "abcde".to_owned()),
        ("Content-Length: +41", "x".repeat(41)),
    ] {
        for late in [false, true] {
            let mut recorder = Recorder::default();
            let post = format!("POST /p HTTP/1.1\r\n{fields}\r\n\r\n{body}").into_bytes();
            let (there, back) = (post.len() as u64, ANSWER.len() as u64);
            recorder.client(&post, 0);
            // The answer may be captured after the next request, which has read it.
            if late {
                recorder.client(&get("a"), back);
                recorder.server(ANSWER, there);
            } else {
                recorder.server(ANSWER, there);
                recorder.client(&get("a"), back);
            }
            respond(&mut recorder);
            recorder.end();
            let reported = reported(&recorder);
            assert_eq!(reported[0], ("/p".to_owned(), Some(200)), "{fields}");
            // Garbage in front of a request line in the same line is a method for a server, so it is one here.
            if !late || !fields.starts_with("Content-Length: 1") && !fields.starts_with("Content-Length: +") {
                assert_eq!(reported[1..], [("/a".to_owned(), Some(200))], "{fields}, late {late}");
            }
        }
    }
}

/// The server's next answer acknowledges what precedes a request that was captured before that answer.
#[test]
fn request_behind_acknowledged_bytes_is_found_once_they_are_answered() {
    let back = ANSWER.len() as u64;
    // One that begins a request line itself continues in the next segment, as far as the client's bytes show.
    for body in BODIES.into_iter().filter(|body| !body.starts_with(b"GET")) {
        for answered in [true, false] {
            let mut recorder = Recorder::default();
            recorder.gap(ToServer, 60);
            recorder.client(body, 0);
            let end = recorder.offsets()[0];
            recorder.client(&get("a"), back);
            // Without an answer to exactly the body, the line may be a part of it.
            recorder.server(ANSWER, if answered { end } else { end - 1 });
            respond(&mut recorder);
            recorder.end();
            let expected = if answered { vec![("/a".to_owned(), Some(200))] } else { vec![] };
            assert_eq!(reported(&recorder), expected, "{}", body.escape_ascii());
        }
    }
}

#[test]
fn request_line_in_a_body_of_known_length_is_no_request() {
    for early in [true, false] {
        let mut recorder = Recorder::default();
        ask(&mut recorder, b"POST /p HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
        if early {
            respond(&mut recorder);
        }
        ask(&mut recorder, &get("inside"));
        assert_eq!(recorder.requests().len(), 1, "{early}");
    }
}

#[test]
fn kept_segments_are_limited() {
    let mut recorder = Recorder::default();
    recorder.gap(ToServer, 60);
    recorder.client(b"x", 0);
    for _ in 0..10_000 {
        recorder.client(b"GET / HTTP/1.1 ", 0);
        recorder.client(b"GET /a HTTP/1.1\nx", 0);
        assert!(recorder.connection.memory() < 64 << 10, "{}", recorder.connection.memory());
    }
}
