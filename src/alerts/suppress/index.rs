//! Finds the entries that may match an alert: each entry is indexed by the condition that it shares with the fewest
//! other entries. Does not check the other conditions.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{AlertFacts, Conditions, HostPattern, SignatureName, SuppressEntry};

/// Maximum length of a host that is looked up by its parts. Rationale: no name is longer (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 255;

/// Maps the items of conditions to entries.
///
/// Invariant: every entry is listed under every item of one of its conditions, so that if it matches an alert, one of
/// the alert's keys leads to it.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Vec<u8>, Vec<u32>>,
    /// Prefix lengths of the networks, by kind of key, so that only these are looked up.
    prefixes: BTreeSet<(u8, u8)>,
    /// Lengths of the paths, so that only these are looked up.
    paths: BTreeSet<usize>,
}

/// The first byte of a key: the kind of condition.
mod kind {
    pub(super) const SOURCE: u8 = 0;
    pub(super) const DESTINATION: u8 = 1;
    pub(super) const HOST: u8 = 2;
    pub(super) const BELOW: u8 = 3;
    pub(super) const PATH: u8 = 4;
    pub(super) const ID: u8 = 5;
    pub(super) const SLUG: u8 = 6;
    pub(super) const PRODUCT: u8 = 7;
    pub(super) const FAMILY: u8 = 8;
}

fn key(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + bytes.len());
    key.push(kind);
    key.extend_from_slice(bytes);
    key
}

fn network_key(kind: u8, network: IpNet) -> Vec<u8> {
    let mut bytes = vec![network.prefix_len()];
    match network.network() {
        IpAddr::V4(address) => bytes.extend(address.octets()),
        IpAddr::V6(address) => bytes.extend(address.octets()),
    }
    key(kind, &bytes)
}

/// Returns the keys of each condition that is not empty.
fn keys(conditions: &Conditions) -> Vec<Vec<Vec<u8>>> {
    let networks = |kind, all: &[IpNet]| all.iter().map(|&one| network_key(kind, one)).collect::<Vec<_>>();
    let texts = |kind, all: &[String]| all.iter().map(|text| key(kind, text.as_bytes())).collect::<Vec<_>>();
    let hosts = conditions.hosts.iter().map(|host| match host {
        HostPattern::Exact(host) => key(kind::HOST, host.as_bytes()),
        HostPattern::Below(domain) => key(kind::BELOW, domain.as_bytes()),
    });
    let names = conditions.signatures.iter().map(|name| match name {
        SignatureName::Id(id) => key(kind::ID, &id.to_be_bytes()),
        SignatureName::Slug(slug) => key(kind::SLUG, slug.as_bytes()),
    });
    let all = [
        networks(kind::SOURCE, &conditions.sources),
        networks(kind::DESTINATION, &conditions.destinations),
        hosts.collect(),
        texts(kind::PATH, &conditions.paths),
        names.collect(),
        texts(kind::PRODUCT, &conditions.products),
        texts(kind::FAMILY, &conditions.families),
    ];
    all.into_iter().filter(|keys| !keys.is_empty()).collect()
}

impl Index {
    pub(super) fn of(entries: &[SuppressEntry]) -> Self {
        let mut shared: HashMap<Vec<u8>, u32> = HashMap::new();
        for key in entries.iter().flat_map(|entry| keys(&entry.conditions)).flatten() {
            *shared.entry(key).or_default() += 1;
        }
        let mut index = Self::default();
        for (number, entry) in (0..).zip(entries) {
            let sharing = |keys: &Vec<Vec<u8>>| keys.iter().filter_map(|key| shared.get(key)).max().copied();
            let Some(best) = keys(&entry.conditions).into_iter().min_by_key(|keys| (sharing(keys), keys.len())) else {
                continue;
            };
            for key in best {
                match *key {
                    [kind @ (kind::SOURCE | kind::DESTINATION), len, ..] => {
                        index.prefixes.insert((kind, len));
                    }
                    [kind::PATH, ..] => {
                        index.paths.insert(key.len() - 1);
                    }
                    _ => {}
                }
                index.entries.entry(key).or_default().push(number);
            }
        }
        index
    }

    /// Visits the indices of the entries that may match, in no particular order and possibly repeatedly.
    pub(super) fn candidates(&self, facts: &AlertFacts<'_>, visit: &mut dyn FnMut(usize)) {
        let mut look_up = |key: &[u8]| self.entries.get(key).into_iter().flatten().for_each(|&at| visit(at as usize));
        for &(kind, len) in &self.prefixes {
            let address = if kind == kind::SOURCE { facts.source } else { facts.destination };
            // A prefix longer than the address belongs to the other IP version.
            if let Ok(net) = IpNet::new(address, len) {
                look_up(&network_key(kind, net));
            }
        }
        if let Some(host) = &facts.host {
            look_up(&key(kind::HOST, host));
            let last = host.get(host.len().saturating_sub(MAX_HOST)..).unwrap_or_default();
            for dot in dots(last) {
                look_up(&key(kind::BELOW, last.get(dot + 1..).unwrap_or_default()));
            }
        }
        for &len in self.paths.range(..=facts.path.len()) {
            if matches!(facts.path.get(len), None | Some(b'/')) {
                look_up(&key(kind::PATH, facts.path.get(..len).unwrap_or_default()));
            }
        }
        look_up(&key(kind::ID, &facts.id.to_be_bytes()));
        look_up(&key(kind::SLUG, facts.slug.as_bytes()));
        look_up(&key(kind::PRODUCT, facts.product.as_bytes()));
        look_up(&key(kind::FAMILY, facts.family.as_bytes()));
    }
}

fn dots(host: &[u8]) -> impl Iterator<Item = usize> {
    host.iter().enumerate().filter(|&(_, &byte)| byte == b'.').map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use crate::alerts::suppress::{SuppressFile, Suppressions};

    /// Entries that share all conditions but one are indexed by that one.
    #[test]
    fn entries_are_indexed_by_their_least_shared_condition() {
        type Line = fn(u32) -> String;
        let lines: [Line; 6] = [
            |n| format!("path = \"/{n}\""),
            |n| format!("host = \"{n}.example\""),
            |n| format!("host = \".{n}.example\""),
            |n| format!("source = \"10.{}.{}.0/24\"", n / 256, n % 256),
            |n| format!("destination = \"2001:db8:{n:x}::/48\""),
            |n| format!("signature = {}", 1_010_000 + n),
        ];
        for different in 0..lines.len() {
            let entry = |n| {
                // One host per entry.
                let other = if different == 1 { 2 } else { 1 };
                let of = |at: usize| if at == different { lines[at](n) } else { lines[at](0) };
                let conditions: Vec<String> = (0..lines.len()).filter(|&at| at != other).map(of).collect();
                format!("[[suppress]]\n{}\nreason = \"x\"\n", conditions.join("\n"))
            };
            let text: String = (1..2_000).map(entry).collect();
            let set = Suppressions::load(&[SuppressFile { name: "f", text: &text }]).unwrap();
            let widest = set.index.entries.values().map(Vec::len).max();
            assert_eq!(widest, Some(1), "{}", lines[different](1));
        }
    }
}
