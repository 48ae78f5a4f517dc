//! Matches requests: queries every table for every candidate of a target and chooses the best match. The tables are
//! [`super::table`] and [`super::words`].

use std::cmp::Reverse;
use std::sync::Arc;

use super::load::Signatures;
use super::table::Rule;
use super::{MatchKind, Signature};
use crate::uri::{Candidate, Candidates, Evasion, Evasions, Trailing, query};

/// Maximum number of occurrences of `raw` patterns in one target. Rationale: bounds the work when patterns contain each
/// other; a scanner's target has a handful.
const MAX_RAW: usize = 256;

/// Match of a request.
#[derive(Clone, Debug)]
pub struct Match<'a> {
    /// The best signature.
    pub signature: Arc<Signature>,
    /// The matched text: the path or host in normal form, or the bytes of a `raw` pattern.
    pub matched: &'a [u8],
    /// The evasions that normalisation undid.
    pub evasions: Evasions,
    /// The other signatures that match, the best first.
    pub also: Vec<Arc<Signature>>,
}

/// A match of one pattern.
#[derive(Clone, Copy, Debug)]
struct Hit<'a> {
    kind: MatchKind,
    len: usize,
    signature: u32,
    decoded: u8,
    matched: &'a [u8],
    evasions: Evasions,
}

impl Signatures {
    /// Returns the best match of a request over all of its candidates: by kind, then the longer pattern, then the lower
    /// id; among equals that of the least decoded candidate. Does not allocate when nothing matches.
    ///
    /// A signature of `status = "support"` is the best only if no other one matches, and is never one of the others.
    #[must_use]
    pub fn find<'a>(&self, method: &[u8], target: &'a [u8], candidates: &Candidates<'a>) -> Option<Match<'a>> {
        let hits = self.hits(method, target, candidates);
        if hits.is_empty() {
            return None;
        }
        self.best(hits)
    }

