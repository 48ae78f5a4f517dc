//! Frame bytes to a TCP segment, or a reason to skip: link types, VLAN tags, tunnels, IP fragments, TCP. Not the stream:
//! see [`crate::flow`].
//!
//! ```text
//! frame ─► fast: Ethernet, one tag at most, IP without options or fragments ─────────────────────► Head, Span
//!      └─► walk: link ─► tags, labels ─► ip ─► (defrag) ─► tunnel ─► link or ip … ─► tcp ─────────► Head, Span
//! ```
//!
//! Nothing here allocates but the fragment table, and a new entry in [`Extras`]. Lengths nest: what an inner header
//! promises beyond its carrier is missing only if the capture cut the frame; else the packet is malformed, as every
//! host sees it (Linux counts `InTruncatedPkts` and drops it).

mod defrag;
mod fast;
mod ip;
mod link;
mod skip;
mod tcp;
mod tunnel;
mod walk;

use std::time::Duration;

use crate::packet::Packet;
use crate::segment::{Encapsulation, FlowKey, Head, Side};
use crate::time::Timestamp;

pub use skip::Skip;

/// Where a segment's TCP bytes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// `None`: in the frame itself. `Some(i)`: in [`Extras::wholes`]`[i]`.
    pub whole: Option<u32>,
    /// Offset of the first byte of the TCP header.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

/// What decoding a block of frames leaves beside the segments; kept with the block and recycled with it.
#[derive(Debug)]
pub struct Extras {
    /// Datagrams put together from fragments (the IP payload: TCP header onwards, or what wraps it).
    pub wholes: Vec<Box<[u8]>>,
    /// How segments were wrapped. The first entry is always the plain one.
    pub encapsulations: Vec<Encapsulation>,
}

impl Default for Extras {
    fn default() -> Self {
        Self { wholes: Vec::new(), encapsulations: vec![Encapsulation::default()] }
    }
}

impl Extras {
    /// Forgets everything but the plain encapsulation; memory stays.
    pub fn clear(&mut self) {
        self.wholes.clear();
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

/// What the user may choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether VLAN ids are part of the flow key and of the fragment key (tenants that share addresses).
    pub vlan_tracking: bool,
    /// Whether a packet with a wrong IPv4 header checksum is dropped, as every router and host does.
    pub verify_ip_checksum: bool,
    /// The bounds.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { vlan_tracking: false, verify_ip_checksum: true, limits: Limits::default() }
    }
}

/// What decoding may cost; each has a counter that moves when it is reached.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of fragments held, counted from entries.
    pub fragment_bytes: usize,
    /// Incomplete datagrams held.
    pub datagrams: usize,
    /// Fragments of one datagram.
    pub fragments_per_datagram: u32,
    /// Age at which an incomplete IPv4 datagram is dropped, from its first fragment.
    pub timeout_v4: Duration,
    /// Age at which an incomplete IPv6 datagram is dropped.
    pub timeout_v6: Duration,
    /// Ethernet, PPP and IP headers of one frame, and datagrams put together from it.
    pub layers: u8,
    /// Tunnels in one another.
    pub tunnels: u8,
    /// VLAN tags and MPLS labels of one frame.
    pub labels: u8,
    /// IPv6 extension headers and authentication headers of one frame.
    pub extensions: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fragment_bytes: 16 << 20,
            datagrams: 4096,
            // Rationale: a datagram of 64 KiB in pieces of 8 bytes, which Linux puts together. A smaller bound would hide
            // a request of 2 KiB in 257 pieces; pieces cost O(log n) each and are bounded in bytes.
            fragments_per_datagram: 8192,
            // Rationale: Linux, net.ipv4.ipfrag_time; after it an IP id may be in use again.
            timeout_v4: Duration::from_secs(30),
            // RFC 8200 section 4.5; Linux, net.ipv6.ip6frag_time.
            timeout_v6: Duration::from_secs(60),
            layers: 16,
            tunnels: 8,
            labels: 8,
            // Rationale: a host takes any number, so a low bound hides a request. A header has 8 bytes at least, so the work
            // is bounded by the frame's length anyway.
            extensions: 64,
        }
    }
}

