//! TCP reassembly compared with what a server behind the sensor reads, case by case: handshakes, resets, losses,
//! overlaps, decoys, reused ports. Each case lists the requests that must be found, the alerts, and the counters that
//! must explain them.

use smsentry::flow::{ChecksumPolicy, OverlapPolicy};

use crate::support::segment_builder::{Client, Conn, Damage, NOT_FOUND, Run, Seg, Server, get, options, run, run_with};

const PROBE: &str = "/sms/api/";

fn probe() -> String {
    get(PROBE)
}

/// The request's bytes as the client sends them in one segment.
fn request(conn: Conn) -> Seg {
    conn.up(1, 1, probe())
}

fn end() -> i64 {
    1 + probe().len() as i64
}

/// The packets after the request: acknowledged, answered with 404, closed.
fn rest(conn: Conn) -> Vec<Seg> {
    let (there, back) = (end(), 1 + NOT_FOUND.len() as i64);
    let mut out = vec![conn.bare(Server, 1, there), conn.down(1, there, NOT_FOUND), conn.bare(Client, there, back)];
    out.extend(conn.close(there, back));
    out
}

/// A connection whose request is sent as `middle`.
fn around(conn: Conn, middle: impl IntoIterator<Item = Seg>) -> Vec<Seg> {
    conn.open().into_iter().chain(middle).chain(rest(conn)).collect()
}

/// Another request of the same length.
fn decoy() -> String {
    get("/img/a.js")
}

#[track_caller]
fn found(run: &Run, targets: &[&str], alerts: &[(&str, &str)]) {
    assert_eq!(run.requests(), targets, "requests");
    let expected: Vec<_> = alerts.iter().map(|&(target, outcome)| (target.to_owned(), outcome)).collect();
    assert_eq!(run.alerts(), expected, "alerts");
}

#[track_caller]
fn once(segs: &[Seg]) -> Run {
    let run = run(segs);
    found(&run, &[PROBE], &[(PROBE, "not_found")]);
    run
}

fn c() -> Conn {
    Conn::new(1)
}

fn split(conn: Conn, at: usize) -> [Seg; 2] {
    let probe = probe();
    [conn.up(1, 1, &probe[..at]), conn.up(1 + at as i64, 1, &probe[at..])]
}

#[test]
fn request_split_at_any_point_is_found() {
    for at in 1..probe().len() {
        let [one, two] = split(c(), at);
        once(&around(c(), [one.clone(), two.clone()]));
        let run = once(&around(c(), [two, one]));
        assert_eq!(run.counter("tcp.out_of_order"), 1);
    }
}

#[test]
fn single_bytes_in_any_order_are_reassembled() {
    let bytes = probe().into_bytes();
    let segs: Vec<Seg> = bytes.iter().enumerate().map(|(at, byte)| c().up(1 + at as i64, 1, [*byte])).collect();
    once(&around(c(), segs.clone()));
    once(&around(c(), segs.iter().rev().cloned()));
    let run = once(&around(c(), segs.iter().chain(&segs).cloned()));
    assert!(
        run.counter("tcp.retransmissions") + run.counter("tcp.span_duplicates") + run.counter("tcp.keep_alives") >= 50
    );
}

#[test]
fn retransmissions_do_not_change_the_stream() {
    let run = once(&around(c(), [request(c()), request(c()).seconds(1), request(c()).seconds(2)]));
    assert_eq!(run.counter("tcp.retransmissions"), 2);
    assert_eq!(run.counter("tcp.overlap_conflict"), 0);
    // The first bytes are kept, before and after they were acknowledged.
    let other = c().up(1, 1, decoy()).seconds(1);
    let run = once(&around(c(), [request(c()), other.clone()]));
    assert_eq!(run.counter("tcp.overlap_conflict"), 1);
    assert!(run.reported()[0].conflict);
    let run = once(&around(c(), [request(c()), c().bare(Server, 1, end()), other]));
    assert_eq!(run.counter("tcp.overlap_conflict"), 1);
    let run = run_of(around(c(), [c().up(1, 1, decoy()), request(c()).seconds(1)]));
    found(&run, &["/img/a.js"], &[]);
    assert_eq!(run.counter("tcp.overlap_conflict"), 1);
}

fn run_of(segs: Vec<Seg>) -> Run {
    run(&segs)
}

/// "GET " comes last, so that everything after it still waits; `first` and `second` are offsets and texts there.
fn overlapped(segs: &[(i64, &str)]) -> Vec<Seg> {
    let tail = &probe()[4 + 9..];
    let mut middle: Vec<Seg> = segs.iter().map(|&(at, text)| c().up(5 + at, 1, text)).collect();
    middle.push(c().up(5 + 9, 1, tail));
    middle.push(c().up(1, 1, "GET "));
    around(c(), middle)
}

#[test]
fn overlaps_follow_every_policy() {
    // "/sms/api/" against "/img/a.js", both nine bytes: the copy that is kept, in the order linux, first, last, bsd,
    // windows, solaris.
    let (good, bad) = ("/sms/api/", "/img/a.js");
    type Case<'a> = (&'a [(i64, &'a str)], [&'a str; 6]);
    let cases: [Case<'_>; 5] = [
        (&[(0, bad), (0, good)], [bad, bad, good, bad, bad, good]),
        (&[(1, &bad[1..]), (0, good)], [good, "/img/a.js", good, good, good, good]),
        (&[(0, good), (2, &bad[2..6])], [good, good, "/smg/api/", good, good, good]),
        (&[(0, &bad[..5]), (0, good)], [good, "/img/api/", good, "/img/api/", "/img/api/", good]),
        (&[(0, bad), (3, &good[3..])], [bad, bad, "/ims/api/", bad, bad, "/ims/api/"]),
    ];
    for (at, (segs, winners)) in cases.iter().enumerate() {
        for (&(name, policy), winner) in OverlapPolicy::NAMES.iter().zip(winners) {
            let mut options = options();
            options.flow.overlap = policy;
            let run = run_with(&overlapped(segs), options);
            let expected = match (at, name) {
                // The part of the longer one that "first" keeps.
                (1, "first") => "/img/a.js".to_owned(),
                _ => (*winner).to_owned(),
            };
            assert_eq!(run.requests(), [expected], "case {at}, {name}");
            assert_eq!(run.counter("tcp.overlap_conflict"), 1, "case {at}, {name}");
        }
    }
}

