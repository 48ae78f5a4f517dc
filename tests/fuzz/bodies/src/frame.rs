//! Decodes one frame of any link type.

use smsentry::decode::{BlockExtras, Counters, Decoder, Limits, Options, SkipReason};
use smsentry::packet::{Link, Packet};
use smsentry::segment::{Encapsulation, Head, Segment};
use smsentry::time::Timestamp;

/// The link types, by the first byte of the input.
pub const LINKS: [Link; 21] = [
    Link::Ethernet,
    Link::LinuxSll,
    Link::LinuxSll2,
    Link::RawIp,
    Link::BsdNull,
    Link::BsdLoop,
    Link::Ppp,
    Link::PppEther,
    Link::Other(147),
    Link::PppWithDirection,
    Link::Ieee80211,
    Link::Radiotap,
    Link::Prism,
    Link::Ppi,
    Link::Nflog,
    Link::Pflog,
    Link::Infiniband,
    Link::Arcnet,
    Link::ArcnetLinux,
    Link::Llc,
    Link::Mpls,
];

/// A segment with its head and encapsulation.
#[derive(Debug)]
struct Found {
    head: Head,
    tcp: Vec<u8>,
    encapsulation: Encapsulation,
}

/// The input is the link type, options, the number of bytes cut by the capture, and the frame. Checks that spans are
/// within the frame; that the head agrees with the bytes; that every frame is counted once; that Ethernet and bare IP
/// give the same segment (fast path and slow path); and that a truncated frame gives the beginning of the same segment,
/// or none.
pub fn frame(data: &[u8]) {
    let [link, bits, cut, frame @ ..] = data else { return };
    let link = LINKS[usize::from(*link) % LINKS.len()];
    let tiny = Limits { layers: 2, tunnels: 1, labels: 1, extensions: 1, fragment_bytes: 256, ..Limits::default() };
    let options = Options {
        vlan_tracking: bits & 1 != 0,
        verify_ip_checksum: bits & 2 == 0,
        limits: if bits & 4 != 0 { tiny } else { Limits::default() },
    };
    let wire_len = frame.len() as u32 + if bits & 8 != 0 { 1000 } else { 0 };
    let found = decode(options, link, frame, wire_len);
    if link == Link::Ethernet {
        without_ethernet(options, frame, wire_len, &found);
    }
    if let Some(shorter) = frame.len().checked_sub(usize::from(*cut)).filter(|_| *cut > 0) {
        let part = decode(options, link, &frame[..shorter], wire_len);
        if let (Ok(whole), Ok(part)) = (&found, &part) {
            assert!(whole.tcp.starts_with(&part.tcp), "a cut frame has other bytes");
            assert_eq!(whole.head.key, part.head.key);
            let len = |found: &Found| found.tcp.len() as u64 + u64::from(found.head.cut);
            assert_eq!(len(whole), len(part), "a cut frame has another length: {whole:?} {part:?}");
        }
        assert!(found.is_ok() || part.is_err(), "a truncated frame gives more: {found:?}, {part:?}");
    }
}

fn decode(options: Options, link: Link, bytes: &[u8], wire_len: u32) -> Result<Found, SkipReason> {
    let mut decoder = Decoder::new(options, [1, 2]);
    let mut extras = BlockExtras::default();
    let packet = Packet { number: 1, frame: 1, time: Timestamp::ZERO, link, wire_len, bytes };
    let result = decoder.decode(&packet, Timestamp::ZERO, 0, &mut extras);
    counted_once(decoder.counters(), result.is_ok());
    assert!(decoder.defrag_memory() <= options.limits.fragment_bytes);
    let unread = decoder.unread();
    assert_eq!(unread.kinds().iter().map(|kind| kind.frames).sum::<u64>(), decoder.counters().unread);
    assert!(unread.kinds().len() <= 3 && unread.further() == 0, "one frame has few parts: {unread:?}");
    decoder.clear();
    assert_eq!(decoder.defrag_memory(), 0);
    let (head, span) = result?;
    let place = span.reassembled.map_or(bytes, |whole| &extras.reassembled[whole as usize]);
    let tcp = place[span.start as usize..span.end as usize].to_vec();
    let encapsulation = extras.encapsulations[head.encapsulation as usize];
    head_agrees_with_bytes(&head, &tcp);
    let _ = Segment { head: &head, tcp: &tcp, encapsulation: &encapsulation }.checksum();
    Ok(Found { head, tcp, encapsulation })
}

/// Checks that `packets` is the sum of `tcp` and of the skip reasons.
fn counted_once(counters: &Counters, segment: bool) {
    let skipped = counters.not_ip
        + counters.not_tcp
        + counters.header_cut
        + counters.invalid
        + counters.too_many_layers
        + counters.tcp_bad_header
        + counters.unknown_link
        + counters.fragment_bad_checksum
        + counters.fragment;
    assert_eq!((counters.packets, counters.tcp, skipped), (1, u64::from(segment), u64::from(!segment)));
}

/// Compares the head with the bytes, which are parsed here a second time.
fn head_agrees_with_bytes(head: &Head, tcp: &[u8]) {
    let half = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    let word = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
    assert!((20..=60).contains(&head.header_len) && tcp.len() >= usize::from(head.header_len));
    assert_eq!(head.header_len, (tcp[12] >> 4) * 4);
    assert_eq!((head.key.port(head.side), head.key.port(head.side.other())), (half(0), half(2)));
    assert_eq!((head.seq.0, head.ack.0), (word(4), word(8)));
    assert_eq!((head.flags.0, head.window), (tcp[13] & 0x3f, half(14)));
    assert_eq!((head.checksum, head.urgent), (half(16), half(18)));
}

/// The same IP packet without its Ethernet header takes the slow path and is the same segment.
fn without_ethernet(options: Options, frame: &[u8], wire_len: u32, found: &Result<Found, SkipReason>) {
    let version = match frame.get(12..15) {
        Some([0x08, 0x00, first]) if first >> 4 == 4 => 4,
        Some([0x86, 0xdd, first]) if first >> 4 == 6 => 6,
        _ => return,
    };
    let bare = decode(options, Link::RawIp, &frame[14..], wire_len - 14).ok();
    // With one header fewer the packet may be within a limit.
    if matches!(found, Err(SkipReason::TooManyLayers)) {
        return;
    }
    let (Ok(found), Some(bare)) = (found, &bare) else {
        assert_eq!(found.is_ok(), bare.is_some(), "IPv{version} with and without Ethernet");
        return;
    };
    let same = |found: &Found| Head { wire_len: 0, encapsulation: 0, ..found.head };
    assert_eq!(format!("{:?}", same(found)), format!("{:?}", same(bare)));
    assert_eq!((&found.tcp, found.encapsulation), (&bare.tcp, bare.encapsulation));
}
