//! Which entries may hold for an alert: found by the one condition of each entry that it shares with the fewest others.
//! Not whether they hold.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{AlertFacts, Conditions, Host, Name, SuppressEntry};

/// Longest host that is looked up by its parts. Rationale: no name is longer (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 255;

/// Entries by one of their conditions.
///
/// Invariant: every entry stands under every item of one of its conditions, so that if it holds, one of the keys of the
/// alert leads to it.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Vec<u8>, Vec<u32>>,
    /// Lengths of the prefixes of networks and of the paths, so that only those are asked for.
    prefixes: BTreeSet<(u8, u8)>,
    paths: BTreeSet<usize>,
}

/// What a key is about; its first byte.
mod about {
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

fn key(about: u8, bytes: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + bytes.len());
    key.push(about);
    key.extend_from_slice(bytes);
    key
}

fn network(about: u8, network: IpNet) -> Vec<u8> {
    let mut bytes = vec![network.prefix_len()];
    match network.network() {
        IpAddr::V4(address) => bytes.extend(address.octets()),
        IpAddr::V6(address) => bytes.extend(address.octets()),
    }
    key(about, &bytes)
}

/// The keys of each condition that an entry has.
fn keys(conditions: &Conditions) -> Vec<Vec<Vec<u8>>> {
    let networks = |about, all: &[IpNet]| all.iter().map(|&one| network(about, one)).collect::<Vec<_>>();
    let texts = |about, all: &[String]| all.iter().map(|text| key(about, text.as_bytes())).collect::<Vec<_>>();
    let hosts = conditions.hosts.iter().map(|host| match host {
        Host::Exact(host) => key(about::HOST, host.as_bytes()),
        Host::Below(domain) => key(about::BELOW, domain.as_bytes()),
    });
    let names = conditions.signatures.iter().map(|name| match name {
        Name::Id(id) => key(about::ID, &id.to_be_bytes()),
        Name::Slug(slug) => key(about::SLUG, slug.as_bytes()),
    });
    let all = [
        networks(about::SOURCE, &conditions.sources),
        networks(about::DESTINATION, &conditions.destinations),
        hosts.collect(),
        texts(about::PATH, &conditions.paths),
        names.collect(),
        texts(about::PRODUCT, &conditions.products),
        texts(about::FAMILY, &conditions.families),
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
        for (at, entry) in (0..).zip(entries) {
            let most = |keys: &Vec<Vec<u8>>| keys.iter().filter_map(|key| shared.get(key)).max().copied();
            let Some(best) = keys(&entry.conditions).into_iter().min_by_key(|keys| (most(keys), keys.len())) else {
                continue;
            };
            for key in best {
                match *key {
                    [about @ (about::SOURCE | about::DESTINATION), len, ..] => {
                        index.prefixes.insert((about, len));
                    }
                    [about::PATH, ..] => {
                        index.paths.insert(key.len() - 1);
                    }
                    _ => {}
                }
                index.entries.entry(key).or_default().push(at);
            }
        }
        index
    }

    /// Visits the entries that may hold, in no order, one more than once.
    pub(super) fn candidates(&self, facts: &AlertFacts<'_>, visit: &mut dyn FnMut(usize)) {
        let mut ask = |key: &[u8]| self.entries.get(key).into_iter().flatten().for_each(|&at| visit(at as usize));
        for &(about, len) in &self.prefixes {
            let address = if about == about::SOURCE { facts.source } else { facts.destination };
            // A prefix that is longer than the address is one of the other version.
            if let Ok(net) = IpNet::new(address, len) {
                ask(&network(about, net));
            }
        }
        if let Some(host) = &facts.host {
            ask(&key(about::HOST, host));
            let last = host.get(host.len().saturating_sub(MAX_HOST)..).unwrap_or_default();
            for dot in dots(last) {
                ask(&key(about::BELOW, last.get(dot + 1..).unwrap_or_default()));
            }
        }
        for &len in self.paths.range(..=facts.path.len()) {
            if matches!(facts.path.get(len), None | Some(b'/')) {
                ask(&key(about::PATH, facts.path.get(..len).unwrap_or_default()));
            }
        }
        ask(&key(about::ID, &facts.id.to_be_bytes()));
        ask(&key(about::SLUG, facts.slug.as_bytes()));
        ask(&key(about::PRODUCT, facts.product.as_bytes()));
        ask(&key(about::FAMILY, facts.family.as_bytes()));
    }
}

fn dots(host: &[u8]) -> impl Iterator<Item = usize> {
    host.iter().enumerate().filter(|&(_, &byte)| byte == b'.').map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use crate::alerts::suppress::{SuppressFile, Suppressions};

    /// Entries that have all but one condition in common are told apart by that one.
    #[test]
    fn entries_stand_under_what_they_do_not_share() {
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
                // A host stands once.
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
