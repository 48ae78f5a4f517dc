//! Decodes tunnels: GRE, ERSPAN, VXLAN, Geneve, GTP-U, Teredo, and finds others by their UDP port. A tunnel that cannot
//! be decoded is a packet that is not TCP; cut or malformed ones are counted as such.

use super::protocol::{ether_type, ip_protocol};
use super::slow_path::{Layer, LayerWalker};
use super::unread::UnreadKind;
use super::{SkipReason, be16, be32};
use crate::segment::TunnelKind;

/// The UDP port of VXLAN that IANA assigned.
const VXLAN_PORT: u16 = 4789;
/// The earlier default of Linux.
const VXLAN_PORT_OF_LINUX: u16 = 8472;
const VXLAN_GPE_PORT: u16 = 4790;
const L2TP_PORT: u16 = 1701;
const CAPWAP_DATA_PORT: u16 = 5247;
/// Not assigned, but the default of all implementations.
const TZSP_PORT: u16 = 37008;
const GENEVE_PORT: u16 = 6081;
const GTP_U_PORT: u16 = 2152;
const TEREDO_PORT: u16 = 3544;
/// Length of a UDP header in bytes.
const UDP_HEADER: usize = 8;

/// A tunnel in UDP, by its port. The port is no proof: the header must be valid too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UdpTunnel {
    Vxlan,
    VxlanGpe,
    Geneve,
    Gtp,
    Teredo,
    Tzsp,
    L2tp,
    Capwap,
}

impl UdpTunnel {
    /// Returns the tunnel that uses one of the ports; protocols with answers use it as source port too.
    #[inline]
    const fn of(source: u16, destination: u16) -> Option<Self> {
        match (source, destination) {
            (_, VXLAN_PORT | VXLAN_PORT_OF_LINUX) => Some(Self::Vxlan),
            (_, VXLAN_GPE_PORT) => Some(Self::VxlanGpe),
            (_, GENEVE_PORT) => Some(Self::Geneve),
            (_, GTP_U_PORT) => Some(Self::Gtp),
            (_, TZSP_PORT) => Some(Self::Tzsp),
            (TEREDO_PORT, _) | (_, TEREDO_PORT) => Some(Self::Teredo),
            (L2TP_PORT, _) | (_, L2TP_PORT) => Some(Self::L2tp),
            (CAPWAP_DATA_PORT, _) | (_, CAPWAP_DATA_PORT) => Some(Self::Capwap),
            _ => None,
        }
    }
}

/// Returns whether a UDP header is complete and neither port is that of a tunnel.
#[inline]
pub(super) fn is_plain_udp(udp: &[u8]) -> bool {
    let (Some(source), Some(destination)) = (be16(udp, 0), be16(udp, 2)) else { return false };
    udp.len() >= UDP_HEADER && UdpTunnel::of(source, destination).is_none()
}