#[test]
fn overlaps_that_agree_are_no_conflict() {
    let probe = probe();
    let part = |from: usize, to: usize| c().up(1 + from as i64, 1, &probe[from..to]);
    let run =
        once(&around(c(), [part(10, 40), part(5, 30), part(20, probe.len()), part(7, 9), part(0, 12), part(0, 50)]));
    assert_eq!(run.counter("tcp.overlap_conflict"), 0);
    assert!(run.counter("tcp.overlap") > 0 && !run.reported()[0].conflict);
}

/// Segments that every server drops, right before the request, with the bytes of another one.
#[test]
fn dropped_segments_do_not_hide_the_request() {
    let decoy = || c().up(1, 1, decoy());
    let cases: [(&str, Seg, &str); 14] = [
        ("TCP checksum", decoy().damage(Damage::Tcp), "decode.tcp_bad_checksum"),
        ("IP checksum", decoy().damage(Damage::Ip), "decode.tcp_bad_checksum"),
        ("no ACK", decoy().flags("P"), "tcp.invalid_flags"),
        ("no flags", decoy().flags(""), "tcp.invalid_flags"),
        ("SYN and FIN", decoy().flags("SFA"), "tcp.invalid_flags"),
        ("SYN and RST", decoy().flags("SRA"), "tcp.invalid_flags"),
        ("URG and FIN without ACK", decoy().flags("FUP"), "tcp.invalid_flags"),
        ("far ahead", decoy().seq(1 << 30), "tcp.out_of_window"),
        ("far behind", decoy().seq(-(1 << 30)), "tcp.out_of_window"),
        ("behind", decoy().seq(-5000), "tcp.retransmissions"),
        ("acknowledges too much", decoy().ack(500_000), "tcp.doubtful_acks"),
        ("acknowledges long ago", decoy().ack(-500_000), "tcp.doubtful_acks"),
        ("signed", decoy().md5(), "tcp.signature_drops"),
        ("RST with bytes", decoy().flags("RA").seq(7), "tcp.rst"),
    ];
    for (name, decoy, counter) in cases {
        for with in [decoy.clone(), decoy.clone().wait(1), decoy.clone().wait(10)] {
            let run = run(&around(c(), [with, request(c())]));
            assert_eq!(run.requests(), [PROBE], "{name}");
            assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")], "{name}");
            assert_eq!(run.counter(counter), 1, "{name}");
            assert_eq!(run.counter("tcp.gaps"), 0, "{name}");
        }
        // In the middle of the request, and long before its rest.
        let [one, two] = split(c(), 9);
        let seq = if decoy.seq == 1 { 10 } else { decoy.seq };
        let run = run(&around(c(), [one, decoy.seq(seq), two.seconds(2)]));
        assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")], "{name} in the middle");
    }
}

/// With timestamps negotiated, an old one is refused; a decoy must not make the real ones look old.
#[test]
fn timestamps_protect_against_old_segments() {
    let stamped = |decoys: Vec<Seg>, agreed: bool, wrap: u32| {
        let mut segs = around(c(), decoys.into_iter().chain([request(c())]));
        for (at, seg) in (0_u32..).zip(&mut segs) {
            if seg.options.is_empty() && (agreed || !seg.flags.contains("SA")) && (agreed || seg.from == Client) {
                *seg = seg.clone().stamp(wrap.wrapping_add(100 + at));
            }
        }
        segs
    };
    let decoy = || c().up(1, 1, decoy());
    let run = once(&stamped(vec![decoy().stamp(50)], true, 0));
    assert_eq!(run.counter("tcp.paws_drops"), 1);
    let run = once(&stamped(vec![c().seg(Client, "FA", 1, 1, b"").stamp(1)], true, 0));
    assert_eq!(run.counter("tcp.paws_drops"), 1);
    // The timestamp clock wraps too.
    once(&stamped(vec![decoy().stamp(0xffff_ff00)], true, 0xffff_ffff - 100));
    // Refused for another reason, from the far future: nothing after it is old.
    for poison in [decoy().seq(-5000), decoy().ack(500_000), decoy().seq(1 << 30), decoy().damage(Damage::Tcp)] {
        let run = once(&stamped(vec![poison.stamp(0x7000_0000)], true, 0));
        assert_eq!(run.counter("tcp.paws_drops"), 0);
    }
    // Timestamps that the server did not negotiate are ignored.
    let mut segs = stamped(vec![], false, 1000);
    segs[3] = segs[3].clone().stamp(7);
    let run = once(&segs);
    assert_eq!(run.counter("tcp.paws_drops"), 0);
    // Stacks that begin at zero.
    let mut segs = stamped(vec![], true, 0x9000_0000);
    segs[0] = segs[0].clone().stamp(0);
    once(&segs);
}

#[test]
fn fins_and_resets_within_the_stream_end_nothing() {
    let at = |seq| c().seg(Client, "FA", seq, 1, b"");
    let reset = |seq| c().seg(Client, "R", seq, 0, b"");
    let from_server = |seq| c().seg(Server, "R", seq, 0, b"");
    let cases: [(&str, Seg); 15] = [
        ("FIN without ACK", at(10).flags("F")),
        ("FIN far away", at(1_000_000)),
        ("FIN ahead of its data", at(end())),
        ("FIN inside what follows", at(20)),
        ("FIN that acknowledges too much", at(10).ack(500_000)),
        ("FIN with a wrong checksum", at(10).damage(Damage::Tcp)),
        ("FIN with a wrong header checksum", at(10).damage(Damage::Ip)),
        ("FIN that is signed", at(10).md5()),
        ("RST far away", reset(1 << 30)),
        ("RST in the window", reset(500)),
        ("RST with a wrong checksum", reset(10).damage(Damage::Tcp)),
        ("RST in the right place", reset(10)),
        ("RST of the server, anywhere", from_server(77_777)),
        ("RST of the server in the right place", from_server(1)),
        ("SYN", c().syn().seq(4711)),
    ];
    for (name, hint) in cases {
        let [one, two] = split(c(), 9);
        let ack = c().bare(Server, 1, 10);
        let run = run(&around(c(), [one, ack, hint, two]));
        assert_eq!(run.requests(), [PROBE], "{name}");
        assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")], "{name}");
        assert_eq!(run.counter("tcp.gaps"), 0, "{name}");
    }
}

