//! Reads and checks the patterns of a signature (`match`). The rest of a signature file is read in [`super::file`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use toml::{Spanned, Value};

use super::diagnostics::Validator;
use super::table::MAX_KEY;
use super::{MatchKind, Pattern, WordList, WordScope, words};
use crate::uri::{NormalHost, NormalPath};

/// Keys of `match` that are not a kind of pattern.
const SCOPE_KEYS: [&str; 3] = ["unless", "last", "only"];

impl Validator {
    /// Reads `match`: exactly one kind of pattern, and its [`WordScope`]. With conditions on the query (`has_query`)
    /// the root is a valid path.
    pub(super) fn pattern(
        &mut self,
        table: &Spanned<BTreeMap<String, Spanned<Value>>>,
        has_query: bool,
    ) -> Option<(Pattern, WordScope)> {
        let mut kinds = table.get_ref().iter().filter(|(name, _)| !SCOPE_KEYS.contains(&name.as_str()));
        let (Some((name, value)), None) = (kinds.next(), kinds.next()) else {
            self.error(table, format!("`match` needs exactly one of {}", kind_names()));
            return None;
        };
        let pattern = self.kind(name, value, has_query)?;
        let scope = self.scope(table.get_ref(), &pattern);
        Some((pattern, scope))
    }

    /// Reads the keys beside the kind.
    fn scope(&mut self, table: &BTreeMap<String, Spanned<Value>>, pattern: &Pattern) -> WordScope {
        let mut scope = WordScope::default();
        if let Some(value) = table.get("unless") {
            let has_path = !matches!(pattern, Pattern::Text(MatchKind::Host | MatchKind::Raw, _));
            self.require(has_path, value, || "unless: only together with patterns of paths and words".to_owned());
            scope.unless = self.word_list(value, strings(value.get_ref()).unwrap_or_default());
            self.require(!scope.unless.is_empty(), value, || "unless: write a list of words".to_owned());
        }
        let has_words = matches!(pattern, Pattern::Words(_));
        if let Some(value) = table.get("last") {
            scope.last = value.get_ref().as_integer().and_then(|last| u8::try_from(last).ok()).filter(|&last| last > 0);
            self.require(has_words, value, || "last: only together with `words`".to_owned());
            self.require(scope.last.is_some(), value, || "last: write a number of segments, from 1".to_owned());
        }
        if let Some(value) = table.get("only") {
            scope.only = value.get_ref().as_bool() == Some(true);
            self.require(scope.only, value, || "only: write true, or leave it out".to_owned());
            self.require(has_words && table.contains_key("last"), value, || "only: write `last` beside it".to_owned());
        }
        scope
    }

    fn kind(&mut self, name: &str, value: &Spanned<Value>, has_query: bool) -> Option<Pattern> {
        if name == "path_file" {
            let file = value.get_ref().as_str().filter(|file| !file.is_empty());
            self.require(file.is_some(), value, || "path_file: write the name of a file".to_owned());
            return file.map(|file| Pattern::PathFile(file.to_owned(), 0));
        }
        let Some(kind) = MatchKind::ALL.into_iter().find(|kind| kind.name() == name) else {
            self.error(value, format!("unknown kind of match `{name}`: write one of {}", kind_names()));
            return None;
        };
        if kind == MatchKind::Words {
            return self.words(value);
        }
        let Some(patterns) = strings(value.get_ref()).filter(|patterns| !patterns.is_empty()) else {
            self.error(value, format!("{name}: write a string, or a list of strings"));
            return None;
        };
        for pattern in &patterns {
            if kind == MatchKind::Path && pattern == "/" && has_query {
                continue;
            }
            if let Err(error) = check_pattern(kind, pattern) {
                self.error(value, format!("{name} {pattern:?}: {error}"));
            }
        }
        Some(Pattern::Text(kind, patterns))
    }

