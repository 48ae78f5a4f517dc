//! The slow path: decodes a frame layer by layer, as deep as the limits allow. Contains the loop and the state that the
//! decoders of the layers share; see [`super::link`], [`super::ip`] and [`super::tunnel`] for the layers.

use std::net::IpAddr;

use super::defrag::Defragmenter;
use super::protocol::ip_protocol;
use super::unread::{UnreadFrames, UnreadKind};
use super::{Counters, Options, SkipReason, Span, tcp};
use crate::packet::Packet;
use crate::segment::{Encapsulation, Endpoint, Tunnel, TunnelKind};
use crate::time::Timestamp;

/// The next layer to decode.
#[derive(Debug)]
pub(super) enum Layer<'a> {
    /// An Ethernet frame.
    Ethernet(&'a [u8]),
    /// The payload of an EtherType.
    Ether(u16, &'a [u8]),
    /// An IP packet of either version.
    Ip(&'a [u8]),
    /// A PPP frame.
    Ppp(&'a [u8]),
    /// The payload of an IP packet, by protocol number.
    Payload(u8, &'a [u8]),
    /// The payload of a datagram reassembled from fragments, by protocol number.
    Reassembled(u8, Box<[u8]>),
}

/// The innermost IP header so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// IPv4 identification, or that of the IPv6 fragment header.
    pub(super) id: u32,
    /// Length of the packet in bytes, header included.
    pub(super) len: u32,
}

/// A TCP segment and its position.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpFound {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) ip_id: u32,
    pub(super) ip_len: u32,
    pub(super) cut: u32,
    pub(super) tcp: tcp::Header,
    pub(super) span: Span,
}

/// Decodes one frame.
pub(super) struct LayerWalker<'w> {
    pub(super) options: &'w Options,
    pub(super) counters: &'w mut Counters,
    pub(super) fragments: &'w mut Defragmenter,
    pub(super) clock: Timestamp,
    reassembled: &'w mut Vec<Box<[u8]>>,
    unread: &'w mut UnreadFrames,
    /// Input and number of the frame.
    place: (u32, u64),
    pub(super) encapsulation: Encapsulation,
    pub(super) ip: Ip,
    /// Bytes that the capture cut off at the end of the current layer.
    pub(super) missing: u32,
    /// Whether a switch cut the current layer before forwarding it; only the next length field shows by how much.
    pub(super) cut_by_switch: bool,
    /// Whether a length field was found to fit into the frame: lengths within it must fit, too.
    is_bounded: bool,
    layers: u8,
    labels: u8,
    extensions: u8,
}

impl<'w> LayerWalker<'w> {
    /// Creates a walker for one frame.
    pub(super) fn new(
        options: &'w Options,
        counters: &'w mut Counters,
        fragments: &'w mut Defragmenter,
        clock: Timestamp,
        reassembled: &'w mut Vec<Box<[u8]>>,
        unread: &'w mut UnreadFrames,
    ) -> Self {
        let unspecified = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        Self {
            options,
            counters,
            fragments,
            clock,
            reassembled,
            unread,
            place: (0, 0),
            encapsulation: Encapsulation::default(),
            ip: Ip { source: unspecified, destination: unspecified, id: 0, len: 0 },
            missing: 0,
            cut_by_switch: false,
            is_bounded: false,
            layers: 0,
            labels: 0,
            extensions: 0,
        }
    }

    /// Decodes a frame of the input `input`.
    pub(super) fn frame(&mut self, packet: &Packet<'_>, input: u32) -> Result<TcpFound, SkipReason> {
        self.place = (input, packet.frame);
        let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        self.missing = packet.wire_len.saturating_sub(captured);
        let found = self.link(packet.link, packet.bytes).and_then(|first| self.decode(packet.bytes, first));
        match found {
            Err(SkipReason::TooManyLayers) => self.unread(UnreadKind::TooManyLayers),
            Err(SkipReason::Truncated) => self.unread(UnreadKind::CutHeader),
            _ => {}
        }
        found
    }

    /// Decodes from `layer` on, which is part of `buffer`.
    fn decode(&mut self, buffer: &[u8], mut layer: Layer<'_>) -> Result<TcpFound, SkipReason> {
        loop {
            layer = match layer {
                Layer::Ethernet(bytes) => self.ethernet(bytes)?,
                Layer::Ether(kind, bytes) => self.ether(kind, bytes)?,
                Layer::Ip(bytes) => self.ip(bytes)?,
                Layer::Ppp(bytes) => self.ppp(bytes)?,
                Layer::Payload(ip_protocol::TCP, bytes) => return self.segment(buffer, bytes),
                Layer::Payload(protocol, bytes) => self.payload(protocol, bytes)?,
                Layer::Reassembled(protocol, datagram) => return self.reassembled(protocol, datagram),
            };
        }
    }

    /// Decodes a datagram reassembled from fragments, and stores it if it contains the segment. Recursion is bounded:
    /// each datagram counts as a layer.
    fn reassembled(&mut self, protocol: u8, datagram: Box<[u8]>) -> Result<TcpFound, SkipReason> {
        self.count_layer()?;
        self.encapsulation.fragmented = true;
        let mut found = self.decode(&datagram, Layer::Payload(protocol, &datagram))?;
        if found.span.reassembled.is_none() {
            let at = u32::try_from(self.reassembled.len()).map_err(|_| SkipReason::TooManyLayers)?;
            found.span.reassembled = Some(at);
            self.reassembled.push(datagram);
        }
        Ok(found)
    }

    fn segment(&mut self, buffer: &[u8], bytes: &[u8]) -> Result<TcpFound, SkipReason> {
        let slice = etherparse::TcpSlice::from_slice(bytes).map_err(|error| match error {
            etherparse::err::tcp::HeaderSliceError::Len(_) if self.is_cut() => SkipReason::Truncated,
            _ => SkipReason::BadTcpHeader,
        })?;
        let tcp = tcp::Header::from_slice(&slice);
        let start = offset_in(buffer, bytes);
        Ok(TcpFound {
            source: Endpoint { ip: self.ip.source, port: tcp.source_port },
            destination: Endpoint { ip: self.ip.destination, port: tcp.destination_port },
            ip_id: self.ip.id,
            ip_len: self.ip.len,
            cut: self.missing,
            tcp,
            span: Span { reassembled: None, start, end: start + bytes.len() as u32 },
        })
    }

    /// Limits a layer to `len` bytes, as its header states. If the capture cut it shorter, `missing` becomes the number
    /// of bytes that are not there; if the carrier is shorter, the layer is malformed.
    ///
    /// The outermost length can exceed a frame that was recorded as complete: scripts that trim frames write the trimmed
    /// length as the original one. A host discards a packet that really is that short, so the packet is marked: it
    /// counts as one with a wrong checksum, which only the server's answer can prove.
    pub(super) fn bound<'a>(&mut self, bytes: &'a [u8], len: usize) -> Result<&'a [u8], SkipReason> {
        if let Some(bounded) = bytes.get(..len) {
            (self.missing, self.cut_by_switch, self.is_bounded) = (0, false, true);
            return Ok(bounded);
        }
        let lacking = u32::try_from(len - bytes.len()).unwrap_or(u32::MAX);
        if lacking > self.missing && !self.cut_by_switch {
            if self.is_bounded {
                return Err(SkipReason::Malformed);
            }
            self.counters.trimmed += u64::from(!self.encapsulation.is_trimmed);
            self.encapsulation.is_trimmed = true;
        }
        (self.missing, self.cut_by_switch) = (lacking, false);
        Ok(bytes)
    }

    /// Returns the bytes after a header of `len` bytes.
    pub(super) fn after<'a>(&self, bytes: &'a [u8], len: usize) -> Result<&'a [u8], SkipReason> {
        bytes.get(len..).ok_or(self.short())
    }

    /// Returns the reason for an incomplete header.
    pub(super) fn short(&self) -> SkipReason {
        if self.is_cut() { SkipReason::Truncated } else { SkipReason::Malformed }
    }

    /// Returns the reason for a tunnel header that is incomplete or not valid.
    pub(super) fn incomplete(&self, protocol: u8) -> SkipReason {
        if self.is_cut() { SkipReason::Truncated } else { SkipReason::NotTcp(protocol) }
    }

    /// Notes that the frame, or a part of it, is not read.
    pub(super) fn unread(&mut self, kind: UnreadKind) {
        let (input, frame) = self.place;
        self.unread.count(kind, input, frame);
        self.counters.unread += 1;
    }

    /// Returns whether the end of the current layer is missing.
    pub(super) fn is_cut(&self) -> bool {
        self.missing > 0 || self.cut_by_switch
    }

    /// Counts a header and enforces the limit.
    pub(super) fn count_layer(&mut self) -> Result<(), SkipReason> {
        count(&mut self.layers, self.options.limits.layers)
    }

    /// Counts a tag or label and enforces the limit.
    pub(super) fn count_label(&mut self) -> Result<(), SkipReason> {
        count(&mut self.labels, self.options.limits.labels)
    }

    /// Counts an extension header and enforces the limit.
    pub(super) fn count_extension(&mut self) -> Result<(), SkipReason> {
        count(&mut self.extensions, self.options.limits.extensions)
    }

    /// Records that the innermost IP packet so far carries a tunnel, counts it and enforces the limit.
    pub(super) fn enter_tunnel(
        &mut self,
        kind: TunnelKind,
        protocol: u8,
        ports: (u16, u16),
        network: Option<u32>,
    ) -> Result<(), SkipReason> {
        let mut depth = self.encapsulation.tunnel.map_or(0, |tunnel| tunnel.depth);
        count(&mut depth, self.options.limits.tunnels)?;
        let source = Endpoint { ip: self.ip.source, port: ports.0 };
        let destination = Endpoint { ip: self.ip.destination, port: ports.1 };
        self.encapsulation.tunnel = Some(Tunnel { kind, source, destination, protocol, depth, network });
        Ok(())
    }
}

/// Increments a count that is below `limit`.
fn count(so_far: &mut u8, limit: u8) -> Result<(), SkipReason> {
    if *so_far >= limit {
        return Err(SkipReason::TooManyLayers);
    }
    *so_far += 1;
    Ok(())
}

/// Returns the offset of `part` in `buffer`, which contains it.
fn offset_in(buffer: &[u8], part: &[u8]) -> u32 {
    part.as_ptr().addr().wrapping_sub(buffer.as_ptr().addr()) as u32
}
