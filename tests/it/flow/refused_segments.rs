//! Segments with a wrong checksum: the server's acknowledgment and answer prove that it read them, and nothing else does.

use smsentry::flow::ChecksumPolicy;
use smsentry::record::Body;

use crate::support::segment_builder::{Client, Conn, Damage, NOT_FOUND, Run, Seg, Server, get, options, run, run_with};

const PROBE: &str = "/sms/api/";

fn c() -> Conn {
    Conn::new(1)
}

fn end() -> i64 {
    1 + get(PROBE).len() as i64
}

fn request(conn: Conn) -> Seg {
    conn.up(1, 1, get(PROBE))
}

fn decoy() -> String {
    get("/img/a.js")
}

fn damaged(seg: Seg) -> Seg {
    seg.damage(Damage::Tcp)
}

/// Acknowledged, answered, closed.
fn answered(conn: Conn) -> Vec<Seg> {
    let (there, back) = (end(), 1 + NOT_FOUND.len() as i64);
    let mut out = vec![conn.bare(Server, 1, there), conn.down(1, there, NOT_FOUND), conn.bare(Client, there, back)];
    out.extend(conn.close(there, back));
    out
}

#[track_caller]
fn once(segs: &[Seg]) -> Run {
    let run = run(segs);
    assert_eq!(run.requests(), [PROBE]);
    assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")]);
    run
}

#[test]
fn answered_request_is_delivered_whatever_its_checksum() {
    for conn in [c(), Conn { v6: true, ..c() }, c().isn(u32::MAX - 9, u32::MAX - 2)] {
        let bad = damaged(request(conn));
        let run = once(&[conn.open(), vec![bad.clone()], answered(conn)].concat());
        assert_eq!((run.counter("tcp.checksum_answered"), run.counter("tcp.gaps")), (1, 0));
        let Some(Body::Alert(alert)) = run.records.first().map(|record| &record.body) else { panic!("no alert") };
        assert_eq!((alert.transaction.frame, alert.transaction.flow.packets_to_server), (4, 3));
        // Without the bare acknowledgment; copied by a mirror port or sent again; in pieces, some of them damaged.
        once(&[conn.open(), vec![bad.clone()], answered(conn)[1..].to_vec()].concat());
        once(&[conn.open(), vec![bad.clone(), bad.clone(), bad.seconds(1)], answered(conn)].concat());
        let text = get(PROBE);
        for at in [1, 9, 30] {
            let parts = [conn.up(1, 1, &text[..at]), conn.up(1 + at as i64, 1, &text[at..])];
            for bad in [[true, true], [true, false], [false, true]] {
                let mut parts: Vec<Seg> = parts
                    .iter()
                    .zip(bad)
                    .map(|(part, bad)| if bad { damaged(part.clone()) } else { part.clone() })
                    .collect();
                once(&[conn.open(), parts.clone(), answered(conn)].concat());
                parts.swap(0, 1);
                once(&[conn.open(), parts, answered(conn)].concat());
            }
        }
    }
    // The checksum of the IPv4 header.
    once(&[c().open(), vec![request(c()).damage(Damage::Ip)], answered(c())].concat());
}

#[test]
fn every_request_of_an_edited_connection_is_delivered() {
    let env = get("/sms/env");
    let (a, b) = (end(), 1 + NOT_FOUND.len() as i64);
    let mut segs = c().open();
    segs.extend([damaged(request(c())), c().down(1, a, NOT_FOUND), c().bare(Client, a, b)]);
    segs.extend([damaged(c().up(a, b, &env)), c().down(b, a + env.len() as i64, NOT_FOUND)]);
    let whole = run(&segs);
    let both = [(PROBE.to_owned(), "not_found"), ("/sms/env".to_owned(), "not_found")];
    assert_eq!(whole.alerts(), both);
    // Picked up after the handshake: the client's bare acknowledgment has a correct checksum.
    let segs =
        [vec![c().bare(Server, 1, 1), c().bare(Client, 1, 1), c().bare(Server, 1, 1)], segs[3..].to_vec()].concat();
    assert_eq!(run(&segs).alerts(), both);
}

/// One segment that is larger than a packet, as a sender hands it to its network card, with a checksum that is not even the
/// pseudo-header's.
#[test]
fn large_segment_is_delivered_as_far_as_it_is_answered() {
    let post = format!("POST {PROBE} HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n{}", "x".repeat(20_000));
    let there = 1 + post.len() as i64;
    let open = [c().open(), vec![damaged(c().up(1, 1, &post))]].concat();
    for acknowledged in [there, there - 9000] {
        let run = run(&[open.clone(), vec![c().down(1, acknowledged, NOT_FOUND)]].concat());
        assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")], "{acknowledged}");
    }
}

