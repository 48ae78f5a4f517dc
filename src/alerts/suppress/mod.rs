//! Suppress files: the user's own exceptions, checked for every alert. Legitimate use that the sensor recognises by
//! itself is in [`crate::alerts::context`].
//!
//! ```
//! # use smsentry::alerts::suppress::{SuppressFile, Suppressions};
//! # let text = r#"
//! [[suppress]]                           # not reported; still counted in the campaign of its source
//! source = ["192.0.2.5", "10.0.0.0/8"]   # addresses and networks; destination likewise
//! path = "/api/v1"                       # this path and everything below it, in normal form
//! reason = "our own scanner"             # mandatory
//! expires = 2027-01-31                   # the last day, UTC
//!
//! [[allow]]                              # normal use: neither reported nor counted
//! product = "WP SMS"                     # or signature (id or slug), or family: one of them is mandatory
//! host = "www.example.org"               # .example.org for its sub-domains; host or destination is mandatory
//! reason = "we run wp-sms there"
//! # "#;
//! # let set = Suppressions::load(&[SuppressFile { name: "mine.toml", text }]).unwrap();
//! # assert_eq!(set.entries().len(), 2);
//! ```
//!
//! All conditions of an entry must hold; of a list, at least one item. `allow` takes precedence over `suppress`, then
//! the first entry that matches. `file.rs` reads a file, `index.rs` finds the entries that may match, `review.rs` finds
//! those that never will.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::record::Alert;
use crate::signature::{LoadError, MatchKind, Pattern};
use crate::time::Timestamp;
use crate::uri::{self, NormalPath};

mod file;
mod index;
mod review;

use index::Index;

/// A suppress file.
#[derive(Clone, Copy, Debug)]
pub struct SuppressFile<'a> {
    /// File name, for messages.
    pub name: &'a str,
    /// Contents.
    pub text: &'a str,
}

/// The effect of an entry on the hits that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Not reported; counted in campaigns.
    Suppress,
    /// Normal use: neither reported nor counted in campaigns.
    Allow,
}

impl Treatment {
    /// Returns the table name in suppress files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suppress => "suppress",
            Self::Allow => "allow",
        }
    }
}

/// One entry of a suppress file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressEntry {
    /// Effect on the hits that it matches.
    pub treatment: Treatment,
    /// File name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The user's reason.
    pub reason: String,
    /// Last day on which the entry matches.
    pub expires: Option<Expiry>,
    /// Conditions on the hit; never empty.
    pub conditions: Conditions,
}

impl SuppressEntry {
    /// Returns `suppress FILE:LINE reason`, or the same with `allow`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}:{} {}", self.treatment.name(), self.file, self.line, self.reason)
    }

    fn has_expired(&self, at: Timestamp) -> bool {
        self.expires.as_ref().is_some_and(|expires| at >= expires.until)
    }
}

/// The last day of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The day as `YYYY-MM-DD`.
    pub day: String,
    /// The end of that day, UTC.
    pub until: Timestamp,
}

/// The conditions of an entry: all that are not empty must hold, each for at least one of its items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Signatures.
    pub signatures: Vec<SignatureName>,
    /// Families.
    pub families: Vec<String>,
    /// Products, folded: see [`fold_product`].
    pub products: Vec<String>,
    /// Networks of clients.
    pub sources: Vec<IpNet>,
    /// Networks of servers.
    pub destinations: Vec<IpNet>,
    /// Requested hosts.
    pub hosts: Vec<HostPattern>,
    /// Path prefixes in normal form, without a trailing slash; an empty prefix matches every path.
    pub paths: Vec<String>,
}

/// The id or the slug of a signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SignatureName {
    /// Signature id.
    Id(u32),
    /// Slug.
    Slug(String),
}

/// A host, or all hosts below a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `www.example.org`, in normal form.
    Exact(String),
    /// `.example.org`: the sub-domains, but not the domain itself. Stored without the leading dot.
    Below(String),
}

/// Returns a product's name as it is compared: letters and digits only, ASCII letters in lower case. `WP SMS`, `wp-sms`
/// and `WP_SMS` are the same product.
#[must_use]
pub fn fold_product(name: &str) -> String {
    let alphanumeric = name.chars().filter(|&c| c.is_alphanumeric());
    alphanumeric.map(|c| c.to_ascii_lowercase()).collect()
}

crate::counters! {
    /// Counters of the suppress files.
    pub struct Counters {
        /// Alerts hidden by a `suppress` entry.
        suppressed: "suppress.suppressed",
        /// Hits taken for normal use by an `allow` entry.
        allowed: "suppress.allowed",
    }
}

/// All entries, indexed for lookup.
#[derive(Debug, Default)]
pub struct Suppressions {
    entries: Vec<SuppressEntry>,
    /// Number of alerts that each entry matched.
    counts: Vec<u64>,
    index: Index,
}

