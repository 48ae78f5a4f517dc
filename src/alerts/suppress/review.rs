//! Entries that hide nothing: over already, or never to match with the signatures that are loaded. Not faults: the file
//! is used all the same.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::{Conditions, Name, SuppressEntry, Suppressions, Treatment, begins_with, fold_product};
use crate::signature::{MatchKind, Pattern, Signature, Signatures};
use crate::time::Timestamp;
use crate::uri::NormalPath;

/// The loaded signatures by their names.
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
        let mut known = Self {
            ids: all.iter().map(|&signature| (signature.id, signature)).collect(),
            slugs: all.iter().map(|&signature| (&*signature.slug, signature)).collect(),
            families: HashMap::new(),
            products: HashMap::new(),
            all: Vec::new(),
        };
        for &signature in &all {
            known.families.entry(&signature.family).or_default().push(signature);
            known.products.entry(fold_product(&signature.product)).or_default().push(signature);
        }
        known.all = all;
        known
    }

    fn named(&self, name: &Name) -> Option<&'a Signature> {
        match name {
            Name::Id(id) => self.ids.get(id),
            Name::Slug(slug) => self.slugs.get(&**slug),
        }
        .copied()
    }

    /// What an entry names and nobody knows.
    fn unknown(&self, conditions: &Conditions) -> Vec<String> {
        let mut unknown: Vec<String> = Vec::new();
        unknown.extend(conditions.signatures.iter().filter(|name| self.named(name).is_none()).map(|name| match name {
            Name::Id(id) => format!("signature {id}"),
            Name::Slug(slug) => format!("signature {slug:?}"),
        }));
        let families = conditions.families.iter().filter(|family| !self.families.contains_key(&***family));
        unknown.extend(families.map(|family| format!("family {family:?}")));
        let products = conditions.products.iter().filter(|product| !self.products.contains_key(&**product));
        unknown.extend(products.map(|product| format!("product {product:?}")));
        unknown
    }

    /// Whether `fits` holds for one of the signatures that the entry is about.
    fn any(&self, conditions: &Conditions, fits: impl Fn(&Signature) -> bool) -> bool {
        let in_family = |one: &Signature| conditions.families.is_empty() || conditions.families.contains(&one.family);
        let of_product = |one: &Signature| {
            conditions.products.is_empty() || conditions.products.contains(&fold_product(&one.product))
        };
        let good = |one: &&Signature| in_family(one) && of_product(one) && fits(one);
        if !conditions.signatures.is_empty() {
            return conditions.signatures.iter().filter_map(|name| self.named(name)).any(|one| good(&one));
        }
        if !conditions.products.is_empty() {
            return conditions.products.iter().filter_map(|name| self.products.get(name)).flatten().any(good);
        }
        if !conditions.families.is_empty() {
            let families = conditions.families.iter().filter_map(|name| self.families.get(&**name));
            return families.flatten().any(good);
        }
        self.all.iter().any(good)
    }
}

impl Suppressions {
    /// What is to be told at the start: entries that are over by `now`, and those that never match, a line each.
    #[must_use]
    pub fn review(&self, signatures: &Signatures, now: Timestamp) -> Vec<String> {
        let known = SignatureNames::of(signatures);
        let mut lines = Vec::new();
        let mut earlier: HashMap<String, &SuppressEntry> = HashMap::new();
        // An allow entry goes first, wherever it stands.
        for entry in self.entries.iter().filter(|entry| entry.treatment == Treatment::Allow) {
            remember(&mut earlier, entry);
        }
        for entry in &self.entries {
            let mut emit = |what: String| lines.push(format!("{}:{}: {what}", entry.file, entry.line));
            if let Some(expires) = entry.expires.as_ref().filter(|expires| now >= expires.until) {
                emit(format!("expired on {}: it hides nothing of later days ({})", expires.day, entry.reason));
            }
            match never(&known, &entry.conditions) {
                Some(why) => emit(format!("never matches: {why} ({})", entry.reason)),
                None => {
                    for unknown in known.unknown(&entry.conditions) {
                        emit(format!("{unknown} is not loaded ({})", entry.reason));
                    }
                }
            }
            let first = remember(&mut earlier, entry);
            if !std::ptr::eq(first, entry) && outlives(first, entry) {
                let (treatment, file, line) = (first.treatment.name(), &first.file, first.line);
                emit(format!("never matches: the {treatment} entry at {file}:{line} goes first ({})", entry.reason));
            }
        }
        lines
    }
}

/// The first entry with the same conditions, which is this one if there was none.
fn remember<'a>(earlier: &mut HashMap<String, &'a SuppressEntry>, entry: &'a SuppressEntry) -> &'a SuppressEntry {
    earlier.entry(canonical(&entry.conditions)).or_insert(entry)
}

/// Whether `first` holds as long as `second`.
fn outlives(first: &SuppressEntry, second: &SuppressEntry) -> bool {
    match (&first.expires, &second.expires) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(first), Some(second)) => first.until >= second.until,
    }
}

/// The conditions, so that the same are equal in whatever order they are written.
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

/// Why an entry holds for no alert at all.
fn never(known: &SignatureNames<'_>, conditions: &Conditions) -> Option<String> {
    if !known.any(conditions, |_| true) {
        let unknown = known.unknown(conditions);
        return Some(match unknown.is_empty() {
            true => "no signature that is loaded is all that at once".to_owned(),
            false => format!("{} is not loaded", unknown.join(", ")),
        });
    }
    if !conditions.paths.is_empty() && !known.any(conditions, |signature| may_begin(signature, &conditions.paths)) {
        return Some("no path of these signatures begins so".to_owned());
    }
    let (sources, destinations) = (&conditions.sources, &conditions.destinations);
    for (networks, what) in [(sources, "source"), (destinations, "destination")] {
        if !networks.is_empty() && networks.iter().all(is_nobody) {
            return Some(format!("no host has such an address as {what}"));
        }
    }
    let version = |networks: &[IpNet], four: bool| {
        networks.is_empty() || networks.iter().any(|network| matches!(network, IpNet::V4(_)) == four)
    };
    let agree = |four| version(sources, four) && version(destinations, four);
    (!agree(true) && !agree(false)).then(|| "source and destination are of different IP versions".to_owned())
}

/// Whether a request that the signature matches may have a path that begins with one of these.
fn may_begin(signature: &Signature, starts: &[String]) -> bool {
    let Pattern::Text(kind @ (MatchKind::Path | MatchKind::Prefix), patterns) = &signature.pattern else { return true };
    patterns.iter().any(|pattern| {
        let path = NormalPath::of(pattern.as_bytes()).path;
        starts.iter().any(|start| {
            begins_with(&path, start.as_bytes()) || (*kind == MatchKind::Prefix && begins_with(start.as_bytes(), &path))
        })
    })
}

/// Whether no host is in the network: the unspecified address, multicast and broadcast (RFC 6890).
fn is_nobody(network: &IpNet) -> bool {
    let (first, single) = (network.network(), network.prefix_len() == network.max_prefix_len());
    let group = match network {
        IpNet::V4(network) => network.prefix_len() >= 4,
        IpNet::V6(network) => network.prefix_len() >= 8,
    };
    (group && first.is_multicast()) || (single && (first.is_unspecified() || first == IpAddr::V4(Ipv4Addr::BROADCAST)))
}
