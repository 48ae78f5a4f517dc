//! Every link type and tunnel of [`encapsulated`]: the request in it is found, whatever the capture cut; the same
//! frames with an invalid header are no tunnels; nesting is limited.

use std::fmt::Write;

use smsentry::decode::{Options, SkipReason};
use smsentry::packet::Link;

use crate::support::carried_request::*;
use crate::support::encapsulated::{LINKS, TUNNELS, Wrap, capture, exposure};
use crate::support::program::run;

/// Of a cut frame, either nothing is found, or the beginning of the segment and the number of missing bytes.
fn no_prefix_is_complete(name: &str, link: Link, bytes: &[u8]) {
    let (whole, _) = Rig::new(Options::default()).feed(link, bytes, 0).unwrap();
    for len in 0..bytes.len() {
        let found = Rig::new(Options::default()).feed(link, &bytes[..len], bytes.len());
        let Ok((head, span)) = found else { continue };
        assert_eq!((head.key, head.side, head.seq), (whole.key, whole.side, whole.seq), "{name}: {len}");
        let complete = bytes[..span.end as usize].ends_with(REQUEST) && head.cut == 0;
        assert!(complete || (head.cut > 0 && span.end as usize == len), "{name}: {len}");
    }
}

#[test]
fn a_request_is_found_in_every_link_type() {
    for (name, number, wrap) in LINKS {
        for packet in [v4(), v6()] {
            let (link, bytes) = (Link::from_number(*number), wrap(&packet));
            let (_, encapsulation) = opened(name, link, &bytes);
            assert_eq!(encapsulation.tunnel, None, "{name}");
            let vlans: &[u16] = if name.contains("vlan") { &[7] } else { &[] };
            assert_eq!(encapsulation.vlans.ids(), vlans, "{name}");
            no_prefix_is_complete(name, link, &bytes);
        }
    }
}

#[test]
fn a_request_is_found_in_every_tunnel() {
    for (name, wrap, kind, network) in TUNNELS {
        for packet in [v4(), v6()] {
            let carrier = wrap(&packet);
            let kind_of_carrier = if carrier[0] >> 4 == 6 { 0x86dd } else { 0x0800 };
            let plain = ethernet(kind_of_carrier, &carrier);
            let tagged = [&[2; 12][..], &[0x81, 0, 0x60, 7], &plain[12..]].concat();
            for bytes in [&plain, &tagged] {
                let (_, encapsulation) = opened(name, Link::Ethernet, bytes);
                let tunnel = encapsulation.tunnel.unwrap();
                assert_eq!((tunnel.kind, tunnel.network), (*kind, *network), "{name}");
            }
            no_prefix_is_complete(name, Link::Ethernet, &plain);
        }
    }
}

/// The fragments of a carrier, in any order.
#[test]
fn a_request_is_found_in_a_fragmented_tunnel() {
    for (name, wrap, ..) in TUNNELS {
        let carrier = wrap(&v4());
        if carrier[0] >> 4 == 6 {
            continue;
        }
        let payload = &carrier[20..];
        for order in [[0, 1], [1, 0]] {
            let mut rig = Rig::new(Options::default());
            let parts =
                [carrier_part(carrier[9], 9, 0x2000, &payload[..32]), carrier_part(carrier[9], 9, 4, &payload[32..])];
            assert_eq!(rig.feed(Link::RawIp, &parts[order[0]], 0).unwrap_err(), SkipReason::Fragment, "{name}");
            let last = &parts[order[1]];
            let (head, span) = rig.feed(Link::RawIp, last, 0).unwrap_or_else(|skip| panic!("{name}: {skip:?}"));
            check(name, &rig, last, &head, span);
        }
    }
}