/// A SYN inside a connection and data at its sequence numbers: it was never answered.
#[test]
fn forged_syn_does_not_take_over_a_connection() {
    let forged = c().isn(0x4000_0000, 5000);
    let data = forged.up(1, 1, decoy());
    once(&around(c(), [forged.syn(), data.clone(), request(c())]));
    let [one, two] = split(c(), 9);
    once(&around(c(), [one.clone(), forged.syn(), data.clone(), two.clone()]));
    // With a reset that no server accepts.
    let reset = c().seg(Client, "R", 500, 0, b"");
    once(&around(c(), [one, reset, forged.syn(), data, two]));
}

#[test]
fn resets_at_the_end_close_the_flow() {
    // A scanner resets before anything is acknowledged.
    let mut segs = c().open();
    segs.extend([request(c()), c().seg(Client, "R", end(), 0, b"")]);
    let run = run_of(segs);
    found(&run, &[PROBE], &[(PROBE, "no_response")]);
    // Bytes in a reset are not part of the stream.
    let mut segs = c().open();
    segs.push(c().seg(Client, "RA", 1, 1, probe().as_bytes()));
    found(&run_of(segs), &[], &[]);
    // The capture shows a reset, and the server continues.
    let [one, two] = split(c(), 9);
    once(&around(c(), [one, c().bare(Server, 1, 10), c().seg(Client, "RA", 10, 1, b""), c().bare(Server, 1, 10), two]));
}

#[test]
fn fins_with_data_end_the_stream_after_it() {
    let mut segs = c().open();
    let there = end();
    segs.push(request(c()).flags("FPA"));
    segs.push(c().bare(Server, 1, there + 1));
    segs.push(c().down(1, there + 1, NOT_FOUND).flags("FPA"));
    segs.push(c().bare(Client, there + 1, 2 + NOT_FOUND.len() as i64));
    once(&segs);
    // After a FIN there is no more data, whichever came first.
    let benign = decoy();
    let behind = 1 + benign.len() as i64;
    for order in [[0, 1], [1, 0]] {
        for gap in [0, 1] {
            let parts = [c().up(1, 1, &benign).flags("FPA"), c().up(behind + gap, 1, probe())];
            let mut segs = c().open();
            segs.extend(order.map(|at| parts[at].clone()));
            segs.push(c().bare(Server, 1, behind + 1));
            segs.push(c().bare(Server, 1, behind + 1).seconds(20));
            let run = run_of(segs);
            if gap == 1 || order == [0, 1] {
                found(&run, &["/img/a.js"], &[]);
                assert_eq!(run.counter("tcp.gaps"), 0, "what is behind the end is not waited for");
                assert_eq!(run.counter("tcp.data_after_fin"), 1, "{order:?} {gap}");
            }
        }
    }
}

#[test]
fn unfinished_heads_are_reported_when_the_flow_ends() {
    for (text, seconds) in [
        ("GET /sms/env HTTP/1.1\r\nHost: victim.example\r\n", 0),
        ("GET /sms/env HTTP/1.1", 0),
        ("GET /sms/env HTTP/1.1\r\n", 400),
    ] {
        let mut segs = c().open();
        segs.push(c().up(1, 1, text));
        let there = 1 + text.len() as i64;
        segs.push(c().bare(Server, 1, there));
        if seconds == 0 {
            segs.extend(c().close(there, 1));
        } else {
            segs.push(Conn::new(9).syn().seconds(seconds));
        }
        let run = run_of(segs);
        assert_eq!(run.reported().len(), 1, "{text:?}");
        assert!(run.reported()[0].truncated);
        found(&run, &["/sms/env"], &[("/sms/env", "no_response")]);
    }
    // Slowly, a byte every two seconds.
    let slow = probe().into_bytes();
    let segs: Vec<Seg> =
        slow.iter().enumerate().map(|(at, byte)| c().up(1 + at as i64, 1, [*byte]).seconds(2)).collect();
    once(&around(c(), segs));
}

