//! Decodes a frame into a TCP segment or a reason to skip it: link types, VLAN tags, tunnels, IP fragments, TCP. Does
//! not reassemble the stream; see [`crate::flow`].
//!
//! ```text
//! frame ─► fast path: Ethernet, at most one tag, IP without options or fragments ────────────────► Head, Span
//!      └─► slow path: link ─► tags, labels ─► ip ─► (defrag) ─► tunnel ─► link or ip … ─► tcp ────► Head, Span
//! ```
//!
//! Only the fragment table and new entries in [`BlockExtras`] allocate. Lengths nest: if the length in an inner header
//! exceeds that of its carrier, bytes are missing only if the capture cut the frame; otherwise the packet is malformed,
//! as it is for every host (Linux counts `InTruncatedPkts` and drops it).

mod counters;
mod datagram;
mod defrag;
mod fast_path;
mod ip;
mod l2tp;
mod limits;
mod link;
mod logged;
mod mirrored;
mod protocol;
mod service_chain;
mod skip_reason;
mod slow_path;
mod tcp;
mod tunnel;
mod unread;
mod wireless;

use crate::packet::Packet;
use crate::segment::{Encapsulation, FlowKey, Head, Side};
use crate::time::Timestamp;
use protocol::ip_protocol;

pub use counters::Counters;
pub use limits::{Limits, Options};
pub use skip_reason::SkipReason;
pub use unread::{MAX_KINDS, Unread, UnreadFrames, UnreadKind};

/// The position of a segment's TCP bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// `None`: in the frame itself. `Some(i)`: in [`BlockExtras::reassembled`]`[i]`.
    pub reassembled: Option<u32>,
    /// Offset of the first byte of the TCP header, in bytes.
    pub start: u32,
    /// Offset behind the last byte, in bytes.
    pub end: u32,
}

/// Data that decoding a block of frames produces besides the segments; stored and recycled with the block.
#[derive(Debug)]
pub struct BlockExtras {
    /// Datagrams reassembled from fragments (the IP payload: the TCP header onwards, or its encapsulation).
    pub reassembled: Vec<Box<[u8]>>,
    /// Encapsulations of segments. The first entry always is the empty one.
    pub encapsulations: Vec<Encapsulation>,
}

impl Default for BlockExtras {
    fn default() -> Self {
        Self { reassembled: Vec::new(), encapsulations: vec![Encapsulation::default()] }
    }
}

impl BlockExtras {
    /// Removes everything but the empty encapsulation; keeps the memory.
    pub fn clear(&mut self) {
        self.reassembled.clear();
        self.encapsulations.truncate(1);
    }

    /// Returns the index of an encapsulation, which is added unless it is among the last few.
    fn intern(&mut self, encapsulation: &Encapsulation) -> u32 {
        // Rationale: frames of one trunk or tunnel come in runs with few different encapsulations; a longer search costs
        // more than an entry.
        const RECENT: usize = 4;
        if *encapsulation == Encapsulation::default() {
            return 0;
        }
        let len = self.encapsulations.len();
        let recent = self.encapsulations.iter().enumerate().skip(len.saturating_sub(RECENT).max(1));
        if let Some((at, _)) = recent.into_iter().find(|(_, known)| *known == encapsulation) {
            return at as u32;
        }
        self.encapsulations.push(*encapsulation);
        len as u32
    }
}

/// Decodes frames, one by one.
#[derive(Debug)]
pub struct Decoder {
    options: Options,
    counters: Counters,
    max_packet: u32,
    fragments: defrag::Defragmenter,
    unread: UnreadFrames,
}

impl Decoder {
    /// Creates a decoder without fragments; `keys` key the hash of the fragment table.
    #[must_use]
    pub fn new(options: Options, keys: [u64; 2]) -> Self {
        Self {
            options,
            counters: Counters::default(),
            max_packet: 0,
            fragments: defrag::Defragmenter::new(keys),
            unread: UnreadFrames::default(),
        }
    }

    /// Decodes one frame.
    ///
    /// `clock` never decreases between two calls of [`Decoder::clear`]. The span lies within the frame's bytes or
    /// within a datagram added to `extras`.
    ///
    /// # Errors
    /// The reason why there is no segment. It is counted.
    pub fn decode(
        &mut self,
        packet: &Packet<'_>,
        clock: Timestamp,
        input: u32,
        extras: &mut BlockExtras,
    ) -> Result<(Head, Span), SkipReason> {
        let mut head = Head::default();
        let span = self.decode_into(packet, clock, input, extras, &mut head)?;
        Ok((head, span))
    }

