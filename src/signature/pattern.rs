//! What may be a pattern, and what is wrong with one that may not. Not the rest of a signature file: see
//! [`super::file`].

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::{Spanned, Value};

use super::diagnostics::Validator;
use super::table::MAX_KEY;
use super::{MatchKind, Pattern, WordList, WordScope, words};
use crate::uri::{NormalHost, NormalPath};

/// What may stand in `match` beside a kind.
const SCOPE: [&str; 3] = ["unless", "last", "only"];

impl Validator {
    /// Reads `match`: exactly one kind of pattern, and where its words may stand. With conditions on the query
    /// (`narrowed`) the root is a path like others.
    pub(super) fn pattern(
        &mut self,
        entry: &Spanned<BTreeMap<String, Spanned<Value>>>,
        narrowed: bool,
    ) -> Option<(Pattern, WordScope)> {
        let mut kinds = entry.get_ref().iter().filter(|(name, _)| !SCOPE.contains(&name.as_str()));
        let (Some((name, value)), None) = (kinds.next(), kinds.next()) else {
            self.fault(entry, format!("`match` wants exactly one of {}", names_of_kinds()));
            return None;
        };
        let pattern = self.kind(name, value, narrowed)?;
        let scope = self.scope(entry.get_ref(), &pattern);
        Some((pattern, scope))
    }

    /// Reads what stands beside the kind.
    fn scope(&mut self, entry: &BTreeMap<String, Spanned<Value>>, pattern: &Pattern) -> WordScope {
        let mut scope = WordScope::default();
        if let Some(value) = entry.get("unless") {
            let paths = !matches!(pattern, Pattern::Text(MatchKind::Host | MatchKind::Raw, _));
            self.require(paths, value, || "unless: only beside patterns of paths and words".to_owned());
            scope.unless = self.word_list(value, strings(value.get_ref()).unwrap_or_default());
            self.require(!scope.unless.is_empty(), value, || "unless: write a list of words".to_owned());
        }
        let words = matches!(pattern, Pattern::Words(_));
        if let Some(value) = entry.get("last") {
            scope.last = value.get_ref().as_integer().and_then(|last| u8::try_from(last).ok()).filter(|&last| last > 0);
            self.require(words, value, || "last: only beside `words`".to_owned());
            self.require(scope.last.is_some(), value, || "last: write a number of segments, from 1".to_owned());
        }
        if let Some(value) = entry.get("only") {
            scope.only = value.get_ref().as_bool() == Some(true);
            self.require(scope.only, value, || "only: write true, or leave it out".to_owned());
            self.require(words && entry.contains_key("last"), value, || "only: write `last` beside it".to_owned());
        }
        scope
    }

    fn kind(&mut self, name: &str, value: &Spanned<Value>, narrowed: bool) -> Option<Pattern> {
        if name == "path_file" {
            let file = value.get_ref().as_str().filter(|file| !file.is_empty());
            self.require(file.is_some(), value, || "path_file: write the name of a file".to_owned());
            return file.map(|file| Pattern::PathFile(file.to_owned(), 0));
        }
        let Some(kind) = MatchKind::ALL.into_iter().find(|kind| kind.name() == name) else {
            self.fault(value, format!("unknown kind of match `{name}`: write one of {}", names_of_kinds()));
            return None;
        };
        if kind == MatchKind::Words {
            return self.words(value);
        }
        let Some(patterns) = strings(value.get_ref()).filter(|patterns| !patterns.is_empty()) else {
            self.fault(value, format!("{name}: write a string, or a list of strings"));
            return None;
        };
        for pattern in &patterns {
            if kind == MatchKind::Path && pattern == "/" && narrowed {
                continue;
            }
            if let Err(reason) = check_pattern(kind, pattern) {
                self.fault(value, format!("{name} {pattern:?}: {reason}"));
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
            self.fault(value, "words: write two to eight lists of words, [[\"a\", \"b\"], [\"c\"]]".to_owned());
            return None;
        };
        Some(Pattern::Words(lists.into_iter().map(|list| self.word_list(value, list)).collect()))
    }

    /// A list of words, checked, with the words of the file's lists in the places of their names. What is written the
    /// same way twice is the same list.
    fn word_list(&mut self, at: &Spanned<Value>, written: Vec<String>) -> WordList {
        if let Some(known) = self.word_lists.get(&written) {
            return Arc::clone(known);
        }
        let mut all = Vec::new();
        for word in &written {
            match word.strip_prefix('$').map(|name| self.lists.get(name)) {
                None => all.push(word.clone()),
                Some(Some(list)) => all.extend(list.iter().cloned()),
                Some(None) => self.fault(at, format!("{word:?}: there is no such list in `lists` of this file")),
            }
        }
        for word in &all {
            if let Err(reason) = words::check(word) {
                self.fault(at, format!("word {word:?}: {reason}"));
            }
        }
        let list = WordList::from(all);
        self.word_lists.insert(written, Arc::clone(&list));
        list
    }
}

fn names_of_kinds() -> String {
    format!("{}, path_file", MatchKind::ALL.map(MatchKind::name).join(", "))
}

/// A string, or a list of strings.
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// What is wrong with a pattern, and the way out.
pub(super) fn check_pattern(kind: MatchKind, pattern: &str) -> Result<(), String> {
    let too_long = |len: usize| match len {
        0..=MAX_KEY => Ok(()),
        _ => Err(format!("{len} bytes in normal form: write at most {MAX_KEY}")),
    };
    if pattern.trim().is_empty() {
        return Err("an empty pattern would match everything".to_owned());
    }
    if pattern.chars().any(char::is_control) {
        return Err("control characters have no place in a pattern".to_owned());
    }
    match kind {
        MatchKind::Raw => too_long(pattern.len()),
        MatchKind::Host => {
            let normal = NormalHost::of(pattern.as_bytes());
            if normal.host.len() < pattern.trim_end_matches('.').len()
                || pattern.contains(['/', '\\', ' ', '?', '#', '%', '*'])
            {
                return Err("write a host name only, without scheme, port, path or wildcard".to_owned());
            }
            if !normal.host.contains(&b'.') {
                return Err("a host without a dot would match a whole top-level domain".to_owned());
            }
            too_long(normal.host.len())
        }
        _ => {
            if !pattern.starts_with(['/', '\\']) {
                return Err("write a path that begins with `/`".to_owned());
            }
            if pattern.contains(['?', '#']) {
                return Err("a path ends before `?` and `#`: write conditions on the query as `query`".to_owned());
            }
            let normal = NormalPath::of(pattern.as_bytes());
            if normal.path == b"/" {
                return Err(
                    "it means the root, which would match every site: a `path` of `/` wants conditions on the query"
                        .to_owned(),
                );
            }
            too_long(normal.path.len())
        }
    }
}
