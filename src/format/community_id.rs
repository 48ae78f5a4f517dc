//! Computes the Community ID of a flow, version 1: an identifier that Suricata, Zeek, Arkime and smsentry share.
//! Source: <https://github.com/corelight/community-id-spec>.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use sha1::{Digest, Sha1};

use crate::segment::Endpoint;

const TCP: u8 = 6;
/// Bytes of `1:` and the Base64 of 20 bytes.
const LEN: usize = 30;

/// The Community ID of a TCP flow with seed 0, the same for both directions: `1:x9SEjKBWE6uUruEcX76rDQM3OfU=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommunityId([u8; LEN]);

impl CommunityId {
    /// Returns the Community ID of the TCP flow between two endpoints, given in either order.
    #[must_use]
    pub fn of_tcp(a: Endpoint, b: Endpoint) -> Self {
        let (low, high) = if is_ordered(a, b) { (a, b) } else { (b, a) };
        let mut hash = Sha1::new();
        hash.update(0_u16.to_be_bytes());
        update(&mut hash, low.ip);
        update(&mut hash, high.ip);
        hash.update([TCP, 0]);
        hash.update(low.port.to_be_bytes());
        hash.update(high.port.to_be_bytes());
        let mut text = *b"1:============================";
        STANDARD
            .encode_slice(hash.finalize(), &mut text[2..])
            .expect("the Base64 of a 20-byte SHA-1 digest has 28 characters");
        Self(text)
    }

    /// Returns the ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("Base64 is ASCII")
    }
}

impl Serialize for CommunityId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Reports whether `a` comes first. The specification compares the addresses as bytes, then the ports. That is the
/// derived order of [`Endpoint`] if both addresses have the same IP version, as they do in every flow.
fn is_ordered(a: Endpoint, b: Endpoint) -> bool {
    a <= b
}

fn update(hash: &mut Sha1, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => hash.update(ip.octets()),
        IpAddr::V6(ip) => hash.update(ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ip_a: &str, port_a: u16, ip_b: &str, port_b: u16) -> String {
        let endpoint = |ip: &str, port| Endpoint { ip: ip.parse().unwrap(), port };
        let (a, b) = (endpoint(ip_a, port_a), endpoint(ip_b, port_b));
        let id = CommunityId::of_tcp(a, b);
        assert_eq!(id, CommunityId::of_tcp(b, a));
        id.as_str().to_owned()
    }

    /// The first is the specification's own example; the others were computed with the Python package `communityid`.
    #[test]
    fn community_ids_equal_the_reference() {
        assert_eq!(id("128.232.110.120", 34855, "66.35.250.204", 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(id("198.51.100.7", 40001, "192.0.2.10", 80), "1:x9SEjKBWE6uUruEcX76rDQM3OfU=");
        assert_eq!(id("10.0.0.1", 50000, "192.0.2.10", 80), "1:dQ9HNqwJc+gWaqNDKWkdWDTqGbU=");
        assert_eq!(id("2001:db8::1", 443, "2001:db8::2", 42), "1:tf4fIS2EX77JabH6wrUeBhMIj0c=");
        assert_eq!(id("10.0.0.1", 9, "10.0.0.1", 8), "1:BriuZqmfifIqTVJOpCHPKIUrNIU=");
    }
}
