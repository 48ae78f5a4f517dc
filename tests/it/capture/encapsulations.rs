//! Every link type and every tunnel, built around one segment: decoding finds it, reports the encapsulation, and stays
//! within its limits.

use std::net::IpAddr;

use smsentry::decode::{Limits, Options, SkipReason};
use smsentry::packet::Link;
use smsentry::segment::{Checksum, Segment, TunnelKind};
use smsentry_fuzz_bodies::LINKS;

use crate::support::carried_request::*;
use crate::support::encapsulated;

#[test]
fn every_link_type_and_tag_is_decoded() {
    let tagged = |kinds: &[u16], inner: &[u8]| {
        let mut out = vec![2; 12];
        for (at, kind) in kinds.iter().enumerate() {
            out.extend(kind.to_be_bytes());
            out.extend([0x60, 10 + at as u8]);
        }
        out.extend([8, 0]);
        out.extend_from_slice(inner);
        out
    };
    let llc =
        [&((8 + v4().len()) as u16).to_be_bytes()[..], &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &v4(), b"padding"].concat();
    let ppp4 = [&[0x00, 0x21][..], &v4()].concat();
    let pppoe = [&[0x11, 0, 0, 1][..], &(ppp4.len() as u16).to_be_bytes(), &ppp4, b"pad"].concat();
    let frame = ethernet(0x0800, &v4());
    let mpls = [0, 1, 0x20, 64, 0, 2, 0x21, 64];
    let cases: Vec<(&str, Link, Vec<u8>)> = vec![
        ("ethernet v4", Link::Ethernet, frame.clone()),
        ("ethernet v6", Link::Ethernet, ethernet(0x86dd, &v6())),
        ("802.3 snap", Link::Ethernet, [&[2; 12][..], &llc].concat()),
        ("one tag", Link::Ethernet, tagged(&[0x8100], &v4())),
        ("two tags", Link::Ethernet, tagged(&[0x8100, 0x8100], &v4())),
        ("service tag", Link::Ethernet, tagged(&[0x88a8, 0x8100], &v4())),
        ("old service tag", Link::Ethernet, tagged(&[0x9100, 0x8100], &v4())),
        ("three tags", Link::Ethernet, tagged(&[0x88a8, 0x8100, 0x8100], &v4())),
        ("eight tags", Link::Ethernet, tagged(&[0x8100; 8], &v4())),
        ("mpls", Link::Ethernet, ethernet(0x8847, &[&mpls[..], &v4()].concat())),
        ("mpls v6", Link::Ethernet, ethernet(0x8847, &[&mpls[..], &v6()].concat())),
        ("pseudowire", Link::Ethernet, ethernet(0x8847, &[&mpls[..], &frame].concat())),
        ("pseudowire, control word", Link::Ethernet, ethernet(0x8847, &[&mpls[..], &[0; 4], &frame].concat())),
        ("pppoe", Link::Ethernet, ethernet(0x8864, &pppoe)),
        ("backbone", Link::Ethernet, ethernet(0x88e7, &[&[0; 4][..], &frame].concat())),
        ("vn-tag", Link::Ethernet, ethernet(0x8926, &[&[0, 0, 0, 0, 8, 0][..], &v4()].concat())),
        ("sll", Link::LinuxSll, [&[0; 14][..], &[8, 0], &v4()].concat()),
        ("sll tagged", Link::LinuxSll, [&[0; 14][..], &[0x81, 0, 0, 5, 0x86, 0xdd], &v6()].concat()),
        ("sll2", Link::LinuxSll2, [&[0x86, 0xdd][..], &[0; 18], &v6()].concat()),
        ("raw v4", Link::RawIp, v4()),
        ("raw v6", Link::RawIp, v6()),
        ("null le", Link::BsdNull, [&[2, 0, 0, 0][..], &v4()].concat()),
        ("null be", Link::BsdNull, [&[0, 0, 0, 2][..], &v4()].concat()),
        ("null v6 freebsd", Link::BsdNull, [&[28, 0, 0, 0][..], &v6()].concat()),
        ("null v6 macos be", Link::BsdNull, [&[0, 0, 0, 30][..], &v6()].concat()),
        ("null v6 openbsd", Link::BsdLoop, [&[0, 0, 0, 24][..], &v6()].concat()),
        ("null v6 linux", Link::BsdNull, [&[10, 0, 0, 0][..], &v6()].concat()),
        ("ppp", Link::Ppp, ppp4.clone()),
        ("ppp hdlc", Link::Ppp, [&[0xff, 3][..], &ppp4].concat()),
        ("ppp compressed", Link::Ppp, [&[0x57][..], &v6()].concat()),
        ("ppp ether", Link::PppEther, pppoe.clone()),
        ("mpls link", Link::Mpls, [&mpls[..], &v4()].concat()),
    ];
    for (name, link, bytes) in &cases {
        let (_, encapsulation) = opened(name, *link, bytes);
        assert_eq!(encapsulation.tunnel, None, "{name}");
        let tags = match *name {
            "one tag" => &[10][..],
            "sll tagged" => &[5],
            "two tags" | "service tag" | "old service tag" => &[10, 11],
            "three tags" | "eight tags" => &[10, 11, 12],
            _ => &[],
        };
        assert_eq!(encapsulation.vlans.ids(), tags, "{name}");
    }
    let nine = Rig::new(Options::default()).feed(Link::Ethernet, &tagged(&[0x8100; 9], &v4()), 0);
    assert_eq!(nine.unwrap_err(), SkipReason::TooManyLayers);
    let other = Rig::new(Options::default()).feed(Link::Other(147), &v4(), 0);
    assert_eq!(other.unwrap_err(), SkipReason::UnknownLink(147));
}

