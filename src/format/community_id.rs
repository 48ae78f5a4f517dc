//! The Community ID of a flow, version 1: one name for a flow in Suricata, Zeek, Arkime and ours.
//! Source: <https://github.com/corelight/community-id-spec>.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use sha1::{Digest, Sha1};

use crate::segment::Endpoint;

const TCP: u8 = 6;
/// `1:` and the Base64 of twenty bytes.
const LEN: usize = 30;

/// The Community ID of a TCP flow with seed 0, the same for both directions: `1:x9SEjKBWE6uUruEcX76rDQM3OfU=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommunityId([u8; LEN]);

impl CommunityId {
    /// The Community ID of the TCP flow between two ends.
    #[must_use]
    pub fn of_tcp(one: Endpoint, other: Endpoint) -> Self {
        let (low, high) = if ordered(one, other) { (one, other) } else { (other, one) };
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
            .expect("the Base64 of SHA-1's twenty bytes has 28 characters");
        Self(text)
    }

    /// As text.
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

/// The specification compares the addresses as bytes, then the ports. The derived order of an [`Endpoint`] is that, for
/// two addresses of one version, and no flow has two.
fn ordered(one: Endpoint, other: Endpoint) -> bool {
    one <= other
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

    fn id(one: &str, one_port: u16, other: &str, other_port: u16) -> String {
        let end = |ip: &str, port| Endpoint { ip: ip.parse().unwrap(), port };
        let id = CommunityId::of_tcp(end(one, one_port), end(other, other_port));
        assert_eq!(id, CommunityId::of_tcp(end(other, other_port), end(one, one_port)));
        id.as_str().to_owned()
    }

    /// The first is the specification's own example, the others are what the Python package `communityid` says.
    #[test]
    fn known_flows_have_their_known_ids() {
        assert_eq!(id("128.232.110.120", 34855, "66.35.250.204", 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(id("198.51.100.7", 40001, "192.0.2.10", 80), "1:x9SEjKBWE6uUruEcX76rDQM3OfU=");
        assert_eq!(id("10.0.0.1", 50000, "192.0.2.10", 80), "1:dQ9HNqwJc+gWaqNDKWkdWDTqGbU=");
        assert_eq!(id("2001:db8::1", 443, "2001:db8::2", 42), "1:tf4fIS2EX77JabH6wrUeBhMIj0c=");
        assert_eq!(id("10.0.0.1", 9, "10.0.0.1", 8), "1:BriuZqmfifIqTVJOpCHPKIUrNIU=");
    }
}
