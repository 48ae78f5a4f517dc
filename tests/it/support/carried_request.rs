//! One segment with a request, the headers that carry it, and a decoder that finds it again.

use std::net::IpAddr;

use etherparse::PacketBuilder;
use smsentry::decode::{BlockExtras, Decoder, Options, SkipReason, Span};
use smsentry::packet::{Link, Packet};
use smsentry::segment::{Checksum, Encapsulation, Head, Segment};
use smsentry::time::Timestamp;

pub(crate) const REQUEST: &[u8] = b"GET /sms/api/ HTTP/1.1\r\nHost: victim.example\r\n\r\n";
pub(crate) const CLIENT: [u8; 4] = [198, 51, 100, 10];
pub(crate) const SERVER: [u8; 4] = [192, 0, 2, 80];

pub(crate) fn v4() -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ipv4(CLIENT, SERVER, 64).tcp(40_000, 80, 1000, 512).ack(5).write(&mut out, REQUEST).unwrap();
    out
}

pub(crate) fn v6() -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ipv6([0x20; 16], [0x30; 16], 64).tcp(40_000, 80, 1000, 512).ack(5).write(&mut out, REQUEST).unwrap();
    out
}

/// An Ethernet frame; the padding is not part of the packet.
pub(crate) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &kind.to_be_bytes(), payload, b"padding"].concat()
}

pub(crate) fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// An IPv4 packet of any protocol, optionally a fragment.
pub(crate) fn carrier_part(protocol: u8, id: u16, field: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x45, 0];
    out.extend((20 + payload.len() as u16).to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend(field.to_be_bytes());
    out.extend([64, protocol, 0, 0, 203, 0, 113, 1, 203, 0, 113, 2]);
    let sum = checksum(&out);
    out[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

pub(crate) fn carrier(protocol: u8, payload: &[u8]) -> Vec<u8> {
    carrier_part(protocol, 1, 0, payload)
}

pub(crate) fn carrier_v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend([next, 64]);
    out.extend([0x40; 16]);
    out.extend([0x50; 16]);
    out.extend_from_slice(payload);
    out
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(source.to_be_bytes());
    out.extend(destination.to_be_bytes());
    out.extend((8 + payload.len() as u16).to_be_bytes());
    out.extend([0, 0]);
    out.extend_from_slice(payload);
    out
}

pub(crate) struct Rig {
    pub(crate) decoder: Decoder,
    pub(crate) extras: BlockExtras,
    pub(crate) clock: Timestamp,
}

impl Rig {
    pub(crate) fn new(options: Options) -> Self {
        Self { decoder: Decoder::new(options, [3, 4]), extras: BlockExtras::default(), clock: Timestamp::from_nanos(1) }
    }

    pub(crate) fn feed(&mut self, link: Link, bytes: &[u8], wire_len: usize) -> Result<(Head, Span), SkipReason> {
        let packet =
            Packet { number: 7, frame: 8, time: self.clock, link, wire_len: wire_len.max(bytes.len()) as u32, bytes };
        self.decoder.decode(&packet, self.clock, 9, &mut self.extras)
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        let mut found = None;
        self.decoder.counters().each(&mut |published, value| {
            if published == name {
                found = Some(value);
            }
        });
        found.unwrap_or_else(|| panic!("no counter {name}"))
    }
}

/// Decodes one frame and checks that it contains the request with a correct checksum.
pub(crate) fn opened(name: &str, link: Link, bytes: &[u8]) -> (Head, Encapsulation) {
    let mut rig = Rig::new(Options::default());
    let (head, span) = rig.feed(link, bytes, 0).unwrap_or_else(|skip| panic!("{name}: {skip:?}"));
    check(name, &rig, bytes, &head, span);
    (head, rig.extras.encapsulations[head.encapsulation as usize])
}

pub(crate) fn check(name: &str, rig: &Rig, frame: &[u8], head: &Head, span: Span) {
    let bytes = span.reassembled.map_or(frame, |at| &rig.extras.reassembled[at as usize]);
    let tcp = &bytes[span.start as usize..span.end as usize];
    let encapsulation = &rig.extras.encapsulations[head.encapsulation as usize];
    let segment = Segment { head, tcp, encapsulation };
    assert_eq!(segment.payload(), REQUEST, "{name}");
    assert_eq!(segment.checksum(), Checksum::Valid, "{name}");
    let source = head.key.end(head.side);
    assert_eq!(source.port, 40_000, "{name}");
    assert!(source.ip == IpAddr::from(CLIENT) || source.ip == IpAddr::from([0x20; 16]), "{name}");
    assert_eq!((head.number, head.frame, head.input, head.cut), (7, 8, 9, 0), "{name}");
    assert_eq!(head.ip_len as usize, REQUEST.len() + if source.ip.is_ipv4() { 40 } else { 60 }, "{name}");
}