#[test]
fn fast_open_data_is_delivered() {
    let (len, back) = (probe().len() as i64, 1 + NOT_FOUND.len() as i64);
    let syn = || c().seg(Client, "S", 0, 0, probe().as_bytes());
    let taken = || c().seg(Server, "SA", 0, 1 + len, b"");
    let answer = || {
        let mut out = vec![c().down(1, 1 + len, NOT_FOUND), c().bare(Client, 1 + len, back)];
        out.extend(c().close(1 + len, back));
        out
    };
    let cat = |parts: &[&[Seg]]| parts.concat();
    // Accepted; and sent again because the response was late.
    let run = once(&cat(&[&[syn(), taken(), c().bare(Client, 1 + len, 1)], &answer()]));
    assert_eq!(run.counter("tcp.fast_open"), 1);
    once(&cat(&[&[syn(), syn().seconds(1), taken()], &answer()]));
    // Refused: sent again after the handshake.
    let run = once(&cat(&[&[syn(), c().syn_ack(), c().bare(Client, 1, 1)], &[request(c())], &rest(c())]));
    assert_eq!(run.counter("tcp.fast_open"), 0);
    // The SYN-ACK was not captured: the next segments decide.
    let run = once(&cat(&[&[syn(), c().bare(Client, 1 + len, 1)], &answer()]));
    assert_eq!(run.counter("tcp.fast_open"), 1);
    once(&cat(&[&[syn()], &answer()]));
    once(&cat(&[&[syn()], &[request(c())], &rest(c())]));
    // Another SYN in between, with bytes of its own, is not the one that was answered.
    let forged = Conn { isn: [77, 5000], ..c() };
    once(&cat(&[&[syn(), forged.seg(Client, "S", 0, 0, decoy().as_bytes()), taken()], &answer()]));
    once(&cat(&[&[forged.seg(Client, "S", 0, 0, decoy().as_bytes()), syn(), taken()], &answer()]));
    // Never answered.
    found(&run_of(vec![syn(), syn().seconds(1)]), &[], &[]);
    // On a port that was used before.
    let second = c().isn(900_000, 800_000);
    let before = c().exchange(get("/sms/env"), NOT_FOUND);
    let run = run_of(cat(&[
        &before,
        &[
            second.seg(Client, "S", 0, 0, probe().as_bytes()).seconds(2),
            second.seg(Server, "SA", 0, 1 + len, b""),
            second.down(1, 1 + len, NOT_FOUND),
        ],
    ]));
    found(&run, &["/sms/env", PROBE], &[("/sms/env", "not_found"), (PROBE, "not_found")]);
}

#[test]
fn answered_syn_of_several_begins_the_flow() {
    let other = Conn { isn: [5_000_000, 5000], ..c() };
    once(&[vec![other.syn()], around(c(), [request(c())])].concat());
    let late = [vec![c().syn(), other.syn()], around(c(), [request(c())])[1..].to_vec()].concat();
    once(&late);
    // More than are remembered: the last one is answered.
    let many: Vec<Seg> = (0..20).map(|at| Conn { isn: [at * 70_000, 5000], ..c() }.syn()).collect();
    let run = once(&[many, around(c(), [request(c())])].concat());
    assert!(run.counter("tcp.syn_candidates_dropped") > 0);
    // A SYN-ACK that answers no SYN, and a forged one.
    let forged = Conn { isn: [1000, 0x7000_0000], ..c() };
    let odd = c().seg(Server, "SA", 0, 4711, b"");
    for extra in [forged.syn_ack(), odd] {
        let whole = around(c(), [request(c())]);
        for at in [1, 2, 3, 4] {
            let mut segs = whole.clone();
            segs.insert(at, extra.clone());
            let run = run_of(segs);
            assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")], "{at} {extra:?}");
        }
    }
    // The acknowledgment field of a SYN means nothing.
    let mut segs = around(c(), [request(c())]);
    segs[0].flags = "SUP".to_owned();
    segs[0].urgent = 99;
    once(&segs);
}

#[test]
fn unusual_handshakes_are_followed() {
    let (syn, synack, ack) = (c().syn(), c().syn_ack(), c().bare(Client, 1, 1));
    let server_syn = c().seg(Server, "S", 0, 0, b"");
    let client_synack = c().seg(Client, "SA", 0, 1, b"");
    let orders: [(&str, Vec<Seg>); 9] = [
        ("simultaneous", vec![syn.clone(), server_syn.clone(), client_synack.clone(), synack.clone()]),
        (
            "simultaneous, the server's first",
            vec![server_syn.clone(), syn.clone(), synack.clone(), client_synack.clone()],
        ),
        (
            "split in four",
            vec![
                syn.clone(),
                c().bare(Server, 0, 1),
                server_syn.clone(),
                client_synack.clone(),
                c().bare(Server, 1, 1),
            ],
        ),
        ("split in three", vec![syn.clone(), server_syn, client_synack]),
        ("answer first", vec![synack.clone(), syn.clone(), ack.clone()]),
        ("no SYN", vec![synack.clone(), ack.clone()]),
        ("no SYN-ACK", vec![syn.clone(), ack]),
        ("no ACK", vec![syn, synack]),
        ("nothing", vec![]),
    ];
    for (name, opening) in orders {
        let mut segs = opening;
        segs.push(request(c()));
        segs.extend(rest(c()));
        let run = run_of(segs);
        assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")], "{name}");
        assert_eq!(run.reported()[0].client, run_of(around(c(), [request(c())])).reported()[0].client, "{name}");
    }
    // Data captured before the handshake.
    for order in [[2, 0, 1], [0, 2, 1], [2, 1, 0]] {
        let parts = [c().syn(), c().syn_ack(), request(c())];
        let mut segs = order.map(|at| parts[at].clone()).to_vec();
        segs.extend(rest(c()));
        let run = run_of(segs);
        assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")], "{order:?}");
    }
}

#[test]
fn one_sided_captures_are_reassembled() {
    let only = |from, segs: Vec<Seg>| segs.into_iter().filter(|seg| seg.from == from).collect::<Vec<_>>();
    let run = run_of(only(Client, around(c(), [request(c())])));
    found(&run, &[PROBE], &[(PROBE, "unseen")]);
    assert_eq!(run.counter("flow.one_sided"), 1);
    found(&run_of(only(Server, around(c(), [request(c())]))), &[], &[]);
    // Three requests, out of order.
    let texts = [get(PROBE), get("/img/a.js"), get("/sms/env")];
    let mut at = 1;
    let mut segs = Vec::new();
    for text in &texts {
        segs.push(c().up(at, 1, text));
        at += text.len() as i64;
    }
    segs.swap(1, 2);
    let run = run_of([vec![c().syn(), c().bare(Client, 1, 1)], segs].concat());
    found(&run, &[PROBE, "/img/a.js", "/sms/env"], &[(PROBE, "unseen"), ("/sms/env", "unseen")]);
    // The port is reused a second and a third time.
    let mut segs = Vec::new();
    for at in 0..3 {
        let conn = Conn { isn: [0x3000_0000 * (at + 1), 0], ..c() };
        segs.extend([conn.syn().seconds(1), conn.bare(Client, 1, 1), conn.up(1, 1, get(&format!("/sms/env?{at}")))]);
    }
    let run = run_of(segs);
    assert_eq!(run.requests(), ["/sms/env?0", "/sms/env?1", "/sms/env?2"]);
    // A hole that is never acknowledged is given up.
    for len in [100_usize, 2200, 300_000] {
        let post = format!("POST /upload HTTP/1.1\r\nContent-Length: {len}\r\n\r\n");
        let mut segs = vec![c().syn(), c().bare(Client, 1, 1), c().up(1, 1, &post)];
        let start = 1 + post.len() as i64;
        let mut at = 50;
        while at < len {
            let size = (len - at).min(1400);
            segs.push(c().up(start + at as i64, 1, vec![b'x'; size]));
            at += size;
        }
        segs.push(c().up(start + len as i64, 1, probe()));
        segs.push(Conn::new(3).syn().seconds(8));
        let run = run_of(segs);
        assert_eq!(run.requests(), ["/upload", PROBE], "{len}");
        assert_eq!(run.counter("tcp.gap_bytes"), 50);
        assert!(run.records.iter().all(|record| record.order.request > 0));
    }
}