/// The properties of an alert that conditions test.
struct AlertFacts<'a> {
    id: u32,
    slug: &'a str,
    family: &'a str,
    product: String,
    source: IpAddr,
    destination: IpAddr,
    host: Option<Vec<u8>>,
    path: Vec<u8>,
}

impl<'a> AlertFacts<'a> {
    fn of(alert: &'a Alert) -> Self {
        let (signature, transaction) = (&*alert.signature, &alert.transaction);
        let request = &transaction.request;
        // Then a host matched, or bytes of the target, and not a path.
        let no_path = matches!(signature.pattern, Pattern::Text(MatchKind::Host | MatchKind::Raw, _));
        let path = match no_path || !alert.matched.starts_with(b"/") {
            true => NormalPath::of(uri::path(&request.method, &request.target)).path,
            false => alert.matched.clone(),
        };
        Self {
            id: signature.id,
            slug: &signature.slug,
            family: &signature.family,
            product: fold_product(&signature.product),
            source: transaction.client.ip,
            destination: transaction.server.ip,
            host: uri::site(&request.method, &request.target, request.host.as_deref()),
            path,
        }
    }
}

impl Conditions {
    fn match_alert(&self, facts: &AlertFacts<'_>) -> bool {
        fn any<T>(items: &[T], matches: impl FnMut(&T) -> bool) -> bool {
            items.is_empty() || items.iter().any(matches)
        }
        any(&self.signatures, |name| match name {
            SignatureName::Id(id) => *id == facts.id,
            SignatureName::Slug(slug) => slug == facts.slug,
        }) && any(&self.families, |family| family == facts.family)
            && any(&self.products, |product| *product == facts.product)
            && any(&self.sources, |network| network.contains(&facts.source))
            && any(&self.destinations, |network| network.contains(&facts.destination))
            && any(&self.hosts, |host| facts.host.as_ref().is_some_and(|requested| host.matches(requested)))
            && any(&self.paths, |path| is_at_or_below(&facts.path, path.as_bytes()))
    }
}

impl HostPattern {
    fn matches(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => host == exact.as_bytes(),
            Self::Below(domain) => {
                host.strip_suffix(domain.as_bytes()).is_some_and(|rest| matches!(rest, [_, .., b'.']))
            }
        }
    }
}

/// Reports whether `path` is `prefix` or a path below it.
fn is_at_or_below(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

impl Suppressions {
    /// Reads and checks files.
    ///
    /// # Errors
    /// All errors, in the order of the files and their lines. With any error, nothing is loaded.
    pub fn load(files: &[SuppressFile<'_>]) -> Result<Self, Vec<LoadError>> {
        let (mut entries, mut errors) = (Vec::new(), Vec::new());
        for file in files {
            match file::read(file) {
                Ok(read) => entries.extend(read),
                Err(in_file) => errors.extend(in_file),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let index = Index::of(&entries);
        Ok(Self { counts: vec![0; entries.len()], index, entries })
    }

    /// Returns the index and the treatment of the entry that matches an alert, if there is one. Does not count the
    /// match; see [`Suppressions::count`].
    #[must_use]
    pub fn find(&self, alert: &Alert) -> Option<(usize, Treatment)> {
        if self.entries.is_empty() {
            return None;
        }
        let facts = AlertFacts::of(alert);
        let time = alert.transaction.timestamp;
        // `allow` entries sort before `suppress` entries.
        let mut found: Option<((bool, usize), Treatment)> = None;
        self.index.candidates(&facts, &mut |index| {
            let Some(entry) = self.entries.get(index) else { return };
            let rank = (entry.treatment == Treatment::Suppress, index);
            let better = found.is_none_or(|(best, _)| rank < best);
            if better && !entry.has_expired(time) && entry.conditions.match_alert(&facts) {
                found = Some((rank, entry.treatment));
            }
        });
        found.map(|((_, index), treatment)| (index, treatment))
    }

    /// Counts a match of an entry, and returns the entry.
    pub fn count(&mut self, index: usize) -> Option<&SuppressEntry> {
        *self.counts.get_mut(index)? += 1;
        self.entries.get(index)
    }

    /// Takes over the counts of an earlier set, for the entries that did not change.
    pub fn inherit_counts(&mut self, earlier: &Self) {
        let known: HashMap<(&str, usize), usize> =
            (0..).zip(&earlier.entries).map(|(index, entry)| ((&*entry.file, entry.line), index)).collect();
        for (entry, count) in self.entries.iter().zip(&mut self.counts) {
            let Some(&index) = known.get(&(&*entry.file, entry.line)) else { continue };
            if earlier.entries.get(index) == Some(entry) {
                *count = earlier.counts.get(index).copied().unwrap_or(0);
            }
        }
    }

    /// Returns the number of entries of one treatment.
    #[must_use]
    pub fn len_of(&self, treatment: Treatment) -> usize {
        self.entries.iter().filter(|entry| entry.treatment == treatment).count()
    }

    /// Iterates over the entries in the order of their files, each with the number of alerts that it matched.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&SuppressEntry, u64)> {
        self.entries.iter().zip(self.counts.iter().copied())
    }
}
