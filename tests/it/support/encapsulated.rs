//! IP packets in every link type and every tunnel that [`smsentry::decode`] knows beyond plain Ethernet: the bytes that
//! real systems write, after their specifications.

use std::path::Path;

use etherparse::PacketBuilder;
use smsentry::packet::Link;
use smsentry::segment::TunnelKind;
use smsentry::time::Timestamp;

use super::capture_writer::{ByteOrder, Frame, Pcap};
use super::carried_request::{CLIENT, SERVER, carrier, carrier_v6, udp, v4, v6};

/// Puts an IP packet of either version into a frame.
pub(crate) type Wrap = fn(&[u8]) -> Vec<u8>;

/// Name, LINKTYPE number, frame.
pub(crate) type LinkCase = (&'static str, u32, Wrap);

/// Name, frame (an IP packet), kind, network identifier.
pub(crate) type TunnelCase = (&'static str, Wrap, TunnelKind, Option<u32>);

fn ether_type(packet: &[u8]) -> [u8; 2] {
    if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [8, 0] }
}

fn ppp_type(packet: &[u8]) -> [u8; 2] {
    [0, if packet[0] >> 4 == 6 { 0x57 } else { 0x21 }]
}

fn family(packet: &[u8], v6: u8) -> u8 {
    if packet[0] >> 4 == 6 { v6 } else { 2 }
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &ether_type(packet), packet].concat()
}

fn snap(packet: &[u8]) -> Vec<u8> {
    [&[0xaa, 0xaa, 3, 0, 0, 0][..], &ether_type(packet), packet].concat()
}

/// A wireless data frame: frame control, what follows the three addresses and the sequence control, body, checksum.
fn wireless(control: [u8; 2], more: &[u8], body: &[u8]) -> Vec<u8> {
    [&control[..], &[0x2c, 0], &[2; 18], &[0x10, 0], more, body, &[1, 2, 3, 4]].concat()
}

fn data(packet: &[u8]) -> Vec<u8> {
    wireless([0x08, 0x01], &[], &snap(packet))
}

fn aggregate(packet: &[u8]) -> Vec<u8> {
    let body = snap(packet);
    let len = (body.len() as u16).to_be_bytes();
    wireless([0x88, 0x02], &[0x80, 0], &[&[2; 12][..], &len, &body].concat())
}

fn radiotap(fields: &[u8], frame: &[u8]) -> Vec<u8> {
    [&[0, 0][..], &(4 + fields.len() as u16).to_le_bytes(), fields, frame].concat()
}

fn ppi(link: u32, fields: &[u8], frame: &[u8]) -> Vec<u8> {
    [&[0, 0][..], &(8 + fields.len() as u16).to_le_bytes(), &link.to_le_bytes(), fields, frame].concat()
}

fn prism(packet: &[u8]) -> Vec<u8> {
    [&[0x44, 0, 0, 0, 144, 0, 0, 0][..], &[0; 136], &data(packet)].concat()
}

fn avs(packet: &[u8]) -> Vec<u8> {
    [&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64][..], &[0; 56], &data(packet)].concat()
}

/// Attributes: the packet header, a prefix with padding, the packet.
fn nflog(packet: &[u8], half: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let attribute = |kind: u16, value: &[u8]| {
        let len = 4 + value.len();
        let mut out = [&half(len as u16)[..], &half(kind), value].concat();
        out.resize(len.next_multiple_of(4), 0);
        out
    };
    let header = attribute(1, &[ether_type(packet)[0], ether_type(packet)[1], 3, 0]);
    [&[family(packet, 10), 0, 0, 5][..], &header, &attribute(10, b"x\0"), &attribute(9, packet)].concat()
}

fn pflog(packet: &[u8]) -> Vec<u8> {
    [&[61, family(packet, 24)][..], &[0; 62], packet].concat()
}

/// IP in the numbers of RFC 1201, after `header`.
fn arcnet(header: &[u8], fragment: &[u8], packet: &[u8]) -> Vec<u8> {
    [header, &[if packet[0] >> 4 == 6 { 196 } else { 212 }], fragment, packet].concat()
}

