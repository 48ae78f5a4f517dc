//! A captured frame as a packet source delivers it: bytes, link type, time. Does not decode it; see [`crate::decode`].

use crate::time::Timestamp;

/// The link type of a frame, by libpcap's LINKTYPE numbers (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// LINKTYPE_ETHERNET (1).
    Ethernet,
    /// LINKTYPE_LINUX_SLL (113): Linux cooked, version 1.
    LinuxSll,
    /// LINKTYPE_LINUX_SLL2 (276): Linux cooked, version 2.
    LinuxSll2,
    /// LINKTYPE_RAW (101, and DLT_RAW 12 and 14), LINKTYPE_IPV4 (228), LINKTYPE_IPV6 (229): an IP packet.
    RawIp,
    /// LINKTYPE_NULL (0): BSD loopback, a 4-byte address family in the byte order of the recording host.
    BsdNull,
    /// LINKTYPE_LOOP (108): OpenBSD loopback, a 4-byte address family in network byte order.
    BsdLoop,
    /// LINKTYPE_PPP (9), LINKTYPE_PPP_HDLC (50), LINKTYPE_C_HDLC (104): PPP, with or without HDLC-like framing, or
    /// Cisco HDLC; the first octet shows which, and serial captures mix them.
    Ppp,
    /// LINKTYPE_PPP_WITH_DIR (204), LINKTYPE_C_HDLC_WITH_DIR (205): the same after one octet with the direction.
    PppWithDirection,
    /// LINKTYPE_PPP_ETHER (51): a PPP over Ethernet session packet without the Ethernet header.
    PppEther,
    /// LINKTYPE_IEEE802_11 (105): a wireless frame.
    Ieee80211,
    /// LINKTYPE_IEEE802_11_RADIOTAP (127): a radiotap header and a wireless frame.
    Radiotap,
    /// LINKTYPE_IEEE802_11_PRISM (119), LINKTYPE_IEEE802_11_AVS (163): a header of the wireless card and a wireless
    /// frame; the first word shows which.
    Prism,
    /// LINKTYPE_PPI (192): a per-packet information header, and a frame of the link type named in it.
    Ppi,
    /// LINKTYPE_NFLOG (239): a packet logged by Linux netfilter, among its attributes.
    Nflog,
    /// LINKTYPE_IPOIB (242): IP over InfiniBand.
    Infiniband,
    /// LINKTYPE_ARCNET_BSD (7): ARCNET.
    Arcnet,
    /// LINKTYPE_ARCNET_LINUX (129): ARCNET, with the exception frames removed.
    ArcnetLinux,
    /// LINKTYPE_ATM_RFC1483 (100, and DLT_ATM_RFC1483 11): a packet after IEEE 802.2 LLC.
    Llc,
    /// LINKTYPE_MPLS (219): an MPLS label stack.
    Mpls,
    /// LINKTYPE_PFLOG (117): a packet logged by the packet filter of a BSD.
    Pflog,
    /// Any other number: frames are counted and skipped.
    Other(u32),
}

impl Link {
    /// Returns the link type for a LINKTYPE number from a capture file or from libpcap.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::BsdNull,
            1 => Self::Ethernet,
            7 => Self::Arcnet,
            9 | 50 | 104 => Self::Ppp,
            51 => Self::PppEther,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::BsdLoop,
            11 | 100 => Self::Llc,
            105 => Self::Ieee80211,
            113 => Self::LinuxSll,
            117 => Self::Pflog,
            119 | 163 => Self::Prism,
            127 => Self::Radiotap,
            129 => Self::ArcnetLinux,
            192 => Self::Ppi,
            204 | 205 => Self::PppWithDirection,
            219 => Self::Mpls,
            239 => Self::Nflog,
            242 => Self::Infiniband,
            276 => Self::LinuxSll2,
            other => Self::Other(other),
        }
    }
}

/// One captured frame, borrowed from its block.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Sequential number of the packet in the whole run, from 1.
    pub number: u64,
    /// Number of the frame in its file or on its interface, from 1, before any filter (`pcap_cnt`).
    pub frame: u64,
    /// The time stamp of the capture.
    pub time: Timestamp,
    /// The link type, which determines the header at the first byte.
    pub link: Link,
    /// Length of the frame on the wire in bytes; never below `bytes.len()`.
    pub wire_len: u32,
    /// The captured bytes.
    pub bytes: &'a [u8],
}
