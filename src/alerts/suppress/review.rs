//! Finds entries without effect: expired ones, and those that never match with the loaded signatures. These are
//! warnings, not errors: the file is used all the same.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::{Conditions, SignatureName, SuppressEntry, Suppressions, Treatment, fold_product, is_at_or_below};
use crate::signature::{MatchKind, Pattern, Signature, Signatures};
use crate::time::Timestamp;
use crate::uri::NormalPath;

/// The loaded signatures, by id, slug, family and product.
struct SignatureNames<'a> {
    ids: HashMap<u32, &'a Signature>,
    slugs: HashMap<&'a str, &'a Signature>,
    families: HashMap<&'a str, Vec<&'a Signature>>,
    products: HashMap<String, Vec<&'a Signature>>,
    all: Vec<&'a Signature>,
}

impl<'a> SignatureNames<'a> {
    fn of(signatures: &'a Signatures) -> Self {
        let all: Vec<&Signature> = signatures.iter().map(Arc::as_ref).collect();
        let mut names = Self {
            ids: all.iter().map(|&signature| (signature.id, signature)).collect(),
            slugs: all.iter().map(|&signature| (&*signature.slug, signature)).collect(),
            families: HashMap::new(),
            products: HashMap::new(),
            all: Vec::new(),
        };
        for &signature in &all {
            names.families.entry(&signature.family).or_default().push(signature);
            names.products.entry(fold_product(&signature.product)).or_default().push(signature);
        }
        names.all = all;
        names
    }

    fn named(&self, name: &SignatureName) -> Option<&'a Signature> {
        match name {
            SignatureName::Id(id) => self.ids.get(id),
            SignatureName::Slug(slug) => self.slugs.get(&**slug),
        }
        .copied()
    }

    /// Returns the names in an entry that no loaded signature has.
    fn unknown(&self, conditions: &Conditions) -> Vec<String> {
        let mut unknown: Vec<String> = Vec::new();
        unknown.extend(conditions.signatures.iter().filter(|name| self.named(name).is_none()).map(|name| match name {
            SignatureName::Id(id) => format!("signature {id}"),
            SignatureName::Slug(slug) => format!("signature {slug:?}"),
        }));
        let families = conditions.families.iter().filter(|family| !self.families.contains_key(&***family));
        unknown.extend(families.map(|family| format!("family {family:?}")));
        let products = conditions.products.iter().filter(|product| !self.products.contains_key(&**product));
        unknown.extend(products.map(|product| format!("product {product:?}")));
        unknown
    }

    /// Reports whether `fits` holds for one of the signatures that the entry applies to.
    fn any(&self, conditions: &Conditions, fits: impl Fn(&Signature) -> bool) -> bool {
        let in_family = |one: &Signature| conditions.families.is_empty() || conditions.families.contains(&one.family);
        let of_product = |one: &Signature| {
            conditions.products.is_empty() || conditions.products.contains(&fold_product(&one.product))
        };
        let applies = |one: &&Signature| in_family(one) && of_product(one) && fits(one);
        if !conditions.signatures.is_empty() {
            return conditions.signatures.iter().filter_map(|name| self.named(name)).any(|one| applies(&one));
        }
        if !conditions.products.is_empty() {
            return conditions.products.iter().filter_map(|name| self.products.get(name)).flatten().any(applies);
        }
        if !conditions.families.is_empty() {
            let families = conditions.families.iter().filter_map(|name| self.families.get(&**name));
            return families.flatten().any(applies);
        }
        self.all.iter().any(applies)
    }
}

impl Suppressions {
    /// Returns the warnings to print at the start, one per line: entries that have expired by `now`, and those that
    /// never match.
    #[must_use]
    pub fn review(&self, signatures: &Signatures, now: Timestamp) -> Vec<String> {
        let names = SignatureNames::of(signatures);
        let mut lines = Vec::new();
        let mut earlier: HashMap<String, &SuppressEntry> = HashMap::new();
        // Allow entries take precedence, wherever they are.
        for entry in self.entries.iter().filter(|entry| entry.treatment == Treatment::Allow) {
            remember(&mut earlier, entry);
        }
        for entry in &self.entries {
            let mut warn = |what: String| lines.push(format!("{}:{}: {what}", entry.file, entry.line));
            if let Some(expires) = entry.expires.as_ref().filter(|expires| now >= expires.until) {
                warn(format!("expired on {}: it does not match later requests ({})", expires.day, entry.reason));
            }
            match why_never(&names, &entry.conditions) {
                Some(why) => warn(format!("never matches: {why} ({})", entry.reason)),
                None => {
                    for unknown in names.unknown(&entry.conditions) {
                        warn(format!("{unknown} is not loaded ({})", entry.reason));
                    }
                }
            }
            let first = remember(&mut earlier, entry);
            if !std::ptr::eq(first, entry) && outlives(first, entry) {
                let (treatment, file, line) = (first.treatment.name(), &first.file, first.line);
                warn(format!(
                    "never matches: the {treatment} entry at {file}:{line} takes precedence ({})",
                    entry.reason
                ));
            }
        }
        lines
    }
}