/// The link types.
pub(crate) const LINKS: &[LinkCase] = &[
    ("802.11", 105, data),
    ("802.11 from the access point", 105, |packet| wireless([0x08, 0x0a], &[], &snap(packet))),
    ("802.11 between access points", 105, |packet| wireless([0x08, 0x03], &[2; 6], &snap(packet))),
    ("802.11 qos", 105, |packet| wireless([0x88, 0x01], &[5, 0], &snap(packet))),
    ("802.11 qos, four addresses", 105, |packet| wireless([0x88, 0x03], &[2, 2, 2, 2, 2, 2, 0, 0], &snap(packet))),
    ("802.11 qos, ht control", 105, |packet| wireless([0x88, 0x81], &[0; 6], &snap(packet))),
    ("802.11 qos, a-msdu", 105, aggregate),
    ("802.11 decrypted", 105, |packet| wireless([0x08, 0x41], &[], &snap(packet))),
    ("802.11 decrypted, vector", 105, |packet| wireless([0x88, 0x41], &[0; 10], &snap(packet))),
    ("radiotap", 127, |packet| radiotap(&[0; 4], &data(packet))),
    ("radiotap flags", 127, |packet| radiotap(&[2, 0, 0, 0, 0x10], &data(packet))),
    ("radiotap padded", 127, |packet| {
        let frame = wireless([0x88, 0x01], &[0; 4], &snap(packet));
        radiotap(&[&[3, 0, 0, 0][..], &[0x55; 8], &[0x20, 2]].concat(), &frame)
    }),
    ("radiotap bitmaps", 127, |packet| {
        let fields = [&[3, 0, 0, 0xa0][..], &[0, 0, 0, 0xa0], &[0; 4], &[0x55; 8], &[0x20]].concat();
        radiotap(&fields, &wireless([0x88, 0x01], &[0; 4], &snap(packet)))
    }),
    ("ppi", 192, |packet| ppi(105, &[], &data(packet))),
    ("ppi common", 192, |packet| ppi(105, &[&[2, 0, 20, 0][..], &[0; 20]].concat(), &data(packet))),
    ("ppi ethernet", 192, |packet| ppi(1, &[3, 0, 1, 0, 9], &ethernet(packet))),
    ("prism", 119, prism),
    ("avs", 163, avs),
    ("avs as prism", 119, avs),
    ("sll radiotap", 113, |packet| {
        let frame = radiotap(&[0; 4], &data(packet));
        [&[0, 3, 3, 0x23][..], &[0; 10], &[0, 4], &frame].concat()
    }),
    ("sll2 802.11", 276, |packet| [&[0, 4, 0, 0, 0, 0, 0, 2, 3, 0x21][..], &[0; 10], &data(packet)].concat()),
    ("nflog", 239, |packet| nflog(packet, u16::to_le_bytes)),
    ("nflog, big-endian", 239, |packet| nflog(packet, u16::to_be_bytes)),
    ("pflog", 117, pflog),
    ("infiniband", 242, |packet| [&[9; 40][..], &ether_type(packet), &[0, 0], packet].concat()),
    ("infiniband, no addresses", 242, |packet| [&ether_type(packet)[..], &[0, 0], packet].concat()),
    ("arcnet", 7, |packet| arcnet(&[1, 2], &[0, 0, 9], packet)),
    ("arcnet exception", 7, |packet| arcnet(&[1, 2], &[0xff, 0xff, 0xff, 212, 0, 0, 9], packet)),
    ("arcnet linux", 129, |packet| arcnet(&[1, 2, 0, 0], &[0, 0, 9], packet)),
    ("cisco hdlc", 104, |packet| [&[0x0f, 0][..], &ether_type(packet), packet].concat()),
    ("cisco hdlc as ppp hdlc", 50, |packet| [&[0x0f, 0][..], &ether_type(packet), packet].concat()),
    ("cisco hdlc, broadcast", 50, |packet| [&[0x8f, 0][..], &ether_type(packet), packet].concat()),
    ("ppp as cisco hdlc", 104, |packet| [&[0xff, 3][..], &ppp_type(packet), packet].concat()),
    ("cisco hdlc, direction", 205, |packet| [&[1, 0x0f, 0][..], &ether_type(packet), packet].concat()),
    ("ppp, direction", 204, |packet| [&[0, 0xff, 3][..], &ppp_type(packet), packet].concat()),
    ("ppp bridging", 9, |packet| [&[0xff, 3, 0, 0x31, 0, 1][..], &ethernet(packet)].concat()),
    ("llc", 100, snap),
    ("fabricpath", 1, |packet| [&[2; 12][..], &[0x89, 3, 0x10, 0x40], &ethernet(packet)].concat()),
    ("cisco metadata", 1, |packet| [&[2; 12][..], &[0x89, 9, 1, 1, 0, 1, 0, 7], &ether_type(packet), packet].concat()),
    ("cisco metadata, two options", 1, |packet| {
        [&[2; 12][..], &[0x89, 9, 1, 2], &[0; 8], &ether_type(packet), packet].concat()
    }),
    ("nsh", 1, |packet| {
        let next = if packet[0] >> 4 == 6 { 2 } else { 1 };
        [&[2; 12][..], &[0x89, 0x4f, 0x0f, 0xc6, 1, next, 0, 0, 9, 255], &[0; 16], packet].concat()
    }),
    ("nsh ethernet, in a vlan", 1, |packet| {
        let nsh = [0x0f, 0xc2, 2, 3, 0, 0, 9, 255];
        [&[2; 12][..], &[0x81, 0, 0, 7, 0x89, 0x4f], &nsh, &ethernet(packet)].concat()
    }),
    ("trill", 1, |packet| [&[2; 12][..], &[0x22, 0xf3, 0, 0x45, 0, 1, 0, 2, 9, 9, 9, 9], &ethernet(packet)].concat()),
    ("hsr", 1, |packet| [&[2; 12][..], &[0x89, 0x2f, 0, 90, 0, 1], &ether_type(packet), packet].concat()),
    ("macsec, integrity only", 1, |packet| {
        [&[2; 12][..], &[0x88, 0xe5, 0x20, 0], &[7; 12], &ether_type(packet), packet, &[5; 16]].concat()
    }),
];

