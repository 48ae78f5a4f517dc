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
    /// LINKTYPE_PPP (9), LINKTYPE_PPP_HDLC (50): PPP, with or without HDLC-like framing.
    Ppp,
    /// LINKTYPE_PPP_ETHER (51): a PPP over Ethernet session packet without the Ethernet header.
    PppEther,
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
            9 | 50 => Self::Ppp,
            51 => Self::PppEther,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::BsdLoop,
            113 => Self::LinuxSll,
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