    // Cold: most requests match nothing, and their code path stays short.
    #[cold]
    #[inline(never)]
    fn best<'a>(&self, mut hits: Vec<Hit<'a>>) -> Option<Match<'a>> {
        // A stable sort: among equals the first hit stays first.
        hits.sort_by_key(|hit| {
            (self.is_support(hit.signature), hit.kind, Reverse(hit.len), self.id(hit.signature), hit.decoded)
        });
        let best = *hits.first()?;
        let mut also: Vec<u32> = Vec::new();
        for hit in hits.iter().filter(|hit| hit.signature != best.signature && !self.is_support(hit.signature)) {
            if !also.contains(&hit.signature) {
                also.push(hit.signature);
            }
        }
        let signature = |index: &u32| self.list.get(*index as usize).map(Arc::clone);
        Some(Match {
            signature: signature(&best.signature)?,
            matched: best.matched,
            evasions: best.evasions,
            also: also.iter().filter_map(signature).collect(),
        })
    }

    /// Returns the number of lookups of [`find`](Self::find) in the table of `path`, `suffix`, `prefix` and `host`
    /// patterns.
    #[must_use]
    pub fn lookups(&self, candidates: &Candidates<'_>) -> u32 {
        let complete = !candidates.is_cut();
        let lookups_of = |candidate: Candidate<'_>| {
            let host = candidate.host.map_or(0, |host| self.table.host(host, &mut |_, _, _| {}));
            if candidate.path.is_empty() {
                return host;
            }
            host + self.table.path(candidate.path, complete, &mut |_, _, _| {})
        };
        candidates.iter().map(lookups_of).sum()
    }

    /// Returns every match, in no particular order.
    fn hits<'a>(&self, method: &[u8], target: &'a [u8], candidates: &Candidates<'a>) -> Vec<Hit<'a>> {
        let mut hits: Vec<Hit<'a>> = Vec::new();
        let complete = !candidates.is_cut();
        let applies = |signature: u32| {
            self.list.get(signature as usize).is_some_and(|signature| meets_conditions(signature, method, target))
        };
        for candidate in candidates.iter() {
            let words = self.words.of(candidate.path, complete);
            let served = if candidate.decoded == 0 { served_path(candidates, &candidate) } else { None };
            let served = served.map(|path| self.words.of(path, complete));
            let served_excludes = |signature| served.as_ref().is_some_and(|words| words.excludes(signature));
            if let Some(host) = candidate.host {
                self.table.host(host, &mut |kind, rules, len| {
                    hits.extend(rules.iter().filter(|rule| applies(rule.signature)).map(|rule| Hit {
                        kind,
                        len,
                        signature: rule.signature,
                        decoded: candidate.decoded,
                        matched: host,
                        evasions: self.host_evasions(&candidate, rule, len),
                    }));
                });
            }
            if candidate.path.is_empty() {
                continue;
            }
            let in_path = |signature| applies(signature) && !words.excludes(signature) && !served_excludes(signature);
            self.table.path(candidate.path, complete, &mut |kind, rules, len| {
                hits.extend(rules.iter().filter(|rule| in_path(rule.signature)).map(|rule| Hit {
                    kind,
                    len,
                    signature: rule.signature,
                    decoded: candidate.decoded,
                    matched: candidate.path,
                    evasions: self.path_evasions(&candidate, kind, rule, len),
                }));
            });
            words.find(&mut |signature, len| {
                if applies(signature) && !served_excludes(signature) {
                    hits.push(word_hit(&candidate, signature, len));
                }
            });
        }
        self.raw_hits(target, &applies, &mut hits);
        hits
    }

    /// Adds the matches of `raw` patterns, in one pass over the undecoded target.
    fn raw_hits<'a>(&self, target: &'a [u8], applies: &dyn Fn(u32) -> bool, hits: &mut Vec<Hit<'a>>) {
        let Some(raw) = &self.raw else { return };
        let target = target.get(..crate::uri::MAX_TARGET).unwrap_or(target);
        for found in raw.automaton.find_overlapping_iter(target).take(MAX_RAW) {
            let Some(&signature) = raw.owners.get(found.pattern().as_usize()) else { continue };
            if applies(signature) {
                hits.push(Hit {
                    kind: MatchKind::Raw,
                    len: found.len(),
                    signature,
                    decoded: 0,
                    matched: target.get(found.range()).unwrap_or_default(),
                    evasions: Evasions::default(),
                });
            }
        }
    }

    fn is_support(&self, signature: u32) -> bool {
        self.list.get(signature as usize).is_some_and(|signature| signature.support)
    }

    fn id(&self, signature: u32) -> u32 {
        self.list.get(signature as usize).map_or(u32::MAX, |signature| signature.id)
    }

    /// Returns the candidate's evasions, with `case` and `trailing` if the request differs from the pattern as written.
    fn path_evasions(&self, candidate: &Candidate<'_>, kind: MatchKind, rule: &Rule, len: usize) -> Evasions {
        let part = |path: &'_ [u8]| -> std::ops::Range<usize> {
            match kind {
                MatchKind::Suffix => path.len().saturating_sub(len)..path.len(),
                _ => 0..len,
            }
        };
        let range = part(candidate.path);
        let pattern = candidate.path.get(range.clone()).unwrap_or_default();
        let as_requested = candidate.path_as_written.get(range).unwrap_or_default();
        let mut evasions = candidate.evasions;
        if self.case_differs(as_requested, pattern, rule) {
            evasions = evasions.with(Evasion::Case);
        }
        // A prefix pattern does not cover the end of a longer path.
        let reaches_end = kind != MatchKind::Prefix || candidate.path.len() == len;
        let slash_as_written = candidate.trailing == Trailing::Slash && rule.slash;
        if reaches_end && candidate.trailing != Trailing::Nothing && !slash_as_written {
            evasions = evasions.with(Evasion::Trailing);
        }
        evasions
    }

    fn host_evasions(&self, candidate: &Candidate<'_>, rule: &Rule, len: usize) -> Evasions {
        let tail = |host: &'_ [u8]| host.len().saturating_sub(len);
        let host = candidate.host.unwrap_or_default();
        let pattern = host.get(tail(host)..).unwrap_or_default();
        let as_requested = candidate.host_as_written.get(tail(host)..).unwrap_or_default();
        match self.case_differs(as_requested, pattern, rule) {
            true => candidate.host_evasions.with(Evasion::Case),
            false => candidate.host_evasions,
        }
    }

    /// Reports whether the request has upper-case letters that the pattern does not have in the same positions. A
    /// request in lower case of a pattern with upper case is not an evasion: normalisation changed nothing.
    fn case_differs(&self, as_requested: &[u8], normal: &[u8], rule: &Rule) -> bool {
        let pattern = rule.as_written.and_then(|at| self.as_written.get(at as usize));
        as_requested != normal && pattern.is_none_or(|pattern| as_requested != &pattern[..])
    }
}