/// Returns the first entry with the same conditions, which is this one if there was none.
fn remember<'a>(earlier: &mut HashMap<String, &'a SuppressEntry>, entry: &'a SuppressEntry) -> &'a SuppressEntry {
    earlier.entry(canonical(&entry.conditions)).or_insert(entry)
}

/// Reports whether `first` expires no earlier than `second`.
fn outlives(first: &SuppressEntry, second: &SuppressEntry) -> bool {
    match (&first.expires, &second.expires) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(first), Some(second)) => first.until >= second.until,
    }
}

/// Returns the conditions as a text that does not depend on the order in which they are written.
fn canonical(conditions: &Conditions) -> String {
    fn sorted<T: std::fmt::Debug>(items: &[T]) -> String {
        let mut texts: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
        texts.sort_unstable();
        texts.dedup();
        texts.join(" ")
    }
    let Conditions { signatures, families, products, sources, destinations, hosts, paths } = conditions;
    [
        sorted(signatures),
        sorted(families),
        sorted(products),
        sorted(sources),
        sorted(destinations),
        sorted(hosts),
        sorted(paths),
    ]
    .join("\n")
}

/// Returns the reason why an entry matches no alert at all, if there is one.
fn why_never(names: &SignatureNames<'_>, conditions: &Conditions) -> Option<String> {
    if !names.any(conditions, |_| true) {
        let unknown = names.unknown(conditions);
        return Some(match unknown.is_empty() {
            true => "no loaded signature has all these names".to_owned(),
            false => format!("{} is not loaded", unknown.join(", ")),
        });
    }
    if !conditions.paths.is_empty() && !names.any(conditions, |signature| may_match(signature, &conditions.paths)) {
        return Some("no path of these signatures begins with it".to_owned());
    }
    let (sources, destinations) = (&conditions.sources, &conditions.destinations);
    for (networks, what) in [(sources, "source"), (destinations, "destination")] {
        if !networks.is_empty() && networks.iter().all(has_no_host) {
            return Some(format!("no host has such a {what} address"));
        }
    }
    let version = |networks: &[IpNet], four: bool| {
        networks.is_empty() || networks.iter().any(|network| matches!(network, IpNet::V4(_)) == four)
    };
    let agree = |four| version(sources, four) && version(destinations, four);
    (!agree(true) && !agree(false)).then(|| "source and destination are of different IP versions".to_owned())
}

/// Reports whether a request that the signature matches may have a path with one of these prefixes.
fn may_match(signature: &Signature, prefixes: &[String]) -> bool {
    let Pattern::Text(kind @ (MatchKind::Path | MatchKind::Prefix), patterns) = &signature.pattern else { return true };
    patterns.iter().any(|pattern| {
        let path = NormalPath::of(pattern.as_bytes()).path;
        prefixes.iter().any(|prefix| {
            let prefix = prefix.as_bytes();
            is_at_or_below(&path, prefix) || (*kind == MatchKind::Prefix && is_at_or_below(prefix, &path))
        })
    })
}

/// Reports whether no host has an address of the network: the unspecified address, multicast and broadcast (RFC 6890).
fn has_no_host(network: &IpNet) -> bool {
    let (first, single) = (network.network(), network.prefix_len() == network.max_prefix_len());
    let group = match network {
        IpNet::V4(network) => network.prefix_len() >= 4,
        IpNet::V6(network) => network.prefix_len() >= 8,
    };
    (group && first.is_multicast()) || (single && (first.is_unspecified() || first == IpAddr::V4(Ipv4Addr::BROADCAST)))
}
