//! Generates the candidates of a request target: what it may mean to some server. Does not normalise a path
//! ([`super::path`](mod@super::path)), decode ([`super::decode`]) or parse the target's syntax ([`super::target`]).

use std::ops::Range;

use super::decode::{Decoded, decode};
use super::path::{Trailing, bare_host, is_blank, lower, normalise};
use super::target::{TargetParts, without_query};
use super::{Evasion, Evasions, MAX_TARGET};

/// Most candidates of a target: three levels of decoding, with and without a cut at a NUL, with and without a cut at
/// whitespace.
pub const MAX_CANDIDATES: usize = 12;

/// One interpretation of a request target, in normal form.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The path, beginning with `/`; empty if the target has none (`*`, or an authority).
    pub path: &'a [u8],
    /// The path before conversion to lower case.
    pub path_as_written: &'a [u8],
    /// Suffix dropped from the end of the path.
    pub trailing: Trailing,
    /// Evasions undone in the path, except case and trailing, which only a comparison with a pattern can determine.
    pub evasions: Evasions,
    /// Host of an absolute-form or CONNECT target, without userinfo, port and trailing dots.
    pub host: Option<&'a [u8]>,
    /// The host before conversion to lower case.
    pub host_as_written: &'a [u8],
    /// Evasions undone in the host, except case.
    pub host_evasions: Evasions,
    /// Rounds of decoding: 0, 1 or 2.
    pub decoded: u8,
}

/// The candidates of one target, the least decoded first, without duplicates.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    target: &'a [u8],
    arena: &'a [u8],
    list: &'a [CandidateSpans],
    cut: bool,
}

impl<'a> Candidates<'a> {
    /// Iterates over the candidates, the least decoded first.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a>> {
        let Self { target, arena, list, .. } = *self;
        list.iter().map(move |spans| spans.candidate(target, arena))
    }

    /// Returns the number of candidates: 1 to [`MAX_CANDIDATES`].
    #[must_use]
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns `false`: there is always a candidate.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Reports whether the target was longer than [`MAX_TARGET`] and its path was cut there, so that the candidates'
    /// end is not the path's end.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// Reports whether the only candidate is a slice of the target itself, with nothing copied.
    #[must_use]
    pub fn is_borrowed(&self) -> bool {
        matches!(self.list, [only] if only.path.base == SpanBase::Target)
    }
}

/// Generates candidates. Reuses its buffers between targets, so that it does not allocate once they have grown.
///
/// The buffers hold at most [`MAX_CANDIDATES`] paths and hosts, each twice (before and after conversion to lower case).
#[derive(Clone, Debug, Default)]
pub struct Normaliser {
    arena: Vec<u8>,
    once: Vec<u8>,
    twice: Vec<u8>,
    list: Vec<CandidateSpans>,
}

