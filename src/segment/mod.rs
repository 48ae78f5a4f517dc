//! A decoded TCP segment: its endpoints, position in the stream and bytes. Checksums are verified on demand; segments
//! are put in order by [`crate::flow`].

mod checksum;

pub use checksum::Checksum;
pub(crate) use checksum::sums_to_zero;

use std::net::{IpAddr, Ipv6Addr};

use crate::time::Timestamp;

/// An address and a TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
}

/// One of the two endpoints of a flow, in the canonical order of [`FlowKey`]; independent of which one is the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Side {
    /// The endpoint that compares lower.
    #[default]
    Low = 0,
    /// The endpoint that compares higher.
    High = 1,
}

impl Side {
    /// Returns the other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// Identifies a flow, equal for both directions: both endpoints in canonical order, and the VLAN ids when they are
/// tracked.
///
/// IPv4 addresses are stored IPv4-mapped (RFC 4291 section 2.5.5.2), so the packed key has a fixed length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    addresses: [[u8; 16]; 2],
    ports: [u16; 2],
    vlans: [u16; 3],
}

impl FlowKey {
    /// Returns the key of the flow between two endpoints, and the side of `source`.
    #[must_use]
    pub fn new(source: Endpoint, destination: Endpoint) -> (Self, Side) {
        Self::from_packed(pack(source.ip), source.port, pack(destination.ip), destination.port)
    }

    /// Like [`FlowKey::new`], for IPv4 addresses in network byte order.
    #[must_use]
    pub fn from_v4(source: [u8; 4], source_port: u16, destination: [u8; 4], destination_port: u16) -> (Self, Side) {
        // Compares one register per endpoint; the order is that of the packed addresses.
        let order = |address, port| u64::from(u32::from_be_bytes(address)) << 16 | u64::from(port);
        let (from, to) = (order(source, source_port), order(destination, destination_port));
        let (low, high, side) = if from <= to { (from, to, Side::Low) } else { (to, from, Side::High) };
        let address = |end: u64| map_v4((end >> 16) as u32);
        let key = Self { addresses: [address(low), address(high)], ports: [low as u16, high as u16], vlans: [0; 3] };
        (key, side)
    }

    fn from_packed(source: [u8; 16], source_port: u16, destination: [u8; 16], destination_port: u16) -> (Self, Side) {
        let key = |addresses, ports| Self { addresses, ports, vlans: [0; 3] };
        // Compares as integers: the same order, and the bytes stay in registers.
        let order = |address, port| (u128::from_be_bytes(address), port);
        if order(source, source_port) <= order(destination, destination_port) {
            (key([source, destination], [source_port, destination_port]), Side::Low)
        } else {
            (key([destination, source], [destination_port, source_port]), Side::High)
        }
    }

    /// Adds the VLAN ids to this key (`--vlan-tracking`: tenants that share addresses).
    #[must_use]
    pub fn with_vlans(mut self, vlans: &Vlans) -> Self {
        self.vlans = vlans.ids;
        self
    }

    /// Returns the endpoint on one side.
    #[must_use]
    pub fn end(&self, side: Side) -> Endpoint {
        let ip = Ipv6Addr::from(self.addresses[side as usize]).to_canonical();
        Endpoint { ip, port: self.ports[side as usize] }
    }

    /// Returns the port of one side.
    #[must_use]
    pub const fn port(&self, side: Side) -> u16 {
        self.ports[side as usize]
    }

    /// Returns the VLAN ids in the key; all zero unless they are tracked.
    #[must_use]
    pub const fn vlans(&self) -> [u16; 3] {
        self.vlans
    }

