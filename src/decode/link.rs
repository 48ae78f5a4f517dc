//! Decodes the link layers that carry IP packets: Ethernet, tags, MPLS, PPP, Cisco HDLC, InfiniBand, ARCNET, cooked and
//! loopback headers. Does not decode IP; see [`super::ip`]; wireless frames are in [`super::wireless`].

use super::protocol::ether_type;
use super::slow_path::{Layer, LayerWalker};
use super::unread::{UnreadKind, carries_no_ip, is_ppp_control};
use super::{SkipReason, be16, be32};
use crate::packet::Link;

/// The PPP protocol number of bridged frames.
const PPP_BRIDGING: u16 = 0x0031;
/// The lowest EtherType; below it the field is a length (IEEE 802.3).
const FIRST_ETHER_TYPE: u16 = 0x0600;

impl LayerWalker<'_> {
    /// Decodes the first layer of a frame.
    pub(super) fn link<'a>(&mut self, link: Link, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        match link {
            Link::Ethernet => Ok(Layer::Ethernet(bytes)),
            Link::RawIp => Ok(Layer::Ip(bytes)),
            Link::LinuxSll => self.cooked(bytes, 14, 2, 16),
            Link::LinuxSll2 => self.cooked(bytes, 0, 8, 20),
            Link::BsdNull | Link::BsdLoop => self.family(bytes),
            Link::Ppp => self.serial(bytes),
            Link::PppWithDirection => self.serial(self.after(bytes, 1)?),
            Link::PppEther => self.pppoe(bytes),
            Link::Ieee80211 => self.data_frame(bytes, false),
            Link::Radiotap => self.radiotap(bytes),
            Link::Prism => self.prism(bytes),
            Link::Ppi => self.ppi(bytes),
            Link::Nflog => self.nflog(bytes),
            Link::Pflog => self.pflog(bytes),
            Link::Infiniband => self.infiniband(bytes),
            Link::Arcnet => self.arcnet(bytes, 2),
            Link::ArcnetLinux => self.arcnet(bytes, 4),
            Link::Llc => self.llc(bytes, 0),
            Link::Mpls => Ok(Layer::Ether(ether_type::MPLS, bytes)),
            Link::Other(number) => {
                self.unread(UnreadKind::LinkType(number));
                Err(SkipReason::UnknownLink(number))
            }
        }
    }

    /// Decodes a cooked header of `len` bytes with an EtherType at `kind_at` and an ARPHRD_ type at `device_at`.
    fn cooked<'a>(
        &mut self,
        bytes: &'a [u8],
        kind_at: usize,
        device_at: usize,
        len: usize,
    ) -> Result<Layer<'a>, SkipReason> {
        const NOVELL_RAW: u16 = 1;
        const LLC: u16 = 4;
        let rest = self.after(bytes, len)?;
        // Wireless interfaces in monitor mode (<https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>).
        match be16(bytes, device_at) {
            Some(801) => return self.data_frame(rest, false),
            Some(802) => return self.prism(rest),
            Some(803) => return self.radiotap(rest),
            _ => {}
        }
        match be16(bytes, kind_at).ok_or(self.short())? {
            kind @ (NOVELL_RAW | LLC) => self.llc(rest, kind),
            kind => Ok(Layer::Ether(kind, rest)),
        }
    }

    /// Decodes a frame of a serial line: Cisco HDLC (RFC 1547 section 4.3.1), which begins with the address 0x0f
    /// (unicast) or 0x8f (broadcast), or PPP.
    fn serial<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        let [0x0f | 0x8f, 0, ..] = bytes else { return Ok(Layer::Ppp(bytes)) };
        self.count_layer()?;
        let rest = self.after(bytes, 4)?;
        match be16(bytes, 2).ok_or(self.short())? {
            kind if kind < FIRST_ETHER_TYPE => Err(SkipReason::NotIp(kind)),
            kind => Ok(Layer::Ether(kind, rest)),
        }
    }

    /// Decodes IP over InfiniBand (RFC 4391 section 6): an EtherType and two reserved octets. libpcap has 40 octets
    /// with addresses before it.
    fn infiniband<'a>(&self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        const ADDRESSES: usize = 40;
        const HEADER: usize = 4;
        if let Some(kind @ (ether_type::IPV4 | ether_type::IPV6)) = be16(bytes, ADDRESSES) {
            return Ok(Layer::Ether(kind, self.after(bytes, ADDRESSES + HEADER)?));
        }
        match be16(bytes, 0).ok_or(self.short())? {
            kind if kind < FIRST_ETHER_TYPE => Err(SkipReason::NotIp(kind)),
            kind => Ok(Layer::Ether(kind, self.after(bytes, HEADER)?)),
        }
    }

    /// Decodes ARCNET with its protocol number at `kind_at`: IP (RFC 1051), or IP and IPv6 with a fragment header of
    /// flag and sequence number (RFC 1201), which an exception header of the same form may precede.
    fn arcnet<'a>(&mut self, bytes: &'a [u8], kind_at: usize) -> Result<Layer<'a>, SkipReason> {
        const EXCEPTION: u8 = 0xff;
        let kind = *bytes.get(kind_at).ok_or(self.short())?;
        let ether = match kind {
            240 => return Ok(Layer::Ether(ether_type::IPV4, self.after(bytes, kind_at + 1)?)),
            212 => ether_type::IPV4,
            196 => ether_type::IPV6,
            other => return Err(SkipReason::NotIp(u16::from(other))),
        };
        let mut rest = self.after(bytes, kind_at + 1)?;
        if rest.first() == Some(&EXCEPTION) {
            rest = self.after(rest, 4)?;
        }
        let packet = self.after(rest, 3)?;
        if rest[0] != 0 {
            self.unread(UnreadKind::ArcnetFragment);
            return Err(SkipReason::NotIp(u16::from(kind)));
        }
        Ok(Layer::Ether(ether, packet))
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
            // Forwarding tag and time to live.
            ether_type::FABRICPATH => Ok(Layer::Ethernet(self.after(bytes, 2)?)),
            ether_type::CISCO_METADATA => self.cisco_metadata(bytes),
            ether_type::NSH => self.nsh(bytes),
            ether_type::TRILL => self.trill(bytes),
            // Path, length and sequence number.
            ether_type::HSR => self.tag(bytes, 4),
            ether_type::MACSEC => self.macsec(bytes),
            length if length < FIRST_ETHER_TYPE => {
                let bytes = self.bound(bytes, usize::from(length))?;
                self.llc(bytes, length)
            }
            other => {
                if !carries_no_ip(other) {
                    self.unread(UnreadKind::EtherType(other));
                }
                Err(SkipReason::NotIp(other))
            }
        }
    }

    /// Decodes Cisco MetaData (draft-smith-kandula-sxp section 3.11): version 1, the number of options of 4 bytes.
    fn cisco_metadata<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        let [version, options, ..] = *bytes else { return Err(self.short()) };
        if version != 1 || options == 0 {
            self.unread(UnreadKind::EtherType(ether_type::CISCO_METADATA));
            return Err(SkipReason::NotIp(ether_type::CISCO_METADATA));
        }
        self.tag(bytes, 2 + usize::from(options) * 4)
    }

    /// Decodes TRILL (RFC 6325 section 3): version 0, the number of options of 4 bytes, two nicknames, a frame.
    fn trill<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        let fields = be16(bytes, 0).ok_or(self.short())?;
        if fields >> 14 != 0 {
            self.unread(UnreadKind::EtherType(ether_type::TRILL));
            return Err(SkipReason::NotIp(ether_type::TRILL));
        }
        Ok(Layer::Ethernet(self.after(bytes, 6 + usize::from((fields >> 6) & 0x1f) * 4)?))
    }

    /// Decodes MACsec (IEEE 802.1AE section 9) that protects the integrity only; the payload is unchanged then.
    fn macsec<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        const VERSION_ENCRYPTED_CHANGED: u8 = 0x8c;
        const CHANNEL_IDENTIFIER: u8 = 0x20;
        let control = *bytes.first().ok_or(self.short())?;
        if control & VERSION_ENCRYPTED_CHANGED != 0 {
            self.unread(UnreadKind::EtherType(ether_type::MACSEC));
            return Err(SkipReason::NotIp(ether_type::MACSEC));
        }
        self.tag(bytes, if control & CHANNEL_IDENTIFIER != 0 { 14 } else { 6 })
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
    pub(super) fn llc<'a>(&self, bytes: &'a [u8], kind: u16) -> Result<Layer<'a>, SkipReason> {
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
            PPP_BRIDGING => self.bridged(rest),
            other => {
                if !is_ppp_control(other) {
                    self.unread(UnreadKind::PppProtocol(other));
                }
                Err(SkipReason::NotIp(other))
            }
        }
    }

    /// Decodes a bridged frame in PPP (RFC 3518 section 4.2): flags, and MAC type 1 for IEEE 802.3.
    fn bridged<'a>(&mut self, bytes: &'a [u8]) -> Result<Layer<'a>, SkipReason> {
        const LAN_IDENTIFIER: u8 = 0x40;
        let [flags, 1, ..] = *bytes else {
            self.unread(UnreadKind::PppProtocol(PPP_BRIDGING));
            return Err(SkipReason::NotIp(PPP_BRIDGING));
        };
        Ok(Layer::Ethernet(self.after(bytes, if flags & LAN_IDENTIFIER != 0 { 6 } else { 2 })?))
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
