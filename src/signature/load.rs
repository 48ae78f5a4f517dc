//! Loads a set of signatures: checks all files against each other and builds the tables. Does not read single files
//! ([`super::file`]) or match requests ([`super::matcher`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use super::file::{self, BUILTIN_IDS, ParsedSignature, USER_IDS};
use super::pattern::{PatternError, check_pattern};
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

/// Returns the built-in signature files.
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

/// A checked set of signatures, ready for matching.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    pub(super) list: Vec<Arc<Signature>>,
    /// The location of each signature: `file:line`.
    pub(super) locations: Vec<Box<str>>,
    pub(super) table: Table,
    /// Patterns before lower-casing, if they have upper-case letters.
    pub(super) as_written: Vec<Box<[u8]>>,
    pub(super) raw: Option<Raw>,
    pub(super) words: Words,
    pub(super) needs_page_views: bool,
}

/// The `raw` patterns.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub automaton: AhoCorasick,
    /// The signature of each pattern.
    pub owners: Vec<u32>,
}

impl Raw {
    /// Builds the automaton. Returns `None` without patterns.
    pub(super) fn build(patterns: Vec<&str>, owners: Vec<u32>) -> Result<Option<Self>, BuildError> {
        if patterns.is_empty() {
            return Ok(None);
        }
        let kind = raw_kind(patterns.iter().map(|pattern| pattern.len()).sum());
        Ok(Some(Self { automaton: AhoCorasick::builder().kind(Some(kind)).build(patterns)?, owners }))
    }
}

/// Returns the text of a file, or why it cannot be read.
pub type ReadFile<'a> = dyn FnMut(&str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> + 'a;

impl Signatures {
    /// Reads, checks and builds all of `sources`. `read` is called for the files that `path_file` names.
    ///
    /// # Errors
    /// All errors, in the order of the sources and their lines; then nothing is loaded.
    pub fn load(sources: &[SignatureFile<'_>], read: &mut ReadFile<'_>) -> Result<Self, Vec<LoadError>> {
        let mut loader = Loader::default();
        let beside_builtin = sources.iter().any(|source| source.origin == SignatureOrigin::Builtin);
        for source in sources {
            loader.source(source, beside_builtin, read);
        }
        loader.finish()
    }

    /// Loads the built-in signatures.
    ///
    /// # Errors
    /// Never in a build that passed its tests.
    pub fn builtin() -> Result<Self, Vec<LoadError>> {
        Self::load(builtin(), &mut |name| Err(format!("{name}: not compiled in").into()))
    }

    /// Iterates over the signatures in load order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Signature>> {
        self.list.iter()
    }

    /// Iterates over the signatures with the location of each: `file:line`.
    pub fn with_locations(&self) -> impl ExactSizeIterator<Item = (&Arc<Signature>, &str)> {
        self.list.iter().zip(self.locations.iter().map(|location| &**location))
    }

    /// Returns the number of signatures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Reports whether the context of any signature includes earlier page views of the client
    /// ([`Legitimate::after_page`](super::Legitimate::after_page)).
    #[must_use]
    pub fn needs_page_views(&self) -> bool {
        self.needs_page_views
    }

    /// Reports whether there are no signatures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the number of different patterns of all signatures.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.table.len() + self.raw.as_ref().map_or(0, |raw| raw.owners.len()) + self.words.len()
    }

    /// Returns the bytes of memory that the tables hold, computed from their entries.
    #[must_use]
    pub fn memory(&self) -> usize {
        let as_written: usize = self.as_written.iter().map(|text| text.len() + size_of::<Box<[u8]>>()).sum();
        let raw = self.raw.as_ref().map_or(0, |raw| raw.automaton.memory_usage() + raw.owners.capacity() * 4);
        self.table.memory() + as_written + raw + self.words.memory()
    }
}

