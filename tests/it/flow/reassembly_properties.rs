//! Properties of TCP reassembly: splits, order, copies, dropped segments and other flows do not change the result; and
//! the stream equals a byte map under every overlap policy.

use std::collections::BTreeMap;
use std::time::Duration;

use smsentry::decode::{self, BlockExtras, Decoder};
use smsentry::flow::{self, Chunk, EventTime, FlowView, Flows, Listener, OverlapPolicy, Reason};
use smsentry::packet::{Link, Packet};
use smsentry::segment::{Segment, Side};
use smsentry::time::Timestamp;

use crate::support::segment_builder::{
    Client, Conn, Damage, Dice, Reported, Seg, Sender, Server, get, options, run, run_with,
};

const RUNS: u64 = 1000;

/// The streams of both sides, in rounds: requests, then their responses.
struct Dialogue {
    conn: Conn,
    rounds: Vec<[Vec<u8>; 2]>,
    stamped: bool,
}

impl Dialogue {
    fn new(dice: &mut Dice, number: u16) -> Self {
        let conn = Conn::new(number).isn(dice.next() as u32, dice.next() as u32);
        let rounds = (0..1 + dice.below(3)).map(|_| round(dice)).collect();
        Self { conn: Conn { v6: dice.one_in(4), ..conn }, rounds, stamped: dice.one_in(2) }
    }

    /// The whole connection; `cut` gives the pieces of one side's bytes of a round in sending order.
    fn segs(&self, mut cut: impl FnMut(Sender, usize) -> Vec<(usize, usize)>) -> Vec<Seg> {
        let conn = self.conn;
        let (mut client, mut server) = (1, 1);
        let mut out = conn.open();
        for [asked, answered] in &self.rounds {
            for (from, to) in cut(Client, asked.len()) {
                out.push(conn.up(client + from as i64, server, &asked[from..to]));
            }
            client += asked.len() as i64;
            out.push(conn.bare(Server, server, client));
            for (from, to) in cut(Server, answered.len()) {
                out.push(conn.down(server + from as i64, client, &answered[from..to]));
            }
            server += answered.len() as i64;
            out.push(conn.bare(Client, client, server));
        }
        out.extend(conn.close(client, server));
        if self.stamped {
            for (at, seg) in (0_u32..).zip(&mut out) {
                *seg = seg.clone().stamp(1000 + at / 64);
            }
        }
        out
    }

    fn plain(&self) -> Vec<Seg> {
        self.segs(|_, len| vec![(0, len)])
    }
}

fn round(dice: &mut Dice) -> [Vec<u8>; 2] {
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..1 + dice.below(3) {
        let target = dice.pick(&["/sms/api/", "/index.html", "/twilio/.secrets", "/%73ms/env", "/a/b/../c", "/sms.py"]);
        let body = vec![b'G'; dice.below(90)];
        asked.extend(match dice.below(4) {
            0 => format!("POST {target} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n", body.len())
                .into_bytes()
                .into_iter()
                .chain(body)
                .collect(),
            1 => {
                let chunk = "5\r\nGET /\r\n0\r\n\r\n";
                format!("PUT {target} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}").into_bytes()
            }
            _ => get(target).into_bytes(),
        });
        let (status, kind) = dice.pick(&[
            ("200 OK", "text/plain"),
            ("404 Not Found", "text/html"),
            ("302 Found", "text/html"),
            ("401 Unauthorized", "application/json"),
            ("200 OK", "application/json"),
        ]);
        let page = "y".repeat(dice.below(60));
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", page.len());
        answered.extend(head.into_bytes());
        answered.extend(page.into_bytes());
    }
    [asked, answered]
}

/// Pieces of `0..len` that cover it, in order.
fn pieces(dice: &mut Dice, len: usize) -> Vec<(usize, usize)> {
    let most = dice.pick(&[1, 3, 10, 60, 200]);
    let mut out = Vec::new();
    let mut at = 0;
    while at < len {
        let to = (at + 1 + dice.below(most)).min(len);
        out.push((at, to));
        at = to;
    }
    out
}