impl Normaliser {
    /// Creates a normaliser with empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self { list: Vec::with_capacity(MAX_CANDIDATES), ..Self::default() }
    }

    /// Returns the candidates of `target`, requested with `method`.
    pub fn candidates<'a>(&'a mut self, method: &[u8], target: &'a [u8]) -> Candidates<'a> {
        let Some(mut spans) = plain_candidate(target) else { return self.all_candidates(method, target) };
        let path = spans.path.of(target, &[]);
        if path.iter().fold(false, |found, byte| found | byte.is_ascii_uppercase()) {
            self.arena.clear();
            self.arena.extend_from_slice(path);
            self.arena.make_ascii_lowercase();
            spans.path = Span::arena(&(0..self.arena.len()));
        }
        self.list.clear();
        self.list.push(spans);
        Candidates { target, arena: &self.arena, list: &self.list, cut: false }
    }

    /// Does the same as [`candidates`](Self::candidates) without the fast path; public so that a test can compare the
    /// two.
    #[doc(hidden)]
    pub fn all_candidates<'a>(&'a mut self, method: &[u8], target: &'a [u8]) -> Candidates<'a> {
        self.list.clear();
        self.arena.clear();
        let limited = target.get(..MAX_TARGET).unwrap_or(target);
        self.add_interpretations(method, limited, Evasions::default());
        if let Some(blank) = limited.iter().position(|&byte| is_blank(byte)).filter(|&at| at > 0) {
            let head = limited.get(..blank).unwrap_or_default();
            self.add_interpretations(method, head, Evasions::default().with(Evasion::Whitespace));
        }
        let cut = limited.len() < target.len() && memchr::memchr2(b'?', b'#', limited).is_none();
        Candidates { target, arena: &self.arena, list: &self.list, cut }
    }

    /// Adds the candidates of one interpretation of the target: undecoded, decoded once, decoded twice.
    fn add_interpretations(&mut self, method: &[u8], target: &[u8], evasions: Evasions) {
        let parts = TargetParts::of(method, target);
        let path = parts.path.unwrap_or_default();
        let mut round = Round { decoded: 0, evasions, host_evasions: evasions };
        let host = self.add_host(parts.authority);
        self.add(parts.path, host.clone(), round);

        let mut once = std::mem::take(&mut self.once);
        let mut twice = std::mem::take(&mut self.twice);
        // The host is decoded first, so that both rounds of the host and the path can share the two buffers.
        let (host_once, host_twice, host_first, host_second) = match parts.authority {
            Some(authority) => {
                let first = decode(authority, &mut once);
                let host_once = if first.any() { self.add_host(Some(&once)) } else { host };
                let second = decode(&once, &mut twice);
                let host_twice = if second.any() { self.add_host(Some(&twice)) } else { host_once.clone() };
                (host_once, host_twice, first, second)
            }
            None => (None, None, Decoded::default(), Decoded::default()),
        };
        let first = decode(path, &mut once);
        if first.any() || host_first.any() {
            round = Round {
                decoded: 1,
                evasions: decoding_evasions(evasions, first, None),
                host_evasions: decoding_evasions(evasions, host_first, None),
            };
            self.add(parts.path.map(|_| once.as_slice()), host_once, round);
            let second = decode(&once, &mut twice);
            if second.any() || host_second.any() {
                round = Round {
                    decoded: 2,
                    evasions: decoding_evasions(evasions, first, Some(second)),
                    host_evasions: decoding_evasions(evasions, host_first, Some(host_second)),
                };
                self.add(parts.path.map(|_| twice.as_slice()), host_twice, round);
            }
        }
        self.once = once;
        self.twice = twice;
    }

    /// Adds a candidate, and another one cut at its first NUL.
    fn add(&mut self, path: Option<&[u8]>, host: Option<Host>, round: Round) {
        let Some(path) = path else {
            return self.push(None, host, round);
        };
        self.push(Some(path), host.clone(), round);
        if let Some(head) = memchr::memchr(0, path).and_then(|nul| path.get(..nul)).filter(|head| !head.is_empty()) {
            let evasions = round.evasions.with(Evasion::Nul);
            self.push(Some(head), host, Round { evasions, ..round });
        }
    }

    /// Normalises `path` and adds the candidate unless it is a duplicate.
    fn push(&mut self, path: Option<&[u8]>, host: Option<Host>, round: Round) {
        let mark = self.arena.len();
        let mut spans =
            CandidateSpans { decoded: round.decoded, host_evasions: round.host_evasions, ..CandidateSpans::default() };
        if let Some(path) = path {
            let normal = normalise(path, &mut self.arena);
            spans.path = Span::arena(&normal.path);
            spans.path_as_written = Span::arena(&normal.as_written);
            spans.trailing = normal.trailing;
            spans.evasions = round.evasions.union(normal.evasions);
        }
        if let Some(host) = host {
            spans.has_host = true;
            spans.host = Span::arena(&host.lower);
            spans.host_as_written = Span::arena(&host.as_written);
        }
        let arena = self.arena.as_slice();
        let same = |other: &CandidateSpans| {
            spans.path.of(&[], arena) == other.path.of(&[], arena)
                && spans.host.of(&[], arena) == other.host.of(&[], arena)
        };
        if self.list.len() >= MAX_CANDIDATES || self.list.iter().any(same) {
            self.arena.truncate(mark);
        } else {
            self.list.push(spans);
        }
    }

    /// Appends a host in normal form to the arena.
    fn add_host(&mut self, authority: Option<&[u8]>) -> Option<Host> {
        let host = bare_host(authority?);
        let start = self.arena.len();
        self.arena.extend_from_slice(host);
        let as_written = start..self.arena.len();
        Some(Host { lower: lower(&mut self.arena, as_written.clone()), as_written })
    }
}

