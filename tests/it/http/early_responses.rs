//! Responses that stand before their request in the capture: paired where that can be proven, and never taken for none.

use crate::support::segment_builder::{Client, Conn, NOT_FOUND, Seg, Server, get, run};

const PROBE: &str = "/sms/api/";

fn end() -> i64 {
    1 + get(PROBE).len() as i64
}

/// The server's segments, then the request, then the end of the connection after `len` bytes of the server.
fn before_the_request(conn: Conn, server: &[Seg], len: i64, handshake: bool) -> Vec<Seg> {
    let mut segs = if handshake { conn.open() } else { Vec::new() };
    segs.extend(server.iter().cloned());
    segs.push(conn.up(1, 1, get(PROBE)));
    segs.push(conn.bare(Client, end(), 1 + len));
    segs.extend(conn.close(end(), 1 + len));
    segs
}

#[test]
fn response_before_its_request_is_paired() {
    for conn in [Conn::new(1), Conn { v6: true, ..Conn::new(1) }, Conn::new(1).isn(u32::MAX, u32::MAX - 20)] {
        let len = NOT_FOUND.len() as i64;
        let whole = [conn.down(1, end(), NOT_FOUND)];
        let half = [conn.down(1, end(), &NOT_FOUND[..20]), conn.down(21, end(), &NOT_FOUND[20..])];
        let swapped = [half[1].clone(), half[0].clone()];
        let acknowledged = [conn.bare(Server, 1, end()), whole[0].clone()];
        for server in [&whole[..], &half, &swapped, &acknowledged] {
            for handshake in [true, false] {
                let run = run(&before_the_request(conn, server, len, handshake));
                assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")], "{handshake} {server:?}");
            }
        }
    }
}

/// Bytes that may be the response, or a part of it, stood before the request: `no_response` would be wrong.
#[test]
fn no_response_is_not_reported_where_an_answer_stood_before() {
    let conn = Conn::new(1);
    for answer in ["a page without a status line", "HTTP/1.1 4", &NOT_FOUND[10..]] {
        for handshake in [true, false] {
            let server = [conn.down(1, end(), answer)];
            let run = run(&before_the_request(conn, &server, answer.len() as i64, handshake));
            assert_eq!(run.alerts(), [(PROBE.to_owned(), "unseen")], "{handshake} {answer}");
        }
    }
    // A long one, whose beginning is confirmed before anything is known of the client.
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n{}", "x".repeat(20_000));
    let parts = |wait: i64| -> Vec<Seg> {
        let at = (0..long.len()).step_by(1000);
        let parts = at.map(|at| conn.down(1 + at as i64, end(), &long[at..long.len().min(at + 1000)]));
        parts.map(|part| part.wait(wait)).collect()
    };
    for server in [parts(10), parts(90_000)[..3].to_vec(), vec![parts(10)[0].clone(), parts(10)[1].clone().seconds(1)]]
    {
        let len = server.iter().map(|seg| seg.bytes.len() as i64).sum();
        let run = run(&before_the_request(conn, &server, len, false));
        assert_eq!(run.alerts().len(), 1);
        assert_ne!(run.alerts()[0].1, "no_response", "{}", server.len());
    }
    // After a loss in the server's stream.
    let (a, b) = (1 + get("/").len() as i64, 1 + NOT_FOUND.len() as i64);
    let mut segs = conn.open();
    segs.extend([conn.up(1, 1, get("/")), conn.down(11, a, &NOT_FOUND[10..]), conn.bare(Client, a, b)]);
    let there = a + get(PROBE).len() as i64;
    segs.extend([conn.down(b, there, NOT_FOUND), conn.up(a, b, get(PROBE))]);
    segs.extend(conn.close(there, b + NOT_FOUND.len() as i64));
    assert_ne!(run(&segs).alerts()[0].1, "no_response");
    // The server sent nothing.
    for server in [vec![], vec![conn.bare(Server, 1, end())]] {
        let run = run(&before_the_request(conn, &server, 0, true));
        assert_eq!(run.alerts(), [(PROBE.to_owned(), "no_response")], "{server:?}");
    }
}
