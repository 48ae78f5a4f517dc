//! The source of requests as far as clients can be distinguished: an IPv4 address, or an IPv6 /64, because one client
//! can use all 2^64 addresses of its /64. Not an endpoint, and no state about the source.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::table::{KeyedHasher, TableKey};

/// The address or network of one client.
///
/// Invariant: only the first 64 bits of an IPv6 address are set, and it is not an IPv4-mapped address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceAddr(IpAddr);

impl SourceAddr {
    /// Returns the source that an address belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }

    /// Returns the first address as 16 bytes; an IPv4 address is IPv4-mapped (RFC 4291 section 2.5.5.2).
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }
    }
}

impl fmt::Display for SourceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

impl TableKey for SourceAddr {
    fn hash(&self, hasher: &KeyedHasher) -> u64 {
        hasher.hash(&self.octets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_source_is_its_first_64_bits() {
        let source = |text: &str| SourceAddr::of(text.parse().unwrap());
        assert_eq!(source("2001:db8:1:2::9"), source("2001:db8:1:2:ffff::1"));
        assert_ne!(source("2001:db8:1:2::9"), source("2001:db8:1:3::9"));
        assert_ne!(source("198.51.100.7"), source("198.51.100.8"));
        assert_eq!(source("::ffff:198.51.100.7"), source("198.51.100.7"));
        assert_eq!(source("2001:db8:1:2::9").to_string(), "2001:db8:1:2::/64");
    }
}
