//! What carries IP packets on a link: Ethernet, VLAN tags, MPLS, PPP, cooked and loopback headers. Not IP itself.

use super::walk::{Layer, Walk};
use super::{Skip, be16, be32};
use crate::packet::Link;

/// EtherType of IPv4.
pub(super) const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub(super) const IPV6: u16 = 0x86dd;
/// EtherType of an IEEE 802.1Q tag.
pub(super) const VLAN: u16 = 0x8100;
/// EtherType of an Ethernet frame (transparent Ethernet bridging).
pub(super) const BRIDGED: u16 = 0x6558;
/// EtherType of PPP in GRE (RFC 2637).
pub(super) const PPP: u16 = 0x880b;
const VLAN_SERVICE: u16 = 0x88a8;
const VLAN_OLD: [u16; 2] = [0x9100, 0x9200];
const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
/// Cisco VN-Tag and IEEE 802.1BR E-Tag: port extenders put them on what they mirror.
const VN_TAG: u16 = 0x8926;
const E_TAG: u16 = 0x893f;
/// IEEE 802.1ah backbone service instance tag.
const BACKBONE: u16 = 0x88e7;
/// Below this an EtherType field is a length (IEEE 802.3).
const FIRST_ETHER_TYPE: u16 = 0x0600;
/// LINKTYPE_C_HDLC: Cisco PPP with HDLC framing.
const LINKTYPE_C_HDLC: u32 = 104;