    /// Like [`Decoder::decode`], but writes the head in place: returned by value it would be copied several times,
    /// which is a tenth of the work on a plain packet.
    ///
    /// # Errors
    /// Like [`Decoder::decode`]; the content of `head` is unspecified then.
    #[inline]
    pub fn decode_into(
        &mut self,
        packet: &Packet<'_>,
        clock: Timestamp,
        input: u32,
        extras: &mut BlockExtras,
        head: &mut Head,
    ) -> Result<Span, SkipReason> {
        self.count_frame(packet);
        head.number = packet.number;
        head.frame = packet.frame;
        head.time = packet.time;
        head.clock = clock;
        head.input = input;
        head.wire_len = packet.wire_len;
        match fast_path::tcp_in_ipv4(packet, self.options.verify_ip_checksum) {
            Some(plain) => Ok(self.ipv4(extras, &plain, head)),
            None => self.decode_other(packet, clock, extras, head),
        }
    }

    /// Decodes everything but TCP in plain IPv4. A separate function, because its variables would take registers from
    /// the most frequent case.
    #[inline(never)]
    fn decode_other(
        &mut self,
        packet: &Packet<'_>,
        clock: Timestamp,
        extras: &mut BlockExtras,
        head: &mut Head,
    ) -> Result<Span, SkipReason> {
        match fast_path::classify(packet, self.options.verify_ip_checksum) {
            fast_path::FastResult::Segment(plain) => Ok(self.ipv6(extras, &plain, head)),
            fast_path::FastResult::NotTcp(plain) => {
                self.count_plain(plain.v6, plain.vlan);
                self.counters.udp += u64::from(plain.protocol == ip_protocol::UDP);
                self.counters.not_tcp += 1;
                Err(SkipReason::NotTcp(plain.protocol))
            }
            fast_path::FastResult::Slow => self.decode_slow(packet, clock, extras, head),
        }
    }

    /// Returns the counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns what was not read, by kind.
    #[must_use]
    pub fn unread(&self) -> &UnreadFrames {
        &self.unread
    }

    /// Returns the length on the wire of the longest frame so far, in bytes (`decode.max_packet`).
    #[must_use]
    pub fn max_packet(&self) -> u32 {
        self.max_packet
    }

    /// Returns the memory of the stored fragments in bytes, computed from the entries.
    #[must_use]
    pub fn defrag_memory(&self) -> usize {
        self.fragments.memory()
    }

    /// Drops all stored fragments, for the end of an input that the next one does not continue. Keeps the counters.
    pub fn clear(&mut self) {
        self.fragments.clear();
        self.counters.active = 0;
    }

    fn count_frame(&mut self, packet: &Packet<'_>) {
        self.counters.packets += 1;
        self.counters.bytes += u64::from(packet.wire_len);
        self.max_packet = self.max_packet.max(packet.wire_len);
    }

    fn count_plain(&mut self, v6: bool, vlan: Option<u16>) {
        self.counters.ethernet += 1;
        self.counters.vlan += u64::from(vlan.is_some());
        self.counters.ipv4 += u64::from(!v6);
        self.counters.ipv6 += u64::from(v6);
    }

    #[inline]
    fn ipv4(&mut self, extras: &mut BlockExtras, plain: &fast_path::Ipv4Segment<'_>, head: &mut Head) -> Span {
        self.count_plain(false, plain.vlan);
        self.counters.tcp += 1;
        let (mut key, side) = plain.key();
        let encapsulation = plain.vlan.map_or(0, |id| self.tagged(extras, &mut key, id));
        let ip = IpFields { key, side, ip_id: plain.ip_id(), ip_len: plain.ip_len(), cut: 0, encapsulation };
        fill(head, &ip, &plain.tcp());
        Span { reassembled: None, start: plain.start, end: plain.end() }
    }