#[test]
fn every_tunnel_is_decoded() {
    use TunnelKind::{Erspan, Geneve, Gre, Gtp, Ipv4, Ipv6, Teredo, Vxlan};
    let frame = ethernet(0x0800, &v4());
    let gre = |head: &[u8], inner: &[u8]| carrier(47, &[head, inner].concat());
    let in_udp = |port: u16, head: &[u8], inner: &[u8]| carrier(17, &udp(5555, port, &[head, inner].concat()));
    let vxlan = [0x08, 0, 0, 0, 0, 1, 2, 0];
    let erspan3 =
        |last: u8, kind: u8| [&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 9][..], &[0; 6], &[kind, last]].concat();
    let routes = [0x40, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0];
    let pptp = [0x30, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xff, 3, 0, 0x21];
    let gtp_len = |extra: usize| ((v4().len() + extra) as u16).to_be_bytes();
    let gtp = [&[0x30, 255][..], &gtp_len(0), &[0, 0, 0, 5]].concat();
    let gtp_ext = [&[0x34, 255][..], &gtp_len(8), &[0, 0, 0, 5, 0, 0, 0, 0x85, 1, 0, 0, 0]].concat();
    let teredo = [&[0, 1, 0, 0][..], &[7; 9], &[0, 0, 1, 2, 3, 4, 5, 6]].concat();
    type Case = (&'static str, Vec<u8>, TunnelKind, u8, Option<u32>);
    let cases: Vec<Case> = vec![
        ("ipip", carrier(4, &v4()), Ipv4, 4, None),
        ("6in4", carrier(41, &v6()), Ipv6, 41, None),
        ("4in6", carrier_v6(4, &v4()), Ipv4, 4, None),
        ("6in6", carrier_v6(41, &v6()), Ipv6, 41, None),
        ("gre", gre(&[0, 0, 8, 0], &v4()), Gre, 47, None),
        ("gre v6", gre(&[0, 0, 0x86, 0xdd], &v6()), Gre, 47, None),
        ("gre in v6", carrier_v6(47, &[&[0, 0, 8, 0][..], &v4()].concat()), Gre, 47, None),
        ("gre all", gre(&[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 1], &v4()), Gre, 47, Some(42)),
        ("gre routes", gre(&routes, &v4()), Gre, 47, None),
        ("gre mpls", gre(&[0, 0, 0x88, 0x47, 0, 1, 1, 64], &v4()), Gre, 47, None),
        ("pptp", gre(&pptp, &v4()), Gre, 47, Some(1)),
        ("teb", gre(&[0, 0, 0x65, 0x58], &frame), Gre, 47, None),
        ("nvgre", gre(&[0x20, 0, 0x65, 0x58, 0, 1, 2, 3], &frame), Gre, 47, Some(0x0001_0203)),
        ("wccp", gre(&[0, 0, 0x88, 0x3e], &v4()), Gre, 47, None),
        ("wccp v2", gre(&[0, 0, 0x88, 0x3e, 0, 1, 2, 3], &v4()), Gre, 47, None),
        ("erspan I", gre(&[0, 0, 0x88, 0xbe], &frame), Erspan, 47, None),
        ("erspan II", gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 7, 8, 3, 0, 0, 0, 0], &frame), Erspan, 47, Some(3)),
        ("erspan III", gre(&erspan3(0, 0), &frame), Erspan, 47, Some(9)),
        ("erspan III sub", gre(&[&erspan3(1, 0)[..], &[0; 8]].concat(), &frame), Erspan, 47, Some(9)),
        ("erspan III ip", gre(&erspan3(0, 2 << 2), &v6()), Erspan, 47, Some(9)),
        ("vxlan", in_udp(4789, &vxlan, &frame), Vxlan, 17, Some(0x0001_0200 >> 8)),
        ("vxlan old port", in_udp(8472, &vxlan, &frame), Vxlan, 17, Some(0x0102)),
        ("vxlan reserved", in_udp(4789, &[0x88, 1, 2, 3, 0, 1, 2, 9], &frame), Vxlan, 17, Some(0x0102)),
        ("vxlan in v6", carrier_v6(17, &udp(5555, 4789, &[&vxlan[..], &frame].concat())), Vxlan, 17, Some(0x0102)),
        ("geneve", in_udp(6081, &[0, 0, 0x65, 0x58, 0, 0, 5, 0], &frame), Geneve, 17, Some(5)),
        ("geneve options", in_udp(6081, &[1, 0, 8, 0, 0, 0, 5, 0, 1, 2, 3, 4], &v4()), Geneve, 17, Some(5)),
        ("gtp", in_udp(2152, &gtp, &v4()), Gtp, 17, Some(5)),
        ("gtp extension", in_udp(2152, &gtp_ext, &v4()), Gtp, 17, Some(5)),
        ("teredo", in_udp(3544, &[], &v6()), Teredo, 17, None),
        ("teredo indications", in_udp(3544, &teredo, &v6()), Teredo, 17, None),
    ];
    for (name, packet, kind, protocol, network) in &cases {
        let v6 = packet[0] >> 4 == 6;
        let bytes = ethernet(if v6 { 0x86dd } else { 0x0800 }, packet);
        let (_, encapsulation) = opened(name, Link::Ethernet, &bytes);
        let tunnel = encapsulation.tunnel.unwrap();
        let network = if name.starts_with("vxlan") { Some(0x0102) } else { *network };
        assert_eq!((tunnel.kind, tunnel.protocol, tunnel.network), (*kind, *protocol, network), "{name}");
        assert_eq!(tunnel.depth, 1, "{name}");
        let outer = if v6 { IpAddr::from([0x40; 16]) } else { IpAddr::from([203, 0, 113, 1]) };
        assert_eq!(tunnel.source.ip, outer, "{name}");
        assert_eq!(tunnel.source.port, if *protocol == 17 { 5555 } else { 0 }, "{name}");
        // No prefix of the frame is taken for a complete one, or panics.
        for len in 0..bytes.len() - b"padding".len() {
            let mut rig = Rig::new(Options::default());
            for wire_len in [0, bytes.len()] {
                let Ok((head, span)) = rig.feed(Link::Ethernet, &bytes[..len], wire_len) else { continue };
                // Only padding was cut, or the missing bytes are reported.
                let whole = head.cut == 0 && bytes[..span.end as usize].ends_with(REQUEST);
                assert!(whole || (head.cut > 0 && span.end as usize == len), "{name}: {len}");
            }
        }
    }
}