/// The packet that carried a request is reported, even if another one released it.
#[test]
fn delayed_request_is_dated_by_its_own_packet() {
    use smsentry::record::Body;
    let mut segs = c().open();
    segs.push(c().up(101, 1, probe()));
    segs.push(Conn::new(3).syn().seconds(30));
    let run = run_of(segs);
    let Some(Body::Alert(alert)) = run.records.first().map(|record| &record.body) else { panic!("no alert") };
    assert_eq!(alert.transaction.frame, 4);
    assert_eq!(alert.transaction.timestamp.micros(), crate::support::segment_builder::EPOCH * 1_000_000 + 4000);
}

#[test]
fn midstream_pickup_finds_the_next_request() {
    // Inside a request; the next one is found, whatever the ports are.
    for conn in [c(), c().port(31_337), Conn { ports: [80, 80], ..c() }, Conn { ports: [80, 40_000], ..c() }] {
        let first = "ample\r\nAccept: */*\r\n\r\n";
        let (a, b) = (500, 700);
        let mut segs = vec![conn.up(a, b, first), conn.down(b, a + first.len() as i64, NOT_FOUND)];
        let (a, b) = (a + first.len() as i64, b + NOT_FOUND.len() as i64);
        segs.extend([conn.up(a, b, probe()), conn.down(b, a + probe().len() as i64, NOT_FOUND)]);
        let (a, b) = (a + probe().len() as i64, b + NOT_FOUND.len() as i64);
        let env = get("/sms/env");
        segs.extend([conn.up(a, b, &env), conn.down(b, a + env.len() as i64, NOT_FOUND)]);
        let run = run_of(segs);
        let [(one, first), (two, second)] = &run.alerts()[..] else { panic!("two alerts") };
        assert_eq!([one, two], [PROBE, "/sms/env"], "{conn:?}");
        // A flow picked up midstream may be ahead of the responses; a client that waited twice does not pipeline.
        assert!(["unseen", "not_found"].contains(first), "{first}");
        assert_eq!(*second, "not_found", "{conn:?}");
        assert_eq!(
            run.reported()[0].client,
            format!("{:?}", smsentry::segment::Endpoint { ip: conn.hosts[0].into(), port: conn.ports[0] })
        );
        assert_eq!(run.counter("tcp.midstream_pickups"), 2);
    }
}

#[test]
fn requests_after_gaps_are_found() {
    // In a body, with the server's acknowledgment; the next request follows at once.
    let post = "POST /upload HTTP/1.1\r\nContent-Length: 3000\r\n\r\n";
    let body = 1 + post.len() as i64;
    let next = body + 3000;
    let two = next + probe().len() as i64;
    let answer = 1 + NOT_FOUND.len() as i64;
    let mut segs = c().open();
    segs.extend([
        c().up(1, 1, post),
        c().up(body, 1, [b'x'; 1000]),
        c().up(body + 2000, 1, [b'x'; 1000]),
        c().down(1, next, NOT_FOUND),
        c().up(next, answer, probe()),
        c().down(answer, two, NOT_FOUND),
    ]);
    let run = run_of(segs);
    found(&run, &["/upload", PROBE], &[(PROBE, "not_found")]);
    assert_eq!((run.counter("tcp.gaps"), run.counter("tcp.gap_bytes")), (1, 1000));
    // A whole request, pipelined.
    let texts = [get("/img/a.js"), get("/img/b.js"), probe()];
    let starts = [1, 1 + texts[0].len() as i64, 1 + (texts[0].len() + texts[1].len()) as i64];
    let end = starts[2] + texts[2].len() as i64;
    let mut segs = c().open();
    segs.extend([c().up(starts[0], 1, &texts[0]), c().up(starts[2], 1, &texts[2]), c().bare(Server, 1, end)]);
    segs.push(c().down(1, end, format!("{NOT_FOUND}{NOT_FOUND}{NOT_FOUND}")));
    segs.extend(c().close(end, 1 + 3 * NOT_FOUND.len() as i64));
    let run = run_of(segs);
    found(&run, &["/img/a.js", PROBE], &[(PROBE, "unseen")]);
    assert_eq!(run.counter("tcp.gaps"), 1);
    // A jump of five megabytes.
    let post = "POST /upload HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n";
    let body = 1 + post.len() as i64;
    let next = body + 5_000_000;
    let mut segs = c().open();
    segs.extend([
        c().up(1, 1, post),
        c().up(next - 500, 1, [b'x'; 500]),
        c().down(1, next, NOT_FOUND),
        c().up(next, answer, probe()),
        c().down(answer, next + probe().len() as i64, NOT_FOUND),
    ]);
    let run = run_of(segs);
    found(&run, &["/upload", PROBE], &[(PROBE, "not_found")]);
    // Only acknowledged, never answered: half a second, not more.
    let mut segs = c().open();
    segs.extend([
        c().up(101, 1, probe()),
        c().bare(Server, 1, 101 + probe().len() as i64),
        Conn::new(3).syn().wait(600_000),
    ]);
    let run = run_of(segs);
    assert_eq!((run.requests(), run.counter("tcp.gap_bytes")), (vec![PROBE.to_owned()], 100));
    // Truncated by the recorder.
    let mut cut = c().up(1, 1, "POST /upload HTTP/1.1\r\nContent-Length: 500\r\n\r\n".to_owned() + &"x".repeat(500));
    cut.snaplen = 14 + 40 + 96;
    let there = 1 + cut.bytes.len() as i64;
    let segs = [
        c().open(),
        vec![
            cut,
            c().up(there, 1, probe()),
            c().down(1, there + probe().len() as i64, format!("{NOT_FOUND}{NOT_FOUND}")),
        ],
    ]
    .concat();
    let run = run_of(segs);
    found(&run, &["/upload", PROBE], &[(PROBE, "not_found")]);
    // An acknowledgment captured before its data is no gap, whether a part of them is there or not.
    let [one, two] = split(c(), 9);
    let run = once(&around(c(), [two, c().bare(Server, 1, self::end()), one]));
    assert_eq!(run.counter("tcp.gaps"), 0);
    for early in [1, 2] {
        let mut middle = vec![request(c())];
        middle.insert(0, c().bare(Server, 1, end_of(early)));
        let run = once(&around(c(), middle));
        assert_eq!(run.counter("tcp.gaps"), 0);
    }
}

