//! The fast path, with hand-written parsing for plain packets: Ethernet with at most one VLAN tag, IPv4 without options
//! or fragments or IPv6 without extension headers, and TCP, UDP without a tunnel, or ICMP. It never decides a doubtful
//! case: everything else takes the slow path, which gives the same result for plain packets (a property test verifies
//! that).
//!
//! TCP in IPv4, which is nearly all traffic, has a separate function: one comparison of lengths per header, and then
//! every field is at a fixed offset.

use super::protocol::{ether_type, ip_protocol};
use super::{ip, tcp, tunnel};
use crate::packet::{Link, Packet};
use crate::segment::{FlowKey, Side, sums_to_zero};

/// A plain IP packet in a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainIp<'a> {
    pub(super) vlan: Option<u16>,
    pub(super) v6: bool,
    pub(super) ip_len: u32,
    pub(super) protocol: u8,
    /// The IP payload.
    pub(super) payload: &'a [u8],
    /// Offset of the payload in the frame, in bytes.
    pub(super) start: u32,
}

/// TCP in a plain IPv4 packet, with a complete and valid header. Only the fields needed to verify that have been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ipv4Segment<'a> {
    pub(super) vlan: Option<u16>,
    /// The IPv4 header.
    header: &'a [u8; IPV4_HEADER],
    /// The fixed part of the TCP header.
    fixed: &'a [u8; tcp::MIN_HEADER],
    options: &'a [u8],
    /// Offset of the TCP header in the frame, in bytes.
    pub(super) start: u32,
}

/// TCP in a plain IPv6 packet, with a complete and valid header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ipv6Segment<'a> {
    pub(super) packet: PlainIp<'a>,
    pub(super) key: FlowKey,
    pub(super) side: Side,
    pub(super) tcp: tcp::Header,
}

/// Length of an IPv4 header without options, in bytes.
const IPV4_HEADER: usize = 20;

impl Ipv4Segment<'_> {
    #[inline]
    pub(super) fn key(&self) -> (FlowKey, Side) {
        let address = |at: usize| [self.header[at], self.header[at + 1], self.header[at + 2], self.header[at + 3]];
        let port = |at: usize| u16::from_be_bytes([self.fixed[at], self.fixed[at + 1]]);
        FlowKey::from_v4(address(12), port(0), address(16), port(2))
    }

    #[inline]
    pub(super) fn tcp(&self) -> tcp::Header {
        tcp::Header::parse(self.fixed, self.options)
    }

    #[inline]
    pub(super) fn ip_id(&self) -> u32 {
        u32::from(u16::from_be_bytes([self.header[4], self.header[5]]))
    }

    #[inline]
    pub(super) fn ip_len(&self) -> u32 {
        u32::from(total_length(self.header))
    }

    /// Returns the offset in the frame behind the last byte.
    #[inline]
    pub(super) fn end(&self) -> u32 {
        self.start + self.ip_len() - IPV4_HEADER as u32
    }
}

/// The result of [`classify`].
#[derive(Clone, Copy, Debug)]
pub(super) enum FastResult<'a> {
    Segment(Ipv6Segment<'a>),
    /// A valid IP packet with UDP without a tunnel, or with ICMP.
    NotTcp(PlainIp<'a>),
    /// To be decoded layer by layer.
    Slow,
}

/// Parses a frame that carries TCP in plain IPv4; `None` for any other frame.
#[inline]
pub(super) fn tcp_in_ipv4<'a>(packet: &Packet<'a>, verify_checksum: bool) -> Option<Ipv4Segment<'a>> {
    let (vlan, kind, at) = ethernet(packet)?;
    if kind != ether_type::IPV4 {
        return None;
    }
    let bytes = &packet.bytes[at..];
    let (header, rest): (&[u8; IPV4_HEADER], _) = bytes.split_first_chunk()?;
    let fixed: &[u8; tcp::MIN_HEADER] = rest.first_chunk()?;
    let (total, length) = (usize::from(total_length(header)), tcp::header_length(fixed));
    let valid = length >= tcp::MIN_HEADER && IPV4_HEADER + length <= total && total <= bytes.len();
    if header[9] != ip_protocol::TCP || !valid || !is_plain_ipv4(header, verify_checksum) {
        return None;
    }
    let options = rest.get(tcp::MIN_HEADER..length)?;
    Some(Ipv4Segment { vlan, header, fixed, options, start: (at + IPV4_HEADER) as u32 })
}