/// Version and reserved bits: with a wrong one the packet is UDP to a port that happens to be that of a tunnel.
#[test]
fn a_tunnel_with_an_invalid_header_is_not_opened() {
    let frame = ethernet(0x0800, &v4());
    let ppp = [&[0xff, 3, 0, 0x21][..], &v4()].concat();
    let cases: &[(&str, u16, &[u8], &[u8])] = &[
        ("tzsp version", 37008, &[2, 0, 0, 1, 1], &frame),
        ("tzsp keep-alive", 37008, &[1, 4, 0, 1, 1], &frame),
        ("tzsp without end", 37008, &[1, 0, 0, 1, 7, 255], &[]),
        ("gpe version", 4790, &[0x1c, 0, 0, 3, 0, 1, 2, 0], &frame),
        ("gpe oam", 4790, &[0x0d, 0, 0, 3, 0, 1, 2, 0], &frame),
        ("gpe reserved", 4790, &[0x0c, 1, 0, 3, 0, 1, 2, 0], &frame),
        ("gpe no flag", 4790, &[0, 0, 0, 3, 0, 1, 2, 0], &frame),
        ("l2tp control", 1701, &[0x80, 2, 0, 1, 0, 2], &ppp),
        ("l2tp reserved", 1701, &[0, 0x12, 0, 1, 0, 2], &ppp),
        ("l2tp version 1", 1701, &[0, 1, 0, 1, 0, 2], &ppp),
        ("l2tp tunnel 0", 1701, &[0, 2, 0, 0, 0, 2], &ppp),
        ("l2tp too long", 1701, &[0x40, 2, 9, 9, 0, 1, 0, 2], &ppp),
        ("l2tp v3 reserved", 1701, &[0, 3, 0, 1, 0, 0, 0, 1], &frame),
        ("l2tp v3 control", 1701, &[0, 3, 0, 0, 0, 0, 0, 0], &frame),
        ("capwap version", 5247, &[0x10, 0x10, 0x02, 0, 0, 0, 0, 0], &frame),
        ("capwap short", 5247, &[0, 0x08, 0x02, 0, 0, 0, 0, 0], &frame),
        ("capwap keep-alive", 5247, &[0, 0x10, 0x02, 0x08, 0, 0, 0, 0], &frame),
        ("capwap reserved", 5247, &[0, 0x10, 0x02, 0x01, 0, 0, 0, 0], &frame),
    ];
    for (name, port, header, inner) in cases {
        let packet = carrier(17, &udp(5555, *port, &[header, *inner].concat()));
        for bytes in [packet.clone(), carrier_v6(17, &packet[20..])] {
            let mut rig = Rig::new(Options::default());
            assert_eq!(rig.feed(Link::RawIp, &bytes, 0).unwrap_err(), SkipReason::NotTcp(17), "{name}");
            assert_eq!((rig.count("decode.unread"), rig.count("decode.not_tcp")), (0, 1), "{name}");
        }
    }
    // The same bytes on another port are not looked at.
    for (name, wrap, ..) in TUNNELS.iter().filter(|(_, wrap, ..)| wrap(&v4())[9] == 17 && wrap(&v4())[0] >> 4 == 4) {
        let mut packet = wrap(&v4());
        packet[20..24].copy_from_slice(&[0, 53, 0, 53]);
        let skip = Rig::new(Options::default()).feed(Link::RawIp, &packet, 0).unwrap_err();
        assert_eq!(skip, SkipReason::NotTcp(17), "{name}");
    }
}

/// A frame that its receiver drops, because its checksum is wrong, is no request.
#[test]
fn a_wireless_frame_with_a_bad_checksum_is_not_read() {
    let data = LINKS.iter().find(|(name, ..)| *name == "802.11").unwrap().2(&v4());
    let radiotap = [&[0, 0, 9, 0, 2, 0, 0, 0, 0x50][..], &data].concat();
    let ppi = [&[0, 0, 32, 0, 105, 0, 0, 0, 2, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5][..], &[0; 11], &data].concat();
    for (link, bytes) in [(Link::Radiotap, radiotap), (Link::Ppi, ppi)] {
        assert_eq!(Rig::new(Options::default()).feed(link, &bytes, 0).unwrap_err(), SkipReason::Malformed, "{link:?}");
    }
}