fn end_of(early: i64) -> i64 {
    if early == 1 { end() } else { end() - 10 }
}

#[test]
fn window_probes_do_not_change_the_stream() {
    let [one, two] = split(c(), 9);
    let keep = |from: i64| c().up(from, 1, [0]).flags("A").seconds(1);
    let ack = |at| c().bare(Server, 1, at);
    let run = once(&around(c(), [one.clone(), ack(10), keep(9), ack(10), keep(9), ack(10), two.clone()]));
    assert_eq!(run.counter("tcp.overlap_conflict"), 0);
    assert_eq!(run.counter("tcp.keep_alives"), 2);
    // An empty one.
    once(&around(c(), [one.clone(), ack(10), c().bare(Client, 9, 1).seconds(1), two.clone()]));
    // The window is zero: the first byte of the rest is sent as a probe.
    let mut shut = ack(10);
    shut.window = 0;
    let first = c().up(10, 1, &two.bytes[..1]).seconds(1);
    let run = once(&around(c(), [one, shut.clone(), first.clone(), shut.clone(), first, shut, ack(10), two]));
    assert_eq!(run.counter("tcp.overlap_conflict"), 0);
}

#[test]
fn sequence_numbers_wrap_around() {
    for isn in [0, 1, 0xffff_ffff, 0xffff_fffe, 0xffff_ffe0, 0x7fff_ffff, 0x8000_0000, u32::MAX - 40] {
        for server in [0, 0xffff_ffff, 0xffff_fff0] {
            let conn = c().isn(isn, server);
            let [one, two] = split(conn, 20);
            once(&around(conn, [two.clone(), one.clone()]));
            once(&around(conn, [one, two]));
        }
    }
}

#[test]
fn urgent_bytes_are_removed() {
    let mut text = probe().into_bytes();
    text.insert(9, b'X');
    let there = 1 + text.len() as i64;
    let after = |segs: Vec<Seg>| {
        let mut all = [c().open(), segs].concat();
        all.extend([c().bare(Server, 1, there), c().down(1, there, NOT_FOUND)]);
        all.extend(c().close(there, 1 + NOT_FOUND.len() as i64));
        all
    };
    let part = |from: usize, to: usize| c().up(1 + from as i64, 1, &text[from..to]);
    let run = once(&after(vec![part(0, text.len()).urgent(10)]));
    assert_eq!(run.counter("tcp.urgent"), 1);
    once(&after(vec![part(0, 10).urgent(10), part(10, text.len())]));
    // Announced before it is sent; the rest first; an older pointer later.
    once(&after(vec![part(0, 5).urgent(10), part(5, text.len())]));
    once(&after(vec![part(10, text.len()), part(0, 10).urgent(10)]));
    once(&after(vec![part(0, 5).urgent(10), part(5, 7).urgent(1), part(7, text.len())]));
    // A pointer in a segment that every server drops.
    let run = once(&around(c(), [c().up(1, 500_000, "G").urgent(5), request(c())]));
    assert_eq!(run.counter("tcp.urgent"), 0);
}

#[test]
fn reused_ports_begin_new_flows() {
    let again =
        |number: i64| Conn { isn: [900_000_000_u32.wrapping_mul(number as u32 + 1), 7_000 + number as u32], ..c() };
    let env = get("/sms/env");
    let both: &[&str] = &["/sms/env", PROBE];
    let alerts: &[(&str, &str)] = &[("/sms/env", "not_found"), (PROBE, "not_found")];
    for number in 1..6 {
        let next = again(number);
        // After FINs; with a lower initial sequence number in some rounds.
        let second = around(next, [next.up(1, 1, probe())]);
        let run = run_of([c().exchange(&env, NOT_FOUND), second.clone()].concat());
        found(&run, both, alerts);
        assert_eq!(run.counter("flow.total"), 2);
        // After a reset.
        let first = [
            c().open(),
            vec![
                c().up(1, 1, &env),
                c().down(1, 1 + env.len() as i64, NOT_FOUND),
                c().seg(Client, "RA", 1 + env.len() as i64, 1, b""),
            ],
        ]
        .concat();
        found(&run_of([first.clone(), second.clone()].concat()), both, alerts);
        // Without any end.
        let run = run_of([first[..5].to_vec(), second.clone()].concat());
        found(&run, both, alerts);
        assert_eq!(run.counter("flow.reused"), 1);
        // In the middle of a head: the streams are not joined.
        let half = [c().open(), vec![c().up(1, 1, "GET /sms/")]].concat();
        let run = run_of([half, second.clone()].concat());
        assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")]);
        assert_eq!(run.reported()[0].target, PROBE);
        // The second handshake was captured in part.
        for without in 0..2 {
            let mut part = second.clone();
            part.remove(without);
            let run = run_of([c().exchange(&env, NOT_FOUND), part.clone()].concat());
            found(&run, both, alerts);
            found(&run_of([first.clone(), part].concat()), both, alerts);
        }
    }
    // The server does not answer the second time: the outcome is known.
    let next = again(1);
    let run = run_of(
        [c().exchange(&env, NOT_FOUND), next.open(), vec![next.up(1, 1, probe()), Conn::new(4).syn().seconds(20)]]
            .concat(),
    );
    found(&run, both, &[("/sms/env", "not_found"), (PROBE, "pending")]);
}