#[test]
fn nested_tunnels_have_a_depth_and_a_limit() {
    for depth in 1..40 {
        let packet = (0..depth).fold(v4(), |inner, _| carrier(4, &inner));
        let mut rig = Rig::new(Options::default());
        let result = rig.feed(Link::RawIp, &packet, 0);
        if depth <= 8 {
            let (head, span) = result.unwrap();
            check("nested", &rig, &packet, &head, span);
            let tunnel = rig.extras.encapsulations[head.encapsulation as usize].tunnel.unwrap();
            assert_eq!(usize::from(tunnel.depth), depth);
        } else {
            assert_eq!(result.unwrap_err(), SkipReason::TooManyLayers);
            assert_eq!(rig.count("decode.too_many_layers"), 1);
        }
    }
}

#[test]
fn extension_headers_of_every_kind_are_skipped() {
    let tcp = &v6()[40..];
    let chain = |headers: &[(u8, usize)], last: &[u8]| {
        let mut out = Vec::new();
        for (at, (kind, len)) in headers.iter().enumerate() {
            let next = headers.get(at + 1).map_or(6, |(next, _)| *next);
            let words = if *kind == 51 { len / 4 - 2 } else { len / 8 - 1 };
            out.extend([next, if *kind == 44 { 0 } else { words as u8 }]);
            out.extend(vec![0; len - 2]);
        }
        out.extend_from_slice(last);
        let mut packet = carrier_v6(headers[0].0, &out);
        packet[8..24].fill(0x20);
        packet[24..40].fill(0x30);
        packet
    };
    let mut rig = Rig::new(Options::default());
    let many = vec![(60, 8); 60];
    for headers in
        [&[(0, 8)][..], &[(60, 16)], &[(0, 8), (60, 8), (43, 24), (60, 8)], &[(44, 8)], &[(51, 24)], &[(135, 8)], &many]
    {
        let packet = chain(headers, tcp);
        let (head, span) = rig.feed(Link::RawIp, &packet, 0).unwrap_or_else(|skip| panic!("{headers:?}: {skip:?}"));
        assert_eq!(&packet[span.start as usize + 20..span.end as usize], REQUEST);
        assert_eq!(head.ip_len as usize, packet.len());
    }
    assert_eq!(rig.feed(Link::RawIp, &chain(&[(60, 8), (0, 8)], tcp), 0).unwrap_err(), SkipReason::Malformed);
    assert_eq!(rig.feed(Link::RawIp, &chain(&[(60, 8); 65], tcp), 0).unwrap_err(), SkipReason::TooManyLayers);
    // A jumbo payload, and no length at all.
    let mut jumbo = chain(&[(0, 8)], tcp);
    jumbo[42..48].copy_from_slice(&[0xc2, 4, 0, 0, 0, (8 + tcp.len()) as u8]);
    jumbo[4..6].fill(0);
    jumbo.extend(b"padding");
    let (_, span) = rig.feed(Link::RawIp, &jumbo, 0).unwrap();
    assert_eq!(&jumbo[span.start as usize + 20..span.end as usize], REQUEST);
    let mut offloaded = v6();
    offloaded[4..6].fill(0);
    let (head, _) = rig.feed(Link::RawIp, &offloaded, 0).unwrap();
    assert_eq!(head.ip_len as usize, offloaded.len());
}

