//! Captures under ordinary but unusual conditions: offloads, taps that see one side, SPAN ports that copy, mirrors that
//! encapsulate, tags, link types and files. In each of them the same three probes are reported, once each, with the
//! innermost addresses and with the encapsulation. Evasions are tested in [`crate::flow::reassembly_cases`],
//! [`crate::http::request_parsing`] and [`super::encapsulations`].

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, PacketBuilder};
use serde_json::{Value, json};

use crate::support::capture_writer::{ByteOrder, Pcap, enhanced, interface, section};
use crate::support::program::smsentry;
use crate::support::segment_builder::{Client, Conn, Damage, EPOCH, NOT_FOUND, Seg, Sender, Server, get};

const PROBES: [&str; 3] = ["/sms_config.json", "/twilio/.secrets", "/sms.py"];
/// The ends of every mirror.
const MIRROR: [[u8; 4]; 2] = [[203, 0, 113, 1], [203, 0, 113, 2]];
const ETHERNET: usize = 14;

/// Turns a frame of the original traffic and its sender into one or more recorded frames.
type Recorder = fn(&[u8], Sender) -> Vec<Vec<u8>>;

/// One way to capture the probes, and what must be reported of each of them.
struct Condition {
    name: &'static str,
    /// What happens to the segments before they are recorded.
    traffic: fn(Vec<Seg>) -> Vec<Seg>,
    recorder: Recorder,
    file: fn(&[Vec<u8>]) -> Vec<u8>,
    outcome: &'static str,
    source: &'static str,
    vlan: &'static [u16],
    /// Protocol and ports of the outer packet.
    tunnel: Option<(&'static str, u16, u16)>,
    network: Option<&'static str>,
}

/// The plain capture, from which every other one is derived.
const PLAIN: Condition = Condition {
    name: "plain",
    traffic: |segs| segs,
    recorder: |frame, _| vec![frame.to_vec()],
    file: |frames| classic(1, frames),
    outcome: "not_found",
    source: "wire/pcap",
    vlan: &[],
    tunnel: None,
    network: None,
};

const CONDITIONS: &[Condition] = &[
    PLAIN,
    Condition {
        name: "checksums that the sender's card fills in later",
        traffic: |segs| damaged(segs, Client, Damage::Offloaded),
        ..PLAIN
    },
    Condition { name: "checksums that are never right", traffic: |segs| damaged(segs, Client, Damage::Tcp), ..PLAIN },
    Condition { name: "recording began amid the connection", traffic: |segs| segs[3..].to_vec(), ..PLAIN },
    Condition {
        name: "one side only",
        traffic: |segs| segs.into_iter().filter(|seg| seg.from == Client).collect(),
        outcome: "unseen",
        ..PLAIN
    },
    Condition {
        name: "one side only, amid the connection",
        traffic: |segs| segs.into_iter().skip(3).filter(|seg| seg.from == Client).collect(),
        outcome: "unseen",
        ..PLAIN
    },
    Condition { name: "every frame twice", recorder: |frame, _| vec![frame.to_vec(); 2], ..PLAIN },
    Condition {
        name: "every frame again behind a router",
        recorder: |frame, _| vec![frame.to_vec(), routed(frame)],
        ..PLAIN
    },
    Condition {
        name: "every frame in two VLANs",
        recorder: |frame, _| vec![tagged(frame, &[(0x8100, 10)]), tagged(frame, &[(0x8100, 20)])],
        vlan: &[10],
        ..PLAIN
    },
    Condition {
        name: "requests in one VLAN, answers in another",
        recorder: |frame, from| vec![tagged(frame, &[(0x8100, if from == Client { 10 } else { 20 })])],
        vlan: &[10],
        ..PLAIN
    },
    Condition {
        name: "three tags",
        recorder: |frame, _| vec![tagged(frame, &[(0x88a8, 30), (0x8100, 20), (0x8100, 10)])],
        vlan: &[30, 20, 10],
        ..PLAIN
    },
    Condition {
        name: "VXLAN",
        recorder: |frame, _| vec![in_udp(4789, &[8, 0, 0, 0, 0, 0x12, 0x34, 0], frame)],
        source: "vxlan encapsulation",
        tunnel: Some(("UDP", 50_000, 4789)),
        network: Some("4660"),
        ..PLAIN
    },
    Condition {
        name: "Geneve",
        recorder: |frame, _| vec![in_udp(6081, &[1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 1, 0, 0], frame)],
        source: "geneve encapsulation",
        tunnel: Some(("UDP", 50_000, 6081)),
        network: Some("7"),
        ..PLAIN
    },
    Condition {
        name: "GRE",
        recorder: |frame, _| vec![in_gre(&[0, 0, 8, 0], &frame[ETHERNET..])],
        source: "gre tunnel",
        tunnel: Some(("GRE", 0, 0)),
        ..PLAIN
    },
    Condition {
        name: "GRE with Ethernet in it",
        recorder: |frame, _| vec![in_gre(&[0, 0, 0x65, 0x58], frame)],
        source: "gre tunnel",
        tunnel: Some(("GRE", 0, 0)),
        ..PLAIN
    },
    Condition {
        name: "ERSPAN II",
        recorder: |frame, _| vec![in_gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 9, 0, 0, 0, 0], frame)],
        source: "gre tunnel",
        tunnel: Some(("GRE", 0, 0)),
        network: Some("9"),
        ..PLAIN
    },
    Condition {
        name: "ERSPAN III",
        recorder: |frame, _| {
            let head = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 9, 1, 2, 3, 4, 0, 0, 0, 0];
            vec![in_gre(&head, frame)]
        },
        source: "gre tunnel",
        tunnel: Some(("GRE", 0, 0)),
        network: Some("9"),
        ..PLAIN
    },
    Condition {
        name: "MPLS, two labels",
        recorder: |frame, _| vec![ethernet(0x8847, &[&[0, 1, 0x20, 64, 0, 2, 0x21, 64], &frame[ETHERNET..]].concat())],
        ..PLAIN
    },
    Condition {
        name: "Linux cooked",
        recorder: |frame, _| vec![[&[0; 14][..], &frame[12..]].concat()],
        file: |frames| classic(113, frames),
        ..PLAIN
    },
    Condition {
        name: "Linux cooked, second version",
        recorder: |frame, _| vec![[&frame[12..14], &[0; 18], &frame[ETHERNET..]].concat()],
        file: |frames| classic(276, frames),
        ..PLAIN
    },
    Condition {
        name: "raw IP",
        recorder: |frame, _| vec![frame[ETHERNET..].to_vec()],
        file: |frames| classic(101, frames),
        ..PLAIN
    },
    Condition { name: "pcapng", file: |frames| next_generation(frames), ..PLAIN },
];

