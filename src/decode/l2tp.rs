//! Decodes L2TP, versions 2 and 3. Control messages are not decoded, so the parameters of a version 3 session that they
//! negotiate are unknown.

use super::protocol::{ether_type, ip_protocol};
use super::slow_path::{Layer, LayerWalker};
use super::unread::UnreadKind;
use super::{SkipReason, be16, be32};
use crate::segment::{TunnelKind, sums_to_zero};

impl LayerWalker<'_> {
    /// Decodes L2TP in UDP.
    pub(super) fn l2tp<'a>(&mut self, bytes: &'a [u8], ports: (u16, u16)) -> Result<Layer<'a>, SkipReason> {
        const VERSION: u16 = 0x000f;
        let flags = be16(bytes, 0).ok_or(self.incomplete(ip_protocol::UDP))?;
        match (flags & VERSION, bytes) {
            (2, _) => self.l2tp_v2(flags, bytes, ports),
            // RFC 3931 section 4.1.2.1: no flag but that of control messages, and 16 reserved bits.
            (3, [0, 3, 0, 0, session @ ..]) => self.l2tp_v3(session, ip_protocol::UDP, ports),
            _ => Err(SkipReason::NotTcp(ip_protocol::UDP)),
        }
    }

    /// Decodes a data message of version 2 (RFC 2661 section 3.1): PPP.
    fn l2tp_v2<'a>(&mut self, flags: u16, bytes: &'a [u8], ports: (u16, u16)) -> Result<Layer<'a>, SkipReason> {
        const CONTROL_OR_RESERVED: u16 = 0x8000 | 0x34f0;
        const LENGTH: u16 = 0x4000;
        const SEQUENCE: u16 = 0x0800;
        const OFFSET: u16 = 0x0200;
        if flags & CONTROL_OR_RESERVED != 0 {
            return Err(SkipReason::NotTcp(ip_protocol::UDP));
        }
        let mut at = 2;
        let mut message = bytes;
        if flags & LENGTH != 0 {
            let len = usize::from(be16(bytes, 2).ok_or(self.incomplete(ip_protocol::UDP))?);
            if len > bytes.len() + self.missing as usize {
                return Err(SkipReason::NotTcp(ip_protocol::UDP));
            }
            message = self.bound(bytes, len)?;
            at = 4;
        }
        let session = be32(message, at).ok_or(self.incomplete(ip_protocol::UDP))?;
        // Zero is for control messages.
        if session >> 16 == 0 || session & 0xffff == 0 {
            return Err(SkipReason::NotTcp(ip_protocol::UDP));
        }
        at += if flags & SEQUENCE != 0 { 8 } else { 4 };
        if flags & OFFSET != 0 {
            at += 2 + usize::from(be16(message, at).ok_or(self.incomplete(ip_protocol::UDP))?);
        }
        let inner = message.get(at..).ok_or(self.incomplete(ip_protocol::UDP))?;
        self.counters.l2tp += 1;
        self.enter_tunnel(TunnelKind::L2tp, ip_protocol::UDP, ports, Some(session))?;
        Ok(Layer::Ppp(inner))
    }

    /// Decodes a data message of version 3 (RFC 3931 section 4.1) from its session identifier on. Only the peers know
    /// the length of the cookie (0, 4 or 8 bytes), whether there is a sublayer (4 bytes), and the kind of frame, so
    /// the first offset is taken at which a frame with a consistent IP header begins.
    pub(super) fn l2tp_v3<'a>(
        &mut self,
        bytes: &'a [u8],
        protocol: u8,
        ports: (u16, u16),
    ) -> Result<Layer<'a>, SkipReason> {
        let session = be32(bytes, 0).ok_or(self.incomplete(protocol))?;
        if session == 0 {
            return Err(SkipReason::NotTcp(protocol));
        }
        self.counters.l2tp += 1;
        for at in [4, 8, 12, 16] {
            let Some(frame) = bytes.get(at..) else { break };
            if let Some(layer) = recognize(frame, self.missing).ok_or(self.incomplete(protocol))? {
                self.enter_tunnel(TunnelKind::L2tp, protocol, ports, Some(session))?;
                return Ok(layer);
            }
        }
        self.unread(UnreadKind::L2tpSession);
        Err(SkipReason::NotTcp(protocol))
    }
}

/// Recognizes a frame of a pseudowire that carries IP: Ethernet with at most two tags (RFC 4719), PPP (RFC 3437), HDLC
/// (RFC 4349) or bare IP. `None` if the frame is too short to decide, `Some(None)` if it is none of these.
fn recognize(frame: &[u8], missing: u32) -> Option<Option<Layer<'_>>> {
    let mut kind_at = 12;
    while kind_at < 20 && matches!(be16(frame, kind_at)?, ether_type::VLAN | ether_type::VLAN_SERVICE) {
        kind_at += 4;
    }
    let is_ip = |kind| matches!(kind, ether_type::IPV4 | ether_type::IPV6);
    if is_ip(be16(frame, kind_at)?) && is_consistent_ip(frame.get(kind_at + 2..)?, missing)? {
        return Some(Some(Layer::Ethernet(frame)));
    }
    let ppp = match frame {
        [0xff, 3, 0, 0x21 | 0x57, packet @ ..] | [0, 0x21 | 0x57, packet @ ..] => Some(packet),
        _ => None,
    };
    if let Some(packet) = ppp
        && is_consistent_ip(packet, missing)?
    {
        return Some(Some(Layer::Ppp(frame)));
    }
    if let [0x0f | 0x8f, 0, high, low, packet @ ..] = frame
        && is_ip(u16::from_be_bytes([*high, *low]))
        && is_consistent_ip(packet, missing)?
    {
        return Some(Some(Layer::Ip(packet)));
    }
    Some(is_consistent_ip(frame, missing)?.then_some(Layer::Ip(frame)))
}

/// Returns whether an IP header is consistent with itself and with the bytes it is in: version, length, IPv4 checksum.
/// `None` if it is cut.
fn is_consistent_ip(packet: &[u8], missing: u32) -> Option<bool> {
    let space = packet.len() + missing as usize;
    let first = *packet.first()?;
    match first >> 4 {
        4 if first & 0x0f >= 5 => {
            let len = usize::from(be16(packet, 2)?);
            let header = packet.get(..usize::from(first & 0x0f) * 4)?;
            Some(len >= header.len() && len <= space && sums_to_zero(header))
        }
        6 => Some(usize::from(be16(packet, 4)?) + 40 <= space && packet.get(..40).is_some()),
        _ => Some(false),
    }
}