impl LayerWalker<'_> {
    /// Decodes a UDP datagram (RFC 768), if it carries a tunnel.
    pub(super) fn udp<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        self.after(bytes, UDP_HEADER)?;
        self.counters.udp += 1;
        let (Some(source), Some(destination), Some(length)) = (be16(bytes, 0), be16(bytes, 2), be16(bytes, 4)) else {
            return Err(self.short());
        };
        let Some(tunnel) = UdpTunnel::of(source, destination) else {
            return Err(SkipReason::NotTcp(ip_protocol::UDP));
        };
        // A length of 0: too long for the field (RFC 2675 section 4), or the network card is to fill it in.
        let datagram = if length == 0 { bytes } else { self.bound(bytes, usize::from(length))? };
        let payload = datagram.get(UDP_HEADER..).ok_or(SkipReason::Malformed)?;
        let ports = (source, destination);
        match tunnel {
            UdpTunnel::Vxlan => self.vxlan(payload, ports),
            UdpTunnel::VxlanGpe => self.vxlan_gpe(payload, ports),
            UdpTunnel::Geneve => self.geneve(payload, ports),
            UdpTunnel::Gtp => self.gtp(payload, ports),
            UdpTunnel::Teredo => self.teredo(payload, ports),
            UdpTunnel::Tzsp => self.tzsp(payload, ports),
            UdpTunnel::L2tp => self.l2tp(payload, ports),
            UdpTunnel::Capwap => self.capwap(payload, ports),
        }
    }

    /// Decodes VXLAN (RFC 7348 section 5). Reserved bits are set in practice and ignored; the flag of the identifier is
    /// required.
    fn vxlan<'a>(&mut self, bytes: &'a [u8], ports: (u16, u16)) -> Result<Layer<'a>, SkipReason> {
        const IDENTIFIER_VALID: u8 = 0x08;
        let [flags, _, _, _, a, b, c, _, frame @ ..] = bytes else { return Err(self.incomplete(ip_protocol::UDP)) };
        if flags & IDENTIFIER_VALID == 0 {
            return Err(SkipReason::NotTcp(ip_protocol::UDP));
        }
        self.counters.vxlan += 1;
        self.enter_tunnel(TunnelKind::Vxlan, ip_protocol::UDP, ports, Some(u32::from_be_bytes([0, *a, *b, *c])))?;
        Ok(Layer::Ethernet(frame))
    }

    /// Decodes Geneve (RFC 8926 section 3.4).
    fn geneve<'a>(&mut self, bytes: &'a [u8], ports: (u16, u16)) -> Result<Layer<'a>, SkipReason> {
        let [first, _, high, low, a, b, c, _, ..] = bytes else { return Err(self.incomplete(ip_protocol::UDP)) };
        // Version 0; the low six bits are the length of the options in words of 4 bytes.
        if first >> 6 != 0 {
            return Err(SkipReason::NotTcp(ip_protocol::UDP));
        }
        let inner = self.after(bytes, 8 + usize::from(first & 0x3f) * 4)?;
        self.counters.geneve += 1;
        self.enter_tunnel(TunnelKind::Geneve, ip_protocol::UDP, ports, Some(u32::from_be_bytes([0, *a, *b, *c])))?;
        Ok(Layer::Ether(u16::from_be_bytes([*high, *low]), inner))
    }

    /// Decodes GTP-U (3GPP TS 29.281 section 5.1): version 1, message type 255, an IP packet.
    fn gtp<'a>(&mut self, bytes: &'a [u8], ports: (u16, u16)) -> Result<Layer<'a>, SkipReason> {
        const OPTIONAL_FIELDS: u8 = 0x07;
        const EXTENSION: u8 = 0x04;
        let [flags, 255, high, low, a, b, c, d, rest @ ..] = bytes else {
            return Err(self.incomplete(ip_protocol::UDP));
        };
        // Version 1, protocol type GTP.
        if flags >> 4 != 0b0011 {
            return Err(SkipReason::NotTcp(ip_protocol::UDP));
        }
        let mut inner = self.bound(rest, usize::from(u16::from_be_bytes([*high, *low])))?;
        if flags & OPTIONAL_FIELDS != 0 {
            let mut next = *inner.get(3).ok_or(self.short())?;
            inner = self.after(inner, 4)?;
            while flags & EXTENSION != 0 && next != 0 {
                self.count_extension()?;
                let len = usize::from(*inner.first().ok_or(self.short())?) * 4;
                next = *inner.get(len.wrapping_sub(1)).ok_or(self.short())?;
                inner = self.after(inner, len)?;
            }
        }
        self.counters.gtp += 1;
        self.enter_tunnel(TunnelKind::Gtp, ip_protocol::UDP, ports, Some(u32::from_be_bytes([*a, *b, *c, *d])))?;
        Ok(Layer::Ip(inner))
    }

    /// Decodes Teredo (RFC 4380 section 5.1.1): an IPv6 packet after an optional authentication and an optional origin
    /// indication. The port alone is weak evidence, so the packet must fill the datagram.
    fn teredo<'a>(&mut self, mut bytes: &'a [u8], ports: (u16, u16)) -> Result<Layer<'a>, SkipReason> {
        if let [0, 1, client, value, ..] = bytes {
            let len = 13 + usize::from(*client) + usize::from(*value);
            bytes = bytes.get(len..).ok_or(self.incomplete(ip_protocol::UDP))?;
        }
        if bytes.starts_with(&[0, 0]) {
            bytes = bytes.get(8..).ok_or(self.incomplete(ip_protocol::UDP))?;
        }
        let fills = be16(bytes, 4).is_some_and(|len| usize::from(len) + 40 == bytes.len() + self.missing as usize);
        if bytes.first().is_none_or(|first| first >> 4 != 6) || !fills {
            return Err(SkipReason::NotTcp(ip_protocol::UDP));
        }
        self.counters.teredo += 1;
        self.enter_tunnel(TunnelKind::Teredo, ip_protocol::UDP, ports, None)?;
        Ok(Layer::Ether(ether_type::IPV6, bytes))
    }

    /// Decodes GRE (RFC 2784, RFC 2890, with the routing of RFC 1701), and its version 1 with PPP (RFC 2637).
    pub(super) fn gre<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        const CHECKSUM: u16 = 0x8000;
        const ROUTING: u16 = 0x4000;
        const KEY: u16 = 0x2000;
        const SEQUENCE: u16 = 0x1000;
        const ACKNOWLEDGMENT: u16 = 0x0080;
        let (Some(flags), Some(kind)) = (be16(bytes, 0), be16(bytes, 2)) else { return Err(self.short()) };
        let version = flags & 7;
        if version > 1 {
            self.unread(UnreadKind::IpProtocol(ip_protocol::GRE));
            return Err(SkipReason::NotTcp(ip_protocol::GRE));
        }
        let mut len = 4;
        len += if flags & (CHECKSUM | ROUTING) != 0 && version == 0 { 4 } else { 0 };
        let key = if flags & KEY != 0 { Some(be32(bytes, len).ok_or(self.short())?) } else { None };
        len += if key.is_some() { 4 } else { 0 };
        len += if flags & SEQUENCE != 0 { 4 } else { 0 };
        len += if version == 1 && flags & ACKNOWLEDGMENT != 0 { 4 } else { 0 };
        let mut inner = self.after(bytes, len)?;
        if version == 0 && flags & ROUTING != 0 {
            inner = self.source_routes(inner)?;
        }
        self.counters.gre += 1;
        match kind {
            ether_type::ERSPAN_I_II if flags & SEQUENCE == 0 => self.erspan(inner, 0),
            ether_type::ERSPAN_I_II => self.erspan(inner, 8),
            ether_type::ERSPAN_III => self.erspan(inner, 12),
            _ => {
                self.enter_tunnel(TunnelKind::Gre, ip_protocol::GRE, (0, 0), key)?;
                // WCCP version 2 has a redirect header of 4 bytes before the IP packet, version 1 has none.
                let redirected = kind == ether_type::WCCP && inner.first().is_some_and(|first| first >> 4 != 4);
                let inner = if redirected { self.after(inner, 4)? } else { inner };
                match kind {
                    ether_type::WCCP => Ok(Layer::Ether(ether_type::IPV4, inner)),
                    // In GRE, the EtherType of the payload is before the tag.
                    ether_type::CISCO_METADATA => {
                        Ok(Layer::Ether(be16(inner, 0).ok_or(self.short())?, self.after(inner, 8)?))
                    }
                    _ => Ok(Layer::Ether(kind, inner)),
                }
            }
        }
    }

    /// Skips source route entries (RFC 1701): family, offset, length; the last is all zero.
    fn source_routes<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], SkipReason> {
        loop {
            self.count_label()?;
            let [high, low, _, len, ..] = bytes else { return Err(self.short()) };
            let last = *high == 0 && *low == 0 && *len == 0;
            bytes = self.after(bytes, 4 + usize::from(*len))?;
            if last {
                return Ok(bytes);
            }
        }
    }

    /// Decodes ERSPAN (draft-foschiano-erspan), a mirrored frame. The header has no bytes in type I, 8 in type II, and
    /// 12 in type III, with 8 optional bytes.
    fn erspan<'a>(&mut self, bytes: &'a [u8], len: usize) -> Result<Layer<'a>, SkipReason> {
        const FRAME_IP: u8 = 2;
        const TRUNCATED: u16 = 0x0400;
        let (header, mut frame) = bytes.split_at_checked(len).ok_or(self.short())?;
        let fields = be16(header, 2);
        self.counters.erspan += 1;
        self.enter_tunnel(
            TunnelKind::Erspan,
            ip_protocol::GRE,
            (0, 0),
            fields.map(|fields| u32::from(fields & 0x03ff)),
        )?;
        if fields.is_some_and(|fields| fields & TRUNCATED != 0) {
            // The switch marks the frame as cut; only the length in the inner packet shows by how much.
            self.cut_by_switch = true;
        }
        if let [.., kind, last] = header
            && len == 12
        {
            if last & 1 == 1 {
                frame = self.after(frame, 8)?;
            }
            if (kind >> 2) & 0x1f == FRAME_IP {
                return Ok(Layer::Ip(frame));
            }
        }
        Ok(Layer::Ethernet(frame))
    }
}