/// One connection with the three probes and their responses.
fn conversation() -> Vec<Seg> {
    let conn = Conn::new(7);
    let mut segs = conn.open();
    let (mut client, mut server) = (1, 1);
    for target in PROBES {
        let request = get(target);
        segs.push(conn.up(client, server, &request));
        client += request.len() as i64;
        segs.push(conn.bare(Server, server, client));
        segs.push(conn.down(server, client, NOT_FOUND));
        server += NOT_FOUND.len() as i64;
        segs.push(conn.bare(Client, client, server));
    }
    segs.extend(conn.close(client, server));
    segs
}

fn damaged(segs: Vec<Seg>, from: Sender, damage: Damage) -> Vec<Seg> {
    segs.into_iter().map(|seg| if seg.from == from { seg.damage(damage) } else { seg }).collect()
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let header = Ethernet2Header { source: [2; 6], destination: [4; 6], ether_type: EtherType(kind) };
    header.write(&mut out).unwrap();
    out.extend_from_slice(payload);
    out
}

/// The frame as in the next network: other MAC addresses, one hop less, and the updated header checksum.
fn routed(frame: &[u8]) -> Vec<u8> {
    let (mut header, rest) = Ipv4Header::from_slice(&frame[ETHERNET..]).unwrap();
    header.time_to_live -= 1;
    header.header_checksum = header.calc_header_checksum();
    let mut packet = Vec::new();
    header.write_raw(&mut packet).unwrap();
    packet.extend_from_slice(rest);
    ethernet(0x0800, &packet)
}

fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    for (kind, id) in tags {
        out.extend([kind.to_be_bytes(), id.to_be_bytes()].concat());
    }
    out.extend_from_slice(&frame[12..]);
    out
}

fn in_udp(port: u16, head: &[u8], inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(MIRROR[0], MIRROR[1], 64).udp(50_000, port);
    builder.write(&mut out, &[head, inner].concat()).unwrap();
    out
}

fn in_gre(head: &[u8], inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(MIRROR[0], MIRROR[1], 64);
    builder.write(&mut out, IpNumber::GRE, &[head, inner].concat()).unwrap();
    out
}