/// Parses the other plain frames.
#[inline]
pub(super) fn classify<'a>(packet: &Packet<'a>, verify_checksum: bool) -> FastResult<'a> {
    classify_plain(packet, verify_checksum).unwrap_or(FastResult::Slow)
}

/// Parses a plain frame; `None` if it is not plain.
fn classify_plain<'a>(packet: &Packet<'a>, verify_checksum: bool) -> Option<FastResult<'a>> {
    let (vlan, kind, at) = ethernet(packet)?;
    let bytes = &packet.bytes[at..];
    if kind == ether_type::IPV6 {
        let (header, ip) = ipv6(vlan, bytes, at)?;
        return match ip.protocol {
            ip_protocol::TCP => tcp_in_ipv6(header, ip).map(FastResult::Segment),
            _ => not_tcp(ip),
        };
    }
    let header: &[u8; IPV4_HEADER] = bytes.first_chunk()?;
    if kind != ether_type::IPV4 || !is_plain_ipv4(header, verify_checksum) {
        return None;
    }
    let ip_len = u32::from(total_length(header));
    let (payload, start) = (bytes.get(IPV4_HEADER..ip_len as usize)?, (at + IPV4_HEADER) as u32);
    not_tcp(PlainIp { vlan, v6: false, ip_len, protocol: header[9], payload, start })
}

/// Returns the VLAN id, the EtherType of the payload, and the offset of the payload, which is within the frame.
#[inline]
fn ethernet(packet: &Packet<'_>) -> Option<(Option<u16>, u16, usize)> {
    let frame: &[u8; 18] = packet.bytes.first_chunk()?;
    if packet.link != Link::Ethernet {
        return None;
    }
    let field = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let kind = field(12);
    Some(if kind == ether_type::VLAN { (Some(field(14) & 0x0fff), field(16), 18) } else { (None, kind, 14) })
}

/// Returns whether the header is of version 4 and five words long, without "more fragments" and fragment offset, and
/// has a valid checksum if that is verified.
#[inline]
fn is_plain_ipv4(header: &[u8; IPV4_HEADER], verify_checksum: bool) -> bool {
    let plain = header[0] == 0x45 && (u16::from_be_bytes([header[6], header[7]]) & 0x3fff) == 0;
    plain && (!verify_checksum || sums_to_zero(header))
}

/// Returns the total length of an IPv4 packet as stated by its header, in bytes.
#[inline]
const fn total_length(header: &[u8; IPV4_HEADER]) -> u16 {
    u16::from_be_bytes([header[2], header[3]])
}

fn ipv6(vlan: Option<u16>, bytes: &[u8], at: usize) -> Option<(&[u8; 40], PlainIp<'_>)> {
    let header: &[u8; 40] = bytes.first_chunk()?;
    let total = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 || total == 40 {
        return None;
    }
    let payload = bytes.get(40..total)?;
    let (ip_len, start) = (total as u32, at as u32 + 40);
    Some((header, PlainIp { vlan, v6: true, ip_len, protocol: header[6], payload, start }))
}

fn tcp_in_ipv6<'a>(header: &[u8; 40], ip: PlainIp<'a>) -> Option<Ipv6Segment<'a>> {
    let fixed: &[u8; tcp::MIN_HEADER] = ip.payload.first_chunk()?;
    let tcp = tcp::Header::parse(fixed, ip.payload.get(tcp::MIN_HEADER..tcp::header_length(fixed))?);
    let (source, destination) = ip::pair_v6(&header[8..]);
    let ends = [ip::endpoint(source, tcp.source_port), ip::endpoint(destination, tcp.destination_port)];
    let (key, side) = FlowKey::new(ends[0], ends[1]);
    Some(Ipv6Segment { packet: ip, key, side, tcp })
}

