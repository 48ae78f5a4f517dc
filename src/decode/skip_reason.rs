//! The reasons why a frame contains no segment. They are not errors: skipping an ARP packet, for example, is normal.

/// The reason why a frame was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// A link type that is not decoded, by its LINKTYPE number.
    UnknownLink(u32),
    /// A frame without an IP packet: its EtherType, PPP protocol or address family.
    NotIp(u16),
    /// An IP packet of another protocol, or a tunnel that cannot be decoded: the innermost IP protocol number.
    NotTcp(u8),
    /// The capture cut a header.
    Truncated,
    /// A header is inconsistent with itself or its carrier.
    Malformed,
    /// More headers, tags or tunnels than the limits allow.
    TooManyLayers,
    /// A fragment whose IPv4 header checksum is wrong (RFC 791 section 3.1). Unfragmented packets are decoded and
    /// marked.
    BadIpChecksum,
    /// The TCP data offset is below 5 or points behind the end (RFC 9293 section 3.1).
    BadTcpHeader,
    /// A fragment that completed no datagram: stored, ignored or dropped, as counted by the `defrag` counters.
    Fragment,
}

impl SkipReason {
    /// Returns the stable name of the reason.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownLink(_) => "unknown_link",
            Self::NotIp(_) => "not_ip",
            Self::NotTcp(_) => "not_tcp",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::TooManyLayers => "too_many_layers",
            Self::BadIpChecksum => "bad_ip_checksum",
            Self::BadTcpHeader => "bad_tcp_header",
            Self::Fragment => "fragment",
        }
    }
}