#[test]
fn inner_lengths_are_bounded_by_outer_ones() {
    let mut rig = Rig::new(Options::default());
    let frame = ethernet(0x0800, &v4());
    // The capture truncated it: what is there is used, and the rest is counted.
    let cut = rig.feed(Link::Ethernet, &frame[..80], frame.len()).unwrap();
    assert_eq!((cut.0.cut as usize, cut.1.end), (frame.len() - b"padding".len() - 80, 80));
    assert_eq!(rig.count("decode.truncated"), 1);
    assert_eq!(rig.feed(Link::Ethernet, &frame[..50], frame.len()).unwrap_err(), SkipReason::Truncated);
    assert_eq!(rig.count("decode.truncated"), 2);
    // The frame is shorter than the packet's length field: every host drops it, unless the capture was trimmed. The
    // segment needs proof, like one with a wrong checksum.
    let trimmed = rig.feed(Link::Ethernet, &frame[..80], 0).unwrap();
    assert_eq!((trimmed.0.cut as usize, trimmed.1.end), (frame.len() - b"padding".len() - 80, 80));
    assert_eq!(rig.count("decode.trimmed"), 1);
    // An inner packet that is longer than its carrier.
    let mut inner = v4();
    inner.truncate(60);
    assert_eq!(rig.feed(Link::RawIp, &carrier(4, &inner), 0).unwrap_err(), SkipReason::Malformed);
    // Unless the switch signals that it truncated the mirrored frame.
    let erspan = [&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 7, 4, 3, 0, 0, 0, 0][..], &frame[..80]].concat();
    assert_eq!(rig.feed(Link::RawIp, &carrier(47, &erspan), 0).unwrap().0.cut as usize, v4().len() + 14 - 80);
    // Length 0 before segmentation by the network card.
    let mut offloaded = v4();
    offloaded[2..4].fill(0);
    offloaded[10..12].fill(0);
    let sum = checksum(&offloaded[..20]);
    offloaded[10..12].copy_from_slice(&sum.to_be_bytes());
    let (head, span) = rig.feed(Link::RawIp, &offloaded, 0).unwrap();
    check("offloaded", &rig, &offloaded, &head, span);
}