impl Walk<'_> {
    /// The first layer of a frame.
    pub(super) fn link<'a>(&mut self, link: Link, bytes: &'a [u8]) -> Result<Layer<'a>, Skip> {
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
            Link::Other(number) => Err(Skip::UnknownLink(number)),
        }
    }

    fn cooked<'a>(&self, bytes: &'a [u8], kind_at: usize, len: usize) -> Result<Layer<'a>, Skip> {
        const NOVELL_RAW: u16 = 1;
        const LLC: u16 = 4;
        let rest = self.after(bytes, len)?;
        match be16(bytes, kind_at).ok_or(self.short())? {
            kind @ (NOVELL_RAW | LLC) => self.llc(rest, kind),
            kind => Ok(Layer::Ether(kind, rest)),
        }
    }

    /// BSD loopback: the address family in the byte order of the recording host, whose numbers for IPv6 differ.
    fn family<'a>(&self, bytes: &'a [u8]) -> Result<Layer<'a>, Skip> {
        let rest = self.after(bytes, 4)?;
        let family = be32(bytes, 0).ok_or(self.short())?;
        // A family is a small number, so the lower of both readings is the right one.
        match family.min(family.swap_bytes()) {
            2 => Ok(Layer::Ether(IPV4, rest)),
            10 | 24 | 28 | 30 => Ok(Layer::Ether(IPV6, rest)),
            other => Err(Skip::NotIp(u16::try_from(other).unwrap_or(u16::MAX))),
        }
    }

    /// An Ethernet frame.
    pub(super) fn ethernet<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, Skip> {
        self.layer()?;
        let rest = self.after(bytes, 14)?;
        self.counters.ethernet += 1;
        Ok(Layer::Ether(be16(bytes, 12).ok_or(self.short())?, rest))
    }

    /// What stands behind an EtherType.
    pub(super) fn ether<'a>(&mut self, kind: u16, bytes: &'a [u8]) -> Result<Layer<'a>, Skip> {
        match kind {
            IPV4 => self.ipv4(bytes),
            IPV6 => self.ipv6(bytes),
            VLAN | VLAN_SERVICE => self.vlan(bytes),
            kind if VLAN_OLD.contains(&kind) => self.vlan(bytes),
            MPLS | MPLS_UPSTREAM => self.mpls(bytes),
            PPPOE_SESSION => self.pppoe(bytes),
            BRIDGED => Ok(Layer::Ethernet(bytes)),
            PPP => Ok(Layer::Ppp(bytes)),
            VN_TAG => self.tag(bytes, 4),
            E_TAG => self.tag(bytes, 6),
            BACKBONE => Ok(Layer::Ethernet(self.after(bytes, 4)?)),
            length if length < FIRST_ETHER_TYPE => {
                let bytes = self.bound(bytes, usize::from(length))?;
                self.llc(bytes, length)
            }
            other => Err(Skip::NotIp(other)),
        }
    }

    fn vlan<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, Skip> {
        let id = be16(bytes, 0).ok_or(self.short())?;
        match self.encapsulation.vlans.ids().len() {
            0 => self.counters.vlan += 1,
            1 => self.counters.vlan_qinq += 1,
            _ => {}
        }
        self.encapsulation.vlans.push(id);
        self.tag(bytes, 2)
    }

    /// A tag of `len` bytes with an EtherType behind it.
    fn tag<'a>(&mut self, bytes: &'a [u8], len: usize) -> Result<Layer<'a>, Skip> {
        self.label()?;
        let kind = be16(bytes, len).ok_or(self.short())?;
        Ok(Layer::Ether(kind, self.after(bytes, len + 2)?))
    }

    /// IEEE 802.2 LLC, with SNAP (RFC 1042) or the number of IP itself.
    fn llc<'a>(&self, bytes: &'a [u8], kind: u16) -> Result<Layer<'a>, Skip> {
        match bytes {
            [0xaa, 0xaa, 3, _, _, _, high, low, rest @ ..] => {
                // A length would not be an EtherType: no second LLC.
                let inner = u16::from_be_bytes([*high, *low]);
                if inner < FIRST_ETHER_TYPE { Err(Skip::NotIp(inner)) } else { Ok(Layer::Ether(inner, rest)) }
            }
            [6, 6, 3, rest @ ..] => Ok(Layer::Ether(IPV4, rest)),
            _ => Err(Skip::NotIp(kind)),
        }
    }

    /// An MPLS label stack (RFC 3032). What follows it is not named: the first nibble tells (RFC 4928 section 3).
    fn mpls<'a>(&mut self, mut bytes: &'a [u8]) -> Result<Layer<'a>, Skip> {
        const BOTTOM_OF_STACK: u32 = 0x100;
        self.counters.mpls += 1;
        loop {
            self.label()?;
            let entry = be32(bytes, 0).ok_or(self.short())?;
            bytes = self.after(bytes, 4)?;
            if entry & BOTTOM_OF_STACK != 0 {
                break;
            }
        }
        match bytes.first().ok_or(self.short())? >> 4 {
            4 | 6 => Ok(Layer::Ip(bytes)),
            // A pseudowire: an Ethernet frame, or a control word (RFC 4448 section 4.6) and a frame. Most addresses begin
            // with a zero nibble too, so an EtherType in its place decides.
            0 if !carries(bytes) => Ok(Layer::Ethernet(self.after(bytes, 4)?)),
            _ => Ok(Layer::Ethernet(bytes)),
        }
    }

    /// A PPP over Ethernet session packet (RFC 2516 section 4).
    fn pppoe<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, Skip> {
        self.counters.pppoe += 1;
        let rest = self.after(bytes, 6)?;
        let length = be16(bytes, 4).ok_or(self.short())?;
        // Version 1, type 1, code 0: session data.
        if !bytes.starts_with(&[0x11, 0]) {
            return Err(Skip::NotIp(PPPOE_SESSION));
        }
        Ok(Layer::Ppp(self.bound(rest, usize::from(length))?))
    }

    /// A PPP frame (RFC 1661, RFC 1662), with or without HDLC-like framing and with protocol field compression.
    pub(super) fn ppp<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, Skip> {
        self.layer()?;
        let bytes = bytes.strip_prefix(&[0xff, 3]).unwrap_or(bytes);
        let first = *bytes.first().ok_or(self.short())?;
        let (protocol, len) =
            if first & 1 == 1 { (u16::from(first), 1) } else { (be16(bytes, 0).ok_or(self.short())?, 2) };
        let rest = self.after(bytes, len)?;
        match protocol {
            0x0021 => Ok(Layer::Ether(IPV4, rest)),
            0x0057 => Ok(Layer::Ether(IPV6, rest)),
            0x0281 => Ok(Layer::Ether(MPLS, rest)),
            0x0283 => Ok(Layer::Ether(MPLS_UPSTREAM, rest)),
            other => Err(Skip::NotIp(other)),
        }
    }
}

/// Whether an Ethernet frame begins here whose EtherType is one that carries IP.
fn carries(bytes: &[u8]) -> bool {
    matches!(be16(bytes, 12), Some(IPV4 | IPV6 | VLAN | VLAN_SERVICE | MPLS | PPPOE_SESSION))
}