fn in_udp(source: u16, destination: u16, parts: &[&[u8]]) -> Vec<u8> {
    carrier(17, &udp(source, destination, &parts.concat()))
}

fn l2tp_v3(parts: &[&[u8]]) -> Vec<u8> {
    carrier(115, &[&[0, 0, 1, 2][..], &parts.concat()].concat())
}

/// The tunnels.
pub(crate) const TUNNELS: &[TunnelCase] = &[
    ("tzsp", |packet| in_udp(5555, 37008, &[&[1, 0, 0, 1, 1], &ethernet(packet)]), TunnelKind::Tzsp, None),
    (
        "tzsp tags",
        |packet| in_udp(5555, 37008, &[&[1, 1, 0, 1, 0, 0, 10, 1, 0x55, 30, 2, 1, 1, 1], &ethernet(packet)]),
        TunnelKind::Tzsp,
        None,
    ),
    ("tzsp 802.11", |packet| in_udp(5555, 37008, &[&[1, 0, 0, 18, 1], &data(packet)]), TunnelKind::Tzsp, None),
    ("tzsp prism", |packet| in_udp(5555, 37008, &[&[1, 0, 0, 119, 1], &prism(packet)]), TunnelKind::Tzsp, None),
    ("tzsp avs", |packet| in_udp(5555, 37008, &[&[1, 0, 0, 127, 1], &avs(packet)]), TunnelKind::Tzsp, None),
    (
        "vxlan-gpe ethernet",
        |packet| in_udp(5555, 4790, &[&[0x0c, 0, 0, 3, 0, 1, 2, 0], &ethernet(packet)]),
        TunnelKind::VxlanGpe,
        Some(0x0102),
    ),
    (
        "vxlan-gpe ip",
        |packet| {
            let next = if packet[0] >> 4 == 6 { 2 } else { 1 };
            in_udp(5555, 4790, &[&[0x0c, 0, 0, next, 0, 1, 2, 0], packet])
        },
        TunnelKind::VxlanGpe,
        Some(0x0102),
    ),
    (
        "vxlan-gpe without protocol",
        |packet| in_udp(5555, 4790, &[&[0x08, 0, 0, 0, 0, 1, 2, 0], &ethernet(packet)]),
        TunnelKind::VxlanGpe,
        Some(0x0102),
    ),
    (
        "vxlan-gpe without identifier",
        |packet| in_udp(5555, 4790, &[&[0x04, 0, 0, 3, 0, 0, 0, 0], &ethernet(packet)]),
        TunnelKind::VxlanGpe,
        None,
    ),
    (
        "vxlan-gpe nsh",
        |packet| {
            let nsh = [0x0f, 0xc2, 2, 3, 0, 0, 9, 255];
            in_udp(5555, 4790, &[&[0x0c, 0, 0, 4, 0, 1, 2, 0], &nsh, &ethernet(packet)])
        },
        TunnelKind::VxlanGpe,
        Some(0x0102),
    ),
    (
        "vxlan-gpe mpls",
        |packet| in_udp(5555, 4790, &[&[0x0c, 0, 0, 5, 0, 1, 2, 0, 0, 1, 0x21, 64], packet]),
        TunnelKind::VxlanGpe,
        Some(0x0102),
    ),
    (
        "l2tp",
        |packet| in_udp(1701, 1701, &[&[0, 2, 0, 1, 0, 2, 0xff, 3], &ppp_type(packet), packet]),
        TunnelKind::L2tp,
        Some(0x0001_0002),
    ),
    (
        "l2tp all fields, answer",
        |packet| {
            let len = (18 + packet.len() as u16).to_be_bytes();
            let head = [0x4b, 2, len[0], len[1], 0, 1, 0, 2, 0, 0, 0, 0, 0, 2, 7, 7];
            in_udp(1701, 5555, &[&head, &ppp_type(packet), packet, b"beyond"])
        },
        TunnelKind::L2tp,
        Some(0x0001_0002),
    ),
    (
        "l2tp v3 in udp",
        |packet| in_udp(5555, 1701, &[&[0, 3, 0, 0, 0, 0, 1, 2], &ethernet(packet)]),
        TunnelKind::L2tp,
        Some(0x0102),
    ),
    ("l2tp v3", |packet| l2tp_v3(&[&ethernet(packet)]), TunnelKind::L2tp, Some(0x0102)),
    ("l2tp v3, sublayer", |packet| l2tp_v3(&[&[0x40, 0, 0, 9], &ethernet(packet)]), TunnelKind::L2tp, Some(0x0102)),
    ("l2tp v3, cookie of 8", |packet| l2tp_v3(&[&[0x5e; 8], &ethernet(packet)]), TunnelKind::L2tp, Some(0x0102)),
    (
        "l2tp v3, cookie and sublayer",
        |packet| l2tp_v3(&[&[0x5e; 8], &[0x40, 0, 0, 9], &ethernet(packet)]),
        TunnelKind::L2tp,
        Some(0x0102),
    ),
    (
        "l2tp v3 vlan",
        |packet| l2tp_v3(&[&[2; 12], &[0x81, 0, 0, 9], &ether_type(packet), packet]),
        TunnelKind::L2tp,
        Some(0x0102),
    ),
    (
        "l2tp v3 ppp",
        |packet| l2tp_v3(&[&[0x5e; 4], &[0xff, 3], &ppp_type(packet), packet]),
        TunnelKind::L2tp,
        Some(0x0102),
    ),
    ("l2tp v3 hdlc", |packet| l2tp_v3(&[&[0x0f, 0], &ether_type(packet), packet]), TunnelKind::L2tp, Some(0x0102)),
    ("l2tp v3 ip", |packet| l2tp_v3(&[&[0x5e; 4], packet]), TunnelKind::L2tp, Some(0x0102)),
    ("etherip", |packet| carrier(97, &[&[0x30, 0][..], &ethernet(packet)].concat()), TunnelKind::EtherIp, None),
    (
        "etherip in v6",
        |packet| carrier_v6(97, &[&[0x30, 0][..], &ethernet(packet)].concat()),
        TunnelKind::EtherIp,
        None,
    ),
    ("mpls in ip", |packet| carrier(137, &[&[0, 1, 0x21, 64][..], packet].concat()), TunnelKind::Mpls, None),
    ("ethernet in ip", |packet| carrier_v6(143, &ethernet(packet)), TunnelKind::Ethernet, None),
    (
        "capwap 802.11",
        |packet| in_udp(5247, 5247, &[&[0, 0x10, 0x03, 0, 0, 0, 0, 0], &data(packet)]),
        TunnelKind::Capwap,
        None,
    ),
    (
        "capwap 802.11, octets exchanged",
        |packet| {
            in_udp(5247, 5555, &[&[0, 0x10, 0x43, 0, 0, 0, 0, 0], &wireless([0x01, 0x88], &[0, 0], &snap(packet))])
        },
        TunnelKind::Capwap,
        None,
    ),
    (
        "capwap 802.3, radio address",
        |packet| {
            let head = [0, 0x20, 0x02, 0x30, 0, 0, 0, 0, 6, 2, 2, 2, 2, 2, 2, 0];
            in_udp(5555, 5247, &[&head, &ethernet(packet)])
        },
        TunnelKind::Capwap,
        None,
    ),
    (
        "metadata in gre",
        |packet| carrier(47, &[&[0, 0, 0x89, 9][..], &ether_type(packet), &[1, 1, 0, 1, 0, 7], packet].concat()),
        TunnelKind::Gre,
        None,
    ),
    (
        "tzsp in vxlan-gpe in ipv6",
        |packet| {
            let tzsp = in_udp(5555, 37008, &[&[1, 0, 0, 1, 1], &ethernet(packet)]);
            let gpe = [&[0x0c, 0, 0, 3, 0, 1, 2, 0][..], &ethernet(&tzsp)].concat();
            carrier_v6(17, &udp(5555, 4790, &gpe))
        },
        TunnelKind::Tzsp,
        None,
    ),
];

