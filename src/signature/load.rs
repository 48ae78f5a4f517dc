//! The set of signatures: all files together, checked against each other and built into the tables. Not the reading of
//! one file ([`super::file`]), and not the matching ([`super::matcher`]).

use std::collections::HashMap;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use super::file::{self, BUILTIN_IDS, ParsedSignature, USER_IDS};
use super::pattern::check_pattern;
use super::source::{LoadError, SignatureFile, SignatureOrigin};
use super::table::{MAX_KEY, Rule, Table, TableBuilder};
use super::words::{Words, WordsBuilder};
use super::{MatchKind, Pattern, Signature};
use crate::uri::{NormalHost, NormalPath};

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        [$(SignatureFile {
            name: concat!("signatures/", $name),
            text: include_str!(concat!("../../signatures/", $name)),
            origin: SignatureOrigin::Builtin,
        }),*]
    };
}

/// The built-in signature files.
#[must_use]
pub fn builtin() -> &'static [SignatureFile<'static>] {
    const FILES: &[SignatureFile<'static>] = &builtin![
        "api-endpoints.toml",
        "attack-tools.toml",
        "cms-plugins.toml",
        "gateway-devices.toml",
        "gateway-software.toml",
        "leaked-config.toml",
        "open-proxy.toml",
        "scanner-artefacts.toml",
        "wordpress-plugins.toml",
    ];
    FILES
}

/// A checked set of signatures, ready to find.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    pub(super) list: Vec<Arc<Signature>>,
    /// Where each of them was read: `file:line`.
    pub(super) places: Vec<Box<str>>,
    pub(super) table: Table,
    /// Patterns before lowering, where they had upper-case letters.
    pub(super) as_written: Vec<Box<[u8]>>,
    pub(super) raw: Option<Raw>,
    pub(super) words: Words,
    pub(super) weigh_pages: bool,
}

/// The `raw` patterns.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub automaton: AhoCorasick,
    /// The signature of each pattern.
    pub owners: Vec<u32>,
}

impl Raw {
    /// `None` if there is no pattern.
    pub(super) fn build(patterns: Vec<&str>, owners: Vec<u32>) -> Result<Option<Self>, BuildError> {
        if patterns.is_empty() {
            return Ok(None);
        }
        let kind = raw_kind(patterns.iter().map(|pattern| pattern.len()).sum());
        Ok(Some(Self { automaton: AhoCorasick::builder().kind(Some(kind)).build(patterns)?, owners }))
    }
}