fn not_tcp(ip: PlainIp<'_>) -> Option<FastResult<'_>> {
    let plain = ip.protocol == ip_protocol::ICMP || ip.protocol == ip_protocol::UDP && tunnel::is_plain_udp(ip.payload);
    plain.then_some(FastResult::NotTcp(ip))
}

#[cfg(test)]
mod tests {
    use etherparse::{EtherType, PacketBuilder};

    use crate::decode::{BlockExtras, Decoder, Options};
    use crate::packet::{Link, Packet};
    use crate::time::Timestamp;

    /// A seeded sequence (Marsaglia's xorshift64).
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as usize % bound
        }
    }

    fn frame(random: &mut Random) -> Vec<u8> {
        let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let payload: Vec<u8> = (0..random.below(60)).map(|at| at as u8).collect();
        let mut out = Vec::new();
        let ports = [80, 40_000, 443, 4789, 8472, 6081, 2152, 3544, 53];
        let (from, to) = (ports[random.below(9)], ports[random.below(9)]);
        let ip = if random.below(3) == 0 {
            link.ipv6([random.below(3) as u8; 16], [1; 16], 64)
        } else {
            link.ipv4([10, 0, 0, random.below(3) as u8], [10, 0, 0, 1], 64)
        };
        if random.below(4) == 0 {
            ip.udp(from, to).write(&mut out, &payload).unwrap();
        } else {
            use etherparse::TcpOptionElement::{MaximumSegmentSize, Noop, Timestamp};
            let stamp = Timestamp(random.below(1 << 31) as u32, 7);
            let options = [vec![], vec![Noop, Noop, stamp.clone()], vec![MaximumSegmentSize(1460), stamp]];
            let tcp = ip.tcp(from, to, random.below(1 << 31) as u32, 512).ack(77);
            tcp.options(&options[random.below(3)]).unwrap().write(&mut out, &payload).unwrap();
        }
        let tag = |out: &mut Vec<u8>, at: usize, kind: EtherType, id: u8| {
            out.splice(at..at, [(kind.0 >> 8) as u8, kind.0 as u8, 0x20, id]);
        };
        for _ in 0..random.below(4).saturating_sub(1) {
            let kind = if random.below(4) == 0 { EtherType::PROVIDER_BRIDGING } else { EtherType::VLAN_TAGGED_FRAME };
            tag(&mut out, 12, kind, random.below(9) as u8);
        }
        out
    }

    /// Pads, cuts and changes bytes, mostly in the headers.
    fn mutate(frame: &mut Vec<u8>, random: &mut Random) {
        if random.below(4) == 0 {
            frame.extend(vec![0xaa; random.below(20)]);
        }
        for _ in 0..random.below(4).saturating_sub(1) {
            let at = random.below(frame.len().min(80));
            frame[at] = if random.below(2) == 0 { random.below(256) as u8 } else { frame[at] ^ (1 << random.below(8)) };
        }
        if random.below(4) == 0 {
            frame.truncate(random.below(frame.len() + 1));
        }
    }

    /// Both paths give the same head, span, encapsulation, reason and counters.
    #[test]
    fn fast_path_decodes_as_slow_path() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for verify_ip_checksum in [true, false] {
            let options = Options { verify_ip_checksum, vlan_tracking: true, ..Options::default() };
            let (mut fast, mut slow) = (Decoder::new(options, [1, 2]), Decoder::new(options, [1, 2]));
            let mut extras = [BlockExtras::default(), BlockExtras::default()];
            let mut plain = 0;
            for number in 1..=30_000 {
                let mut bytes = frame(&mut random);
                let full_len = bytes.len();
                mutate(&mut bytes, &mut random);
                let missing = random.below(2) * full_len.saturating_sub(bytes.len());
                let wire_len = (bytes.len() + missing) as u32;
                let time = Timestamp::from_nanos(number as i64);
                let packet = Packet { number, frame: number, time, link: Link::Ethernet, wire_len, bytes: &bytes };
                plain += u32::from(
                    super::tcp_in_ipv4(&packet, verify_ip_checksum).is_some()
                        || !matches!(super::classify(&packet, verify_ip_checksum), super::FastResult::Slow),
                );
                let from_fast = fast.decode(&packet, time, 3, &mut extras[0]);
                slow.count_frame(&packet);
                let mut head = crate::segment::Head {
                    number,
                    frame: number,
                    time,
                    clock: time,
                    input: 3,
                    wire_len,
                    ..crate::segment::Head::default()
                };
                let from_slow = slow.decode_slow(&packet, time, &mut extras[1], &mut head).map(|span| (head, span));
                assert_eq!(format!("{from_fast:?}"), format!("{from_slow:?}"), "{bytes:02x?}");
                assert_eq!(fast.counters(), slow.counters(), "{bytes:02x?}");
            }
            assert_eq!(extras[0].encapsulations, extras[1].encapsulations);
            // The comparison is only meaningful if both paths are taken often.
            assert!(plain > 10_000 && plain < 28_000, "{plain}");
        }
    }
}