/// In any order, with pieces of another split in between.
fn scrambled(dice: &mut Dice, len: usize) -> Vec<(usize, usize)> {
    let mut out = pieces(dice, len);
    if dice.one_in(2) {
        let again = pieces(dice, len);
        let keep = dice.below(again.len() + 1);
        out.extend(&again[..keep]);
    }
    match dice.below(4) {
        0 => out.reverse(),
        1 => {}
        _ => dice.shuffle(&mut out),
    }
    out
}

fn packets_apart(dice: &mut Dice, segs: &mut [Seg]) {
    for seg in segs {
        seg.wait = dice.pick(&[1, 30, 700, 9000]);
    }
}

#[test]
fn splits_order_and_copies_do_not_matter() {
    for seed in 0..RUNS {
        let dice = &mut Dice::new(seed);
        let connection = Dialogue::new(dice, 1);
        let expected = run(&connection.plain()).reported();
        let mut segs = connection.segs(|_, len| scrambled(dice, len));
        packets_apart(dice, &mut segs);
        let found = run(&segs);
        assert_eq!(found.reported(), expected, "seed {seed}");
        assert_eq!(found.counter("tcp.gaps") + found.counter("tcp.overlap_conflict"), 0, "seed {seed}");
    }
}

/// A mirror port forwards the two directions through separate queues: neighbours may be swapped.
#[test]
fn swapped_directions_do_not_matter() {
    for seed in 0..RUNS {
        let dice = &mut Dice::new(seed);
        let connection = Dialogue::new(dice, 1);
        let expected = run(&connection.plain()).reported();
        let mut segs = connection.segs(|_, len| pieces(dice, len));
        let mut at = dice.below(8);
        while at + 1 < segs.len() {
            if segs[at].from != segs[at + 1].from {
                segs.swap(at, at + 1);
            }
            at += 2 + dice.below(8);
        }
        packets_apart(dice, &mut segs);
        let found = run(&segs);
        assert_eq!(found.reported(), expected, "seed {seed}");
        assert_eq!(found.counter("tcp.gaps"), 0, "seed {seed}");
    }
}

/// A segment that every server drops, where the client is at `next` and has received `had` of the server.
fn decoy(dice: &mut Dice, conn: Conn, next: i64, had: i64, stamped: bool) -> (&'static str, Seg) {
    let lie =
        dice.pick(&["GET /img/b.png HTTP/1.1\r\nHost: b.example\r\n\r\n", "x", "\r\n\r\n", " /sms/env HTTP/1.1\r\n"]);
    let seg = conn.up(next, had, lie).wait(dice.pick(&[1, 500]));
    let far = 17_000_000 + dice.below(1 << 30) as i64;
    let off = 1000 + dice.below(60_000) as i64;
    let forged = Conn { isn: [conn.isn[0].wrapping_add(0x3000_0000), conn.isn[1]], ..conn };
    let (name, seg) = match dice.below(16) {
        0 => ("TCP checksum", seg.damage(Damage::Tcp)),
        1 if !conn.v6 => ("IP checksum", seg.damage(Damage::Ip)),
        2 => ("no ACK", seg.flags(dice.pick(&["P", "", "F", "UP", "FPU"]))),
        3 => ("SYN and FIN", seg.flags(dice.pick(&["SF", "SFA", "SFPA", "SR", "SRA"]))),
        4 if stamped => return ("old stamp", seg.stamp(dice.below(900) as u32)),
        5 => ("far ahead", seg.seq(next + far)),
        6 => ("far behind", seg.seq(next - far)),
        7 => return ("signed", seg.md5()),
        8 => ("RST out of place", seg.seq(next + off).flags(dice.pick(&["R", "RA"]))),
        9 => ("RST of the server out of place", conn.seg(Server, "R", had + off, 0, b"")),
        10 => ("acknowledges too much", seg.ack(had + 100_000)),
        11 => ("acknowledges long ago", seg.ack(had - 100_000 - far / 100)),
        12 => ("FIN that acknowledges too much", seg.ack(had + 100_000).flags("FA")),
        13 => ("SYN inside", forged.seg(Client, "S", 0, 0, lie.as_bytes())),
        14 => ("data of an unanswered SYN", forged.up(1, had, lie)),
        _ => ("FIN with a wrong checksum", seg.flags("FA").damage(Damage::Tcp)),
    };
    // Whatever else is wrong, its timestamp may be from the far future.
    let seg = if stamped { seg.stamp(0x3000_0000) } else { seg };
    (name, seg)
}

