//! What a request matches: asks every table about every candidate and chooses the best. Not the tables themselves.

use std::cmp::Reverse;
use std::sync::Arc;

use super::load::Signatures;
use super::table::Rule;
use super::{MatchKind, Signature};
use crate::uri::{Candidate, Candidates, Evasion, Evasions, Trailing, query};

/// Occurrences of `raw` patterns that are looked at in one target. Rationale: bounds the work when patterns contain
/// each other; a target of a scanner has a handful.
const MAX_RAW: usize = 256;

/// What a request matched.
#[derive(Clone, Debug)]
pub struct Match<'a> {
    /// The best signature.
    pub signature: Arc<Signature>,
    /// What matched: the path or host in normal form, or the bytes of a `raw` pattern.
    pub matched: &'a [u8],
    /// The disguises that were undone.
    pub evasions: Evasions,
    /// The other signatures that match, the best first.
    pub also: Vec<Arc<Signature>>,
}

/// One match of one pattern.
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
    /// The best match of a request over all of its candidates: by kind, then the longer pattern, then the lower id;
    /// among equals the least decoded candidate is named. Allocates nothing when nothing matches.
    ///
    /// A signature of `status = "support"` is the best only where no other one matches, and never among the others.
    #[must_use]
    pub fn find<'a>(&self, method: &[u8], target: &'a [u8], candidates: &Candidates<'a>) -> Option<Match<'a>> {
        let hits = self.hits(method, target, candidates);
        if hits.is_empty() {
            return None;
        }
        self.best(hits)
    }

    // Cold: most requests match nothing, and their way is short.
    #[cold]
    #[inline(never)]
    fn best<'a>(&self, mut hits: Vec<Hit<'a>>) -> Option<Match<'a>> {
        // Stable: of the equally decoded the first stays first.
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

    /// How many looks [`find`](Self::find) takes into the table of `path`, `suffix`, `prefix` and `host` patterns.
    #[must_use]
    pub fn probes(&self, candidates: &Candidates<'_>) -> u32 {
        let whole = !candidates.is_cut();
        let of_one = |candidate: Candidate<'_>| {
            let host = candidate.host.map_or(0, |host| self.table.host(host, &mut |_, _, _| {}));
            if candidate.path.is_empty() {
                return host;
            }
            host + self.table.path(candidate.path, whole, &mut |_, _, _| {})
        };
        candidates.iter().map(of_one).sum()
    }

    /// Every match, in no order.
    fn hits<'a>(&self, method: &[u8], target: &'a [u8], candidates: &Candidates<'a>) -> Vec<Hit<'a>> {
        let mut hits: Vec<Hit<'a>> = Vec::new();
        let whole = !candidates.is_cut();
        let may = |signature: u32| {
            self.list.get(signature as usize).is_some_and(|signature| applies(signature, method, target))
        };
        for candidate in candidates.iter() {
            let words = self.words.of(candidate.path, whole);
            let served = if candidate.decoded == 0 { served(candidates, &candidate) } else { None };
            let served = served.map(|path| self.words.of(path, whole));
            let spared = |signature| served.as_ref().is_some_and(|words| words.rule_out(signature));
            if let Some(host) = candidate.host {
                self.table.host(host, &mut |kind, rules, len| {
                    hits.extend(rules.iter().filter(|rule| may(rule.signature)).map(|rule| Hit {
                        kind,
                        len,
                        signature: rule.signature,
                        decoded: candidate.decoded,
                        matched: host,
                        evasions: self.host_disguises(&candidate, rule, len),
                    }));
                });
            }
            if candidate.path.is_empty() {
                continue;
            }
            let in_path = |signature| may(signature) && !words.rule_out(signature) && !spared(signature);
            self.table.path(candidate.path, whole, &mut |kind, rules, len| {
                hits.extend(rules.iter().filter(|rule| in_path(rule.signature)).map(|rule| Hit {
                    kind,
                    len,
                    signature: rule.signature,
                    decoded: candidate.decoded,
                    matched: candidate.path,
                    evasions: self.path_disguises(&candidate, kind, rule, len),
                }));
            });
            words.find(&mut |signature, len| {
                if may(signature) && !spared(signature) {
                    hits.push(word_hit(&candidate, signature, len));
                }
            });
        }
        self.raw_hits(target, &may, &mut hits);
        hits
    }

    /// One pass over the undecoded target.
    fn raw_hits<'a>(&self, target: &'a [u8], may: &dyn Fn(u32) -> bool, hits: &mut Vec<Hit<'a>>) {
        let Some(raw) = &self.raw else { return };
        let target = target.get(..crate::uri::MAX_TARGET).unwrap_or(target);
        for found in raw.automaton.find_overlapping_iter(target).take(MAX_RAW) {
            let Some(&signature) = raw.owners.get(found.pattern().as_usize()) else { continue };
            if may(signature) {
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

    /// The candidate's disguises, with `case` and `trailing` where the request differs from the pattern as written.
    fn path_disguises(&self, candidate: &Candidate<'_>, kind: MatchKind, rule: &Rule, len: usize) -> Evasions {
        let part = |path: &'_ [u8]| -> std::ops::Range<usize> {
            match kind {
                MatchKind::Suffix => path.len().saturating_sub(len)..path.len(),
                _ => 0..len,
            }
        };
        let range = part(candidate.path);
        let pattern = candidate.path.get(range.clone()).unwrap_or_default();
        let wrote = candidate.path_as_written.get(range).unwrap_or_default();
        let mut evasions = candidate.evasions;
        if self.case_differs(wrote, pattern, rule) {
            evasions = evasions.with(Evasion::Case);
        }
        // What follows a prefix is not the pattern's business.
        let reaches_end = kind != MatchKind::Prefix || candidate.path.len() == len;
        let as_written = candidate.trailing == Trailing::Slash && rule.slash;
        if reaches_end && candidate.trailing != Trailing::Nothing && !as_written {
            evasions = evasions.with(Evasion::Trailing);
        }
        evasions
    }

    fn host_disguises(&self, candidate: &Candidate<'_>, rule: &Rule, len: usize) -> Evasions {
        let tail = |host: &'_ [u8]| host.len().saturating_sub(len);
        let host = candidate.host.unwrap_or_default();
        let pattern = host.get(tail(host)..).unwrap_or_default();
        let wrote = candidate.host_as_written.get(tail(host)..).unwrap_or_default();
        match self.case_differs(wrote, pattern, rule) {
            true => candidate.host_evasions.with(Evasion::Case),
            false => candidate.host_evasions,
        }
    }

    /// Whether upper-case letters were lowered that the pattern does not have in the same places. A pattern written
    /// with upper case and requested without is no disguise: nothing was undone.
    fn case_differs(&self, wrote: &[u8], normal: &[u8], rule: &Rule) -> bool {
        let pattern = rule.as_written.and_then(|at| self.as_written.get(at as usize));
        wrote != normal && pattern.is_none_or(|pattern| wrote != &pattern[..])
    }
}

