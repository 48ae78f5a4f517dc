//! What was not read: frames of link types and encapsulations that are not decoded, by kind, with the first frame of
//! each kind. Ordinary protocols that cannot carry TCP, such as ARP, are no part of it.

use std::fmt;

use super::protocol::{ether_type, ip_protocol};

/// A link type, an encapsulation or a state of a frame that hides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadKind {
    /// A link type, by its LINKTYPE number.
    LinkType(u32),
    /// An EtherType that is neither decoded nor known to carry no IP.
    EtherType(u16),
    /// An IP protocol that is neither decoded nor known to carry no IP.
    IpProtocol(u8),
    /// A PPP protocol that carries packets in another form.
    PppProtocol(u16),
    /// The next protocol of a network service header.
    NshProtocol(u8),
    /// The next protocol of VXLAN-GPE.
    VxlanGpeProtocol(u8),
    /// The encapsulated protocol of TZSP.
    TzspProtocol(u16),
    /// An encrypted IEEE 802.11 frame.
    WirelessEncrypted,
    /// A fragment of an IEEE 802.11 frame.
    WirelessFragment,
    /// The second and further frames of an IEEE 802.11 A-MSDU.
    WirelessAggregate,
    /// An IEEE 802.11 data frame without an LLC header.
    WirelessPayload,
    /// Encrypted CAPWAP data (DTLS).
    CapwapEncrypted,
    /// A CAPWAP fragment.
    CapwapFragment,
    /// A frame in an L2TPv3 session without a recognizable IP packet.
    L2tpSession,
    /// A fragment of an ARCNET packet.
    ArcnetFragment,
    /// More headers, tags or tunnels than the limits allow.
    TooManyLayers,
    /// Headers that the capture cut.
    CutHeader,
}

impl UnreadKind {
    /// Returns the name of the kind in counters, which follows `decode.unread.`.
    #[must_use]
    pub fn counter(self) -> String {
        match self {
            Self::LinkType(number) => format!("link_type_{number}"),
            Self::EtherType(number) => format!("ether_type_{number:04x}"),
            Self::IpProtocol(number) => format!("ip_protocol_{number}"),
            Self::PppProtocol(number) => format!("ppp_protocol_{number:04x}"),
            Self::NshProtocol(number) => format!("nsh_protocol_{number}"),
            Self::VxlanGpeProtocol(number) => format!("vxlan_gpe_protocol_{number}"),
            Self::TzspProtocol(number) => format!("tzsp_protocol_{number}"),
            Self::WirelessEncrypted => "wireless_encrypted".to_owned(),
            Self::WirelessFragment => "wireless_fragment".to_owned(),
            Self::WirelessAggregate => "wireless_aggregate".to_owned(),
            Self::WirelessPayload => "wireless_payload".to_owned(),
            Self::CapwapEncrypted => "capwap_encrypted".to_owned(),
            Self::CapwapFragment => "capwap_fragment".to_owned(),
            Self::L2tpSession => "l2tp_session".to_owned(),
            Self::ArcnetFragment => "arcnet_fragment".to_owned(),
            Self::TooManyLayers => "too_many_layers".to_owned(),
            Self::CutHeader => "cut_header".to_owned(),
        }
    }
}