/// Without the mark for conflicting copies: a dropped copy is one.
fn without_marks(mut emitted: Vec<Reported>) -> Vec<Reported> {
    emitted.iter_mut().for_each(|emitted| emitted.conflict = false);
    emitted
}

#[test]
fn segments_that_a_server_drops_do_not_matter() {
    for seed in 0..2 * RUNS {
        let dice = &mut Dice::new(seed);
        let connection = Dialogue::new(dice, 1);
        let plain = connection.plain();
        let expected = without_marks(run(&plain).reported());
        let mut segs = Vec::new();
        let mut names = Vec::new();
        let (mut next, mut had) = (1, 1);
        let last = plain.len() - 3;
        for (at, seg) in plain.into_iter().enumerate() {
            // From the handshake to the first FIN.
            if (3..=last).contains(&at) && dice.one_in(3) {
                for _ in 0..1 + dice.below(2) {
                    let (name, decoy) = decoy(dice, connection.conn, next, had, connection.stamped);
                    names.push(name);
                    segs.push(decoy);
                }
            }
            if seg.from == Client {
                next = seg.seq + seg.bytes.len() as i64 + i64::from(seg.flags.contains('S'));
            } else {
                had = seg.seq + seg.bytes.len() as i64 + i64::from(seg.flags.contains('S'));
            }
            segs.push(seg);
        }
        let found = run(&segs);
        assert_eq!(without_marks(found.reported()), expected, "seed {seed}: {names:?}");
        assert_eq!(found.counter("tcp.gaps"), 0, "seed {seed}: {names:?}");
    }
}

#[test]
fn other_flows_do_not_matter() {
    for seed in 0..RUNS {
        let dice = &mut Dice::new(seed);
        let connection = Dialogue::new(dice, 1);
        let own = connection.segs(|_, len| scrambled(dice, len));
        let expected = run(&own).reported();
        let client = expected.first().map(|emitted| emitted.client.clone());
        let mut lines: Vec<Vec<Seg>> = vec![own];
        for number in 0..1 + dice.below(4) as u16 {
            let mut other = Dialogue::new(dice, 100 + number).segs(|_, len| scrambled(dice, len));
            other.truncate(1 + dice.below(30));
            lines.push(other);
        }
        let mut mixed = Vec::new();
        while lines.iter().any(|line| !line.is_empty()) {
            let at = dice.below(lines.len());
            if !lines[at].is_empty() {
                mixed.push(lines[at].remove(0));
            }
        }
        let mut found = run(&mixed).reported();
        found.retain(|emitted| Some(&emitted.client) == client.as_ref());
        assert_eq!(found, expected, "seed {seed}");
    }
}

/// Keeps the stream of one direction.
#[derive(Default)]
struct StreamRecorder {
    streams: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
}

