//! What the user does not want to be told: entries of suppress files, asked of every alert. Not what looks legitimate by
//! itself: see [`crate::alerts::context`].
//!
//! ```
//! # use smsentry::alerts::suppress::{SuppressFile, Suppressions};
//! # let text = r#"
//! [[suppress]]                           # not told; still counted in the campaign of its source
//! source = ["192.0.2.5", "10.0.0.0/8"]   # addresses and networks; destination likewise
//! path = "/api/v1"                       # this path and everything below it, in normal form
//! reason = "our own scanner"             # mandatory
//! expires = 2027-01-31                   # the last day, UTC
//!
//! [[allow]]                              # normal use: neither told nor counted
//! product = "WP SMS"                     # or signature (id or slug), or family: one of them is mandatory
//! host = "www.example.org"               # .example.org for its sub-domains; host or destination is mandatory
//! reason = "we run wp-sms there"
//! # "#;
//! # let set = Suppressions::load(&[SuppressFile { name: "mine.toml", text }]).unwrap();
//! # assert_eq!(set.entries().len(), 2);
//! ```
//!
//! All conditions of an entry must hold; of a list, one item. `allow` goes before `suppress`, then the first entry that
//! holds is the one that hides. Where what is done: `file.rs` reads a file, `index.rs` finds the entries that may hold,
//! `review.rs` tells which never will.

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
    /// Its name, for messages.
    pub name: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// What becomes of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Not told; counted in campaigns.
    Suppress,
    /// Normal use: neither told nor counted in campaigns.
    Allow,
}

impl Treatment {
    /// Its name in suppress files.
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
    /// What becomes of a hit for which it holds.
    pub treatment: Treatment,
    /// The file's name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
    /// Until when.
    pub expires: Option<Expiry>,
    /// For which hits; never empty.
    pub conditions: Conditions,
}

impl SuppressEntry {
    /// `suppress FILE:LINE reason`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}:{} {}", self.treatment.name(), self.file, self.line, self.reason)
    }

    fn is_over(&self, when: Timestamp) -> bool {
        self.expires.as_ref().is_some_and(|expires| when >= expires.until)
    }
}

/// The last day of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// As `YYYY-MM-DD`.
    pub day: String,
    /// The end of that day, UTC.
    pub until: Timestamp,
}

/// The conditions of an entry: all that are not empty must hold, each by one of its items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Signatures.
    pub signatures: Vec<Name>,
    /// Families.
    pub families: Vec<String>,
    /// Products, folded: see [`fold_product`].
    pub products: Vec<String>,
    /// Clients.
    pub sources: Vec<IpNet>,
    /// Servers.
    pub destinations: Vec<IpNet>,
    /// Hosts that are asked.
    pub hosts: Vec<Host>,
    /// Beginnings of paths in normal form, without a last slash; empty for every path.
    pub paths: Vec<String>,
}

/// A signature by one of its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// Its id.
    Id(u32),
    /// Its slug.
    Slug(String),
}

/// A host, or all hosts below a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// `www.example.org`, in normal form.
    Exact(String),
    /// `.example.org`: sub-domains, and not the domain itself.
    Below(String),
}

/// A product's name as it is compared: letters and digits of ASCII, lower case, and all else. `WP SMS`, `wp-sms` and
/// `WP_SMS` are the same product.
#[must_use]
pub fn fold_product(name: &str) -> String {
    let told = name.chars().filter(|&c| c.is_alphanumeric());
    told.map(|c| c.to_ascii_lowercase()).collect()
}

crate::counters! {
    /// What was hidden.
    pub struct Counters {
        /// Alerts that a `suppress` entry hid.
        suppressed: "suppress.suppressed",
        /// Hits that an `allow` entry took for normal use.
        allowed: "suppress.allowed",
    }
}

/// All entries, ready to be asked.
#[derive(Debug, Default)]
pub struct Suppressions {
    entries: Vec<SuppressEntry>,
    /// How often each entry held.
    counts: Vec<u64>,
    index: Index,
}

