//! Directions whose handshake was not captured: the first segment seen need not be the first one sent.

use crate::support::segment_builder::{Client, Conn, Dice, NOT_FOUND, Run, Seg, Sender, Server, get, options};
use crate::support::segment_builder::{run, run_with};

const PROBE: &str = "/sms/api/";

fn c() -> Conn {
    Conn::new(1)
}

fn conns() -> [Conn; 4] {
    [c(), Conn { v6: true, ..c() }, c().isn(u32::MAX - 3, u32::MAX - 9), c().port(31_337)]
}

fn end() -> i64 {
    1 + get(PROBE).len() as i64
}

/// The request in two segments.
fn split(conn: Conn, at: usize) -> [Seg; 2] {
    let text = get(PROBE);
    [conn.up(1, 1, &text[..at]), conn.up(1 + at as i64, 1, &text[at..])]
}

/// A second exchange on the same connection, after one with [`NOT_FOUND`].
fn second(conn: Conn) -> Vec<Seg> {
    let (a, b) = (end(), 1 + NOT_FOUND.len() as i64);
    let env = get("/sms/env");
    vec![conn.bare(Client, a, b), conn.up(a, b, &env), conn.down(b, a + env.len() as i64, NOT_FOUND)]
}

#[track_caller]
fn both_answered(run: &Run) {
    let expected = [(PROBE.to_owned(), "not_found"), ("/sms/env".to_owned(), "not_found")];
    assert_eq!(run.alerts(), expected);
    assert_eq!(run.requests(), [PROBE, "/sms/env"]);
}

#[test]
fn keep_alive_octet_is_no_beginning() {
    for conn in conns() {
        let answer = conn.down(1, end(), NOT_FOUND);
        for octet in [0, b'\n', b'}', 0xff] {
            let keep = conn.seg(Client, "A", 0, 1, &[octet]);
            let ack = conn.bare(Server, 1, 1);
            let server_keep = conn.seg(Server, "A", 0, 1, &[octet]);
            let server_ack = conn.bare(Client, 1, 1);
            for before in [
                vec![keep.clone(), ack.clone()],
                vec![keep.clone()],
                vec![keep.clone().seconds(1), keep.clone().seconds(1), ack.clone()],
                vec![ack.clone(), keep.clone()],
                vec![keep.clone().flags("PA"), ack.clone()],
                vec![server_keep.clone(), server_ack.clone()],
                vec![server_keep.clone()],
                vec![keep.clone(), ack.clone(), server_keep.clone(), server_ack.clone()],
                vec![ack.clone(), server_keep.clone(), keep.clone(), server_ack.clone()],
            ] {
                for pause in [1000, 700_000, 45_000_000] {
                    let mut segs = before.clone();
                    segs.push(conn.up(1, 1, get(PROBE)).wait(pause));
                    segs.push(answer.clone());
                    segs.extend(second(conn));
                    let run = run(&segs);
                    both_answered(&run);
                    assert!(run.counter("tcp.keep_alives") > 0);
                    assert_eq!(run.counter("tcp.gaps"), 0);
                }
            }
        }
    }
}

/// A flow that was forgotten after 300 s is checked by its client, and used again.
#[test]
fn keep_alive_octet_does_not_spoil_a_forgotten_flow() {
    for vlan in [None, Some(5)] {
        let mut segs = [c().open(), vec![c().up(1, 1, get(PROBE)), c().down(1, end(), NOT_FOUND)]].concat();
        let (a, b) = (end(), 1 + NOT_FOUND.len() as i64);
        segs.push(c().seg(Client, "A", a - 1, b, &[0]).seconds(400));
        segs.push(c().bare(Server, b, a));
        segs.extend(second(c())[1..].to_vec());
        segs.iter_mut().for_each(|seg| seg.vlan = vlan);
        let run = run(&segs);
        both_answered(&run);
        assert_eq!(run.counter("flow.timeout"), 1);
    }
}

/// A request sent a byte at a time is picked up with its first byte.
#[test]
fn single_letter_at_the_beginning_is_data() {
    let text = get(PROBE);
    let bytes = |at: usize| c().up(1 + at as i64, 1, &text[at..=at]);
    let mut segs: Vec<Seg> = (0..text.len()).map(bytes).collect();
    segs.push(c().down(1, end(), NOT_FOUND));
    segs.extend(second(c()));
    both_answered(&run(&segs));
    // The first one is acknowledged before the rest.
    segs.insert(1, c().bare(Server, 1, 2));
    both_answered(&run(&segs));
    assert_eq!(run(&segs).reported()[0].method, "GET");
}

#[test]
fn second_segment_captured_first_does_not_hide_the_first() {
    for conn in conns() {
        for at in 1..get(PROBE).len() {
            for stamps in [None, Some([7, 7]), Some([6, 7])] {
                let [mut one, mut two] = split(conn, at);
                if let Some([first, then]) = stamps {
                    (one, two) = (one.stamp(first), two.stamp(then));
                }
                let answer = conn.down(1, end(), NOT_FOUND);
                let mut segs = vec![two, one, answer];
                segs.extend(second(conn));
                both_answered(&run(&segs));
            }
        }
    }
}