#[test]
fn mirrored_and_identical_endpoints_are_tracked() {
    // Two connections with mirrored ports, at once.
    let [a, b] = [[198, 51, 100, 10], [192, 0, 2, 80]];
    let one = Conn { hosts: [a, b], ports: [1234, 80], ..c() };
    let two = Conn { hosts: [b, a], ports: [1234, 80], ..c() };
    let mut segs = Vec::new();
    for (left, right) in one.exchange(probe(), NOT_FOUND).into_iter().zip(two.exchange(get("/sms/env"), NOT_FOUND)) {
        segs.extend([left, right]);
    }
    let run = run_of(segs);
    assert_eq!(run.reported().len(), 2);
    assert!(run.reported().iter().all(|emitted| emitted.status == Some(404)));
    // Both ends are the same.
    let land = Conn { hosts: [a, a], ports: [80, 80], isn: [1000, 1000], v6: false };
    run_of(land.exchange(probe(), NOT_FOUND));
}

#[test]
fn copies_by_a_mirror_port_are_ignored() {
    for vary in 0..5 {
        let mut segs = Vec::new();
        for (at, seg) in (1..).zip(around(c(), [request(c())])) {
            let original = Seg { ip_id: Some(at), ..seg };
            let mut copy = original.clone().wait(20);
            match vary {
                0 => {}
                1 => copy.ttl -= 1,
                2 => copy.mac = 9,
                3 => copy.vlan = Some(10),
                _ => (copy.ttl, copy.mac, copy.vlan) = (60, 8, Some(7)),
            }
            segs.extend([original, copy]);
        }
        let run = once(&segs);
        // Copies of the flow's last packets arrive after its end: they begin no flow.
        assert_eq!(run.counter("tcp.span_duplicates"), segs.len() as u64 / 2 - 2, "{vary}");
        assert_eq!(run.counter("tcp.retransmissions"), 0);
    }
    // A packet that differs in anything its sender wrote is not a copy.
    let first = Seg { ip_id: Some(78), ..c().bare(Client, 1, 1) };
    let others: [fn(&mut Seg); 6] = [
        |seg| seg.ip_id = Some(79),
        |seg| seg.window -= 1,
        |seg| seg.ack = 0,
        |seg| seg.seq = 0,
        |seg| seg.flags = "PA".to_owned(),
        |seg| seg.options = vec![1; 4],
    ];
    for change in others {
        let mut other = first.clone();
        change(&mut other);
        let run = once(&around(c(), [first.clone(), other, request(c())]));
        assert_eq!(run.counter("tcp.span_duplicates"), 0);
    }
    // A copy that every server drops does not hide the accepted one.
    let right = Seg { ip_id: Some(77), ..request(c()) };
    once(&around(c(), [right.clone().damage(Damage::Ip), right.clone().wait(1)]));
    // Off: they count as retransmissions.
    let mut options = options();
    options.flow.keep_duplicates = true;
    let run = run_with(&around(c(), [right.clone(), right.wait(1)]), options);
    assert_eq!((run.counter("tcp.span_duplicates"), run.counter("tcp.retransmissions")), (0, 1));
    // Five milliseconds, not more: later ones were retransmitted, by a sender that keeps the IP id.
    for (wait, copies) in [(5000, 1), (5001, 0), (-5000, 1), (-5001, 0)] {
        let right = Seg { ip_id: Some(78), ..request(c()) };
        let run = once(&around(c(), [right.clone(), right.wait(wait)]));
        assert_eq!(run.counter("tcp.span_duplicates"), copies, "{wait}");
        assert_eq!(run.counter("tcp.retransmissions"), 1 - copies, "{wait}");
    }
    // The request once more, seconds after the end.
    once(&[around(c(), [request(c())]), vec![request(c()).seconds(4)]].concat());
    once(&[around(c(), [request(c())]), vec![request(c()).seconds(9), request(c()).seconds(9)]].concat());
}

