//! The client's address behind trusted proxies: the one that a PROXY protocol header names, or the rightmost address of
//! `X-Forwarded-For` that is not a trusted proxy's. The leftmost address is whatever the client wrote.

use std::net::IpAddr;

use ipnet::IpNet;

/// Returns the client for which proxies in `trusted` speak. `peer` is the other end of the connection, `proxied_for` what
/// its PROXY header names, `forwarded_for` the value of `X-Forwarded-For`. The header describes a connection to the peer,
/// so it is the last hop before it: it counts only if the peer is trusted, and if it is no proxy itself.
#[must_use]
pub(super) fn real_client(
    peer: IpAddr,
    proxied_for: Option<IpAddr>,
    forwarded_for: Option<&[u8]>,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    proxied_for
        .filter(|source| is_trusted(&peer) && !is_trusted(source))
        .or_else(|| forwarded_for.and_then(|value| rightmost_untrusted(value, trusted)))
}

/// Returns the rightmost address of the value that is not in `trusted`; `None` if no network is trusted or no address is
/// left.
#[must_use]
fn rightmost_untrusted(value: &[u8], trusted: &[IpNet]) -> Option<IpAddr> {
    if trusted.is_empty() {
        return None;
    }
    // Anything unreadable ends the chain of trust: a trusted proxy did not add what is left of it.
    value
        .rsplit(|&byte| byte == b',')
        .map(address)
        .find(|address| address.is_none_or(|address| !trusted.iter().any(|network| network.contains(&address))))
        .flatten()
}

/// Parses an address with or without port and brackets, as proxies write them.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| Some(rest.split_once(']')?.0)).unwrap_or(text);
    let without_port = bare.split_once(':').filter(|(_, port)| !port.contains(':')).map_or(bare, |(host, _)| host);
    without_port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_addresses_are_skipped_from_the_right() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let find = |value: &str| rightmost_untrusted(value.as_bytes(), &trusted).map(|address| address.to_string());
        assert_eq!(find("203.0.113.9, 198.51.100.7, 10.0.0.1").as_deref(), Some("198.51.100.7"));
        assert_eq!(find("198.51.100.7:4711,[2001:db8::1]:80").as_deref(), Some("198.51.100.7"));
        assert_eq!(find("2001:db9::7").as_deref(), Some("2001:db9::7"));
        assert_eq!(find("198.51.100.7, unknown, 10.0.0.1"), None);
        assert_eq!(find("10.0.0.1"), None);
        assert_eq!(rightmost_untrusted(b"198.51.100.7", &[]), None);
    }
}