impl Signatures {
    /// Reads, checks and builds all of `sources`. `read` is asked for the files that `path_file` names.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the sources and their lines; then nothing is loaded.
    pub fn load(
        sources: &[SignatureFile<'_>],
        read: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Self, Vec<LoadError>> {
        let mut loader = Loader::default();
        let beside_builtin = sources.iter().any(|source| source.origin == SignatureOrigin::Builtin);
        for source in sources {
            loader.source(source, beside_builtin, read);
        }
        loader.finish()
    }

    /// The built-in signatures.
    ///
    /// # Errors
    /// Never in a build that passed its tests.
    pub fn builtin() -> Result<Self, Vec<LoadError>> {
        Self::load(builtin(), &mut |name| Err(format!("{name}: not compiled in")))
    }

    /// The signatures, in the order they were loaded.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Signature>> {
        self.list.iter()
    }

    /// The signatures with the place where each was read: `file:line`.
    pub fn places(&self) -> impl ExactSizeIterator<Item = (&Arc<Signature>, &str)> {
        self.list.iter().zip(self.places.iter().map(|place| &**place))
    }

    /// How many signatures there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether it matters for any of them that a page was shown before.
    #[must_use]
    pub fn weigh_pages(&self) -> bool {
        self.weigh_pages
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many different patterns the signatures have.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.table.len() + self.raw.as_ref().map_or(0, |raw| raw.owners.len()) + self.words.len()
    }

    /// Bytes of memory that the tables hold, counted from their entries.
    #[must_use]
    pub fn memory(&self) -> usize {
        let as_written: usize = self.as_written.iter().map(|text| text.len() + size_of::<Box<[u8]>>()).sum();
        let raw = self.raw.as_ref().map_or(0, |raw| raw.automaton.memory_usage() + raw.owners.capacity() * 4);
        self.table.memory() + as_written + raw + self.words.memory()
    }
}

/// Collects signatures and what is wrong with them.
#[derive(Default)]
struct Loader {
    list: Vec<Arc<Signature>>,
    places: Vec<Box<str>>,
    errors: Vec<LoadError>,
    /// Who has an id, or a slug, already: `file:line`.
    ids: HashMap<u32, String>,
    slugs: HashMap<String, String>,
    table: TableBuilder,
    as_written: Vec<Box<[u8]>>,
    raw: Vec<String>,
    raw_owners: Vec<u32>,
    words: WordsBuilder,
}

impl Loader {
    fn source(
        &mut self,
        source: &SignatureFile<'_>,
        beside_builtin: bool,
        read: &mut dyn FnMut(&str) -> Result<String, String>,
    ) {
        match file::read(source.text, source.origin) {
            Ok(all) => {
                for located in all {
                    self.signature(source, located, beside_builtin, read);
                }
            }
            Err(faults) => self.errors.extend(faults.into_iter().map(|fault| LoadError {
                file: source.name.to_owned(),
                line: fault.line,
                reason: fault.reason,
            })),
        }
    }

    fn signature(
        &mut self,
        source: &SignatureFile<'_>,
        located: ParsedSignature,
        beside_builtin: bool,
        read: &mut dyn FnMut(&str) -> Result<String, String>,
    ) {
        let ParsedSignature { mut signature, id_line, slug_line, match_line } = located;
        let allowed = match source.origin {
            SignatureOrigin::Builtin => BUILTIN_IDS.contains(&signature.id),
            SignatureOrigin::User => USER_IDS.contains(&signature.id) || !beside_builtin,
        };
        let range = if source.origin == SignatureOrigin::Builtin { BUILTIN_IDS } else { USER_IDS };
        if !allowed {
            let (id, first, last) = (signature.id, range.start(), range.end());
            self.error(source, id_line, format!("id {id} is not for this file: write {first} to {last}"));
        }
        let here = |line: usize| format!("{}:{line}", source.name);
        if let Some(other) = self.ids.insert(signature.id, here(id_line)) {
            self.error(source, id_line, format!("id {} is taken already, at {other}", signature.id));
        }
        if let Some(other) = self.slugs.insert(signature.slug.clone(), here(slug_line)) {
            self.error(source, slug_line, format!("slug {:?} is taken already, at {other}", signature.slug));
        }
        if let Err(reason) = self.patterns(source, &mut signature, read) {
            self.error(source, match_line, reason);
        }
        self.places.push(here(id_line).into_boxed_str());
        self.list.push(Arc::new(signature));
    }

    fn error(&mut self, source: &SignatureFile<'_>, line: usize, reason: String) {
        self.errors.push(LoadError { file: source.name.to_owned(), line, reason });
    }