/// What an entry may depend on, of one alert.
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
        // What matched is a host, or bytes of the target.
        let other = matches!(signature.pattern, Pattern::Text(MatchKind::Host | MatchKind::Raw, _));
        let path = match other || !alert.matched.starts_with(b"/") {
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
    fn hold(&self, facts: &AlertFacts<'_>) -> bool {
        fn any<T>(items: &[T], holds: impl FnMut(&T) -> bool) -> bool {
            items.is_empty() || items.iter().any(holds)
        }
        any(&self.signatures, |name| match name {
            Name::Id(id) => *id == facts.id,
            Name::Slug(slug) => slug == facts.slug,
        }) && any(&self.families, |family| family == facts.family)
            && any(&self.products, |product| *product == facts.product)
            && any(&self.sources, |network| network.contains(&facts.source))
            && any(&self.destinations, |network| network.contains(&facts.destination))
            && any(&self.hosts, |host| facts.host.as_ref().is_some_and(|asked| host.holds(asked)))
            && any(&self.paths, |path| begins_with(&facts.path, path.as_bytes()))
    }
}

impl Host {
    fn holds(&self, asked: &[u8]) -> bool {
        match self {
            Self::Exact(host) => asked == host.as_bytes(),
            Self::Below(domain) => {
                asked.strip_suffix(domain.as_bytes()).is_some_and(|rest| matches!(rest, [_, .., b'.']))
            }
        }
    }
}

/// Whether `path` is `start` or something below it.
fn begins_with(path: &[u8], start: &[u8]) -> bool {
    path.strip_prefix(start).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

impl Suppressions {
    /// Reads and checks files.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the files and their lines; then nothing is loaded.
    pub fn load(sources: &[SuppressFile<'_>]) -> Result<Self, Vec<LoadError>> {
        let (mut entries, mut errors) = (Vec::new(), Vec::new());
        for source in sources {
            match file::read(source) {
                Ok(read) => entries.extend(read),
                Err(faults) => errors.extend(faults),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let index = Index::of(&entries);
        Ok(Self { counts: vec![0; entries.len()], index, entries })
    }

    /// The entry that holds for an alert, if there is one, and what it says; [`Suppressions::count`] counts it.
    #[must_use]
    pub fn find(&self, alert: &Alert) -> Option<(usize, Treatment)> {
        if self.entries.is_empty() {
            return None;
        }
        let facts = AlertFacts::of(alert);
        let when = alert.transaction.timestamp;
        let mut found: Option<(bool, usize, Treatment)> = None;
        self.index.candidates(&facts, &mut |at| {
            let Some(entry) = self.entries.get(at) else { return };
            let later = entry.treatment == Treatment::Suppress;
            let better = found.is_none_or(|(found_later, found_at, _)| (later, at) < (found_later, found_at));
            if better && !entry.is_over(when) && entry.conditions.hold(&facts) {
                found = Some((later, at, entry.treatment));
            }
        });
        found.map(|(_, at, treatment)| (at, treatment))
    }

    /// Counts that an entry held, and hands it out.
    pub fn count(&mut self, at: usize) -> Option<&SuppressEntry> {
        *self.counts.get_mut(at)? += 1;
        self.entries.get(at)
    }

    /// Entries that were in an earlier set as they are go on counting.
    pub fn carry_on(&mut self, earlier: &Self) {
        let known: HashMap<(&str, usize), usize> =
            (0..).zip(&earlier.entries).map(|(at, entry)| ((&*entry.file, entry.line), at)).collect();
        for (entry, count) in self.entries.iter().zip(&mut self.counts) {
            let Some(&at) = known.get(&(&*entry.file, entry.line)) else { continue };
            if earlier.entries.get(at) == Some(entry) {
                *count = earlier.counts.get(at).copied().unwrap_or(0);
            }
        }
    }

    /// How many entries there are of one treatment.
    #[must_use]
    pub fn len_of(&self, treatment: Treatment) -> usize {
        self.entries.iter().filter(|entry| entry.treatment == treatment).count()
    }

    /// The entries in the order of their files, and how often each held.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&SuppressEntry, u64)> {
        self.entries.iter().zip(self.counts.iter().copied())
    }
}