    /// Returns a multilinear hash of the key (Lemire & Kaser, "Strongly universal string hashing is fast", 2014), for
    /// choosing a shard, where a collision only costs balance. Its multiplications are independent of each other, which
    /// matters because it runs once per packet. An attacker who does not know `factors` cannot steer it.
    #[must_use]
    pub fn multilinear_hash(&self, factors: &[u64; 6]) -> u64 {
        let half = |address: &[u8; 16], at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| address[at + byte]));
        let product = |word: u64, factor: u64| (word ^ word >> 32).wrapping_mul(factor | 1);
        let [low, high] = &self.addresses;
        let ports = u64::from(self.ports[0]) << 16 | u64::from(self.ports[1]);
        let mut sum = product(half(low, 8), factors[1])
            .wrapping_add(product(half(high, 8), factors[3]))
            .wrapping_add(product(ports, factors[4]));
        // Parts that are zero in most keys add nothing: the first halves of IPv4 addresses, and the VLAN ids.
        let (first, second) = (half(low, 0), half(high, 0));
        if first | second != 0 {
            sum = sum.wrapping_add(product(first, factors[0])).wrapping_add(product(second, factors[2]));
        }
        if self.vlans != [0; 3] {
            let vlans = self.vlans.iter().fold(0_u64, |vlans, &id| vlans << 16 | u64::from(id));
            sum = sum.wrapping_add(product(vlans, factors[5]));
        }
        (sum ^ sum >> 32).wrapping_mul(factors[0] | 1)
    }

    /// Returns the key as 42 bytes: both addresses, both ports, the VLAN ids, big-endian.
    #[must_use]
    pub fn packed(&self) -> [u8; 42] {
        let mut out = [0; 42];
        out[..16].copy_from_slice(&self.addresses[0]);
        out[16..32].copy_from_slice(&self.addresses[1]);
        for (at, value) in self.ports.iter().chain(&self.vlans).enumerate() {
            out[32 + 2 * at..34 + 2 * at].copy_from_slice(&value.to_be_bytes());
        }
        out
    }

    /// Returns the key as 12 bytes if it is an IPv4 key without VLAN ids, as most are: hashing them is a third of the
    /// work.
    #[must_use]
    pub fn packed_v4(&self) -> Option<[u8; 12]> {
        let [low, high] = &self.addresses;
        let plain = low.starts_with(&V4_MAPPED) && high.starts_with(&V4_MAPPED) && self.vlans == [0; 3];
        plain.then(|| {
            let ([.., a, b, c, d], [.., e, f, g, h]) = (*low, *high);
            let ([i, j], [k, l]) = (self.ports[0].to_be_bytes(), self.ports[1].to_be_bytes());
            [a, b, c, d, e, f, g, h, i, j, k, l]
        })
    }
}

/// Prefix of IPv4-mapped addresses (RFC 4291 section 2.5.5.2).
const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

fn map_v4(ip: u32) -> [u8; 16] {
    (0xffff_0000_0000 | u128::from(ip)).to_be_bytes()
}

fn pack(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => map_v4(ip.to_bits()),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// A TCP sequence number: 32 bits that wrap (RFC 9293 section 3.4). The only type with 32-bit sequence
/// arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq(pub u32);

impl Seq {
    /// Returns the sequence number `bytes` later.
    #[must_use]
    pub const fn advance(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// Returns the signed distance from `other` to this number, in the direction in which it is shorter.
    #[must_use]
    pub const fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// TCP flags (RFC 9293 section 3.1), the low six bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment field is significant.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is significant.
    pub const URG: u8 = 0x20;

    /// Returns whether any of `bits` is set.
    #[must_use]
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// Up to three VLAN ids (12 bits each), outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vlans {
    ids: [u16; 3],
    len: u8,
}

impl Vlans {
    /// Adds the id of an inner tag; ids beyond the third are dropped (EVE's `vlan` holds three).
    pub fn push(&mut self, id: u16) {
        if let Some(slot) = self.ids.get_mut(usize::from(self.len)) {
            *slot = id & 0x0fff;
            self.len += 1;
        }
    }

    /// Returns the ids, outermost first.
    #[must_use]
    pub fn ids(&self) -> &[u16] {
        &self.ids[..usize::from(self.len)]
    }
}

/// The kind of the innermost tunnel around a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelKind {
    /// GRE (RFC 2784, 2890), NVGRE and transparent Ethernet bridging (RFC 7637).
    Gre,
    /// ERSPAN type I, II or III.
    Erspan,
    /// IPv4 in an IP packet (RFC 2003, RFC 2473).
    Ipv4,
    /// IPv6 in an IP packet (RFC 4213, RFC 2473).
    Ipv6,
    /// VXLAN (RFC 7348).
    Vxlan,
    /// Geneve (RFC 8926).
    Geneve,
    /// GTP-U (3GPP TS 29.281).
    Gtp,
    /// Teredo (RFC 4380).
    Teredo,
    /// TZSP: a frame mirrored by a router or a wireless sensor.
    Tzsp,
    /// VXLAN with a protocol field (draft-ietf-nvo3-vxlan-gpe).
    VxlanGpe,
    /// L2TP version 2 or 3 (RFC 2661, RFC 3931).
    L2tp,
    /// EtherIP (RFC 3378).
    EtherIp,
    /// CAPWAP data (RFC 5415).
    Capwap,
    /// An MPLS label stack in an IP packet (RFC 4023).
    Mpls,
    /// An Ethernet frame in an IP packet (RFC 8986).
    Ethernet,
}

/// The innermost tunnel around a segment, and the outer packet that carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The innermost encapsulation.
    pub kind: TunnelKind,
    /// Source of the packet just outside the innermost one; port 0 where its protocol has none.
    pub source: Endpoint,
    /// Destination of that packet; port 0 where its protocol has none.
    pub destination: Endpoint,
    /// IP protocol number of that outer packet: 4, 17, 41, 47, 97, 115, 137 or 143.
    pub protocol: u8,
    /// Number of nested tunnels, from 1.
    pub depth: u8,
    /// VXLAN or Geneve network identifier, GRE key, ERSPAN or L2TP session, or GTP tunnel endpoint identifier, if there is
    /// one.
    pub network: Option<u32>,
}