    /// Adds the signature's patterns to the tables.
    fn patterns(
        &mut self,
        source: &SignatureFile<'_>,
        signature: &mut Signature,
        read: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<(), String> {
        let owner = u32::try_from(self.list.len()).map_err(|_| "too many signatures".to_owned())?;
        let lists = if let Pattern::Words(lists) = &signature.pattern { lists.as_slice() } else { &[] };
        self.words.add(owner, lists, &signature.scope);
        match &mut signature.pattern {
            Pattern::Text(MatchKind::Raw, patterns) => {
                self.raw.extend(patterns.iter().cloned());
                self.raw_owners.extend(patterns.iter().map(|_| owner));
                Ok(())
            }
            Pattern::Text(kind, patterns) => {
                patterns.iter().try_for_each(|pattern| self.pattern(*kind, pattern.as_bytes(), owner))
            }
            Pattern::Words(_) => Ok(()),
            Pattern::PathFile(name, count) => {
                let beside = source.name.rfind('/').map_or("", |slash| source.name.get(..=slash).unwrap_or_default());
                let place = if name.starts_with('/') { name.clone() } else { format!("{beside}{name}") };
                let text = read(&place).map_err(|reason| format!("path_file {name:?}: {reason}"))?;
                *count = self.path_file(&place, &text, owner)?;
                Ok(())
            }
        }
    }

    /// Adds a file of paths, one a line; blank lines and lines that begin with `#` say nothing. Word lists often leave
    /// off the first slash, so it is added. Returns how many paths there were.
    fn path_file(&mut self, place: &str, text: &str, owner: u32) -> Result<usize, String> {
        let mut count = 0;
        let text = text.trim_start_matches('\u{feff}');
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let slashed;
            let path = if line.starts_with(['/', '\\']) {
                line
            } else {
                slashed = format!("/{line}");
                &slashed
            };
            check_pattern(MatchKind::Path, path)
                .and_then(|()| self.pattern(MatchKind::Path, path.as_bytes(), owner))
                .map_err(|reason| {
                let shown: String = line.chars().take(80).collect();
                format!("{place}:{number}: {shown:?}: {reason}")
            })?;
            count += 1;
        }
        if count == 0 {
            return Err(format!("{place} has no path in it"));
        }
        Ok(count)
    }

    fn pattern(&mut self, kind: MatchKind, pattern: &[u8], signature: u32) -> Result<(), String> {
        let (key, as_written, slash) = match kind {
            MatchKind::Host => {
                let normal = NormalHost::of(pattern);
                (normal.host, normal.as_written, false)
            }
            _ => {
                let normal = NormalPath::of(pattern);
                (normal.path, normal.as_written, normal.trailing == crate::uri::Trailing::Slash)
            }
        };
        // Checked with the file; a longer key would be in the table and never be found.
        if key.len() > MAX_KEY {
            return Err(format!("longer than {MAX_KEY} bytes"));
        }
        let as_written = (as_written != key).then(|| {
            self.as_written.push(as_written.into_boxed_slice());
            // As many as there are patterns, which the table bounds.
            (self.as_written.len() - 1) as u32
        });
        let rule = Rule { signature, as_written, slash };
        if self.table.add(kind, &key, rule) { Ok(()) } else { Err("the table is full".to_owned()) }
    }

    fn finish(mut self) -> Result<Signatures, Vec<LoadError>> {
        let everywhere = |reason: String| vec![LoadError { file: "signatures".to_owned(), line: 1, reason }];
        if !self.errors.is_empty() {
            return Err(std::mem::take(&mut self.errors));
        }
        let patterns = self.raw.iter().map(String::as_str).collect();
        let raw =
            Raw::build(patterns, self.raw_owners).map_err(|error| everywhere(format!("raw patterns: {error}")))?;
        let full = || everywhere("too many patterns for one table".to_owned());
        let table = self.table.build().ok_or_else(full)?;
        let words = self.words.build().ok_or_else(full)?;
        let weigh_pages = self.list.iter().any(|signature| signature.legitimate.after_page);
        let (list, places) = (self.list, self.places);
        Ok(Signatures { weigh_pages, list, places, table, as_written: self.as_written, raw, words })
    }
}

/// The automaton for `raw` patterns of so many bytes: the fast one where it stays small.
const fn raw_kind(bytes: usize) -> AhoCorasickKind {
    /// Rationale: a DFA takes up to 1 KiB for a byte of the patterns, and half the time of the other.
    const SMALL: usize = 16 << 10;
    if bytes <= SMALL { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA }
}