/// The path that is served for an undecoded one: every server decodes a path once (RFC 3986 section 2.4), so what rules
/// out what it gets rules out what was written. A path cut at its NUL is not that one, and a second decoding is what
/// only some servers do: each of these readings is ruled out by its own words alone.
fn served<'a>(candidates: &Candidates<'a>, written: &Candidate<'a>) -> Option<&'a [u8]> {
    let alike = |disguise| move |other: &Candidate<'a>| other.evasions.has(disguise) == written.evasions.has(disguise);
    (candidates.iter())
        .filter(|other| other.decoded == 1)
        .filter(alike(Evasion::Nul))
        .find(alike(Evasion::Whitespace))
        .map(|other| other.path)
}

/// A match of word lists; any lowered letter and any trailing byte was a disguise.
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

/// Whether the signature's other conditions hold.
fn applies(signature: &Signature, method: &[u8], target: &[u8]) -> bool {
    (signature.methods.is_empty()
        || signature.methods.iter().any(|known| method.eq_ignore_ascii_case(known.as_bytes())))
        && signature.query.iter().all(|condition| {
            query(target).split(|&byte| byte == b'&').any(|pair| {
                let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
                let (key, value) = pair.split_at(at);
                same_text(key, condition.key.as_bytes())
                    && condition
                        .value
                        .as_ref()
                        .is_none_or(|wanted| same_text(value.get(1..).unwrap_or_default(), wanted.as_bytes()))
            })
        })
}

/// Whether form-encoded bytes, decoded once, are `wanted`, ASCII case aside.
fn same_text(mut encoded: &[u8], wanted: &[u8]) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    for &byte in wanted {
        let (decoded, rest) = match *encoded {
            // Two hexadecimal digits are at most 255.
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