#[test]
fn segment_without_answer_stays_dropped() {
    let bad = damaged(request(c()));
    let none = |rest: Vec<Seg>| {
        let run = run(&[c().open(), vec![bad.clone()], rest].concat());
        assert_eq!(run.requests(), [""; 0]);
        assert_eq!(run.counter("tcp.checksum_answered"), 0);
        assert_eq!(run.counter("decode.tcp_bad_checksum"), 1);
    };
    none(vec![]);
    none(vec![c().bare(Server, 1, end()), c().bare(Client, end(), 1)]);
    none(vec![c().bare(Server, 1, 1)]);
    // An answer to what came before.
    none(vec![c().down(1, 1, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")]);
    none(c().close(1, 1));
    // All checksums are verified without exception.
    let mut options = options();
    options.flow.checksums = ChecksumPolicy::All;
    assert_eq!(run_with(&[c().open(), vec![bad.clone()], answered(c())].concat(), options).requests(), [""; 0]);
}

/// A decoy that the server drops, before, around and behind the request that it reads.
#[test]
fn decoys_are_not_delivered() {
    let long = format!("{}{}", decoy(), get("/sms/env"));
    let at = |seq: i64, text: &str| damaged(c().up(seq, 1, text));
    for decoys in [
        vec![at(1, &decoy())],
        vec![at(1, &decoy()[..20])],
        vec![at(1, &long)],
        vec![at(5, &decoy())],
        vec![at(end() - 5, &long)],
        vec![at(end(), &long)],
        vec![at(1, &decoy()), at(1, &long), at(9, &decoy())],
        vec![c().up(1, 1, decoy()).damage(Damage::Ip)],
    ] {
        for before in [true, false] {
            let mut middle = decoys.clone();
            middle.insert(if before { middle.len() } else { 0 }, request(c()));
            let run = once(&[c().open(), middle, answered(c())].concat());
            assert_eq!(run.counter("tcp.checksum_answered"), 0);
        }
        // In two segments, around the decoy.
        let text = get(PROBE);
        let [one, two] = [c().up(1, 1, &text[..9]), c().up(10, 1, &text[9..])];
        once(&[c().open(), vec![one.clone()], decoys.clone(), vec![two.clone()], answered(c())].concat());
        once(&[c().open(), vec![two], decoys, vec![one], answered(c())].concat());
    }
}

/// A decoy that is longer than the request it hides behind: its rest is no proven part of the stream, whatever the server
/// answers later.
#[test]
fn rest_of_a_decoy_is_not_delivered() {
    let long = format!("{}{}", decoy(), get("/sms/env"));
    // The next request is not captured.
    let next = end() + get("/sms/env").len() as i64;
    let answers = NOT_FOUND.repeat(2);
    let middle = [damaged(c().up(1, 1, &long)), request(c()), c().down(1, next, answers)];
    let run = run(&[c().open(), middle.to_vec()].concat());
    assert_eq!(run.requests(), [PROBE]);
    assert_eq!(run.counter("tcp.checksum_answered"), 0);
}

/// A response that is sent again answers nothing new.
#[test]
fn repeated_response_answers_nothing() {
    let (a, b) = (end(), 1 + NOT_FOUND.len() as i64);
    let mut segs = c().open();
    segs.extend([request(c()), c().down(1, a, NOT_FOUND), c().bare(Client, a, b)]);
    segs.push(damaged(c().up(a, b, get("/sms/env"))));
    segs.push(c().down(1, a + get("/sms/env").len() as i64, NOT_FOUND).seconds(1));
    assert_eq!(run(&segs).requests(), [PROBE]);
}

#[test]
fn refused_segments_are_bounded() {
    let mut segs = c().open();
    segs.extend((0..2000).map(|at| damaged(c().up(1 + 1500 * at, 1, vec![b'x'; 1400])).wait(10)));
    let run = run(&segs);
    assert!(run.most[2] < 64_000, "{}", run.most[2]);
    assert_eq!(run.counter("tcp.segments_dropped"), 2000 - 32);
    let mut options = options();
    options.flow.limits.queued_per_half = 3000;
    assert_eq!(run_with(&segs, options).counter("tcp.segments_dropped"), 2000 - 2);
    // A flood does not hide the request behind it.
    let segs = [segs, vec![request(c())], answered(c())].concat();
    once(&segs);
}
