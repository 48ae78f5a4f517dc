//! Decodes the network service header and VXLAN-GPE, whose next-protocol numbers are the same.

use super::protocol::{ether_type, ip_protocol};
use super::slow_path::{Layer, LayerWalker};
use super::unread::UnreadKind;
use super::{SkipReason, be16};
use crate::segment::TunnelKind;

impl LayerWalker<'_> {
    /// Decodes a network service header (RFC 8300 section 2.2): version 0, no OAM packet, a length in words of 4 bytes.
    pub(super) fn nsh<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        const VERSION_AND_OAM: u16 = 0xe000;
        // A header may follow another one.
        self.count_label()?;
        let (Some(fields), Some(&next)) = (be16(bytes, 0), bytes.get(3)) else { return Err(self.short()) };
        let len = usize::from(fields & 0x3f) * 4;
        if fields & VERSION_AND_OAM != 0 || len < 8 {
            return Err(SkipReason::NotIp(ether_type::NSH));
        }
        let inner = self.after(bytes, len)?;
        self.counters.nsh += 1;
        self.next_protocol(next, inner, UnreadKind::NshProtocol(next)).ok_or(SkipReason::NotIp(ether_type::NSH))
    }

    /// Decodes VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe section 3): version 0, no OAM packet; the protocol is valid with
    /// its flag, and Ethernet without.
    pub(super) fn vxlan_gpe<'a>(&mut self, bytes: &'a [u8], ports: (u16, u16)) -> Result<Layer<'a>, SkipReason> {
        const IDENTIFIER_VALID: u8 = 0x08;
        const PROTOCOL_VALID: u8 = 0x04;
        const RESERVED_VERSION_AND_OAM: u8 = 0xf1;
        const ETHERNET: u8 = 3;
        let [flags, 0, 0, protocol, a, b, c, _, inner @ ..] = bytes else {
            return Err(self.incomplete(ip_protocol::UDP));
        };
        if flags & RESERVED_VERSION_AND_OAM != 0 || flags & (IDENTIFIER_VALID | PROTOCOL_VALID) == 0 {
            return Err(SkipReason::NotTcp(ip_protocol::UDP));
        }
        let network = (flags & IDENTIFIER_VALID != 0).then_some(u32::from_be_bytes([0, *a, *b, *c]));
        let protocol = if flags & PROTOCOL_VALID != 0 { *protocol } else { ETHERNET };
        self.counters.vxlan += 1;
        self.enter_tunnel(TunnelKind::VxlanGpe, ip_protocol::UDP, ports, network)?;
        self.next_protocol(protocol, inner, UnreadKind::VxlanGpeProtocol(protocol))
            .ok_or(SkipReason::NotTcp(ip_protocol::UDP))
    }

    /// Returns the layer of a next protocol (IANA, "NSH Next Protocol"); notes `unread` if it is not decoded.
    fn next_protocol<'a>(&mut self, protocol: u8, bytes: &'a [u8], unread: UnreadKind) -> Option<Layer<'a>> {
        match protocol {
            1 => Some(Layer::Ether(ether_type::IPV4, bytes)),
            2 => Some(Layer::Ether(ether_type::IPV6, bytes)),
            3 => Some(Layer::Ethernet(bytes)),
            4 => Some(Layer::Ether(ether_type::NSH, bytes)),
            5 => Some(Layer::Ether(ether_type::MPLS, bytes)),
            _ => {
                self.unread(unread);
                None
            }
        }
    }
}
