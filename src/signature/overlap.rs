//! Finds overlaps of signatures: examples that more than one signature matches, and patterns that are never the best
//! match. Both are found by matching generated requests, so the order is that of all requests. Not a proof: for word
//! lists only some requests are tried.

use std::fmt;
use std::sync::Arc;

use super::{Example, MatchKind, Pattern, Signature, Signatures, WordList};
use crate::uri::{NormalPath, Normaliser};

/// An example of one signature that another one matches too.
#[derive(Clone, Debug)]
pub struct Overlap {
    /// The signature that has the example.
    pub signature: Arc<Signature>,
    /// The request.
    pub request: Example,
    /// All signatures that match it, the best first.
    pub matches: Vec<Arc<Signature>>,
}

impl Overlap {
    /// Reports whether a signature with one of these ids matches.
    #[must_use]
    pub fn involves(&self, ids: &[u32]) -> bool {
        self.matches.iter().any(|signature| ids.contains(&signature.id))
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.matches.iter().map(|signature| format!("{} ({})", signature.id, signature.slug));
        let first = names.next().unwrap_or_default();
        write!(f, "{} is reported as {first} and also matches {}", self.request, names.collect::<Vec<_>>().join(", "))
    }
}

/// A pattern that is never the best match.
#[derive(Clone, Debug)]
pub struct Shadowed {
    /// The signature that has the pattern.
    pub signature: Arc<Signature>,
    /// The pattern as written; for word lists a single word.
    pub pattern: String,
    /// The best match of the first request that was tried.
    pub by: Arc<Signature>,
}

impl fmt::Display for Shadowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signature, pattern, by } = self;
        write!(
            f,
            "{} ({}): {pattern:?} is never the best match: {} ({}) is",
            signature.id, signature.slug, by.id, by.slug
        )
    }
}

impl Signatures {
    /// Returns the signatures' own hits that more than one signature matches.
    #[must_use]
    pub fn overlaps(&self) -> Vec<Overlap> {
        let mut normaliser = Normaliser::new();
        let mut overlaps = Vec::new();
        for signature in self.iter() {
            for request in &signature.hits {
                let matches = self.matches(&mut normaliser, request);
                if matches.len() > 1 {
                    overlaps.push(Overlap { signature: Arc::clone(signature), request: request.clone(), matches });
                }
            }
        }
        overlaps
    }

    /// Returns the patterns of a signature for which another one always is the better match. None for a `support`
    /// signature, which is not meant to be the best match.
    #[must_use]
    pub fn shadowed(&self, signature: &Arc<Signature>) -> Vec<Shadowed> {
        let mut normaliser = Normaliser::new();
        let mut shadowed = Vec::new();
        if signature.support {
            return shadowed;
        }
        for (pattern, targets) in targets(&signature.pattern) {
            let best = |target: &String| {
                let method = signature.methods.first().map_or("QUERY", String::as_str).to_owned();
                let request = Example { method, target: with_query(target, signature) };
                self.matches(&mut normaliser, &request).into_iter().next()
            };
            let winners: Vec<_> = targets.iter().filter_map(best).collect();
            let loses = |winner: &Arc<Signature>| winner.id != signature.id;
            if let Some(first) = winners.first().filter(|_| winners.iter().all(loses)) {
                shadowed.push(Shadowed { signature: Arc::clone(signature), pattern, by: Arc::clone(first) });
            }
        }
        shadowed
    }

    /// Returns all signatures that a request matches, the best first.
    fn matches(&self, normaliser: &mut Normaliser, request: &Example) -> Vec<Arc<Signature>> {
        let (method, target) = (request.method.as_bytes(), request.target.as_bytes());
        let candidates = normaliser.candidates(method, target);
        let found = self.find(method, target, &candidates);
        found.map_or_else(Vec::new, |found| [found.signature].into_iter().chain(found.also).collect())
    }
}

/// Adds the query that the signature requires to a target.
fn with_query(target: &str, signature: &Signature) -> String {
    let conditions: Vec<String> = (signature.query.iter())
        .map(|condition| {
            let value = condition.value.as_deref().unwrap_or("1");
            format!("{}={value}", condition.key).replace(' ', "+")
        })
        .collect();
    match conditions.is_empty() {
        true => target.to_owned(),
        false => format!("{target}?{}", conditions.join("&")),
    }
}

/// A name that no signature has.
const FILLER: &str = "zq7x";

/// Returns each pattern with targets that it matches.
fn targets(pattern: &Pattern) -> Vec<(String, Vec<String>)> {
    match pattern {
        Pattern::Text(kind, patterns) => {
            patterns.iter().map(|pattern| (pattern.clone(), text_targets(*kind, pattern))).collect()
        }
        Pattern::PathFile(..) => Vec::new(),
        Pattern::Words(lists) => lists
            .iter()
            .enumerate()
            .flat_map(|(at, list)| list.iter().map(move |word| (word.clone(), word_targets(lists, at, word))))
            .collect(),
    }
}

fn text_targets(kind: MatchKind, pattern: &str) -> Vec<String> {
    let path = || String::from_utf8_lossy(&NormalPath::of(pattern.as_bytes()).path).into_owned();
    match kind {
        MatchKind::Path => vec![path()],
        MatchKind::Suffix => vec![path(), format!("/{FILLER}{}", path())],
        MatchKind::Prefix => vec![path(), format!("{}/{FILLER}", path())],
        MatchKind::Host => vec![format!("http://{pattern}/"), format!("http://{FILLER}.{pattern}/{FILLER}")],
        MatchKind::Raw => vec![format!("/{FILLER}{pattern}"), format!("/{FILLER}?{pattern}")],
        MatchKind::Words => Vec::new(),
    }
}

/// Returns targets with `word` of the list `at` and, in turn, a few words of each of the others.
fn word_targets(lists: &[WordList], at: usize, word: &str) -> Vec<String> {
    /// Targets per word. Rationale: a word that is ever the best match is so within a few tries.
    const TRIED: usize = 6;
    (0..TRIED)
        .map(|turn| {
            let other = |list: &WordList| list.get(turn % list.len().max(1)).cloned().unwrap_or_default();
            let words =
                lists.iter().enumerate().map(|(list, words)| if list == at { word.to_owned() } else { other(words) });
            join(&words.collect::<Vec<_>>())
        })
        .collect()
}

/// Returns a path with all entries: names first, words in the last name, an ending at its end.
fn join(entries: &[String]) -> String {
    let (mut names, mut words, mut ending) = (String::new(), Vec::new(), "");
    for entry in entries {
        match entry.strip_prefix('/').map(|inside| inside.split_once('/').ok_or(inside)) {
            None if entry.starts_with('.') => ending = entry,
            None => words.push(entry.as_str()),
            Some(Err(word)) => words.extend(Some(word).filter(|word| !word.is_empty())),
            Some(Ok((name, word))) => {
                if !names.ends_with(&format!("/{name}")) {
                    names = format!("{names}/{name}");
                }
                // A word of the name right below.
                if !word.is_empty() {
                    names = format!("{names}/{word}");
                }
            }
        }
    }
    format!("{names}/{}{ending}", words.join("-"))
}
