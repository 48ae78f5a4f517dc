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

#[cfg(test)]
mod tests {
    use etherparse::{EtherType, PacketBuilder};

    use crate::decode::{Decoder, Extras, Options};
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

    /// Padding, cuts and flipped bytes, mostly in the headers.
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

    /// Both ways give the same head, span, encapsulation, reason and counters.
    #[test]
    fn fast_way_equals_slow_way() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for verify_ip_checksum in [true, false] {
            let options = Options { verify_ip_checksum, vlan_tracking: true, ..Options::default() };
            let (mut fast, mut slow) = (Decoder::new(options, [1, 2]), Decoder::new(options, [1, 2]));
            let mut extras = [Extras::default(), Extras::default()];
            let mut plain = 0;
            for number in 1..=30_000 {
                let mut bytes = frame(&mut random);
                let whole = bytes.len();
                mutate(&mut bytes, &mut random);
                let kept = random.below(2) * whole.saturating_sub(bytes.len());
                let wire_len = (bytes.len() + kept) as u32;
                let time = Timestamp::from_nanos(number as i64);
                let packet = Packet { number, frame: number, time, link: Link::Ethernet, wire_len, bytes: &bytes };
                plain += u32::from(!matches!(super::look(&packet, verify_ip_checksum), super::Look::Slow));
                let quick = fast.decode(&packet, time, 3, &mut extras[0]);
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
                let thorough = slow.walk(&packet, time, &mut extras[1], &mut head).map(|span| (head, span));
                assert_eq!(format!("{quick:?}"), format!("{thorough:?}"), "{bytes:02x?}");
                assert_eq!(fast.counters(), slow.counters(), "{bytes:02x?}");
            }
            assert_eq!(extras[0].encapsulations, extras[1].encapsulations);
            // The comparison is of something only while the fast way is gone often.
            assert!(plain > 10_000 && plain < 28_000, "{plain}");
        }
    }
}
