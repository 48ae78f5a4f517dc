//! Frame bytes to a TCP segment, or a reason to skip: link types, VLAN tags, tunnels, IP fragments, TCP. Not the stream:
//! see [`crate::flow`].
//!
//! ```text
//! frame ─► fast: Ethernet, one tag at most, IP without options or fragments ─────────────────────► Head, Span
//!      └─► walk: link ─► tags, labels ─► ip ─► (defrag) ─► tunnel ─► link or ip … ─► tcp ─────────► Head, Span
//! ```
//!
//! Nothing here allocates but the fragment table, and a new entry in [`BlockExtras`]. Lengths nest: what an inner header
//! promises beyond its carrier is missing only if the capture cut the frame; else the packet is malformed, as every
//! host sees it (Linux counts `InTruncatedPkts` and drops it).

mod counters;
mod datagram;
mod defrag;
mod fast_path;
mod ip;
mod limits;
mod link;
mod protocol;
mod skip_reason;
mod slow_path;
mod tcp;
mod tunnel;

use crate::packet::Packet;
use crate::segment::{Encapsulation, FlowKey, Head, Side};
use crate::time::Timestamp;
use protocol::ip_protocol;

pub use counters::Counters;
pub use limits::{Limits, Options};
pub use skip_reason::SkipReason;

/// Where a segment's TCP bytes stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// `None`: in the frame itself. `Some(i)`: in [`BlockExtras::reassembled`]`[i]`.
    pub whole: Option<u32>,
    /// Offset of the first byte of the TCP header.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

/// What decoding a block of frames leaves beside the segments; kept with the block and recycled with it.
#[derive(Debug)]
pub struct BlockExtras {
    /// Datagrams put together from fragments (the IP payload: TCP header onwards, or what wraps it).
    pub reassembled: Vec<Box<[u8]>>,
    /// How segments were wrapped. The first entry is always the plain one.
    pub encapsulations: Vec<Encapsulation>,
}

impl Default for BlockExtras {
    fn default() -> Self {
        Self { reassembled: Vec::new(), encapsulations: vec![Encapsulation::default()] }
    }
}

impl BlockExtras {
    /// Forgets everything but the plain encapsulation; memory stays.
    pub fn clear(&mut self) {
        self.reassembled.clear();
        self.encapsulations.truncate(1);
    }

    /// The index of an encapsulation, which is added unless it is among the last few.
    fn intern(&mut self, encapsulation: &Encapsulation) -> u32 {
        // Rationale: frames of one trunk or tunnel come in runs of a few kinds; a longer search costs more than an entry.
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
}

impl Decoder {
    /// A decoder that holds no fragments; `keys` key the hash of the fragment table.
    #[must_use]
    pub fn new(options: Options, keys: [u64; 2]) -> Self {
        Self { options, counters: Counters::default(), max_packet: 0, fragments: defrag::Defragmenter::new(keys) }
    }

    /// Decodes one frame.
    ///
    /// `clock` never decreases between two calls of [`Decoder::clear`]. The span lies within the frame's bytes or
    /// within a datagram added to `extras`.
    ///
    /// # Errors
    /// The reason why there is no segment; counted.
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

