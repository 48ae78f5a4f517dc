//! What the user may choose about decoding, and what decoding may cost.

use std::time::Duration;

/// What the user may choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether VLAN ids are part of the flow key and of the fragment key (tenants that share addresses).
    pub vlan_tracking: bool,
    /// Whether IPv4 header checksums are verified (RFC 1122 section 3.2.1.2).
    pub verify_ip_checksum: bool,
    /// The bounds.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { vlan_tracking: false, verify_ip_checksum: true, limits: Limits::default() }
    }
}

/// What decoding may cost; each has a counter that moves when it is reached.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of fragments held, counted from entries.
    pub fragment_bytes: usize,
    /// Incomplete datagrams held.
    pub datagrams: usize,
    /// Fragments of one datagram.
    pub fragments_per_datagram: u32,
    /// Age at which an incomplete IPv4 datagram is dropped, from its first fragment.
    pub timeout_v4: Duration,
    /// Age at which an incomplete IPv6 datagram is dropped.
    pub timeout_v6: Duration,
    /// Ethernet, PPP and IP headers of one frame, and datagrams put together from it.
    pub layers: u8,
    /// Tunnels in one another.
    pub tunnels: u8,
    /// VLAN tags and MPLS labels of one frame.
    pub labels: u8,
    /// IPv6 extension headers and authentication headers of one frame.
    pub extensions: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fragment_bytes: 16 << 20,
            datagrams: 4096,
            // Rationale: a datagram of 64 KiB in pieces of 8 bytes, which Linux puts together. A smaller bound would hide
            // a request of 2 KiB in 257 pieces; pieces cost O(log n) each and are bounded in bytes.
            fragments_per_datagram: 8192,
            // Rationale: Linux, net.ipv4.ipfrag_time; after it an IP id may be in use again.
            timeout_v4: Duration::from_secs(30),
            // RFC 8200 section 4.5; Linux, net.ipv6.ip6frag_time.
            timeout_v6: Duration::from_secs(60),
            layers: 16,
            tunnels: 8,
            labels: 8,
            // Rationale: a host takes any number, so a low bound hides a request. A header has 8 bytes at least, so the work
            // is bounded by the frame's length anyway.
            extensions: 64,
        }
    }
}