#[test]
fn checksums_are_verified_unless_offloaded() {
    let all = |damage: Damage, of: Option<crate::support::segment_builder::Sender>| -> Vec<Seg> {
        let mut segs = around(c(), [request(c())]);
        for seg in segs.iter_mut().filter(|seg| of.is_none_or(|from| from == seg.from)) {
            seg.damage = damage;
        }
        segs
    };
    // Captured where the network card fills in the checksums: both directions, one, headers.
    for of in [None, Some(Client), Some(Server)] {
        for damage in [Damage::Tcp, Damage::Offloaded, Damage::Ip] {
            let run = once(&all(damage, of));
            assert_eq!(run.counter("decode.tcp_bad_checksum"), 0, "{damage:?} {of:?}");
        }
    }
    assert!(once(&all(Damage::Offloaded, None)).counter("tcp.checksum_offloaded") > 0);
    assert!(once(&all(Damage::Tcp, Some(Client))).counter("tcp.checksum_unproven") > 0);
    // A decoy before the connection ends with the connection's SYN: an opening, data, both.
    let liar = Conn { isn: [70_000, 5000], ..c() };
    let lie = |seg: Seg| seg.damage(Damage::Tcp);
    for lies in [
        vec![lie(liar.syn())],
        vec![lie(c().up(1, 1, decoy()))],
        vec![lie(c().up(1, 1, "GET /img/"))],
        vec![lie(c().up(1, 1, "POST /x HTTP/1.1\r\nContent-Length: 9999\r\n\r\n"))],
        vec![lie(liar.syn()), lie(liar.up(1, 1, "GET /img/"))],
        vec![c().up(1, 1, "GET /img/").damage(Damage::Ip)],
    ] {
        let run = run_of([lies, around(c(), [request(c())])].concat());
        assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")]);
    }
    // Towards the client only headers are verified, by the same rule.
    let answer = c().down(1, end(), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    once(&around(c(), [request(c()), c().bare(Server, 1, end()), answer.clone().damage(Damage::Ip)]));
    let run = run_of(around(c(), [request(c()), c().bare(Server, 1, end()), answer.clone().damage(Damage::Tcp)]));
    found(&run, &[PROBE], &[(PROBE, "present")]);
    // Headers of a direction whose TCP checksums were never correct.
    let mut segs = around(c(), [c().up(1, 1, decoy()), request(c())]);
    for seg in segs.iter_mut().filter(|seg| seg.from == Client) {
        seg.damage = Damage::Tcp;
    }
    segs[3].damage = Damage::Ip;
    once(&segs);
    // The other policies.
    let with = |policy: ChecksumPolicy, segs: &[Seg]| {
        let mut options = options();
        options.flow.checksums = policy;
        run_with(segs, options).alerts().len()
    };
    assert_eq!(with(ChecksumPolicy::All, &all(Damage::Tcp, None)), 0);
    assert_eq!(with(ChecksumPolicy::None, &all(Damage::Tcp, None)), 1);
    assert_eq!(with(ChecksumPolicy::None, &all(Damage::Ip, None)), 1);
    let fooled = around(c(), [c().up(1, 1, decoy()).damage(Damage::Tcp), request(c())]);
    assert_eq!([with(ChecksumPolicy::None, &fooled), with(ChecksumPolicy::Auto, &fooled)], [0, 1]);
}

#[test]
fn long_pauses_and_extreme_clocks_are_survived() {
    let [one, two] = split(c(), 9);
    once(&around(c(), [one.clone(), c().bare(Server, 1, 10), two.clone().seconds(250)]));
    once(&around(c(), [one.clone(), two.clone().seconds(-3600)]));
    once(&around(c(), [one.clone(), two.clone().seconds(-3600), c().bare(Client, end(), 1).seconds(3601)]));
    // Long before the request: the opening is forgotten.
    let run = run_of(around(c(), [request(c()).seconds(60)]));
    assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")]);
    // The limits of the recorder's time stamps.
    for extreme in [-crate::support::segment_builder::EPOCH, 4_294_967_295 - crate::support::segment_builder::EPOCH] {
        run_of(around(c(), [one.clone(), two.clone().seconds(extreme), c().bare(Client, end(), 1).seconds(-extreme)]));
    }
}

#[test]
fn real_connection_survives_floods() {
    // Half-open connections, then a real one; the former are evicted.
    let mut options = options();
    options.flow.limits.flows = 64;
    let crowd: Vec<Seg> = (0..1000).map(|number| Conn::new(100 + number).syn().wait(10)).collect();
    let [one, two] = split(c(), 9);
    let mut segs = [c().open(), vec![one]].concat();
    segs.extend(crowd);
    segs.push(two);
    segs.extend(rest(c()));
    let run = run_with(&segs, options);
    assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")]);
    assert_eq!(run.counter("flow.evicted_halfopen"), 1000 - 63);
    assert!(run.most[0] <= 64);
    // Single bytes above a hole that is never filled.
    let mut segs = c().open();
    segs.extend((0..3000).map(|at| c().up(100 + 2 * at, 1, "x").wait(10)));
    segs.extend(Conn::new(2).exchange(probe(), NOT_FOUND));
    let run = run_of(segs);
    assert_eq!(run.alerts(), [(PROBE.to_owned(), "not_found")]);
    assert_eq!(run.counter("tcp.segments_dropped"), 3000 - 512);
    assert!(run.most[2] < 300_000, "{}", run.most[2]);
}

/// A segment that every server drops, crafted so that a sum over what its sender wrote equals that of the request after
/// it.
#[test]
fn crafted_segment_does_not_hide_the_next() {
    let right = Seg { ip_id: Some(78), ..request(c()) };
    let field = |seg: &Seg, at: usize| {
        let (frame, _) = seg.frame(0);
        u32::from(u16::from_be_bytes([frame[14 + 20 + at], frame[14 + 20 + at + 1]]))
    };
    let wrap = |seg: &Seg| (field(seg, 14) << 16) | field(seg, 16);
    let [one, two, three] = [0xf3bc_c909_u32, 0x84ca_a73b, 0xfe94_f82b];
    // The inverse of the third factor modulo 2^32, by Newton's iteration.
    let inverse = (0..5).fold(three, |x, _| x.wrapping_mul(2_u32.wrapping_sub(three.wrapping_mul(x))));
    let mut lie = Seg { ip_id: Some(79), ..right.clone() };
    lie.seq += 1 << 29;
    let moved = (1_u32 << 29).wrapping_mul(one).wrapping_add(two);
    let wanted = wrap(&right).wrapping_sub(moved.wrapping_mul(inverse));
    lie.window = (wanted >> 16) as u16;
    // The sum of the segment is as required if two of its bytes compensate for the difference.
    lie.bytes[10..12].fill(0);
    let missing = field(&lie, 16) + (!wanted & 0xffff);
    let missing = ((missing & 0xffff) + (missing >> 16)) as u16;
    lie.bytes[10..12].copy_from_slice(&missing.to_be_bytes());
    assert_eq!(wrap(&lie), wanted);
    let run = once(&around(c(), [lie, right.wait(100)]));
    assert_eq!((run.counter("tcp.out_of_window"), run.counter("tcp.span_duplicates")), (1, 0));
}