crate::counters! {
    /// What decoding saw. `packets` is the sum of `tcp` and of the reasons to skip, from `not_ip` to `fragment`.
    pub struct Counters {
        /// Frames.
        packets: "decode.packets",
        /// Bytes of frames, on the wire.
        bytes: "decode.bytes",
        /// Segments handed on.
        tcp: "decode.tcp",
        /// Frames without an IP packet.
        not_ip: "decode.not_ip",
        /// IP packets of another protocol than TCP, and tunnels that could not be opened.
        not_tcp: "decode.not_tcp",
        /// Frames whose headers the capture cut.
        header_cut: "decode.header_cut",
        /// Malformed headers.
        invalid: "decode.invalid",
        /// Frames with too many headers, tags or tunnels.
        too_many_layers: "decode.too_many_layers",
        /// IPv4 headers with a wrong checksum.
        ip_bad_checksum: "decode.ip_bad_checksum",
        /// TCP headers that no server accepts: a data offset below 5 or behind the end.
        tcp_bad_header: "decode.tcp_bad_header",
        /// Frames of a link type that is not decoded.
        unknown_link: "decode.unknown_link",
        /// Frames that held a fragment and completed nothing.
        fragment: "decode.fragment",
        /// Frames that the capture cut within the IP packet, whether of use or not.
        truncated: "decode.truncated",
        /// Ethernet headers.
        ethernet: "decode.ethernet",
        /// IPv4 headers.
        ipv4: "decode.ipv4",
        /// IPv6 headers.
        ipv6: "decode.ipv6",
        /// UDP headers.
        udp: "decode.udp",
        /// Frames with a VLAN tag.
        vlan: "decode.vlan",
        /// Frames with a second VLAN tag.
        vlan_qinq: "decode.vlan_qinq",
        /// GRE headers.
        gre: "decode.gre",
        /// ERSPAN headers.
        erspan: "decode.erspan",
        /// VXLAN headers.
        vxlan: "decode.vxlan",
        /// Geneve headers.
        geneve: "decode.geneve",
        /// GTP-U headers.
        gtp: "decode.gtp",
        /// Teredo packets.
        teredo: "decode.teredo",
        /// MPLS label stacks.
        mpls: "decode.mpls",
        /// PPP over Ethernet session headers.
        pppoe: "decode.pppoe",
        /// IP packets in IP packets.
        ipip: "decode.ipip",
        /// Fragments.
        fragments: "defrag.fragments",
        /// Datagrams put together.
        reassembled: "defrag.reassembled",
        /// Fragments that repeated bytes already held; ignored, as Linux does.
        duplicates: "defrag.duplicates",
        /// Fragments that overlapped others.
        overlap: "defrag.overlap",
        /// Of the overlapping and repeated fragments, those with other bytes.
        overlap_conflict: "defrag.overlap_conflict",
        /// Fragments whose length or end contradicts the others, or is not a multiple of 8 where it has to be.
        fragment_invalid: "defrag.invalid",
        /// Fragments that the capture cut.
        fragment_truncated: "defrag.truncated",
        /// Fragments that reach beyond the longest IP packet.
        too_large: "defrag.too_large",
        /// Datagrams dropped for having too many fragments.
        too_many_fragments: "defrag.too_many_fragments",
        /// Datagrams dropped incomplete when their time was up.
        timeouts: "defrag.timeouts",
        /// Datagrams dropped incomplete to keep within the bounds.
        memcap_drops: "defrag.memcap_drops",
        /// Datagrams held at this moment.
        active: "defrag.active",
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
    #[inline]
    pub fn decode(
        &mut self,
        packet: &Packet<'_>,
        clock: Timestamp,
        input: u32,
        extras: &mut Extras,
    ) -> Result<(Head, Span), Skip> {
        self.count_frame(packet);
        match fast::look(packet, self.options.verify_ip_checksum) {
            fast::Look::Segment(plain) => Ok(self.plain(packet, clock, input, extras, &plain)),
            fast::Look::NotTcp(plain) => {
                self.count_plain(&plain);
                self.counters.udp += u64::from(plain.protocol == ip::UDP);
                self.counters.not_tcp += 1;
                Err(Skip::NotTcp(plain.protocol))
            }
            fast::Look::Slow => self.walk(packet, clock, input, extras),
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

    fn count_plain(&mut self, plain: &fast::Plain<'_>) {
        self.counters.ethernet += 1;
        self.counters.vlan += u64::from(plain.vlan.is_some());
        self.counters.ipv4 += u64::from(!plain.v6);
        self.counters.ipv6 += u64::from(plain.v6);
    }

    fn plain(
        &mut self,
        packet: &Packet<'_>,
        clock: Timestamp,
        input: u32,
        extras: &mut Extras,
        plain: &fast::Plain<'_>,
    ) -> (Head, Span) {
        self.count_plain(plain);
        self.counters.tcp += 1;
        let (mut key, side) = plain.key();
        let mut encapsulation = 0;
        if let Some(id) = plain.vlan {
            let mut wrapped = Encapsulation::default();
            wrapped.vlans.push(id);
            encapsulation = extras.intern(&wrapped);
            if self.options.vlan_tracking {
                key = key.with_vlans(&wrapped.vlans);
            }
        }
        let at = Address { key, side, ip_id: plain.ip_id, ip_len: plain.ip_len, cut: 0, encapsulation };
        let start = plain.start;
        let span = Span { whole: None, start, end: start + plain.tcp.len() as u32 };
        (head(packet, clock, input, &at, &tcp::Header::of(plain.tcp)), span)
    }

    /// Decodes a frame layer by layer.
    #[inline(never)]
    fn walk(
        &mut self,
        packet: &Packet<'_>,
        clock: Timestamp,
        input: u32,
        extras: &mut Extras,
    ) -> Result<(Head, Span), Skip> {
        let mut walk =
            walk::Walk::new(&self.options, &mut self.counters, &mut self.fragments, clock, &mut extras.wholes);
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
        Ok((head(packet, clock, input, &at, &found.tcp), found.span))
    }

    fn count(&mut self, skip: Skip) {
        let counters = &mut self.counters;
        counters.truncated += u64::from(skip == Skip::Truncated);
        *match skip {
            Skip::UnknownLink(_) => &mut counters.unknown_link,
            Skip::NotIp(_) => &mut counters.not_ip,
            Skip::NotTcp(_) => &mut counters.not_tcp,
            Skip::Truncated => &mut counters.header_cut,
            Skip::Malformed => &mut counters.invalid,
            Skip::TooManyLayers => &mut counters.too_many_layers,
            Skip::BadIpChecksum => &mut counters.ip_bad_checksum,
            Skip::BadTcpHeader => &mut counters.tcp_bad_header,
            Skip::Fragment => &mut counters.fragment,
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

#[inline]
fn head(packet: &Packet<'_>, clock: Timestamp, input: u32, at: &Address, tcp: &tcp::Header) -> Head {
    Head {
        number: packet.number,
        frame: packet.frame,
        time: packet.time,
        clock,
        input,
        wire_len: packet.wire_len,
        key: at.key,
        side: at.side,
        seq: tcp.seq,
        ack: tcp.ack,
        flags: tcp.flags,
        header_len: tcp.header_len,
        window: tcp.window,
        urgent: tcp.urgent,
        checksum: tcp.checksum,
        ip_id: at.ip_id,
        ip_len: at.ip_len,
        cut: at.cut,
        timestamp_value: tcp.options.timestamp_value,
        signed: tcp.options.signed,
        encapsulation: at.encapsulation,
    }
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