#[test]
fn wrong_headers_are_marked_or_skipped() {
    let mut rig = Rig::new(Options::default());
    let mut wrong = v4();
    wrong[10] ^= 1;
    let (head, span) = rig.feed(Link::RawIp, &wrong, 0).unwrap();
    let encapsulation = rig.extras.encapsulations[head.encapsulation as usize];
    let tcp = &wrong[span.start as usize..span.end as usize];
    assert!(encapsulation.ip_checksum_wrong);
    assert_eq!(Segment { head: &head, tcp, encapsulation: &encapsulation }.checksum(), Checksum::Invalid);
    assert_eq!(rig.count("decode.ip_bad_checksum"), 1);
    let mut lenient = Rig::new(Options { verify_ip_checksum: false, ..Options::default() });
    let (head, span) = lenient.feed(Link::RawIp, &wrong, 0).unwrap();
    check("not verified", &lenient, &wrong, &head, span);
    for (offset, name) in [(0x40, "below 5"), (0xf0, "beyond the end")] {
        let mut bytes = v4();
        bytes.truncate(44);
        let mut bytes = carrier(6, &bytes[20..]);
        bytes[32] = offset;
        assert_eq!(rig.feed(Link::RawIp, &bytes, 0).unwrap_err(), SkipReason::BadTcpHeader, "{name}");
    }
    assert_eq!(rig.count("decode.tcp_bad_header"), 2);
}

/// Splits a packet's payload into fragments of `size` bytes.
fn fragments(protocol: u8, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let count = payload.len().div_ceil(size);
    let part = |(at, data): (usize, &[u8])| {
        let more = if at + 1 < count { 0x2000 } else { 0 };
        carrier_part(protocol, 77, more | (at * size / 8) as u16, data)
    };
    payload.chunks(size).enumerate().map(part).collect()
}