    fn words(&mut self, value: &Spanned<Value>) -> Option<Pattern> {
        let lists: Option<Vec<Vec<String>>> = match value.get_ref() {
            Value::Array(lists) => lists.iter().map(|list| list.as_array().and_then(|_| strings(list))).collect(),
            _ => None,
        };
        let Some(lists) =
            lists.filter(|lists| (2..=8).contains(&lists.len()) && lists.iter().all(|list| !list.is_empty()))
        else {
            self.error(value, "words: write two to eight lists of words, [[\"a\", \"b\"], [\"c\"]]".to_owned());
            return None;
        };
        Some(Pattern::Words(lists.into_iter().map(|list| self.word_list(value, list)).collect()))
    }

    /// Returns a checked list of words, with each `$name` replaced by the words of that list of the file. Lists that
    /// are written the same are shared.
    fn word_list(&mut self, at: &Spanned<Value>, written: Vec<String>) -> WordList {
        if let Some(known) = self.word_lists.get(&written) {
            return Arc::clone(known);
        }
        let mut all = Vec::new();
        for word in &written {
            match word.strip_prefix('$').map(|name| self.lists.get(name)) {
                None => all.push(word.clone()),
                Some(Some(list)) => all.extend(list.iter().cloned()),
                Some(None) => self.error(at, format!("{word:?}: there is no such list in `lists` of this file")),
            }
        }
        for word in &all {
            if let Err(error) = words::check_entry(word) {
                self.error(at, format!("word {word:?}: {error}"));
            }
        }
        let list = WordList::from(all);
        self.word_lists.insert(written, Arc::clone(&list));
        list
    }
}

fn kind_names() -> String {
    format!("{}, path_file", MatchKind::ALL.map(MatchKind::name).join(", "))
}

/// Returns the strings of a value that is a string, or a list of strings.
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// A pattern that is not valid. The message includes the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatternError {
    /// Nothing but blanks.
    Empty,
    Control,
    /// Longer than [`MAX_KEY`] in normal form; the length in bytes.
    TooLong(usize),
    /// A host with more than its name.
    NotAHost,
    HostWithoutDot,
    NotAPath,
    PathWithQuery,
    /// The normal form is `/`.
    Root,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty pattern would match everything",
            Self::Control => "control characters are not allowed in a pattern",
            Self::TooLong(len) => return write!(f, "{len} bytes in normal form: write at most {MAX_KEY}"),
            Self::NotAHost => "write a host name only, without scheme, port, path or wildcard",
            Self::HostWithoutDot => "a host without a dot would match a whole top-level domain",
            Self::NotAPath => "write a path that begins with `/`",
            Self::PathWithQuery => "a path ends before `?` and `#`: write conditions on the query as `query`",
            Self::Root => {
                "it means the root, which would match every site: a `path` of `/` needs conditions on the query"
            }
        })
    }
}

impl std::error::Error for PatternError {}

/// Checks one pattern of a kind other than `words`.
pub(super) fn check_pattern(kind: MatchKind, pattern: &str) -> Result<(), PatternError> {
    if pattern.trim().is_empty() {
        return Err(PatternError::Empty);
    }
    if pattern.chars().any(char::is_control) {
        return Err(PatternError::Control);
    }
    match kind {
        MatchKind::Raw => check_length(pattern.len()),
        MatchKind::Host => check_host(pattern),
        _ => check_path(pattern),
    }
}

fn check_length(len: usize) -> Result<(), PatternError> {
    if len > MAX_KEY { Err(PatternError::TooLong(len)) } else { Ok(()) }
}

fn check_host(pattern: &str) -> Result<(), PatternError> {
    let normal = NormalHost::of(pattern.as_bytes());
    let shortened = normal.host.len() < pattern.trim_end_matches('.').len();
    if shortened || pattern.contains(['/', '\\', ' ', '?', '#', '%', '*']) {
        return Err(PatternError::NotAHost);
    }
    if !normal.host.contains(&b'.') {
        return Err(PatternError::HostWithoutDot);
    }
    check_length(normal.host.len())
}

fn check_path(pattern: &str) -> Result<(), PatternError> {
    if !pattern.starts_with(['/', '\\']) {
        return Err(PatternError::NotAPath);
    }
    if pattern.contains(['?', '#']) {
        return Err(PatternError::PathWithQuery);
    }
    let normal = NormalPath::of(pattern.as_bytes());
    if normal.path == b"/" {
        return Err(PatternError::Root);
    }
    check_length(normal.path.len())
}
