//! What is not read is said: by kind and number, with the first frame, on the console, in the closing lines and in the
//! counters. What cannot carry a request is not mentioned.

use smsentry::decode::{MAX_KINDS, Options, UnreadKind};
use smsentry::packet::Link;

use crate::support::carried_request::*;
use crate::support::encapsulated::capture;
use crate::support::program::run;

fn wireless(control: [u8; 2], body: &[u8]) -> Vec<u8> {
    [&control[..], &[0; 20], &[0, 0], body].concat()
}

fn kinds_of(link: Link, bytes: &[u8]) -> Vec<UnreadKind> {
    let mut rig = Rig::new(Options::default());
    let _ = rig.feed(link, bytes, 0);
    rig.decoder.unread().kinds().iter().map(|unread| unread.kind).collect()
}

#[test]
fn every_kind_that_is_not_read_is_noted_once() {
    use UnreadKind::*;
    let ppp = |protocol: u16| [&[0xff, 3][..], &protocol.to_be_bytes(), &v4()].concat();
    let in_udp = |port: u16, payload: &[u8]| carrier(17, &udp(5555, port, payload));
    let mut aggregate = wireless([0x88, 1], &[0x80, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 8]);
    aggregate.extend([0xaa, 0xaa, 3, 0, 0, 0, 8, 6, 0, 0]);
    aggregate.extend([1; 60]);
    let cases: Vec<(Link, Vec<u8>, UnreadKind)> = vec![
        (Link::Other(147), v4(), LinkType(147)),
        (Link::Ppi, [&[0, 0, 8, 0, 197, 0, 0, 0][..], &v4()].concat(), LinkType(197)),
        (Link::Ethernet, ethernet(0x88b5, &v4()), EtherType(0x88b5)),
        (Link::Ethernet, ethernet(0x88e5, &[0x2c; 40]), EtherType(0x88e5)),
        (Link::Ethernet, ethernet(0x8909, &[9; 40]), EtherType(0x8909)),
        (Link::LinuxSll, [&[0; 14][..], &[0x88, 0xb5], &v4()].concat(), EtherType(0x88b5)),
        (Link::RawIp, carrier(47, &[&[0, 0, 0x88, 0xb5][..], &v4()].concat()), EtherType(0x88b5)),
        (Link::RawIp, carrier(47, &[0, 7, 8, 0, 0, 0, 0, 0]), IpProtocol(47)),
        (Link::RawIp, carrier(50, &v4()), IpProtocol(50)),
        (Link::RawIp, carrier_v6(50, &v4()), IpProtocol(50)),
        (Link::RawIp, carrier(97, &[0x20; 40]), IpProtocol(97)),
        (Link::RawIp, carrier(253, &v4()), IpProtocol(253)),
        (Link::Ppp, ppp(0x003d), PppProtocol(0x003d)),
        (Link::Ppp, ppp(0x0031), PppProtocol(0x0031)),
        (Link::Ethernet, ethernet(0x894f, &[0x0f, 0xc2, 2, 77, 0, 0, 9, 255, 1]), NshProtocol(77)),
        (Link::RawIp, in_udp(4790, &[0x0c, 0, 0, 9, 0, 0, 7, 0, 1]), VxlanGpeProtocol(9)),
        (Link::RawIp, in_udp(37008, &[1, 0, 0, 3, 1, 9]), TzspProtocol(3)),
        (Link::Ieee80211, wireless([8, 0x41], &[7; 60]), WirelessEncrypted),
        (Link::Ieee80211, wireless([8, 0x05], &[7; 60]), WirelessFragment),
        (Link::Ieee80211, aggregate, WirelessAggregate),
        (Link::Ieee80211, wireless([0x88, 1], &[&[0, 1, 0, 31, 7, 0, 0, 0][..], &v4()].concat()), WirelessPayload),
        (Link::RawIp, in_udp(5247, &[1, 0, 0, 0, 23, 0xfe, 0xfd, 9, 9]), CapwapEncrypted),
        (Link::RawIp, in_udp(5247, &[0, 0x10, 2, 0x80, 0, 1, 0, 0, 9, 9]), CapwapFragment),
        (Link::RawIp, carrier(115, &[&[0, 0, 0, 1][..], &[3; 90]].concat()), L2tpSession),
        (Link::Arcnet, [&[1, 2, 212, 3, 0, 1][..], &v4()].concat(), ArcnetFragment),
        (Link::RawIp, (0..20).fold(v4(), |inner, _| carrier(4, &inner)), TooManyLayers),
    ];
    for (link, bytes, kind) in &cases {
        assert_eq!(kinds_of(*link, bytes), [*kind], "{kind:?}");
        let (text, counter) = (kind.to_string(), kind.counter());
        assert!(
            !text.is_empty() && counter.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte))
        );
    }
    let mut rig = Rig::new(Options::default());
    assert!(rig.feed(Link::RawIp, &v4()[..30], v4().len()).is_err());
    assert_eq!(rig.decoder.unread().kinds()[0].kind, CutHeader);
}

