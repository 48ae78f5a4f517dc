//! What several signatures claim at once: examples that more than one matches, and patterns that never win. Told by
//! asking the tables about requests that are made for it, so by the order that holds for all requests. Not a proof: of
//! word lists only some requests are tried.

use std::fmt;
use std::sync::Arc;

use super::{Example, MatchKind, Pattern, Signature, Signatures, WordList};
use crate::uri::{NormalPath, Normaliser};

/// Requests of one signature that another one matches too.
#[derive(Clone, Debug)]
pub struct Overlap {
    /// Whose example it is.
    pub signature: Arc<Signature>,
    /// The request.
    pub request: Example,
    /// All that match it, the one that is told first.
    pub matches: Vec<Arc<Signature>>,
}

impl Overlap {
    /// Whether one of these ids has to do with it.
    #[must_use]
    pub fn among(&self, ids: &[u32]) -> bool {
        self.matches.iter().any(|signature| ids.contains(&signature.id))
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.matches.iter().map(|signature| format!("{} ({})", signature.id, signature.slug));
        let first = names.next().unwrap_or_default();
        write!(f, "{} is told as {first}, and matches {} too", self.request, names.collect::<Vec<_>>().join(", "))
    }
}

/// A pattern that is never the best match.
#[derive(Clone, Debug)]
pub struct Shadowed {
    /// Whose pattern it is.
    pub signature: Arc<Signature>,
    /// The pattern as written; of word lists the one word.
    pub pattern: String,
    /// Who wins, for the first request that was tried.
    pub by: Arc<Signature>,
}

impl fmt::Display for Shadowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signature, pattern, by } = self;
        write!(f, "{} ({}): {pattern:?} never wins: {} ({}) does", signature.id, signature.slug, by.id, by.slug)
    }
}

impl Signatures {
    /// The signatures' own hits that more than one signature matches.
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

    /// The patterns of a signature for which another one always is the better match. A signature in support of others
    /// does not want to win.
    #[must_use]
    pub fn shadowed(&self, signature: &Arc<Signature>) -> Vec<Shadowed> {
        let mut normaliser = Normaliser::new();
        let mut shadowed = Vec::new();
        if signature.support {
            return shadowed;
        }
        for (pattern, targets) in requests(&signature.pattern) {
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

    /// All that a request matches, the best first.
    fn matches(&self, normaliser: &mut Normaliser, request: &Example) -> Vec<Arc<Signature>> {
        let (method, target) = (request.method.as_bytes(), request.target.as_bytes());
        let candidates = normaliser.candidates(method, target);
        let found = self.find(method, target, &candidates);
        found.map_or_else(Vec::new, |found| [found.signature].into_iter().chain(found.also).collect())
    }
}

/// A target with what the signature asks of the query.
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

/// A name that stands in no signature.
const STRANGE: &str = "zq7x";

/// Each pattern with requests that it matches.
fn requests(pattern: &Pattern) -> Vec<(String, Vec<String>)> {
    match pattern {
        Pattern::Text(kind, patterns) => {
            patterns.iter().map(|pattern| (pattern.clone(), of_text(*kind, pattern))).collect()
        }
        Pattern::PathFile(..) => Vec::new(),
        Pattern::Words(lists) => lists
            .iter()
            .enumerate()
            .flat_map(|(at, list)| list.iter().map(move |word| (word.clone(), of_words(lists, at, word))))
            .collect(),
    }
}

fn of_text(kind: MatchKind, pattern: &str) -> Vec<String> {
    let path = || String::from_utf8_lossy(&NormalPath::of(pattern.as_bytes()).path).into_owned();
    match kind {
        MatchKind::Path => vec![path()],
        MatchKind::Suffix => vec![path(), format!("/{STRANGE}{}", path())],
        MatchKind::Prefix => vec![path(), format!("{}/{STRANGE}", path())],
        MatchKind::Host => vec![format!("http://{pattern}/"), format!("http://{STRANGE}.{pattern}/{STRANGE}")],
        MatchKind::Raw => vec![format!("/{STRANGE}{pattern}"), format!("/{STRANGE}?{pattern}")],
        MatchKind::Words => Vec::new(),
    }
}

/// Targets with `word` of the list `at`, and each of a few words of the others.
fn of_words(lists: &[WordList], at: usize, word: &str) -> Vec<String> {
    /// Rationale: whoever always loses loses within a few.
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

/// A path with all entries: names first, words in the last name, an ending at its end.
fn join(entries: &[String]) -> String {
    let (mut names, mut words, mut ending) = (String::new(), Vec::new(), "");
    for entry in entries {
        match entry.strip_prefix('/').map(|place| place.split_once('/').ok_or(place)) {
            None if entry.starts_with('.') => ending = entry,
            None => words.push(entry.as_str()),
            Some(Err(word)) => words.extend(Some(word).filter(|word| !word.is_empty())),
            Some(Ok((name, word))) => {
                if !names.ends_with(&format!("/{name}")) {
                    names = format!("{names}/{name}");
                }
                // The name right below.
                if !word.is_empty() {
                    names = format!("{names}/{word}");
                }
            }
        }
    }
    format!("{names}/{}{ending}", words.join("-"))
}