    /// As [`Decoder::decode`], with the head written in its place: returned by value it would be copied several times,
    /// which is a tenth of the work on a plain packet.
    ///
    /// # Errors
    /// As [`Decoder::decode`]; `head` means nothing then.
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
            None => self.less_plain(packet, clock, extras, head),
        }
    }

    /// All but TCP in plain IPv4. Apart, because its variables would take the registers of what is run most.
    #[inline(never)]
    fn less_plain(
        &mut self,
        packet: &Packet<'_>,
        clock: Timestamp,
        extras: &mut BlockExtras,
        head: &mut Head,
    ) -> Result<Span, SkipReason> {
        match fast_path::look(packet, self.options.verify_ip_checksum) {
            fast_path::FastResult::Segment(plain) => Ok(self.ipv6(extras, &plain, head)),
            fast_path::FastResult::NotTcp(plain) => {
                self.count_plain(plain.v6, plain.vlan);
                self.counters.udp += u64::from(plain.protocol == ip_protocol::UDP);
                self.counters.not_tcp += 1;
                Err(SkipReason::NotTcp(plain.protocol))
            }
            fast_path::FastResult::Slow => self.walk(packet, clock, extras, head),
        }
    }

    /// What was seen so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Length on the wire of the longest frame so far, in bytes (`decode.max_packet`).
    #[must_use]
    pub fn max_packet(&self) -> u32 {
        self.max_packet
    }

    /// Bytes that the fragments held take, counted from entries.
    #[must_use]
    pub fn defrag_memory(&self) -> usize {
        self.fragments.memory()
    }

    /// Drops all fragments held: the input ended, and the next one is no continuation. Counters stay.
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
        let at = Address { key, side, ip_id: plain.ip_id(), ip_len: plain.ip_len(), cut: 0, encapsulation };
        fill(head, &at, &plain.tcp());
        Span { whole: None, start: plain.start, end: plain.end() }
    }

    fn ipv6(&mut self, extras: &mut BlockExtras, plain: &fast_path::Ipv6Segment<'_>, head: &mut Head) -> Span {
        let &fast_path::Ipv6Segment { ip, mut key, side, tcp } = plain;
        self.count_plain(true, ip.vlan);
        self.counters.tcp += 1;
        let encapsulation = ip.vlan.map_or(0, |id| self.tagged(extras, &mut key, id));
        let at = Address { key, side, ip_id: 0, ip_len: ip.ip_len, cut: 0, encapsulation };
        fill(head, &at, &tcp);
        Span { whole: None, start: ip.start, end: ip.start + ip.payload.len() as u32 }
    }

    /// The encapsulation of a frame with one VLAN tag, whose id the key takes over if that is wanted.
    fn tagged(&self, extras: &mut BlockExtras, key: &mut FlowKey, id: u16) -> u32 {
        let mut wrapped = Encapsulation::default();
        wrapped.vlans.push(id);
        if self.options.vlan_tracking {
            *key = key.with_vlans(&wrapped.vlans);
        }
        extras.intern(&wrapped)
    }

    /// Decodes a frame layer by layer.
    #[inline(never)]
    fn walk(
        &mut self,
        packet: &Packet<'_>,
        clock: Timestamp,
        extras: &mut BlockExtras,
        head: &mut Head,
    ) -> Result<Span, SkipReason> {
        let mut walk = slow_path::LayerWalker::new(
            &self.options,
            &mut self.counters,
            &mut self.fragments,
            clock,
            &mut extras.reassembled,
        );
        let found = walk.frame(packet);
        let encapsulation = walk.encapsulation;
        let found = found.inspect_err(|skip| self.count(*skip))?;
        self.counters.tcp += 1;
        self.counters.truncated += u64::from(found.cut > 0);
        let (mut key, side) = FlowKey::new(found.source, found.destination);
        if self.options.vlan_tracking {
            key = key.with_vlans(&encapsulation.vlans);
        }
        let encapsulation = extras.intern(&encapsulation);
        let at = Address { key, side, ip_id: found.ip_id, ip_len: found.ip_len, cut: found.cut, encapsulation };
        fill(head, &at, &found.tcp);
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

/// The part of a head that the IP layers give.
struct Address {
    key: FlowKey,
    side: Side,
    ip_id: u32,
    ip_len: u32,
    cut: u32,
    encapsulation: u32,
}

/// Writes what the IP layers and the TCP header say.
#[inline]
fn fill(head: &mut Head, at: &Address, tcp: &tcp::Header) {
    head.key = at.key;
    head.side = at.side;
    head.seq = tcp.seq;
    head.ack = tcp.ack;
    head.flags = tcp.flags;
    head.header_len = tcp.header_len;
    head.window = tcp.window;
    head.urgent = tcp.urgent;
    head.checksum = tcp.checksum;
    head.ip_id = at.ip_id;
    head.ip_len = at.ip_len;
    head.cut = at.cut;
    head.timestamp_value = tcp.options.timestamp_value;
    head.signed = tcp.options.signed;
    head.encapsulation = at.encapsulation;
}

/// Big-endian 16 bits at `at`, if they are there.
#[inline]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Big-endian 32 bits at `at`, if they are there.
#[inline]
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