/// Rounds of decoding of a candidate, and the evasions they undid.
#[derive(Clone, Copy)]
struct Round {
    decoded: u8,
    evasions: Evasions,
    host_evasions: Evasions,
}

/// Returns `evasions` with those undone by one or two rounds of decoding added.
fn decoding_evasions(mut evasions: Evasions, first: Decoded, second: Option<Decoded>) -> Evasions {
    let decoded_twice = second.is_some_and(Decoded::any);
    // A `%25` that only hides escapes of the second round counts as double encoding, not also as percent-encoding.
    if first.percent || (first.percent_sign && !decoded_twice) {
        evasions = evasions.with(Evasion::Percent);
    }
    if decoded_twice {
        evasions = evasions.with(Evasion::DoublePercent);
    }
    if first.unicode || second.is_some_and(|second| second.unicode) {
        evasions = evasions.with(Evasion::Unicode);
    }
    evasions
}

/// A host in the arena.
#[derive(Clone)]
struct Host {
    lower: Range<usize>,
    as_written: Range<usize>,
}

/// A slice of the target or of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    base: SpanBase,
    start: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SpanBase {
    #[default]
    Arena,
    Target,
}

impl Span {
    fn arena(range: &Range<usize>) -> Self {
        // The arena is far smaller than 4 GiB: MAX_CANDIDATES times MAX_TARGET times a small constant.
        Self { base: SpanBase::Arena, start: range.start as u32, end: range.end as u32 }
    }

    fn of<'a>(self, target: &'a [u8], arena: &'a [u8]) -> &'a [u8] {
        let bytes = match self.base {
            SpanBase::Arena => arena,
            SpanBase::Target => target,
        };
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// A candidate, stored as spans.
#[derive(Clone, Copy, Debug, Default)]
struct CandidateSpans {
    path: Span,
    path_as_written: Span,
    host: Span,
    host_as_written: Span,
    evasions: Evasions,
    host_evasions: Evasions,
    trailing: Trailing,
    decoded: u8,
    has_host: bool,
}

impl CandidateSpans {
    fn candidate<'a>(&self, target: &'a [u8], arena: &'a [u8]) -> Candidate<'a> {
        Candidate {
            path: self.path.of(target, arena),
            path_as_written: self.path_as_written.of(target, arena),
            trailing: self.trailing,
            evasions: self.evasions,
            host: self.has_host.then(|| self.host.of(target, arena)),
            host_as_written: self.host_as_written.of(target, arena),
            host_evasions: self.host_evasions,
            decoded: self.decoded,
        }
    }
}

/// Returns the only candidate of a target that needs no normalisation except case, as a slice of the target: at most
/// the query and a single trailing slash are dropped. Written so that the compiler can vectorise the checks.
fn plain_candidate(target: &[u8]) -> Option<CandidateSpans> {
    if target.first() != Some(&b'/') || target.len() > MAX_TARGET {
        return None;
    }
    let path = without_query(target);
    let next = path.get(1..).unwrap_or_default();
    let special = path.iter().fold(false, |found, &byte| found | is_special(byte));
    let doubled = path.iter().zip(next).fold(false, |found, (&one, &two)| found | (one == b'/' && two == b'/'));
    let dotted = path.iter().zip(next).fold(false, |found, (&one, &two)| found | (one == b'/' && two == b'.'));
    if special || doubled || (dotted && path.split(|&byte| byte == b'/').any(|segment| matches!(segment, b"." | b"..")))
    {
        return None;
    }
    let (end, trailing) = match path {
        [.., b'.'] | [.., b'.', b'/'] => return None,
        [_, .., b'/'] => (path.len() - 1, Trailing::Slash),
        _ => (path.len(), Trailing::Nothing),
    };
    let span = Span { base: SpanBase::Target, start: 0, end: end as u32 };
    Some(CandidateSpans { path: span, path_as_written: span, trailing, ..CandidateSpans::default() })
}

/// Reports whether a byte needs more normalisation than conversion to lower case.
const fn is_special(byte: u8) -> bool {
    (byte == b'%') | (byte == b'\\') | (byte == b';') | (byte <= b' ')
}