/// Returns the path that a server serves for an undecoded one. Every server decodes a path once (RFC 3986 section 2.4),
/// so words that exclude a match of the decoded path exclude one of the undecoded path too. A path cut at its NUL is
/// another path, and only some servers decode twice: these candidates are excluded by their own words alone.
fn served_path<'a>(candidates: &Candidates<'a>, undecoded: &Candidate<'a>) -> Option<&'a [u8]> {
    let same = |evasion| move |other: &Candidate<'a>| other.evasions.has(evasion) == undecoded.evasions.has(evasion);
    (candidates.iter())
        .filter(|other| other.decoded == 1)
        .filter(same(Evasion::Nul))
        .find(same(Evasion::Whitespace))
        .map(|other| other.path)
}

/// Returns a match of word lists; any upper-case letter and any trailing byte counts as an evasion.
fn word_hit<'a>(candidate: &Candidate<'a>, signature: u32, len: usize) -> Hit<'a> {
    let mut evasions = candidate.evasions;
    if candidate.path != candidate.path_as_written {
        evasions = evasions.with(Evasion::Case);
    }
    if candidate.trailing != Trailing::Nothing {
        evasions = evasions.with(Evasion::Trailing);
    }
    Hit { kind: MatchKind::Words, len, signature, decoded: candidate.decoded, matched: candidate.path, evasions }
}

/// Reports whether a request meets the signature's conditions on method and query.
fn meets_conditions(signature: &Signature, method: &[u8], target: &[u8]) -> bool {
    (signature.methods.is_empty() || signature.methods.iter().any(|name| method.eq_ignore_ascii_case(name.as_bytes())))
        && signature.query.iter().all(|condition| {
            query(target).split(|&byte| byte == b'&').any(|pair| {
                let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
                let (key, value) = pair.split_at(at);
                decodes_to(key, condition.key.as_bytes())
                    && condition
                        .value
                        .as_ref()
                        .is_none_or(|expected| decodes_to(value.get(1..).unwrap_or_default(), expected.as_bytes()))
            })
        })
}

/// Reports whether form-encoded bytes, decoded once, equal `expected`, ignoring ASCII case.
fn decodes_to(mut encoded: &[u8], expected: &[u8]) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    for &byte in expected {
        let (decoded, rest) = match *encoded {
            // Two hexadecimal digits are at most 255, so the cast is lossless.
            [b'%', high, low, ref rest @ ..] => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => ((high << 4 | low) as u8, rest),
                _ => (b'%', encoded.get(1..).unwrap_or_default()),
            },
            [b'+', ref rest @ ..] => (b' ', rest),
            [byte, ref rest @ ..] => (byte, rest),
            [] => return false,
        };
        if !decoded.eq_ignore_ascii_case(&byte) {
            return false;
        }
        encoded = rest;
    }
    encoded.is_empty()
}
