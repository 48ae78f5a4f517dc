//! The clock after silence and with wrong time stamps: a request on a connection that was idle is answered, wherever a block
//! or a file ends.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::program::smsentry;
use crate::support::segment_builder::{Client, Conn, NOT_FOUND, Seg, Server, get, pcap};

const PROBE: &str = "/sms/api/";
/// Far in the future, in seconds.
const WRONG: i64 = 2_000_000_000;

/// URL, status and outcome of all requests, in the order of their records.
type Rows = Vec<(String, Option<u64>, Option<String>)>;

fn rows(output: &[u8]) -> Rows {
    let events: Vec<Value> = output
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let of = |kind: &'static str| events.iter().filter(move |event| event["event_type"] == kind);
    let same = |one: &Value, two: &Value| one["flow_id"] == two["flow_id"] && one["tx_id"] == two["tx_id"];
    of("http")
        .map(|http| {
            let outcomes = of("alert").filter(|alert| same(alert, http));
            let outcomes = outcomes.map(|alert| alert["alert"]["metadata"]["smsentry_outcome"][0].as_str().unwrap());
            let outcome = outcomes.collect::<Vec<_>>().join(" ");
            let url = http["http"]["url"].as_str().unwrap().to_owned();
            (url, http["http"]["status"].as_u64(), Some(outcome).filter(|outcome| !outcome.is_empty()))
        })
        .collect()
}

fn replay(files: &[&Path], more: &[&str]) -> Vec<u8> {
    let mut command = smsentry();
    command.args(["-q", "--events", "alert,http", "--ports", "any"]).args(more);
    for file in files {
        command.arg("-r").arg(file);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// An exchange, then silence, then a probe on the same connection and its answer.
fn idle_connection(conn: Conn, pause: i64) -> Vec<Seg> {
    let page = get("/");
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let (a, b) = (1 + page.len() as i64, 1 + ok.len() as i64);
    let end = a + get(PROBE).len() as i64;
    let mut segs = conn.open();
    segs.extend([conn.up(1, 1, &page), conn.down(1, a, ok), conn.bare(Client, a, b)]);
    segs.extend([conn.up(a, b, get(PROBE)).seconds(pause), conn.down(b, end, NOT_FOUND)]);
    segs.push(conn.bare(Client, end, b + NOT_FOUND.len() as i64));
    segs
}

fn expected() -> Rows {
    vec![("/".into(), Some(200), None), (PROBE.into(), Some(404), Some("not_found".into()))]
}

#[test]
fn request_that_ends_a_silence_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.pcap");
    let v6 = Conn { v6: true, ..Conn::new(1) };
    for (conn, vlan) in [(Conn::new(1), None), (v6, None), (Conn::new(1), Some(7))] {
        for pause in [599, 601, 700, 3600, 1_000_000] {
            let mut segs = idle_connection(conn, pause);
            segs.iter_mut().for_each(|seg| seg.vlan = vlan);
            std::fs::write(&file, pcap(&segs)).unwrap();
            let output = replay(&[&file], &["--lanes", "0"]);
            assert_eq!(rows(&output), expected(), "{pause} s, {conn:?}");
            for (lanes, block) in [("0", 1), ("0", 6), ("0", 7), ("2", 1), ("3", 7)] {
                let more = ["--lanes", lanes, "--set", &format!("block.packets={block}")];
                assert!(replay(&[&file], &more) == output, "{pause} s, {lanes} lanes, blocks of {block}");
            }
        }
    }
}

/// Two visitors without a handshake; the second begins after the silence.
#[test]
fn first_packet_of_a_visitor_after_a_silence_has_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.pcap");
    let [one, two] = [Conn::new(1), Conn::new(2)];
    let page = get("/");
    let end = 1 + get(PROBE).len() as i64;
    let segs = [
        one.up(1, 1, &page),
        one.down(1, 1 + page.len() as i64, NOT_FOUND),
        two.up(1, 1, get(PROBE)).seconds(700),
        two.down(1, end, NOT_FOUND),
    ];
    std::fs::write(&file, pcap(&segs)).unwrap();
    for block in [1, 2, 3, 4096] {
        let rows = rows(&replay(&[&file], &["--set", &format!("block.packets={block}")]));
        assert!(rows.contains(&expected()[1]), "blocks of {block}: {rows:?}");
    }
}

/// The capture cut into two files at every packet: with `--continuous` as if it were one, and without it the probe is found
/// all the same, on a connection that is picked up.
#[test]
fn silence_between_files_counts() {
    let folder = tempfile::tempdir().unwrap();
    let segs = idle_connection(Conn::new(1), 700);
    let whole = pcap(&segs);
    let [one, two] = ["one.pcap", "two.pcap"].map(|name| folder.path().join(name));
    for cut in 1..segs.len() {
        let ends: usize = segs[..cut].iter().map(|seg| 16 + seg.frame(0).0.len()).sum();
        std::fs::write(&one, &whole[..24 + ends]).unwrap();
        std::fs::write(&two, [&whole[..24], &whole[24 + ends..]].concat()).unwrap();
        for lanes in ["0", "2"] {
            let joined = rows(&replay(&[&one, &two], &["--continuous", "--lanes", lanes]));
            assert_eq!(joined, expected(), "cut before packet {}", cut + 1);
            let apart = rows(&replay(&[&one, &two], &["--lanes", lanes]));
            assert!(apart.contains(&expected()[1]), "cut before packet {}: {apart:?}", cut + 1);
        }
    }
}

/// A packet with a wrong time stamp expires nothing, wherever it is, unless nothing follows.
#[test]
fn wrong_time_stamp_expires_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.pcap");
    let segs = idle_connection(Conn::new(1), 1);
    for at in 0..segs.len() - 1 {
        for wrong in [WRONG, 1000, -1000, -1_000_000_000] {
            let mut segs = segs.clone();
            segs[at].wait += wrong * 1_000_000;
            segs[at + 1].wait -= wrong * 1_000_000;
            std::fs::write(&file, pcap(&segs)).unwrap();
            for block in [1, 2, 4096] {
                let rows = rows(&replay(&[&file], &["--set", &format!("block.packets={block}")]));
                assert_eq!(rows, expected(), "packet {} {wrong} s off, blocks of {block}", at + 1);
            }
        }
    }
}

#[test]
fn pipe_gives_what_the_file_gives() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.pcap");
    std::fs::write(&file, pcap(&idle_connection(Conn::new(1), 700))).unwrap();
    for lanes in ["0", "2"] {
        let mut command = smsentry();
        command.args(["-q", "--events", "alert,http", "--ports", "any", "--lanes", lanes, "-r", "-"]);
        let output = command.stdin(Stdio::from(std::fs::File::open(&file).unwrap())).output().unwrap();
        assert_eq!(rows(&output.stdout), expected());
    }
}

/// The packet limit of a run does not change what the clock knows.
#[test]
fn packet_limit_after_a_jump_stops_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.pcap");
    let mut segs = idle_connection(Conn::new(1), 700);
    segs.push(Conn::new(2).bare(Server, 1, 1).seconds(-700));
    std::fs::write(&file, pcap(&segs)).unwrap();
    for count in 1..=segs.len() {
        let of = |block: &str| replay(&[&file], &["--count", &count.to_string(), "--set", block]);
        let whole = of("block.packets=4096");
        assert!(whole == of("block.packets=1") && whole == of("block.packets=3"), "{count} packets");
        assert_eq!(rows(&whole).len(), usize::from(count > 3) + usize::from(count > 6));
    }
}