impl Listener for StreamRecorder {
    type State = Kept;
    fn chunk(&mut self, _: &FlowView<'_>, kept: &mut Kept, _: Side, chunk: Chunk<'_>) {
        match chunk {
            Chunk::Data { bytes, offset, .. } => {
                assert_eq!(offset, kept.bytes.len() as u64, "the offset is where the stream stands");
                kept.bytes.extend(bytes);
            }
            Chunk::Gap { len } => kept.bytes.extend(vec![b'?'; len as usize]),
        }
    }
    fn waits(&mut self, _: &FlowView<'_>, _: &mut Kept, _: Side) {}
    fn end(&mut self, _: &FlowView<'_>, _: &mut Kept, _: Side) {}
    fn closed(&mut self, _: &FlowView<'_>, kept: &mut Kept, _: Reason) {
        let kept = std::mem::take(kept);
        self.streams.push(kept.bytes);
    }
    fn waits_for_peer(_: &Self::State) -> bool {
        false
    }
    fn memory(kept: &Kept) -> usize {
        kept.bytes.capacity()
    }
}

/// The stream that a list of segments leaves, each with its offset.
fn stream(conn: Conn, segs: &[(usize, Vec<u8>)], policy: OverlapPolicy) -> Vec<u8> {
    let options = flow::Options { overlap: policy, ..flow::Options::default() };
    let mut flows: Flows<Kept> = Flows::new(options, [5, 6]);
    let mut decoder = Decoder::new(decode::Options::default(), [3, 4]);
    let (mut recorder, mut extras) = (StreamRecorder::default(), BlockExtras::default());
    let mut number = 0;
    let list = std::iter::once(conn.syn()).chain(segs.iter().map(|(at, bytes)| conn.up(1 + *at as i64, 1, bytes)));
    for seg in list {
        number += 1;
        let time = Timestamp::ZERO.after(Duration::from_millis(number * 10));
        let (bytes, wire_len) = seg.frame(number as u16);
        let packet = Packet { number, frame: number, time, link: Link::Ethernet, wire_len, bytes: &bytes };
        let (head, span) = decoder.decode(&packet, time, 0, &mut extras).unwrap();
        let encapsulation = &extras.encapsulations[0];
        let tcp = &bytes[span.start as usize..span.end as usize];
        flows.feed(&Segment { head: &head, tcp, encapsulation }, &mut recorder);
    }
    flows.finish(EventTime { clock: Timestamp::ZERO, number: 0 }, Reason::Stop, &mut recorder);
    assert_eq!((flows.memory(), flows.queued_memory()), (0, 0));
    recorder.streams.pop().unwrap()
}

/// The byte map: delivered bytes are final, waiting ones are decided between two segments at a time.
fn naive(segs: &[(usize, Vec<u8>)], newer_wins: impl Fn((usize, usize), (usize, usize)) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut waiting: BTreeMap<usize, (u8, (usize, usize))> = BTreeMap::new();
    for (start, bytes) in segs {
        let extent = (*start, start + bytes.len());
        for (at, &byte) in (*start..).zip(bytes) {
            let settled = at < out.len() || waiting.get(&at).is_some_and(|&(_, older)| !newer_wins(extent, older));
            if !settled {
                waiting.insert(at, (byte, extent));
            }
        }
        while let Some((byte, _)) = waiting.remove(&out.len()) {
            out.push(byte);
        }
    }
    out
}

#[test]
fn stream_equals_a_byte_map_under_every_policy() {
    type Rule = fn((usize, usize), (usize, usize)) -> bool;
    let rules: [(&str, Rule); 6] = [
        ("linux", |new, old| new.0 < old.0 || (new.0 == old.0 && new.1 > old.1)),
        ("first", |_, _| false),
        ("last", |_, _| true),
        ("bsd", |new, old| new.0 < old.0),
        ("windows", |new, old| new.0 < old.0),
        ("solaris", |new, old| new.1 >= old.1),
    ];
    let (mut disagreements, total) = (0, 60);
    for seed in 0..RUNS {
        let dice = &mut Dice::new(seed);
        let conn = Conn::new(1).isn(dice.pick(&[7, u32::MAX - 20, u32::MAX]), 9);
        let mut segs: Vec<(usize, Vec<u8>)> = (0..dice.below(14))
            .map(|_| {
                let at = dice.below(total - 1);
                let len = (1 + dice.below(24)).min(total - at);
                (at, (0..len).map(|_| b'a' + dice.below(3) as u8).collect())
            })
            .collect();
        // In the end everything was sent.
        segs.push((0, vec![b'-'; total / 2]));
        segs.push((total / 2, vec![b'-'; total - total / 2]));
        let mut streams = Vec::new();
        for (name, rule) in rules {
            let policy = OverlapPolicy::NAMES.iter().find(|known| known.0 == name).unwrap().1;
            let expected = naive(&segs, rule);
            assert_eq!(expected.len(), total);
            let found = stream(conn, &segs, policy);
            assert_eq!(
                String::from_utf8_lossy(&found),
                String::from_utf8_lossy(&expected),
                "{name}, seed {seed}: {segs:?}"
            );
            streams.push(found);
        }
        disagreements += usize::from(streams.iter().any(|stream| *stream != streams[0]));
    }
    assert!(disagreements > RUNS as usize / 3, "the policies hardly ever differ: {disagreements}");
}

/// Segments that take the fast path, compared with the same segments with an urgent pointer of zero, which means
/// nothing but forces the slow path.
#[test]
fn fast_path_changes_nothing() {
    let mut short = 0;
    for seed in 0..2 * RUNS {
        let dice = &mut Dice::new(seed);
        let connection = Dialogue::new(dice, 1);
        let mut segs = if dice.one_in(2) { connection.plain() } else { connection.segs(|_, len| scrambled(dice, len)) };
        packets_apart(dice, &mut segs);
        for _ in 0..dice.below(8) {
            let at = dice.below(segs.len());
            let mut seg = segs[at].clone();
            match dice.below(6) {
                0 => seg.ack += dice.pick(&[1, -1, 40, -40, 70_000, -70_000]),
                1 => seg.seq += dice.pick(&[1, -1, 30, -30]),
                2 => seg.flags = dice.pick(&["A", "PA", "FA", "RA", "S", "SA"]).to_owned(),
                3 => seg.snaplen = 54 + dice.below(60),
                4 => seg = seg.stamp(dice.next() as u32),
                _ => drop(segs.remove(at)),
            }
            segs.insert(dice.below(segs.len() + 1), seg);
        }
        let long: Vec<Seg> = segs
            .iter()
            .map(|seg| {
                let plain = matches!(seg.flags.as_str(), "A" | "PA");
                short += usize::from(plain);
                if plain { seg.clone().urgent(0) } else { seg.clone() }
            })
            .collect();
        // Which copies are recognised depends on their header fields.
        let mut options = options();
        options.flow.keep_duplicates = true;
        let (one, other) = (run_with(&segs, options.clone()), run_with(&long, options));
        assert_eq!(one.reported(), other.reported(), "seed {seed}");
        assert_eq!((one.flow, one.http, one.most), (other.flow, other.http, other.most), "seed {seed}");
        assert_eq!(format!("{:?}", one.sensor), format!("{:?}", other.sensor), "seed {seed}");
    }
    assert!(short > 10_000);
}

/// Packets of any kind in any order: no panic, nothing is left over, and memory stays within its limits.
#[test]
fn arbitrary_packets_stay_within_limits() {
    for seed in 0..RUNS {
        let dice = &mut Dice::new(seed);
        let conns: Vec<Conn> = (0..3).map(|at| Conn::new(at).isn(dice.next() as u32, dice.next() as u32)).collect();
        let mut options = options();
        options.flow.limits.flows = 2;
        options.flow.limits.queued_memory = 3000;
        options.flow.limits.segments_per_half = 4;
        options.held_memory = 2000;
        let segs: Vec<Seg> = (0..60)
            .map(|_| {
                let conn = dice.pick(&conns);
                let mut seg = conn.seg(dice.pick(&[Client, Server]), "A", 0, 0, b"");
                seg.flags = dice.pick(&["S", "SA", "A", "PA", "FA", "R", "RA", "", "SF", "UA", "SFRPAU"]).to_owned();
                let near = dice.below(120) as i64 - 10;
                seg.seq = dice.pick(&[0, 1, near, near, 70_000, 1 << 31, -(1 << 24)]);
                seg.ack = dice.pick(&[0, 1, near, 1 << 20]);
                let text = get("/sms/api/") + "HTTP/1.1 200 OK\r\n\r\n";
                let from = dice.below(text.len());
                seg.bytes = text.as_bytes()[from..].iter().copied().take(dice.below(90)).collect();
                seg.urgent = dice.below(30) as u16;
                if dice.one_in(3) {
                    seg = seg.stamp(dice.next() as u32);
                }
                seg.damage = dice.pick(&[Damage::None, Damage::None, Damage::Tcp, Damage::Ip, Damage::Offloaded]);
                if dice.one_in(8) {
                    seg.snaplen = 54 + dice.below(40);
                }
                seg.wait = dice.pick(&[1, 1000, 600_000, 11_000_000, -5_000_000, 301_000_000]);
                seg
            })
            .collect();
        let run = run_with(&segs, options);
        assert!(run.most[0] <= 2 && run.most[2] <= 3000 + 2000, "seed {seed}: {:?}", run.most);
    }
}