/// An error while patterns are added to the tables.
#[derive(Debug)]
enum AddError {
    TooManySignatures,
    Pattern(PatternError),
    /// Longer than [`MAX_KEY`] in normal form.
    TooLong,
    TableFull,
    /// The caller cannot read a `path_file`.
    PathFile {
        name: String,
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A line of a `path_file`.
    Line {
        file: String,
        line: usize,
        text: String,
        error: Box<Self>,
    },
    NoPath {
        file: String,
    },
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManySignatures => f.write_str("too many signatures"),
            Self::Pattern(error) => error.fmt(f),
            Self::TooLong => write!(f, "longer than {MAX_KEY} bytes"),
            Self::TableFull => f.write_str("the table is full"),
            Self::PathFile { name, reason } => write!(f, "path_file {name:?}: {reason}"),
            Self::Line { file, line, text, error } => write!(f, "{file}:{line}: {text:?}: {error}"),
            Self::NoPath { file } => write!(f, "{file} contains no path"),
        }
    }
}

impl std::error::Error for AddError {}

/// Collects signatures and errors.
#[derive(Default)]
struct Loader {
    list: Vec<Arc<Signature>>,
    locations: Vec<Box<str>>,
    errors: Vec<LoadError>,
    /// Location of the signature with an id: `file:line`.
    ids: HashMap<u32, String>,
    /// Location of the signature with a slug.
    slugs: HashMap<String, String>,
    table: TableBuilder,
    as_written: Vec<Box<[u8]>>,
    raw: Vec<String>,
    raw_owners: Vec<u32>,
    words: WordsBuilder,
}

impl Loader {
    fn source(&mut self, source: &SignatureFile<'_>, beside_builtin: bool, read: &mut ReadFile<'_>) {
        match file::read(source.text, source.origin) {
            Ok(all) => {
                for parsed in all {
                    self.signature(source, parsed, beside_builtin, read);
                }
            }
            Err(diagnostics) => self.errors.extend(diagnostics.into_iter().map(|diagnostic| LoadError {
                file: source.name.to_owned(),
                line: diagnostic.line,
                reason: diagnostic.reason,
            })),
        }
    }

    fn signature(
        &mut self,
        source: &SignatureFile<'_>,
        parsed: ParsedSignature,
        beside_builtin: bool,
        read: &mut ReadFile<'_>,
    ) {
        let ParsedSignature { mut signature, id_line, slug_line, match_line } = parsed;
        let allowed = match source.origin {
            SignatureOrigin::Builtin => BUILTIN_IDS.contains(&signature.id),
            SignatureOrigin::User => USER_IDS.contains(&signature.id) || !beside_builtin,
        };
        let range = if source.origin == SignatureOrigin::Builtin { BUILTIN_IDS } else { USER_IDS };
        if !allowed {
            let (id, first, last) = (signature.id, range.start(), range.end());
            self.error(source, id_line, format!("id {id} is not allowed in this file: write {first} to {last}"));
        }
        let location = |line: usize| format!("{}:{line}", source.name);
        if let Some(other) = self.ids.insert(signature.id, location(id_line)) {
            self.error(source, id_line, format!("id {} is already used at {other}", signature.id));
        }
        if let Some(other) = self.slugs.insert(signature.slug.clone(), location(slug_line)) {
            self.error(source, slug_line, format!("slug {:?} is already used at {other}", signature.slug));
        }
        if let Err(error) = self.add_patterns(source, &mut signature, read) {
            self.error(source, match_line, error.to_string());
        }
        self.locations.push(location(id_line).into_boxed_str());
        self.list.push(Arc::new(signature));
    }

    fn error(&mut self, source: &SignatureFile<'_>, line: usize, reason: String) {
        self.errors.push(LoadError { file: source.name.to_owned(), line, reason });
    }