impl fmt::Display for UnreadKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, name) = match *self {
            Self::LinkType(number) => (format!("link type {number}"), link_name(number)),
            Self::EtherType(number) => (format!("EtherType 0x{number:04x}"), ether_name(number)),
            Self::IpProtocol(number) => (format!("IP protocol {number}"), ip_name(number)),
            Self::PppProtocol(number) => (format!("PPP protocol 0x{number:04x}"), ppp_name(number)),
            Self::NshProtocol(number) => (format!("NSH next protocol {number}"), ""),
            Self::VxlanGpeProtocol(number) => (format!("VXLAN-GPE next protocol {number}"), ""),
            Self::TzspProtocol(number) => (format!("TZSP encapsulated protocol {number}"), ""),
            Self::WirelessEncrypted => ("encrypted IEEE 802.11 frame".to_owned(), ""),
            Self::WirelessFragment => ("IEEE 802.11 fragment".to_owned(), ""),
            Self::WirelessAggregate => ("IEEE 802.11 A-MSDU, all but its first frame".to_owned(), ""),
            Self::WirelessPayload => ("IEEE 802.11 data without an LLC header".to_owned(), ""),
            Self::CapwapEncrypted => ("encrypted CAPWAP data".to_owned(), "DTLS"),
            Self::CapwapFragment => ("CAPWAP fragment".to_owned(), ""),
            Self::L2tpSession => ("L2TPv3 session without a recognizable IP packet".to_owned(), ""),
            Self::ArcnetFragment => ("ARCNET fragment".to_owned(), ""),
            Self::TooManyLayers => ("more headers, tags or tunnels than the limits allow".to_owned(), ""),
            Self::CutHeader => ("headers cut by the capture".to_owned(), "snapshot length"),
        };
        if name.is_empty() { write!(out, "{text}") } else { write!(out, "{text} ({name})") }
    }
}

/// Frames of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What was not read.
    pub kind: UnreadKind,
    /// Number of frames.
    pub frames: u64,
    /// Number of the input with the first of them.
    pub input: u32,
    /// Number of the first of them in its input, from 1.
    pub first: u64,
}

/// The frames that were not read, by kind.
///
/// Invariant: at most [`MAX_KINDS`] entries, all of different kinds, in the order of their first frames.
#[derive(Clone, Debug, Default)]
pub struct UnreadFrames {
    kinds: Vec<Unread>,
    further: u64,
}

/// Kinds that are counted one by one; frames of further kinds are counted together.
pub const MAX_KINDS: usize = 16;

impl UnreadFrames {
    /// Counts a frame.
    pub(super) fn count(&mut self, kind: UnreadKind, input: u32, frame: u64) {
        if let Some(known) = self.kinds.iter_mut().find(|known| known.kind == kind) {
            known.frames += 1;
        } else if self.kinds.len() < MAX_KINDS {
            self.kinds.push(Unread { kind, frames: 1, input, first: frame });
        } else {
            self.further += 1;
        }
    }

    /// Returns the kinds in the order of their first frames.
    #[must_use]
    pub fn kinds(&self) -> &[Unread] {
        &self.kinds
    }

    /// Returns the number of frames of kinds that are not in the list, because it was full.
    #[must_use]
    pub fn further(&self) -> u64 {
        self.further
    }
}

/// Returns whether frames of an EtherType are known to carry no IP packet: address resolution, link control, spanning
/// tree and discovery, audio and time, fieldbuses, storage, and network protocols before IP.
pub(super) fn carries_no_ip(kind: u16) -> bool {
    matches!(
        kind,
        // XNS, X.25, ARP, Frame Relay ARP; CDP, VTP, DTP (in SNAP); wake-on-LAN, SRP, DECnet.
        0x0600 | 0x0805 | 0x0806 | 0x0808 | 0x2000 | 0x2003 | 0x2004 | 0x0842 | 0x22ea | 0x22f0 | 0x22f4 | 0x6000
            ..=0x6007
            // RARP and SLARP, AppleTalk and its ARP, IPX, QNX, CobraNet, flow control, slow protocols.
            | 0x8035 | 0x809b | 0x80f3 | 0x8137 | 0x8138 | 0x8204 | 0x8819 | 0x8808 | 0x8809
            // Discovery of PPPoE and MPLS, jumbo, HomePlug, EAPOL, PROFINET, HyperSCSI, ATA, EtherCAT, Powerlink.
            | 0x8863 | 0x887b | 0x888e | 0x8892 | 0x889a | 0x88a2 | 0x88a4 | 0x88ab
            // GOOSE and sampled values, LLDP, SERCOS, HomePlug AV, MRP, PBB control, PTP, NC-SI, PRP supervision.
            | 0x88b8 | 0x88b9 | 0x88ba | 0x88cc | 0x88cd | 0x88e1 | 0x88e3 | 0x88f5 | 0x88f6 | 0x88f7 | 0x88f8 | 0x88fb
            // CFM, FCoE and its initialization, RoCE, TTEthernet, IEEE 1905, MVRP, loopback, vendors' loop detection.
            | 0x8902 | 0x8906 | 0x8914 | 0x8915 | 0x891d | 0x893a | 0x8940 | 0x9000 | 0x8899 | 0x8783 | 0x9003
    )
}

