//! IP protocol numbers and EtherTypes (IANA "Protocol Numbers" and "IEEE 802 Numbers"). The protocols are decoded by
//! [`super::ip`], [`super::link`] and [`super::tunnel`].

/// IP protocol numbers.
pub(super) mod ip_protocol {
    /// IPv6 hop-by-hop options (RFC 8200).
    pub(in crate::decode) const HOP_BY_HOP: u8 = 0;
    pub(in crate::decode) const ICMP: u8 = 1;
    /// IPv4 in IP (RFC 2003).
    pub(in crate::decode) const IPV4: u8 = 4;
    pub(in crate::decode) const TCP: u8 = 6;
    pub(in crate::decode) const UDP: u8 = 17;
    /// IPv6 in IP (RFC 2473).
    pub(in crate::decode) const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub(in crate::decode) const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub(in crate::decode) const FRAGMENT: u8 = 44;
    pub(in crate::decode) const GRE: u8 = 47;
    /// Encapsulating security payload (RFC 4303).
    pub(in crate::decode) const ESP: u8 = 50;
    /// Authentication header (RFC 4302).
    pub(in crate::decode) const AUTHENTICATION: u8 = 51;
    /// IPv6 destination options.
    pub(in crate::decode) const DESTINATION: u8 = 60;
    /// EtherIP (RFC 3378).
    pub(in crate::decode) const ETHERIP: u8 = 97;
    /// L2TP version 3 (RFC 3931).
    pub(in crate::decode) const L2TP: u8 = 115;
    /// IPv6 mobility header (RFC 6275).
    pub(in crate::decode) const MOBILITY: u8 = 135;
    /// Host Identity Protocol (RFC 7401).
    pub(in crate::decode) const HIP: u8 = 139;
    /// MPLS in IP (RFC 4023).
    pub(in crate::decode) const MPLS: u8 = 137;
    /// Shim6 (RFC 5533).
    pub(in crate::decode) const SHIM6: u8 = 140;
    /// An Ethernet frame behind a segment routing header (RFC 8986 section 10.1).
    pub(in crate::decode) const ETHERNET: u8 = 143;
}

/// EtherTypes.
pub(super) mod ether_type {
    pub(in crate::decode) const IPV4: u16 = 0x0800;
    pub(in crate::decode) const IPV6: u16 = 0x86dd;
    /// IEEE 802.1Q tag.
    pub(in crate::decode) const VLAN: u16 = 0x8100;
    /// IEEE 802.1ad service tag.
    pub(in crate::decode) const VLAN_SERVICE: u16 = 0x88a8;
    /// Service tags before IEEE 802.1ad.
    pub(in crate::decode) const VLAN_OLD: [u16; 2] = [0x9100, 0x9200];
    /// Transparent Ethernet bridging: an Ethernet frame.
    pub(in crate::decode) const BRIDGED: u16 = 0x6558;
    /// PPP in GRE (RFC 2637).
    pub(in crate::decode) const PPP: u16 = 0x880b;
    pub(in crate::decode) const MPLS: u16 = 0x8847;
    pub(in crate::decode) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(in crate::decode) const PPPOE_SESSION: u16 = 0x8864;
    /// Cisco VN-Tag, which port extenders add to mirrored frames.
    pub(in crate::decode) const VN_TAG: u16 = 0x8926;
    /// IEEE 802.1BR E-Tag, which port extenders add to mirrored frames.
    pub(in crate::decode) const E_TAG: u16 = 0x893f;
    /// IEEE 802.1ah backbone service instance tag.
    pub(in crate::decode) const BACKBONE: u16 = 0x88e7;
    /// Cisco FabricPath: a tag, and an Ethernet frame.
    pub(in crate::decode) const FABRICPATH: u16 = 0x8903;
    /// Cisco MetaData: a tag with the security group.
    pub(in crate::decode) const CISCO_METADATA: u16 = 0x8909;
    /// Network service header (RFC 8300).
    pub(in crate::decode) const NSH: u16 = 0x894f;
    /// TRILL (RFC 6325): a header, and an Ethernet frame.
    pub(in crate::decode) const TRILL: u16 = 0x22f3;
    /// High-availability seamless redundancy (IEC 62439-3): a tag.
    pub(in crate::decode) const HSR: u16 = 0x892f;
    /// IEEE 802.1AE.
    pub(in crate::decode) const MACSEC: u16 = 0x88e5;
    /// ERSPAN types I and II.
    pub(in crate::decode) const ERSPAN_I_II: u16 = 0x88be;
    /// ERSPAN type III.
    pub(in crate::decode) const ERSPAN_III: u16 = 0x22eb;
    /// Web Cache Communication Protocol in GRE.
    pub(in crate::decode) const WCCP: u16 = 0x883e;
}
