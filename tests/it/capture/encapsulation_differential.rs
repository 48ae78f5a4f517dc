//! Compares where a packet begins in the frames of [`encapsulated`] with libpcap, which compiles a filter for each link
//! type, and with tshark, if it is installed. Every frame in which they find no segment has a known reason.

use std::process::Command;

use crate::support::capture_writer::{self as captures, ByteOrder};
use crate::support::carried_request::*;
use crate::support::encapsulated::{LINKS, TUNNELS};

/// Names of frames in which libpcap finds no segment: its filters look at the first frame only, with the form of header
/// that the link type had first.
const NOT_IN_LIBPCAP: &[&str] = &[
    // Headers with four addresses, with an HT control field or an initialization vector, A-MSDU, padding.
    "802.11 between access points",
    "802.11 qos, four addresses",
    "802.11 qos, ht control",
    "802.11 qos, a-msdu",
    "802.11 decrypted, vector",
    "radiotap padded",
    "radiotap bitmaps",
    // It takes the frame in PPI for IEEE 802.11, and that in a cooked header for its EtherType.
    "ppi ethernet",
    "sll radiotap",
    "sll2 802.11",
    // "Link-layer type filtering not implemented".
    "nflog",
    "nflog, big-endian",
    "infiniband",
    "infiniband, no addresses",
    "cisco hdlc, direction",
    "ppp, direction",
    // The number of the address family is that of another system.
    "pflog",
    "arcnet exception",
    // Only one of PPP and Cisco HDLC for each link type; no bridging.
    "cisco hdlc as ppp hdlc",
    "cisco hdlc, broadcast",
    "ppp as cisco hdlc",
    "ppp bridging",
    // LINKTYPE_ATM_RFC1483 is a DLT with another number.
    "llc",
    // Tags are left to the user (`vlan`, `mpls`).
    "fabricpath",
    "cisco metadata",
    "cisco metadata, two options",
    "nsh",
    "nsh ethernet, in a vlan",
    "trill",
    "hsr",
    "macsec, integrity only",
];

#[test]
fn libpcap_finds_the_segment_in_the_frames_that_it_has_a_filter_for() {
    let mut missing = Vec::new();
    for (name, number, wrap) in LINKS {
        let finds = |packet: &[u8]| {
            let capture = pcap::Capture::dead(pcap::Linktype(i32::try_from(*number).unwrap())).unwrap();
            let filter = capture.compile("tcp dst port 80 and tcp src port 40000", true);
            filter.is_ok_and(|filter| filter.filter(&wrap(packet)))
        };
        if !(finds(&v4()) && finds(&v6())) {
            missing.push(*name);
        }
    }
    let unexplained: Vec<_> = missing.iter().filter(|name| !NOT_IN_LIBPCAP.contains(name)).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
    assert!(missing.len() < LINKS.len(), "nothing was compared");
}

/// Names of frames in which tshark 4.0, with its default preferences, finds no segment.
const NOT_IN_TSHARK: &[&str] = &[
    // Set by preferences: the protected bit of decrypted frames, the byte order of NFLOG, cookie and kind of an L2TPv3
    // session without control messages, the order of the frame control octets in CAPWAP.
    "802.11 decrypted",
    "802.11 decrypted, vector",
    "nflog, big-endian",
    "l2tp v3 in udp",
    "l2tp v3",
    "l2tp v3, sublayer",
    "l2tp v3, cookie of 8",
    "l2tp v3, cookie and sublayer",
    "l2tp v3 vlan",
    "l2tp v3 ppp",
    "l2tp v3 hdlc",
    "l2tp v3 ip",
    "capwap 802.11",
    // Forms that its dissectors do not have.
    "sll2 802.11",
    "infiniband, no addresses",
    "ppp as cisco hdlc",
    "cisco hdlc, direction",
    "cisco metadata, two options",
    "vxlan-gpe without protocol",
];

#[test]
fn tshark_finds_the_same_segments() {
    let order = ByteOrder::Little;
    let (mut interfaces, mut packets, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let links = LINKS.iter().map(|(name, number, wrap)| (*name, *number, *wrap));
    for (name, number, wrap) in links.chain(TUNNELS.iter().map(|(name, wrap, ..)| (*name, 101, *wrap))) {
        let interface = u32::try_from(names.len()).unwrap();
        interfaces.extend(captures::interface(order, u16::try_from(number).unwrap(), 0, &[]));
        for packet in [v4(), v6()] {
            let bytes = wrap(&packet);
            packets.extend(captures::enhanced(order, interface, 1, u32::try_from(bytes.len()).unwrap(), &bytes));
        }
        names.push(name);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.pcapng");
    std::fs::write(&path, [captures::section(order), interfaces, packets].concat()).unwrap();
    let filter = "tcp.dstport == 80 && tcp.srcport == 40000";
    let listed =
        Command::new("tshark").args(["-T", "fields", "-e", "frame.number", "-Y", filter, "-r"]).arg(&path).output();
    let Ok(listed) = listed else {
        println!("skipped: tshark is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let found: Vec<usize> = text.lines().map(|line| line.trim().parse().unwrap()).collect();
    let finds = |at: usize| found.contains(&(2 * at + 1)) && found.contains(&(2 * at + 2));
    let missing: Vec<&str> = names.iter().enumerate().filter(|(at, _)| !finds(*at)).map(|(_, name)| *name).collect();
    let unexplained: Vec<_> = missing.iter().filter(|name| !NOT_IN_TSHARK.contains(name)).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}: {listed:?}");
}