/// The same for the beginning of a response, and for three segments.
#[test]
fn first_segments_may_come_in_any_order() {
    let (there, half) = (end(), 20);
    let answers = [c().down(1, there, &NOT_FOUND[..half]), c().down(1 + half as i64, there, &NOT_FOUND[half..])];
    let [one, two] = answers;
    let mut segs = vec![two, one, c().up(1, 1, get(PROBE))];
    segs.extend(second(c()));
    let run_of = |segs: &[Seg]| run(segs);
    both_answered(&run_of(&segs));
    let text = get(PROBE);
    let parts = [(0, 9), (9, 30), (30, text.len())].map(|(from, to)| c().up(1 + from as i64, 1, &text[from..to]));
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 0, 1], [2, 1, 0]] {
        let mut segs: Vec<Seg> = order.iter().map(|&at| parts[at].clone()).collect();
        segs.push(c().down(1, end(), NOT_FOUND));
        segs.extend(second(c()));
        both_answered(&run_of(&segs));
    }
}

/// The beginning is confirmed by the receiver, by the next segment, by time, and by the end of the capture.
#[test]
fn beginning_is_confirmed() {
    let request = c().up(1, 1, get(PROBE));
    let time = |run: &Run| run.records.iter().map(|record| record.order.decided_at).min().unwrap();
    let first = |segs: &[Seg]| {
        let mut options = options();
        options.outcome_timeout = std::time::Duration::ZERO;
        let run = run_with(segs, options);
        assert_eq!(run.requests(), [PROBE]);
        time(&run).micros() - crate::support::segment_builder::EPOCH * 1_000_000 - 1000
    };
    let later = Conn::new(2).syn().seconds(9);
    assert_eq!(first(&[request.clone(), c().bare(Server, 1, end()), later.clone()]), 1000);
    assert_eq!(first(&[request.clone(), later.clone()]), 500_000);
    assert_eq!(first(std::slice::from_ref(&request)), 0);
    // The other direction is known: the next segment agrees, or the receiver expects it already.
    let greeting = |ack| c().down(1, ack, "greeting");
    let next = c().up(end(), 9, "GET /x");
    assert_eq!(first(&[greeting(-9), request.clone(), next, later.clone()]), 2000);
    assert_eq!(first(&[greeting(1), request.clone(), later]), 1000);
    // The end of the client's stream follows at once.
    let fin = c().seg(Client, "FA", end(), 1, b"");
    let run = run(&[request, fin, c().bare(Server, 1, end() + 1)]);
    assert_eq!(run.requests(), [PROBE]);
}

/// What is queued at the beginning is bounded, and a limit loses nothing.
#[test]
fn descending_segments_are_bounded() {
    let mut segs: Vec<Seg> = (0..5000).rev().map(|at| c().up(1 + 2 * at, 1, "x").wait(10)).collect();
    segs.extend(Conn::new(2).exchange(get(PROBE), NOT_FOUND));
    let run = run(&segs);
    assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")]);
    assert!(run.most[2] < 10_000, "{}", run.most[2]);
    // No space for queued segments.
    let mut options = options();
    options.flow.limits.queued_memory = 1;
    let request = c().up(1, 1, get(PROBE));
    let run = run_with(&[request, c().down(1, end(), NOT_FOUND)], options);
    assert_eq!((run.requests(), run.counter("tcp.memcap_drops")), (vec![PROBE.to_owned()], 1));
}

/// Two exchanges without their handshake, with a keep-alive octet in front and the first segments swapped or not: the same
/// requests and responses.
#[test]
fn order_and_octets_at_the_beginning_do_not_matter() {
    for seed in 0..500 {
        let dice = &mut Dice::new(seed);
        let conn = Conn { v6: dice.one_in(2), ..c() }.isn(dice.next() as u32, dice.next() as u32);
        let [one, two] = split(conn, 1 + dice.below(get(PROBE).len() - 1));
        let mut rest = vec![conn.down(1, end(), NOT_FOUND)];
        rest.extend(second(conn));
        let plain = run(&[vec![one.clone(), two.clone()], rest.clone()].concat());
        both_answered(&plain);
        let mut begin = vec![one, two];
        if dice.one_in(2) {
            begin.swap(0, 1);
        }
        for from in [Client, Server] {
            if dice.one_in(2) {
                begin.insert(0, conn.seg(from, dice.pick(&["A", "PA"]), 0, 1, &[dice.pick(&[0, 10, 13, 200])]));
                let acknowledges: Sender = if from == Client { Server } else { Client };
                begin.insert(1, conn.bare(acknowledges, 1, 1));
            }
        }
        let changed = run(&[begin, rest].concat());
        assert_eq!(changed.reported(), plain.reported(), "seed {seed}");
    }
}