/// The encapsulation of a segment on the wire, for the `vlan`, `pkt_src` and `tunnel` fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encapsulation {
    /// VLAN tags, outermost first, of all layers.
    pub vlans: Vlans,
    /// The innermost tunnel.
    pub tunnel: Option<Tunnel>,
    /// Whether the innermost IP packet came in fragments.
    pub fragmented: bool,
    /// Whether an enclosing IPv4 header had a wrong checksum: receivers drop such a packet, but captures on hosts that
    /// leave the field to the network card contain it (loopback of macOS, senders on Windows).
    pub ip_checksum_wrong: bool,
    /// Whether the frame is shorter than the outermost packet states, although it was recorded as complete: receivers
    /// drop such a packet, but captures that were trimmed contain it.
    pub is_trimmed: bool,
}

/// The decoded fields of a segment, without its bytes: plain data, stored in the list of segments of a block.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    /// Sequential number of the packet in the whole run, from 1.
    pub number: u64,
    /// Number of the frame in its input, from 1.
    pub frame: u64,
    /// The packet's own time stamp.
    pub time: Timestamp,
    /// The pipeline's clock when the packet was read: it never moves back.
    pub clock: Timestamp,
    /// Index of the input (file or interface) in the run's list.
    pub input: u32,
    /// Length of the frame on the wire in bytes.
    pub wire_len: u32,
    /// The innermost addresses and ports.
    pub key: FlowKey,
    /// The hash of the key that selects the shard ([`FlowKey::multilinear_hash`]); 0 where no shard is selected.
    pub flow_hash: u64,
    /// The side that sent it.
    pub side: Side,
    /// Sequence number of the first byte (of the SYN where there is one).
    pub seq: Seq,
    /// Acknowledgment number; meaningful only with the ACK flag.
    pub ack: Seq,
    /// The flags.
    pub flags: TcpFlags,
    /// TCP header length in bytes, 20 to 60.
    pub header_len: u8,
    /// The window field, unscaled.
    pub window: u16,
    /// The urgent pointer; meaningful only with the URG flag.
    pub urgent: u16,
    /// The checksum field.
    pub checksum: u16,
    /// IPv4 identification, or that of the IPv6 fragment header, or 0.
    pub ip_id: u32,
    /// Total length of the innermost IP packet in bytes, as stated by its header.
    pub ip_len: u32,
    /// Bytes at the end of the payload that the IP length includes and the capture cut off (snaplen).
    pub cut: u32,
    /// The timestamp option's TSval (RFC 7323 section 3.2).
    pub timestamp_value: Option<u32>,
    /// Whether a TCP-MD5 (RFC 2385) or TCP-AO (RFC 5925) option is present.
    pub signed: bool,
    /// Index into the block's encapsulations.
    pub encapsulation: u32,
}

/// A TCP segment, borrowed from its block.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The decoded fields.
    pub head: &'a Head,
    /// The captured TCP bytes: header, options, payload; ends where the IP packet or the capture ends.
    /// Never shorter than `head.header_len`.
    pub tcp: &'a [u8],
    /// The encapsulation.
    pub encapsulation: &'a Encapsulation,
}

impl<'a> Segment<'a> {
    /// Returns the captured payload.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.tcp[usize::from(self.head.header_len)..]
    }

    /// Returns whether it is a pure acknowledgment: no flag but ACK, and no payload.
    #[must_use]
    pub fn is_pure_ack(&self) -> bool {
        self.head.flags == TcpFlags(TcpFlags::ACK) && self.payload().is_empty() && self.head.cut == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_distance_wraps_around() {
        let before = Seq(0xffff_fff0);
        assert_eq!(before.advance(0x20), Seq(0x10));
        assert_eq!(before.advance(0x20).distance_from(before), 0x20);
        assert_eq!(before.distance_from(before.advance(0x20)), -0x20);
    }

    #[test]
    fn both_directions_have_the_same_key() {
        let client = Endpoint { ip: "192.0.2.7".parse().unwrap(), port: 40000 };
        let server = Endpoint { ip: "192.0.2.1".parse().unwrap(), port: 80 };
        let (forward, from_client) = FlowKey::new(client, server);
        let (reverse, from_server) = FlowKey::new(server, client);
        assert_eq!(forward, reverse);
        assert_eq!(from_client, from_server.other());
        assert_eq!(forward.end(from_client), client);
        assert_eq!(forward.end(from_server), server);
    }
}