#[test]
fn protocols_without_ip_are_not_mentioned() {
    for kind in [0x0806, 0x8035, 0x88cc, 0x888e, 0x8809, 0x8808, 0x8863, 0x9000, 0x88f7, 0x8137, 0x0800, 0x86dd] {
        assert_eq!(kinds_of(Link::Ethernet, &ethernet(kind, &[0; 46])), [], "{kind:04x}");
    }
    // ICMP, IGMP, OSPF, SCTP, VRRP, ICMPv6, UDP to a tunnel's port.
    for protocol in [1, 2, 89, 132, 112] {
        assert_eq!(kinds_of(Link::RawIp, &carrier(protocol, &[0; 40])), [], "{protocol}");
    }
    assert_eq!(kinds_of(Link::RawIp, &carrier_v6(58, &[0; 40])), []);
    assert_eq!(kinds_of(Link::RawIp, &carrier(17, &udp(53, 37008, &[7; 40]))), []);
    // Spanning tree, discovery in SNAP; control protocols of PPP; beacons, acknowledgments, frames without data.
    let llc = |body: &[u8]| [&[2; 12][..], &(body.len() as u16).to_be_bytes(), body].concat();
    assert_eq!(kinds_of(Link::Ethernet, &llc(&[0x42, 0x42, 3, 0, 0])), []);
    assert_eq!(kinds_of(Link::Ethernet, &llc(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 2])), []);
    for protocol in [0xc021_u16, 0x8021, 0xc223] {
        assert_eq!(kinds_of(Link::Ppp, &[&[0xff, 3][..], &protocol.to_be_bytes(), &[1; 9]].concat()), []);
    }
    for control in [[0x80, 0], [0xd4, 0], [0x48, 1], [0xc8, 1]] {
        assert_eq!(kinds_of(Link::Ieee80211, &wireless(control, &[0; 40])), [], "{control:?}");
    }
}

#[test]
fn the_number_of_kinds_is_limited_and_no_frame_is_lost() {
    let mut rig = Rig::new(Options::default());
    for number in 0..1000_u16 {
        rig.feed(Link::Ethernet, &ethernet(0xa000 + number % 40, &[0; 46]), 0).unwrap_err();
    }
    let unread = rig.decoder.unread();
    assert_eq!((unread.kinds().len(), unread.further()), (MAX_KINDS, 24 * 25));
    assert!(unread.kinds().iter().all(|kind| kind.frames == 25 && kind.input == 9 && kind.first == 8));
    assert_eq!(rig.count("decode.unread"), 1000);
}

#[test]
fn a_link_type_that_is_not_read_is_said_with_every_number_of_lanes() {
    let directory = tempfile::tempdir().unwrap();
    let (path, counters) = (directory.path().join("user.pcap"), directory.path().join("counters.json"));
    capture(&path, 147, &[v4(), v4(), v6()]);
    let path = path.to_str().unwrap();
    let mut said = Vec::new();
    for lanes in ["0", "1", "2", "3"] {
        let output = run(&["-r", path, "--lanes", lanes, "--counters", counters.to_str().unwrap()]);
        let text = output.err;
        assert!(text.contains("user.pcap: packet 1: link type 147 (USER): not read"), "{text}");
        assert_eq!(text.matches("packet 1: link type 147").count(), 1, "{text}");
        assert!(text.contains("not read: 3 packets of link type 147 (USER), first packet 1"), "{text}");
        assert!(text.contains("no alerts in what was read, which is not everything"), "{text}");
        let counters: serde_json::Value = serde_json::from_slice(&std::fs::read(&counters).unwrap()).unwrap();
        assert_eq!(counters["decode.unread.link_type_147"], 3);
        assert_eq!((&counters["decode.unread"], &counters["decode.unknown_link"]), (&3.into(), &3.into()));
        said.push(text);
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
    let quiet = run(&["-q", "-r", path]).err;
    assert!(quiet.contains("link type 147"), "{quiet}");
}

#[test]
fn an_encapsulation_that_is_not_opened_is_said_with_its_first_packet() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mixed.pcap");
    let macsec = ethernet(0x88e5, &[0x2c; 60]);
    let esp = ethernet(0x0800, &carrier(50, &[1; 40]));
    capture(&path, 1, &[ethernet(0x0800, &v4()), macsec.clone(), esp, macsec]);
    let text = run(&["-r", path.to_str().unwrap()]).err;
    assert!(text.contains("mixed.pcap: packet 2: EtherType 0x88e5 (MACsec): not read"), "{text}");
    assert!(text.contains("mixed.pcap: packet 3: IP protocol 50 (ESP): not read"), "{text}");
    let closing = "not read: 2 packets of EtherType 0x88e5 (MACsec), first packet 2; 1 packet of IP protocol 50 (ESP), \
                   first packet 3";
    assert!(text.contains(closing), "{text}");
    // With everything read, nothing is said.
    capture(&path, 1, &[ethernet(0x0800, &v4())]);
    let text = run(&["-r", path.to_str().unwrap()]).err;
    assert!(!text.contains("not read") && !text.contains("not everything"), "{text}");
}
