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
    // The server sent nothing.
    for server in [vec![], vec![conn.bare(Server, 1, end())]] {
        let run = run(&before_the_request(conn, &server, 0, true));
        assert_eq!(run.alerts(), [(PROBE.to_owned(), "no_response")], "{server:?}");
    }
}