    /// Adds the signature's patterns to the tables.
    fn add_patterns(
        &mut self,
        source: &SignatureFile<'_>,
        signature: &mut Signature,
        read: &mut ReadFile<'_>,
    ) -> Result<(), AddError> {
        let owner = u32::try_from(self.list.len()).map_err(|_| AddError::TooManySignatures)?;
        let lists = if let Pattern::Words(lists) = &signature.pattern { lists.as_slice() } else { &[] };
        self.words.add(owner, lists, &signature.scope);
        match &mut signature.pattern {
            Pattern::Text(MatchKind::Raw, patterns) => {
                self.raw.extend(patterns.iter().cloned());
                self.raw_owners.extend(patterns.iter().map(|_| owner));
                Ok(())
            }
            Pattern::Text(kind, patterns) => {
                patterns.iter().try_for_each(|pattern| self.add_pattern(*kind, pattern.as_bytes(), owner))
            }
            Pattern::Words(_) => Ok(()),
            Pattern::PathFile(name, count) => {
                let folder = source.name.rfind('/').map_or("", |slash| source.name.get(..=slash).unwrap_or_default());
                let path = if name.starts_with('/') { name.clone() } else { format!("{folder}{name}") };
                let text = read(&path).map_err(|reason| AddError::PathFile { name: name.clone(), reason })?;
                *count = self.add_path_file(&path, &text, owner)?;
                Ok(())
            }
        }
    }

    /// Adds a file of paths, one per line; blank lines and lines that begin with `#` are ignored. Word lists often
    /// leave off the first slash, so it is added. Returns the number of paths.
    fn add_path_file(&mut self, file: &str, text: &str, owner: u32) -> Result<usize, AddError> {
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
                .map_err(AddError::Pattern)
                .and_then(|()| self.add_pattern(MatchKind::Path, path.as_bytes(), owner))
                .map_err(|error| AddError::Line {
                    file: file.to_owned(),
                    line: number,
                    text: line.chars().take(80).collect(),
                    error: Box::new(error),
                })?;
            count += 1;
        }
        if count == 0 {
            return Err(AddError::NoPath { file: file.to_owned() });
        }
        Ok(count)
    }

    fn add_pattern(&mut self, kind: MatchKind, pattern: &[u8], signature: u32) -> Result<(), AddError> {
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
        // The file's check ensures this already; the table would never find a longer key.
        if key.len() > MAX_KEY {
            return Err(AddError::TooLong);
        }
        let as_written = (as_written != key).then(|| {
            self.as_written.push(as_written.into_boxed_slice());
            // At most one for each pattern, whose number the table bounds.
            (self.as_written.len() - 1) as u32
        });
        let rule = Rule { signature, as_written, slash };
        if self.table.add(kind, &key, rule) { Ok(()) } else { Err(AddError::TableFull) }
    }

    fn finish(mut self) -> Result<Signatures, Vec<LoadError>> {
        let error = |reason: String| vec![LoadError { file: "signatures".to_owned(), line: 1, reason }];
        if !self.errors.is_empty() {
            return Err(std::mem::take(&mut self.errors));
        }
        let patterns = self.raw.iter().map(String::as_str).collect();
        let raw = Raw::build(patterns, self.raw_owners).map_err(|build| error(format!("raw patterns: {build}")))?;
        let full = || error("too many patterns for one table".to_owned());
        let table = self.table.build().ok_or_else(full)?;
        let words = self.words.build().ok_or_else(full)?;
        let needs_page_views = self.list.iter().any(|signature| signature.legitimate.after_page);
        let (list, locations) = (self.list, self.locations);
        Ok(Signatures { needs_page_views, list, locations, table, as_written: self.as_written, raw, words })
    }
}

/// Returns the kind of automaton for `raw` patterns with this total of bytes: the fast one while it stays small.
const fn raw_kind(bytes: usize) -> AhoCorasickKind {
    /// Rationale: a DFA takes up to 1 KiB per byte of the patterns, and half the time of the other.
    const SMALL: usize = 16 << 10;
    if bytes <= SMALL { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA }
}