/// The rule of a log may limit the bytes of each packet; the capture file knows nothing of it.
#[test]
fn a_logged_packet_may_be_cut_by_the_rule() {
    let packet = v4();
    for len in [40, 60, packet.len() - 1] {
        let attribute = [&(4 + len as u16).to_le_bytes()[..], &[9, 0], &packet[..len]].concat();
        let frame = [&[2, 0, 0, 0][..], &attribute].concat();
        let (head, span) = Rig::new(Options::default()).feed(Link::Nflog, &frame, 0).unwrap();
        assert_eq!((head.cut as usize, (span.end - span.start) as usize), (packet.len() - len, len - 20));
    }
}

#[test]
fn nested_headers_are_limited() {
    let repeated = |wrap: &dyn Fn(&[u8]) -> Vec<u8>, first: Vec<u8>| {
        let mut depths = Vec::new();
        let mut frame = first;
        for depth in 1..30 {
            frame = wrap(&frame);
            depths.push((depth, frame.clone()));
        }
        depths
    };
    let ppi = |inner: &[u8]| [&[0, 0, 8, 0, 192, 0, 0, 0][..], inner].concat();
    let nsh = |inner: &[u8]| [&[0x0f, 0xc2, 2, 4, 0, 0, 9, 255][..], inner].concat();
    let fabric = |inner: &[u8]| [&[2; 12][..], &[0x89, 3, 0x10, 0x40], inner].concat();
    let last_ppi = [&[0, 0, 8, 0, 101, 0, 0, 0][..], &v4()].concat();
    let last_nsh = [&[0x0f, 0xc2, 2, 1, 0, 0, 9, 255][..], &v4()].concat();
    type Case = (&'static str, Link, u32, Vec<(u32, Vec<u8>)>);
    let cases: [Case; 3] = [
        ("ppi", Link::Ppi, 7, repeated(&ppi, last_ppi)),
        (
            "nsh",
            Link::Ethernet,
            7,
            repeated(&nsh, last_nsh).into_iter().map(|(depth, inner)| (depth, ethernet(0x894f, &inner))).collect(),
        ),
        ("fabricpath", Link::Ethernet, 14, repeated(&fabric, ethernet(0x0800, &v4()))),
    ];
    for (name, link, deepest, depths) in cases {
        let mut results = String::new();
        for (depth, bytes) in depths {
            let found = Rig::new(Options::default()).feed(link, &bytes, 0).map(|_| ());
            write!(results, "{depth}: {found:?} ").unwrap();
            let expected = if depth <= deepest { Ok(()) } else { Err(SkipReason::TooManyLayers) };
            assert_eq!(found, expected, "{name}: {results}");
        }
    }
    // Tunnels of different kinds count together.
    let (_, tzsp, ..) = TUNNELS[0];
    let wraps: [Wrap; 2] = [tzsp, |packet| carrier(97, &[&[0x30, 0][..], &ethernet(0x0800, packet)].concat())];
    for tunnels in 1..12 {
        let packet = (0..tunnels).fold(v4(), |inner, at| wraps[at % 2](&inner));
        let options =
            Options { limits: smsentry::decode::Limits { layers: 64, ..Default::default() }, ..Options::default() };
        let found = Rig::new(options).feed(Link::RawIp, &packet, 0).map(|(head, _)| head.cut);
        assert_eq!(found, if tunnels <= 8 { Ok(0) } else { Err(SkipReason::TooManyLayers) }, "{tunnels}");
    }
}

/// Both directions of a conversation, in the whole program.
#[test]
fn an_exposed_file_is_reported_in_every_encapsulation() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("conversation.pcap");
    let links = LINKS.iter().map(|(name, number, wrap)| (*name, *number, *wrap));
    for (name, number, wrap) in links.chain(TUNNELS.iter().map(|(name, wrap, ..)| (*name, 101, *wrap))) {
        for v6 in [false, true] {
            let frames: Vec<Vec<u8>> = exposure(v6).iter().map(|packet| wrap(packet)).collect();
            capture(&path, number, &frames);
            for lanes in ["0", "2"] {
                let ran = run(&["--ports", "any", "--lanes", lanes, "-r", path.to_str().unwrap()]);
                assert_eq!(ran.out.matches(r#""smsentry_outcome":["exposed"]"#).count(), 1, "{name}: {ran:?}");
                assert!(!ran.err.contains("not read"), "{name}: {ran:?}");
            }
        }
    }
}