#[test]
fn fragmented_carrier_and_fragmented_inner_packet_are_reassembled() {
    let frame = ethernet(0x0800, &v4());
    let vxlan = udp(5555, 4789, &[&[8, 0, 0, 0, 0, 1, 2, 0][..], &frame].concat());
    let inner = fragments(6, &v4()[20..], 8);
    let cases = [
        ("tcp in tiny fragments", fragments(6, &v4()[20..], 8), true),
        ("vxlan in fragments", fragments(17, &vxlan, 24), false),
        ("ipip in fragments", fragments(4, &v4(), 16), false),
        ("fragments in ipip", inner.iter().map(|part| carrier(4, part)).collect(), true),
        (
            "fragments in fragments",
            inner
                .iter()
                .enumerate()
                .flat_map(|(at, part)| {
                    fragments(4, part, 16).into_iter().map(move |mut outer| {
                        outer[5] = at as u8;
                        outer[10..12].fill(0);
                        let sum = checksum(&outer[..20]);
                        outer[10..12].copy_from_slice(&sum.to_be_bytes());
                        outer
                    })
                })
                .collect(),
            true,
        ),
    ];
    for (name, parts, fragmented) in cases {
        for backwards in [false, true] {
            let mut rig = Rig::new(Options::default());
            let mut parts = parts.clone();
            if backwards {
                parts.reverse();
            }
            let last = parts.pop().unwrap();
            for part in &parts {
                assert_eq!(rig.feed(Link::RawIp, part, 0).unwrap_err(), SkipReason::Fragment, "{name}");
            }
            assert!(rig.decoder.defrag_memory() > 0);
            let (head, span) = rig.feed(Link::RawIp, &last, 0).unwrap();
            let whole = &rig.extras.reassembled[span.reassembled.unwrap() as usize];
            assert_eq!(&whole[span.start as usize + 20..span.end as usize], REQUEST, "{name}");
            assert_eq!(rig.extras.reassembled.len(), 1, "{name}");
            assert_eq!(head.ip_len as usize, v4().len(), "{name}");
            let encapsulation = rig.extras.encapsulations[head.encapsulation as usize];
            assert_eq!(encapsulation.fragmented, fragmented, "{name}");
            assert_eq!(rig.decoder.defrag_memory(), 0, "{name}");
        }
    }
}

#[test]
fn fragments_of_two_vlans_match_unless_vlans_are_tracked() {
    for vlan_tracking in [false, true] {
        let mut rig = Rig::new(Options { vlan_tracking, ..Options::default() });
        let tag = |vlan: u8, packet: &[u8]| [&[2; 12][..], &[0x81, 0, 0, vlan, 8, 0], packet].concat();
        let parts = fragments(6, &v4()[20..], 48);
        rig.feed(Link::Ethernet, &tag(1, &parts[0]), 0).unwrap_err();
        assert_eq!(rig.feed(Link::Ethernet, &tag(2, &parts[1]), 0).is_ok(), !vlan_tracking);
        let (head, _) = rig.feed(Link::Ethernet, &tag(3, &v4()), 0).unwrap();
        assert_eq!(head.key.vlans(), if vlan_tracking { [3, 0, 0] } else { [0, 0, 0] });
    }
}