    fn ipv6(&mut self, extras: &mut BlockExtras, plain: &fast_path::Ipv6Segment<'_>, head: &mut Head) -> Span {
        let &fast_path::Ipv6Segment { packet, mut key, side, tcp } = plain;
        self.count_plain(true, packet.vlan);
        self.counters.tcp += 1;
        let encapsulation = packet.vlan.map_or(0, |id| self.tagged(extras, &mut key, id));
        let ip = IpFields { key, side, ip_id: 0, ip_len: packet.ip_len, cut: 0, encapsulation };
        fill(head, &ip, &tcp);
        Span { reassembled: None, start: packet.start, end: packet.start + packet.payload.len() as u32 }
    }

    /// Returns the index of the encapsulation of a frame with one VLAN tag, and adds the id to the key if VLANs are
    /// tracked.
    fn tagged(&self, extras: &mut BlockExtras, key: &mut FlowKey, id: u16) -> u32 {
        let mut encapsulation = Encapsulation::default();
        encapsulation.vlans.push(id);
        if self.options.vlan_tracking {
            *key = key.with_vlans(&encapsulation.vlans);
        }
        extras.intern(&encapsulation)
    }

    /// Decodes a frame layer by layer.
    #[inline(never)]
    fn decode_slow(
        &mut self,
        packet: &Packet<'_>,
        clock: Timestamp,
        extras: &mut BlockExtras,
        head: &mut Head,
    ) -> Result<Span, SkipReason> {
        let mut walker = slow_path::LayerWalker::new(
            &self.options,
            &mut self.counters,
            &mut self.fragments,
            clock,
            &mut extras.reassembled,
            &mut self.unread,
        );
        let found = walker.frame(packet, head.input);
        let encapsulation = walker.encapsulation;
        let found = found.inspect_err(|skip| self.count(*skip))?;
        self.counters.tcp += 1;
        self.counters.truncated += u64::from(found.cut > 0);
        let (mut key, side) = FlowKey::new(found.source, found.destination);
        if self.options.vlan_tracking {
            key = key.with_vlans(&encapsulation.vlans);
        }
        let encapsulation = extras.intern(&encapsulation);
        let ip = IpFields { key, side, ip_id: found.ip_id, ip_len: found.ip_len, cut: found.cut, encapsulation };
        fill(head, &ip, &found.tcp);
        Ok(found.span)
    }

    fn count(&mut self, skip: SkipReason) {
        let counters = &mut self.counters;
        counters.truncated += u64::from(skip == SkipReason::Truncated);
        *match skip {
            SkipReason::UnknownLink(_) => &mut counters.unknown_link,
            SkipReason::NotIp(_) => &mut counters.not_ip,
            SkipReason::NotTcp(_) => &mut counters.not_tcp,
            SkipReason::Truncated => &mut counters.header_cut,
            SkipReason::Malformed => &mut counters.invalid,
            SkipReason::TooManyLayers => &mut counters.too_many_layers,
            SkipReason::BadIpChecksum => &mut counters.fragment_bad_checksum,
            SkipReason::BadTcpHeader => &mut counters.tcp_bad_header,
            SkipReason::Fragment => &mut counters.fragment,
        } += 1;
    }
}

/// The part of a head that is taken from the layers below TCP.
struct IpFields {
    key: FlowKey,
    side: Side,
    ip_id: u32,
    ip_len: u32,
    cut: u32,
    encapsulation: u32,
}

/// Writes the fields of the IP layers and of the TCP header.
#[inline]
fn fill(head: &mut Head, ip: &IpFields, tcp: &tcp::Header) {
    head.key = ip.key;
    head.side = ip.side;
    head.seq = tcp.seq;
    head.ack = tcp.ack;
    head.flags = tcp.flags;
    head.header_len = tcp.header_len;
    head.window = tcp.window;
    head.urgent = tcp.urgent;
    head.checksum = tcp.checksum;
    head.ip_id = ip.ip_id;
    head.ip_len = ip.ip_len;
    head.cut = ip.cut;
    head.timestamp_value = tcp.options.timestamp_value;
    head.signed = tcp.options.signed;
    head.encapsulation = ip.encapsulation;
}

/// Reads 16 big-endian bits at `at`, if the bytes are present.
#[inline]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Reads 16 little-endian bits at `at`, if the bytes are present.
fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    be16(bytes, at).map(u16::swap_bytes)
}

/// Reads 32 little-endian bits at `at`, if the bytes are present.
fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    be32(bytes, at).map(u32::swap_bytes)
}

/// Reads 32 big-endian bits at `at`, if the bytes are present.
#[inline]
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
