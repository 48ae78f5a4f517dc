//! The output of a replay does not depend on lanes, blocks, table keys or the process, whatever the time stamps and
//! limits are.

use std::path::Path;
use std::process::Command;

use crate::support::segment_builder::{Client, Conn, Dice, NOT_FOUND, Seg, Server, get, pcap};

/// Connections in all shards, side by side: complete ones, half ones, reused ones, with pauses if `pauses`.
fn traffic(seed: u64, connections: u16, pauses: bool) -> Vec<Seg> {
    let dice = &mut Dice::new(seed);
    let mut lines: Vec<Vec<Seg>> = Vec::new();
    for number in 0..connections {
        let conn = Conn::new(number % (connections - 20)).isn(dice.next() as u32, dice.next() as u32);
        let target = dice.pick(&["/sms/api/", "/sms/env", "/twilio/.secrets", "/index.html", "/sms_config.json"]);
        let answer = dice.pick(&[
            NOT_FOUND,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        ]);
        let text = get(target);
        let (there, at) = (1 + text.len() as i64, 1 + dice.below(text.len() - 1));
        let mut line = conn.open();
        let mut parts = vec![conn.up(1, 1, &text[..at]), conn.up(1 + at as i64, 1, &text[at..])];
        match dice.below(5) {
            0 => parts.swap(0, 1),
            1 => parts.push(conn.up(there + 100, 1, get("/sms.py"))),
            2 => drop(parts.remove(0)),
            _ => {}
        }
        line.extend(parts);
        line.push(conn.bare(Server, 1, there));
        if !dice.one_in(3) {
            line.push(conn.down(1, there, answer));
            line.push(conn.bare(Client, there, 1 + answer.len() as i64));
        }
        if dice.one_in(2) {
            line.extend(conn.close(there, 1 + answer.len() as i64));
        }
        lines.push(line);
    }
    let mut out = Vec::new();
    let mut open: Vec<usize> = (0..lines.len()).collect();
    while !open.is_empty() {
        // A few at a time.
        let place = dice.below(open.len().min(25));
        let line = &mut lines[open[place]];
        let mut seg = line.remove(0);
        seg.wait = dice.pick(&[1, 50, 2000]);
        if pauses && dice.one_in(12) {
            seg.wait = dice.pick(&[900_000, 1_000_000, 3_000_000, 6_000_000, 12_000_000]);
        }
        if line.is_empty() {
            open.remove(place);
        }
        out.push(seg);
    }
    out
}

/// One in twenty is 15 s old, one in fifty is dated 2106, or 1970.
fn absurd(seed: u64, segs: &mut [Seg]) {
    let dice = &mut Dice::new(seed);
    let mut owed = 0;
    for seg in segs {
        seg.wait -= owed;
        owed = 0;
        if dice.one_in(20) {
            owed = -15_000_000;
        } else if dice.one_in(50) {
            owed = 2_534_967_295_000_000;
        } else if dice.one_in(100) {
            owed = -crate::support::segment_builder::EPOCH * 1_000_000;
        }
        seg.wait += owed;
    }
}

fn replay(file: &Path, lanes: usize, block: usize, more: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_smsentry"))
        .args(["-q", "--events", "alert,http", "--ports", "any", "--lanes", &lanes.to_string()])
        .args(["--set", &format!("block.packets={block}")])
        .args(more)
        .arg("-r")
        .arg(file)
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    output.stdout
}

#[test]
fn output_does_not_depend_on_lanes_blocks_or_processes() {
    const TINY: &[&str] = &[
        "--set",
        "flow.count=16",
        "--set",
        "flow.memory=30000",
        "--set",
        "tcp.queued=16000",
        "--set",
        "tcp.segments_per_direction=2",
        "--set",
        "http.waiting=2",
        "--set",
        "alert.held=30000",
        "--set",
        "flow.timeout.closing=1",
        "--set",
        "flow.timeout.established=3",
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut different = Vec::new();
    for (name, pauses, odd, more) in [
        ("plain", false, false, &[][..]),
        ("pauses", true, false, &["--outcome-timeout", "1"]),
        ("absurd", true, true, &[]),
        ("tiny", true, true, TINY),
    ] {
        let mut segs = traffic(7, 120, pauses);
        if odd {
            absurd(8, &mut segs);
        }
        let file = folder.path().join(name);
        std::fs::write(&file, pcap(&segs)).unwrap();
        let expected = replay(&file, 0, 4096, more);
        let lines = expected.iter().filter(|&&byte| byte == b'\n').count();
        assert!(lines > 120, "{name}: {lines} lines");
        for (lanes, block) in
            [(0, 4096), (0, 1), (0, 7), (1, 7), (2, 1), (2, 4096), (5, 7), (5, 4096), (16, 1), (16, 7)]
        {
            let found = replay(&file, lanes, block, more);
            if found != expected {
                let first = |of: &[u8]| String::from_utf8_lossy(of).lines().map(str::to_owned).collect::<Vec<_>>();
                let (left, right) = (first(&found), first(&expected));
                let at = left.iter().zip(&right).position(|(left, right)| left != right);
                panic!(
                    "{name}, {lanes} lanes, blocks of {block}: line {at:?}\n{:?}\n{:?}",
                    at.map(|at| &left[at]),
                    at.map(|at| &right[at])
                );
            }
        }
        different.push(expected);
    }
    assert!(different[1] != different[0] && different[2] != different[1] && different[3] != different[2]);
}

/// Two files of the same packets, a year apart: the second begins anew, unaffected by the state of the first.
#[test]
fn captures_do_not_affect_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut segs = traffic(3, 60, false);
    segs[0].wait = 31_000_000_000_000;
    let late = folder.path().join("a");
    std::fs::write(&late, pcap(&segs)).unwrap();
    segs[0].wait = 0;
    // Long enough that it does not continue itself.
    segs.push(Conn::new(999).syn().seconds(100));
    let early = folder.path().join("b");
    std::fs::write(&early, pcap(&segs)).unwrap();
    let lines = |files: &[&Path]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smsentry"));
        command.args(["-q", "--ports", "any"]);
        for file in files {
            command.arg("-r").arg(file);
        }
        let output = command.output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let alone = lines(&[&early]);
    assert!(alone.lines().count() > 30);
    // Holes are given up in time, although the deadlines of the first file were a year later.
    assert_eq!(lines(&[&late, &early]), lines(&[&late]) + &alone);
    // No packet counts as a copy of one in the previous file.
    assert_eq!(lines(&[&early, &early]), alone.clone() + &alone);
}

/// A thousand captures, each with its own traffic and every third with absurd time stamps, far enough apart that none
/// continues another: blocks of 1, 7 and 4,096 packets, with lanes and without, give the same bytes of each.
#[test]
fn a_thousand_captures_do_not_depend_on_block_size() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..1000 {
        let mut segs = traffic(seed, 24, seed % 2 == 0);
        segs[0].wait = 10_000_000_000 * seed as i64;
        if seed % 3 == 0 {
            absurd(seed, &mut segs[1..]);
        }
        std::fs::write(folder.path().join(format!("{seed:04}.pcap")), pcap(&segs)).unwrap();
    }
    let expected = replay(folder.path(), 0, 4096, &[]);
    let named = |seed: usize| {
        let name = format!("{seed:04}.pcap");
        memchr::memmem::find(&expected, name.as_bytes()).is_some()
    };
    assert!((0..1000).all(named), "a capture without output");
    for (lanes, block) in [(0, 1), (0, 7), (3, 7)] {
        assert!(replay(folder.path(), lanes, block, &[]) == expected, "{lanes} lanes, blocks of {block}");
    }
}
