//! Decodes the link layers that carry IP packets: Ethernet, VLAN tags, MPLS, PPP, cooked and loopback headers. Does not
//! decode IP; see [`super::ip`].

use super::protocol::ether_type;
use super::slow_path::{Layer, LayerWalker};
use super::{SkipReason, be16, be32};
use crate::packet::Link;

/// The lowest EtherType; below it the field is a length (IEEE 802.3).
const FIRST_ETHER_TYPE: u16 = 0x0600;
/// LINKTYPE_C_HDLC: Cisco PPP with HDLC framing.
const LINKTYPE_C_HDLC: u32 = 104;

impl LayerWalker<'_> {
    /// Decodes the first layer of a frame.
    pub(super) fn link<'a>(&mut self, link: Link, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        match link {
            Link::Ethernet => Ok(Layer::Ethernet(bytes)),
            Link::RawIp => Ok(Layer::Ip(bytes)),
            Link::LinuxSll => self.cooked(bytes, 14, 16),
            Link::LinuxSll2 => self.cooked(bytes, 0, 20),
            Link::BsdNull | Link::BsdLoop => self.family(bytes),
            Link::Ppp => Ok(Layer::Ppp(bytes)),
            Link::PppEther => self.pppoe(bytes),
            // Address, control, EtherType.
            Link::Other(LINKTYPE_C_HDLC) => self.cooked(bytes, 2, 4),
            Link::Other(number) => Err(SkipReason::UnknownLink(number)),
        }
    }

    /// Decodes a header of `len` bytes with an EtherType at `kind_at`.
    fn cooked<'a>(&self, bytes: &'a [u8], kind_at: usize, len: usize) -> Result<Layer<'a>, SkipReason> {
        const NOVELL_RAW: u16 = 1;
        const LLC: u16 = 4;
        let rest = self.after(bytes, len)?;
        match be16(bytes, kind_at).ok_or(self.short())? {
            kind @ (NOVELL_RAW | LLC) => self.llc(rest, kind),
            kind => Ok(Layer::Ether(kind, rest)),
        }
    }

    /// Decodes BSD loopback: the address family in the byte order of the capturing host; its number for IPv6 depends on
    /// the system.
    fn family<'a>(&self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        let rest = self.after(bytes, 4)?;
        let family = be32(bytes, 0).ok_or(self.short())?;
        // A family is a small number, so the lower value of the two byte orders is the right one.
        match family.min(family.swap_bytes()) {
            2 => Ok(Layer::Ether(ether_type::IPV4, rest)),
            10 | 24 | 28 | 30 => Ok(Layer::Ether(ether_type::IPV6, rest)),
            other => Err(SkipReason::NotIp(u16::try_from(other).unwrap_or(u16::MAX))),
        }
    }

    /// Decodes an Ethernet header.
    pub(super) fn ethernet<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        self.count_layer()?;
        let rest = self.after(bytes, 14)?;
        self.counters.ethernet += 1;
        Ok(Layer::Ether(be16(bytes, 12).ok_or(self.short())?, rest))
    }

    /// Decodes the payload of an EtherType.
    pub(super) fn ether<'a>(&mut self, kind: u16, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        match kind {
            ether_type::IPV4 => self.ipv4(bytes),
            ether_type::IPV6 => self.ipv6(bytes),
            ether_type::VLAN | ether_type::VLAN_SERVICE => self.vlan(bytes),
            kind if ether_type::VLAN_OLD.contains(&kind) => self.vlan(bytes),
            ether_type::MPLS | ether_type::MPLS_UPSTREAM => self.mpls(bytes),
            ether_type::PPPOE_SESSION => self.pppoe(bytes),
            ether_type::BRIDGED => Ok(Layer::Ethernet(bytes)),
            ether_type::PPP => Ok(Layer::Ppp(bytes)),
            ether_type::VN_TAG => self.tag(bytes, 4),
            ether_type::E_TAG => self.tag(bytes, 6),
            ether_type::BACKBONE => Ok(Layer::Ethernet(self.after(bytes, 4)?)),
            length if length < FIRST_ETHER_TYPE => {
                let bytes = self.bound(bytes, usize::from(length))?;
                self.llc(bytes, length)
            }
            other => Err(SkipReason::NotIp(other)),
        }
    }

    /// Decodes a VLAN tag.
    fn vlan<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        let id = be16(bytes, 0).ok_or(self.short())?;
        match self.encapsulation.vlans.ids().len() {
            0 => self.counters.vlan += 1,
            1 => self.counters.vlan_qinq += 1,
            _ => {}
        }
        self.encapsulation.vlans.push(id);
        self.tag(bytes, 2)
    }

    /// Decodes a tag of `len` bytes followed by an EtherType.
    fn tag<'a>(&mut self, bytes: &'a [u8], len: usize) -> Result<Layer<'a>, SkipReason> {
        self.count_label()?;
        let kind = be16(bytes, len).ok_or(self.short())?;
        Ok(Layer::Ether(kind, self.after(bytes, len + 2)?))
    }

    /// Decodes IEEE 802.2 LLC, with SNAP (RFC 1042) or the service access point of IP.
    fn llc<'a>(&self, bytes: &'a [u8], kind: u16) -> Result<Layer<'a>, SkipReason> {
        match bytes {
            [0xaa, 0xaa, 3, _, _, _, high, low, rest @ ..] => {
                // A length is not an EtherType: a second LLC header is not decoded.
                let inner = u16::from_be_bytes([*high, *low]);
                if inner < FIRST_ETHER_TYPE { Err(SkipReason::NotIp(inner)) } else { Ok(Layer::Ether(inner, rest)) }
            }
            [6, 6, 3, rest @ ..] => Ok(Layer::Ether(ether_type::IPV4, rest)),
            _ => Err(SkipReason::NotIp(kind)),
        }
    }

    /// Decodes an MPLS label stack (RFC 3032). It does not name its payload, which is identified by the first nibble
    /// (RFC 4928 section 3).
    fn mpls<'a>(&mut self, mut bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        const BOTTOM_OF_STACK: u32 = 0x100;
        self.counters.mpls += 1;
        loop {
            self.count_label()?;
            let entry = be32(bytes, 0).ok_or(self.short())?;
            bytes = self.after(bytes, 4)?;
            if entry & BOTTOM_OF_STACK != 0 {
                break;
            }
        }
        match bytes.first().ok_or(self.short())? >> 4 {
            4 | 6 => Ok(Layer::Ip(bytes)),
            // A pseudowire: an Ethernet frame, or a control word (RFC 4448 section 4.6) and a frame. Most MAC addresses
            // begin with a zero nibble too, so an EtherType at its offset decides.
            0 if !is_ethernet_with_ip(bytes) => Ok(Layer::Ethernet(self.after(bytes, 4)?)),
            _ => Ok(Layer::Ethernet(bytes)),
        }
    }

    /// Decodes a PPP over Ethernet session packet (RFC 2516 section 4).
    fn pppoe<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        self.counters.pppoe += 1;
        let rest = self.after(bytes, 6)?;
        let length = be16(bytes, 4).ok_or(self.short())?;
        // Version 1, type 1, code 0: session data.
        if !bytes.starts_with(&[0x11, 0]) {
            return Err(SkipReason::NotIp(ether_type::PPPOE_SESSION));
        }
        Ok(Layer::Ppp(self.bound(rest, usize::from(length))?))
    }

    /// Decodes a PPP frame (RFC 1661, RFC 1662), with or without HDLC-like framing and with protocol field compression.
    pub(super) fn ppp<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        self.count_layer()?;
        let bytes = bytes.strip_prefix(&[0xff, 3]).unwrap_or(bytes);
        let first = *bytes.first().ok_or(self.short())?;
        let (protocol, len) =
            if first & 1 == 1 { (u16::from(first), 1) } else { (be16(bytes, 0).ok_or(self.short())?, 2) };
        let rest = self.after(bytes, len)?;
        match protocol {
            0x0021 => Ok(Layer::Ether(ether_type::IPV4, rest)),
            0x0057 => Ok(Layer::Ether(ether_type::IPV6, rest)),
            0x0281 => Ok(Layer::Ether(ether_type::MPLS, rest)),
            0x0283 => Ok(Layer::Ether(ether_type::MPLS_UPSTREAM, rest)),
            other => Err(SkipReason::NotIp(other)),
        }
    }
}

/// Returns whether the bytes are an Ethernet frame whose EtherType carries IP.
fn is_ethernet_with_ip(bytes: &[u8]) -> bool {
    matches!(
        be16(bytes, 12),
        Some(
            ether_type::IPV4
                | ether_type::IPV6
                | ether_type::VLAN
                | ether_type::VLAN_SERVICE
                | ether_type::MPLS
                | ether_type::PPPOE_SESSION
        )
    )
}