/// A file in the classic format, a frame per millisecond.
fn classic(linktype: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let pcap = Pcap { linktype, ..Pcap::new(ByteOrder::Little, Pcap::MICRO) };
    let mut file = pcap.header();
    for (at, frame) in (0_u32..).zip(frames) {
        file.extend(pcap.record(EPOCH as u32, 1000 * at, frame.len() as u32, frame));
    }
    file
}

/// A pcapng file with two interfaces that see alternate frames.
fn next_generation(frames: &[Vec<u8>]) -> Vec<u8> {
    let order = ByteOrder::Big;
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &[]));
    file.extend(interface(order, 1, 0, &[]));
    for (at, frame) in (0_u32..).zip(frames) {
        let micros = EPOCH as u64 * 1_000_000 + 1000 * u64::from(at);
        file.extend(enhanced(order, at % 2, micros, frame.len() as u32, frame));
    }
    file
}

/// The alerts for a condition's file.
fn alerts(situation: &Condition, more: &[&str]) -> Vec<Value> {
    let record = |(number, seg): (u16, &Seg)| (situation.recorder)(&seg.frame(number).0, seg.from);
    let segs = (situation.traffic)(conversation());
    let frames: Vec<_> = (1..).zip(&segs).flat_map(record).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capture");
    std::fs::write(&path, (situation.file)(&frames)).unwrap();
    let output = smsentry().arg("-q").args(more).arg("-r").arg(path).output().unwrap();
    assert!(output.status.success(), "{}: {output:?}", situation.name);
    let lines = output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let events = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    events.filter(|event| event["alert"]["metadata"]["smsentry_campaign"].is_null()).collect()
}

/// The fields that must be in an alert of this condition.
fn expected(situation: &Condition, target: &str, frame: u64) -> Value {
    let tunnel = situation.tunnel.map(|(protocol, from, to)| {
        json!({
            "src_ip": "203.0.113.1", "src_port": from, "dest_ip": "203.0.113.2", "dest_port": to,
            "proto": protocol, "depth": 1, "pcap_cnt": frame, "pkt_src": "wire/pcap",
        })
    });
    json!({
        "ends": ["198.51.0.7", 40_007, "192.0.2.80", 80],
        "url": target,
        "outcome": [situation.outcome],
        "pkt_src": situation.source,
        "vlan": if situation.vlan.is_empty() { Value::Null } else { json!(situation.vlan) },
        "tunnel": tunnel,
        "network": situation.network.map(|network| [network]),
    })
}

fn reported(alert: &Value) -> Value {
    let metadata = &alert["alert"]["metadata"];
    json!({
        "ends": [alert["src_ip"], alert["src_port"], alert["dest_ip"], alert["dest_port"]],
        "url": alert["http"]["url"],
        "outcome": metadata["smsentry_outcome"],
        "pkt_src": alert["pkt_src"],
        "vlan": alert["vlan"],
        "tunnel": alert["tunnel"],
        "network": metadata["smsentry_vni"],
    })
}

/// Checks that each probe is reported once, with the expected fields.
fn assess(situation: &Condition, alerts: &[Value]) -> Result<(), String> {
    let found: Vec<Value> = alerts.iter().map(reported).collect();
    let frame = |alert: &Value| alert["pcap_cnt"].as_u64().unwrap_or(0);
    let frames = alerts.iter().map(frame).chain(std::iter::repeat(0));
    let wanted: Vec<Value> =
        PROBES.iter().zip(frames).map(|(target, frame)| expected(situation, target, frame)).collect();
    if found == wanted { Ok(()) } else { Err(format!("{}:\n  {found:?}\n  {wanted:?}", situation.name)) }
}

#[test]
fn every_condition_reports_the_three_probes_once() {
    let assessed = CONDITIONS.iter().map(|situation| assess(situation, &alerts(situation, &[])));
    let wrong: Vec<String> = assessed.filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), CONDITIONS.len(), wrong.join("\n"));
}

/// With the options for copies, VLANs and checksums reversed, the same captures give different alerts.
#[test]
fn options_change_what_is_reported() {
    let named = |name: &str| CONDITIONS.iter().find(|situation| situation.name == name).unwrap();
    let count = |name: &str, more: &[&str]| alerts(named(name), more).len();
    assert_eq!(count("every frame in two VLANs", &["--vlan-tracking"]), 6);
    assert_eq!(count("checksums that are never right", &["-k", "all"]), 0);
    let apart = alerts(named("requests in one VLAN, answers in another"), &["--vlan-tracking"]);
    assert!(apart.iter().all(|alert| reported(alert)["outcome"] == json!(["unseen"])), "{apart:?}");
    assert_eq!(apart.len(), 3);
}