/// Returns whether an IP protocol is known to carry no other IP packet: all that IANA assigned, without the carriers.
pub(super) fn is_no_carrier(protocol: u8) -> bool {
    // Minimal encapsulation, ESP, IPIP, ENCAP, private encryption, IPComp, AGGFRAG and others, as in `ip_name`.
    protocol <= 147 && ip_name(protocol).is_empty()
}

/// Returns whether a PPP protocol carries no IP packet in any form: other network protocols, and all control protocols
/// (RFC 1661 section 2).
pub(super) fn is_ppp_control(protocol: u16) -> bool {
    protocol >= 0x4000 || matches!(protocol, 0x0023..=0x002b | 0x0033..=0x003b | 0x003f)
}

/// The names of the LINKTYPE registry (<https://www.tcpdump.org/linktypes.html>), of those seen in practice.
fn link_name(number: u32) -> &'static str {
    match number {
        6 => "IEEE 802.5",
        8 => "SLIP",
        10 => "FDDI",
        107 => "Frame Relay",
        109 => "ENC",
        122 => "IP over Fibre Channel",
        130..=138 | 178 | 181 | 183 | 194 | 200 | 218 => "Juniper",
        147..=162 => "USER",
        177 => "LAPD",
        187 | 201 | 256 | 272 => "Bluetooth",
        189 | 220 | 249 | 266 => "USB",
        195 | 215 | 230 | 283 => "IEEE 802.15.4",
        197 => "ERF",
        203 => "LAPD",
        224 => "Fibre Channel",
        226 => "IPNET",
        227 => "CAN",
        231 => "D-Bus",
        240 => "NetANALYZER",
        247 => "InfiniBand",
        252 => "Wireshark upper PDU",
        253 => "Netlink",
        258 => "PKTAP",
        271 => "vsock",
        279 => "Ethernet with DOCSIS",
        _ => "",
    }
}

fn ether_name(kind: u16) -> &'static str {
    match kind {
        ether_type::MACSEC => "MACsec",
        ether_type::TRILL => "TRILL",
        ether_type::NSH => "NSH",
        ether_type::CISCO_METADATA => "Cisco MetaData",
        0x88b7 => "vendor-specific",
        0x890d => "IEEE 802.11 in Ethernet",
        0x88f0 => "vendor-specific",
        0x2001 => "NHRP",
        _ => "",
    }
}

/// The IP protocols that carry IP packets in a form that is not decoded, or not always.
fn ip_name(protocol: u8) -> &'static str {
    match protocol {
        ip_protocol::ESP => "ESP",
        55 => "minimal encapsulation",
        94 => "IPIP",
        ip_protocol::ETHERIP => "EtherIP",
        98 => "ENCAP",
        99 => "private encryption",
        108 => "IPComp",
        ip_protocol::L2TP => "L2TP",
        144 => "AGGFRAG",
        _ => "",
    }
}

fn ppp_name(protocol: u16) -> &'static str {
    match protocol {
        0x002d | 0x002f => "Van Jacobson compression",
        0x0031 => "bridging",
        0x003d => "multilink",
        0x0053 | 0x0055 => "encryption",
        0x0061 | 0x0063 | 0x0065 | 0x0067 | 0x0069 => "header compression",
        0x00fb | 0x00fd => "compression",
        _ => "",
    }
}