/// A frame of every link type and tunnel, with a request.
pub(crate) fn frames() -> Vec<(Link, Vec<u8>)> {
    let links = LINKS.iter().map(|(_, number, wrap)| (Link::from_number(*number), *wrap));
    let tunnels = TUNNELS.iter().map(|(_, wrap, ..)| (Link::RawIp, *wrap));
    links.chain(tunnels).flat_map(|(link, wrap)| [(link, wrap(&v4())), (link, wrap(&v6()))]).collect()
}

/// A capture of frames of one link type.
pub(crate) fn capture(path: &Path, link: u32, frames: &[Vec<u8>]) {
    let frames: Vec<Frame> = frames
        .iter()
        .zip(1..)
        .map(|(bytes, at)| Frame {
            time: Timestamp::from_secs_nanos(1_700_000_000 + at, 0),
            wire_len: bytes.len() as u32,
            link: Link::from_number(link),
            bytes: bytes.clone(),
        })
        .collect();
    let writer = Pcap { linktype: link, ..Pcap::new(ByteOrder::Little, Pcap::MICRO) };
    std::fs::write(path, writer.write(&frames)).unwrap();
}

/// The packets of a connection in which a configuration file is requested and given away.
pub(crate) fn exposure(server_v6: bool) -> Vec<Vec<u8>> {
    let request: &[u8] = b"GET /sms_config.json HTTP/1.1\r\nHost: victim.example\r\n\r\n";
    let body = r#"{"gateway":"example","api_key":"0123456789abcdef0123456789abcdef","auth_token":"x"}"#;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = [head.as_bytes(), body.as_bytes()].concat();
    let (asked, answered) = (1001 + request.len() as u32, 9001 + answer.len() as u32);
    // To the server, sequence number, acknowledgment, SYN, FIN, payload.
    type Made<'a> = (bool, u32, u32, bool, bool, &'a [u8]);
    let segments: [Made<'_>; 8] = [
        (true, 1000, 0, true, false, b""),
        (false, 9000, 1001, true, false, b""),
        (true, 1001, 9001, false, false, b""),
        (true, 1001, 9001, false, false, request),
        (false, 9001, asked, false, false, &answer),
        (true, asked, answered, false, true, b""),
        (false, answered, asked + 1, false, true, b""),
        (true, asked + 1, answered + 1, false, false, b""),
    ];
    segments
        .iter()
        .map(|&(up, seq, ack, syn, fin, payload)| {
            let ports = if up { (40_000, 80) } else { (80, 40_000) };
            let [source, destination] = if up { [CLIENT, SERVER] } else { [SERVER, CLIENT] };
            let ip = if server_v6 {
                let long = |short: [u8; 4]| [&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0][..], &short].concat();
                let [source, destination] = [source, destination].map(|short| long(short).try_into().unwrap());
                PacketBuilder::ipv6(source, destination, 64)
            } else {
                PacketBuilder::ipv4(source, destination, 64)
            };
            let mut tcp = ip.tcp(ports.0, ports.1, seq, 64_000);
            tcp = if ack > 0 { tcp.ack(ack) } else { tcp };
            tcp = if syn { tcp.syn() } else { tcp };
            tcp = if fin { tcp.fin() } else { tcp };
            let mut packet = Vec::new();
            tcp.write(&mut packet, payload).unwrap();
            packet
        })
        .collect()
}