#[test]
fn ipv6_fragments_are_reassembled() {
    let tcp = &v6()[40..];
    let part = |from: usize, to: usize| {
        let more = u16::from(to < tcp.len());
        let mut out = vec![6, 0];
        out.extend((from as u16 | more).to_be_bytes());
        out.extend([1, 2, 3, 4]);
        out.extend_from_slice(&tcp[from..to]);
        let mut packet = carrier_v6(44, &out);
        packet[8..24].fill(0x20);
        packet[24..40].fill(0x30);
        packet
    };
    let mut rig = Rig::new(Options::default());
    rig.feed(Link::RawIp, &part(24, 48), 0).unwrap_err();
    rig.feed(Link::RawIp, &part(0, 24), 0).unwrap_err();
    let last = part(48, tcp.len());
    let (head, span) = rig.feed(Link::RawIp, &last, 0).unwrap();
    check("ipv6 fragments", &rig, &last, &head, span);
    assert_eq!(head.ip_id, 0x0102_0304);
    // The first one has to contain the TCP header.
    rig.feed(Link::RawIp, &part(0, 16), 0).unwrap_err();
    assert_eq!((rig.count("defrag.invalid"), rig.count("defrag.active")), (1, 0));
    // A truncated fragment is not used.
    rig.feed(Link::RawIp, &part(0, 24)[..60], 72).unwrap_err();
    assert_eq!((rig.count("defrag.truncated"), rig.count("defrag.active")), (1, 0));
}

/// Random bytes, and valid frames with random damage, on every link type: no panic, every frame is accounted for, and
/// spans are within their bytes.
#[test]
fn random_frames_never_panic() {
    let links = [&LINKS[..], &[Link::Other(1)]].concat();
    let frame = ethernet(0x0800, &v4());
    let mut seeds = vec![
        frame.clone(),
        ethernet(
            0x86dd,
            &carrier_v6(0, &[&[60, 0, 5, 2, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 1][..], &frame].concat()),
        ),
        ethernet(0x0800, &carrier(47, &[&[0xf0, 0, 0x88, 0xbe][..], &frame].concat())),
        ethernet(0x0800, &carrier(17, &udp(3544, 2152, &[&[0x37, 255, 0, 80][..], &frame].concat()))),
        ethernet(0x8847, &[&[0; 12][..], &frame].concat()),
        v4(),
        [&[8, 0][..], &[0; 14], &[8, 0, 0, 0], &v4()].concat(),
    ];
    seeds.extend(encapsulated::frames().into_iter().map(|(_, bytes)| bytes));
    let limits = Limits { fragment_bytes: 4000, datagrams: 8, layers: 5, tunnels: 2, ..Limits::default() };
    for options in [Options::default(), Options { verify_ip_checksum: false, limits, vlan_tracking: true }] {
        let mut rig = Rig::new(options);
        let mut state = 0x0bad_cafe_dead_beef_u64;
        let mut random = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % bound
        };
        for round in 0..60_000_u64 {
            let mut bytes = if round % 3 == 0 {
                (0..random(120)).map(|_| random(256) as u8).collect()
            } else {
                seeds[random(seeds.len())].clone()
            };
            for _ in 0..random(6) {
                if !bytes.is_empty() {
                    let at = random(bytes.len());
                    bytes[at] = random(256) as u8;
                }
            }
            bytes.truncate(if random(3) == 0 { random(bytes.len() + 1) } else { bytes.len() });
            rig.clock = rig.clock.after(std::time::Duration::from_millis(1));
            let (link, longer) = (links[random(links.len())], random(2) * random(70_000));
            if let Ok((head, span)) = rig.feed(link, &bytes, bytes.len() + longer) {
                let within = span.reassembled.map_or(&bytes[..], |at| &rig.extras.reassembled[at as usize]);
                let tcp = &within[span.start as usize..span.end as usize];
                assert!(tcp.len() >= usize::from(head.header_len));
            }
            rig.extras.clear();
            assert!(rig.decoder.defrag_memory() <= options.limits.fragment_bytes);
        }
        let reasons = [
            "decode.tcp",
            "decode.not_ip",
            "decode.not_tcp",
            "decode.header_cut",
            "decode.invalid",
            "decode.too_many_layers",
            "decode.tcp_bad_header",
            "decode.unknown_link",
            "decode.fragment",
        ];
        assert_eq!(reasons.iter().map(|name| rig.count(name)).sum::<u64>() + rig.count("defrag.bad_checksum"), 60_000);
    }
}
