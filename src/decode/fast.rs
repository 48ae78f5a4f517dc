//! The look by hand at the plain case: Ethernet with at most one VLAN tag, IPv4 without options or fragments or IPv6
//! without extension headers, and TCP, or UDP that is no tunnel. It never decides a doubtful case: everything else
//! goes the slow way, which gives the same answer to the plain case (a property test holds that).

use super::{be16, ip, link, tcp, tunnel};
use crate::packet::{Link, Packet};
use crate::segment::{FlowKey, Side, fold, sum};

/// A plain frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<'a> {
    pub(super) vlan: Option<u16>,
    pub(super) v6: bool,
    pub(super) ip_id: u32,
    pub(super) ip_len: u32,
    pub(super) protocol: u8,
    /// The IP payload.
    pub(super) tcp: &'a [u8],
    /// Its offset in the frame.
    pub(super) start: u32,
    /// Both addresses as they stand in the header: 8 or 32 bytes.
    addresses: &'a [u8],
}

/// What the look found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look<'a> {
    /// A segment whose header is whole and sound.
    Segment(Plain<'a>),
    /// A sound IP packet of UDP without a tunnel, or of ICMP.
    NotTcp(Plain<'a>),
    /// To be walked through layer by layer.
    Slow,
}

impl Plain<'_> {
    /// The flow key and the sender's side.
    #[inline]
    pub(super) fn key(&self) -> (FlowKey, Side) {
        let source_port = be16(self.tcp, 0).unwrap_or(0);
        let destination_port = be16(self.tcp, 2).unwrap_or(0);
        if let Ok([a, b, c, d, e, f, g, h]) = <[u8; 8]>::try_from(self.addresses) {
            return FlowKey::from_v4([a, b, c, d], source_port, [e, f, g, h], destination_port);
        }
        let (source, destination) = ip::pair_v6(self.addresses);
        FlowKey::new(ip::endpoint(source, source_port), ip::endpoint(destination, destination_port))
    }
}

/// Looks at a frame.
#[inline]
pub(super) fn look<'a>(packet: &Packet<'a>, verify_checksum: bool) -> Look<'a> {
    if packet.link != Link::Ethernet {
        return Look::Slow;
    }
    judge(packet.bytes, verify_checksum).unwrap_or(Look::Slow)
}

/// `None` wherever the frame is not plain.
#[inline]
fn judge(frame: &[u8], verify_checksum: bool) -> Option<Look<'_>> {
    let mut kind = be16(frame, 12)?;
    let mut at = 14;
    let mut vlan = None;
    if kind == link::VLAN {
        vlan = Some(be16(frame, 14)? & 0x0fff);
        kind = be16(frame, 16)?;
        at = 18;
    }
    let packet = frame.get(at..)?;
    let mut plain = match kind {
        link::IPV4 => ipv4(packet, verify_checksum)?,
        link::IPV6 => ipv6(packet)?,
        _ => return None,
    };
    plain.vlan = vlan;
    plain.start += at as u32;
    match plain.protocol {
        ip::TCP => tcp::header_len(plain.tcp).map(|_| Look::Segment(plain)),
        ip::UDP if tunnel::is_plain_udp(plain.tcp) => Some(Look::NotTcp(plain)),
        ip::ICMP => Some(Look::NotTcp(plain)),
        _ => None,
    }
}

#[inline]
fn ipv4(packet: &[u8], verify_checksum: bool) -> Option<Plain<'_>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let total = u16::from_be_bytes([header[2], header[3]]);
    // Version 4, five words of header; neither "more fragments" nor an offset.
    let plain = header[0] == 0x45 && (u16::from_be_bytes([header[6], header[7]]) & 0x3fff) == 0;
    if !plain || (verify_checksum && fold(sum(header)) != 0xffff) {
        return None;
    }
    Some(Plain {
        vlan: None,
        v6: false,
        ip_id: u32::from(u16::from_be_bytes([header[4], header[5]])),
        ip_len: u32::from(total),
        protocol: header[9],
        tcp: packet.get(20..usize::from(total))?,
        start: 20,
        addresses: &packet[12..20],
    })
}

#[inline]
fn ipv6(packet: &[u8]) -> Option<Plain<'_>> {
    let header: &[u8; 40] = packet.first_chunk()?;
    let total = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 || total == 40 {
        return None;
    }
    Some(Plain {
        vlan: None,
        v6: true,
        ip_id: 0,
        ip_len: total as u32,
        protocol: header[6],
        tcp: packet.get(40..total)?,
        start: 40,
        addresses: &packet[8..40],
    })
}
