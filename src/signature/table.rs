//! The table of all `path`, `suffix`, `prefix` and `host` patterns: finds those that a path or a host ends or begins
//! with. Does not choose between matches: see [`super::matcher`].
//!
//! Patterns and paths are hashed segment by segment (host: label by label), and the segments' hashes are combined into
//! a rolling hash from the right (`path`, `suffix`, `host`) or from the left (`prefix`). So every boundary costs one
//! roll and one lookup, regardless of the number of patterns.

use serde::{Deserialize, Serialize};

use super::MatchKind;
use super::bloom::BloomFilter;
use super::perfect_hash::{PerfectHash, fold, hash_bytes};

/// Maximum length of a pattern in normal form, in bytes; boundaries farther from the path's end are not looked up.
pub(super) const MAX_KEY: usize = 512;

/// Bits of a Bloom filter for each pattern. Rationale: 2 bytes beside the eight of the perfect hash.
const FILTER_BITS: usize = 16;

const SEGMENT: u64 = 0x9b05_688c_2b3e_6c1f;
const ROLL: u64 = 0x1f83_d9ab_fb41_bd6b;
const KIND: u64 = 0x5be0_cd19_137e_2179;

/// One pattern of one signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rule {
    /// Index of the signature.
    pub signature: u32,
    /// Index of the pattern's form before lower-casing, if it differs from the normal form.
    pub as_written: Option<u32>,
    /// Whether the pattern is written with one slash at its end.
    pub slash: bool,
}

/// A pattern in normal form.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct PatternEntry {
    start: u32,
    rules: u32,
    len: u16,
    kind: MatchKind,
}

/// Collects patterns for a [`Table`].
#[derive(Debug, Default)]
pub(super) struct TableBuilder {
    entries: Vec<PatternEntry>,
    rules: Vec<Rule>,
    bytes: Vec<u8>,
}

impl TableBuilder {
    /// Adds a pattern in normal form. Returns `false` if the table is full (4 GiB of patterns).
    pub(super) fn add(&mut self, kind: MatchKind, key: &[u8], rule: Rule) -> bool {
        debug_assert!(kind.in_table() && key.len() <= MAX_KEY);
        let (Ok(start), Ok(rules), Ok(len)) =
            (u32::try_from(self.bytes.len()), u32::try_from(self.rules.len()), u16::try_from(key.len()))
        else {
            return false;
        };
        self.bytes.extend_from_slice(key);
        self.rules.push(rule);
        self.entries.push(PatternEntry { start, rules, len, kind });
        true
    }

    /// Builds the table. Returns `None` if no seed gives a perfect hash, which more than 2^31 patterns can cause.
    pub(super) fn build(self) -> Option<Table> {
        // Two different patterns have the same 64-bit hash in one of 36 million tables of a million: then the next
        // seed.
        (0..8).find_map(|seed| self.build_with(seed))
    }

    fn build_with(&self, seed: u64) -> Option<Table> {
        let key =
            |entry: &PatternEntry| self.bytes.get(entry.start as usize..entry.start as usize + usize::from(entry.len));
        let mut order: Vec<(u64, u32)> = (self.entries.iter())
            .map(|entry| (hash_key(seed, entry.kind, key(entry).unwrap_or_default()), entry.rules))
            .collect();
        order.sort_unstable();
        let mut table = Table { seed, ..Table::default() };
        let mut hashes: Vec<u64> = Vec::with_capacity(order.len());
        table.entries.reserve_exact(order.len() + 1);
        table.rules.reserve_exact(order.len());
        table.bytes.reserve_exact(self.bytes.len());
        for (hash, number) in order {
            let entry = self.entries[number as usize];
            let bytes = key(&entry).unwrap_or_default();
            let rule = self.rules[number as usize];
            if hashes.last() == Some(&hash) {
                let last = table.entries[table.entries.len() - 1];
                if last.kind != entry.kind || table.key(&last) != bytes {
                    return None;
                }
                // A path file may have the same line twice.
                if !table.rules[last.rules as usize..].contains(&rule) {
                    table.rules.push(rule);
                }
                continue;
            }
            hashes.push(hash);
            let start = table.bytes.len() as u32;
            table.bytes.extend_from_slice(bytes);
            table.entries.push(PatternEntry { start, rules: table.rules.len() as u32, ..entry });
            table.rules.push(rule);
            table.kinds |= 1 << entry.kind as u8;
        }
        table.hash = PerfectHash::build(&hashes)?;
        drop(hashes);
        table.build_bloom();
        Some(table)
    }
}

/// All patterns but `raw` and `words`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Table {
    seed: u64,
    hash: PerfectHash,
    entries: Vec<PatternEntry>,
    rules: Vec<Rule>,
    bytes: Vec<u8>,
    /// A bit for each [`MatchKind`] that has a pattern.
    kinds: u8,
    /// The last segments of `path` and `suffix` patterns.
    last: BloomFilter,
    /// The first segments of `prefix` patterns.
    first: BloomFilter,
}

impl Table {
    /// Returns the number of different patterns.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.hash.memory()
            + self.entries.capacity() * size_of::<PatternEntry>()
            + self.rules.capacity() * size_of::<Rule>()
            + self.bytes.capacity()
            + self.last.memory()
            + self.first.memory()
    }

    /// Calls `visit` for every pattern that `path` (in normal form) matches. With `complete` unset the path's end was
    /// cut off: only prefixes count. Returns the number of lookups: at most two per boundary, plus two.
    pub(super) fn path<'t>(
        &'t self,
        path: &[u8],
        complete: bool,
        visit: &mut dyn FnMut(MatchKind, &'t [Rule], usize),
    ) -> u32 {
        let mut lookups = 0;
        if complete && self.has(MatchKind::Path, MatchKind::Suffix) {
            lookups += self.right_to_left(path, visit);
        }
        if self.has(MatchKind::Prefix, MatchKind::Prefix) {
            lookups += self.left_to_right(path, visit);
        }
        lookups
    }

    /// Calls `visit` for every pattern that `host` (in normal form) matches: the host, or a parent domain of it.
    pub(super) fn host<'t>(&'t self, host: &[u8], visit: &mut dyn FnMut(MatchKind, &'t [Rule], usize)) -> u32 {
        if !self.has(MatchKind::Host, MatchKind::Host) {
            return 0;
        }
        let mut lookups = 0;
        // One byte more than a key may have: a tail that reaches into a cut first label is longer than any key.
        let start = host.len().saturating_sub(MAX_KEY + 1);
        let (mut rest, mut hash) = (host.get(start..).unwrap_or_default(), self.seed);
        loop {
            let dot = memchr::memrchr(b'.', rest);
            let label = dot.map_or(0, |dot| dot + 1);
            hash = roll(hash, segment(self.seed, rest.get(label..).unwrap_or_default()));
            lookups += 1;
            self.lookup(hash, MatchKind::Host, host.get(start + label..).unwrap_or_default(), visit);
            match dot {
                Some(dot) => rest = rest.get(..dot).unwrap_or_default(),
                None => return lookups,
            }
        }
    }

    fn right_to_left<'t>(&'t self, path: &[u8], visit: &mut dyn FnMut(MatchKind, &'t [Rule], usize)) -> u32 {
        let mut lookups = 1;
        let start = path.len().saturating_sub(MAX_KEY);
        let window = path.get(start..).unwrap_or_default();
        let (mut rest, mut hash) = (window, self.seed);
        while let Some(slash) = memchr::memrchr(b'/', rest) {
            let name = segment(self.seed, rest.get(slash + 1..).unwrap_or_default());
            if rest.len() == window.len() && !self.last.may_contain(name) {
                return lookups;
            }
            hash = roll(hash, name);
            lookups += 1;
            let key = window.get(slash..).unwrap_or_default();
            self.lookup(hash, MatchKind::Suffix, key, visit);
            if start + slash == 0 {
                lookups += 1;
                self.lookup(hash, MatchKind::Path, key, visit);
            }
            rest = rest.get(..slash).unwrap_or_default();
        }
        lookups
    }

    fn left_to_right<'t>(&'t self, path: &[u8], visit: &mut dyn FnMut(MatchKind, &'t [Rule], usize)) -> u32 {
        let mut lookups = 1;
        // One byte more than a key may have shows whether a key ends at a boundary.
        let window = path.get(..MAX_KEY + 1).unwrap_or(path);
        let (mut at, mut hash) = (1, self.seed);
        while let Some(rest) = window.get(at..) {
            let Some(end) = memchr::memchr(b'/', rest).or((window.len() == path.len()).then_some(rest.len())) else {
                break;
            };
            let name = segment(self.seed, rest.get(..end).unwrap_or_default());
            if at == 1 && !self.first.may_contain(name) {
                return lookups;
            }
            hash = roll(hash, name);
            lookups += 1;
            self.lookup(hash, MatchKind::Prefix, window.get(..at + end).unwrap_or_default(), visit);
            at += end + 1;
        }
        lookups
    }

    /// Looks up a key: its hash, then the key itself.
    fn lookup<'t>(
        &'t self,
        rolled: u64,
        kind: MatchKind,
        key: &[u8],
        visit: &mut dyn FnMut(MatchKind, &'t [Rule], usize),
    ) {
        let Some(number) = self.hash.get(finish(rolled, kind)) else { return };
        let Some(entry) = self.entries.get(number as usize) else { return };
        if entry.kind == kind && self.key(entry) == key {
            let end = self.entries.get(number as usize + 1).map_or(self.rules.len(), |next| next.rules as usize);
            visit(kind, self.rules.get(entry.rules as usize..end).unwrap_or_default(), key.len());
        }
    }

    fn key(&self, entry: &PatternEntry) -> &[u8] {
        self.bytes.get(entry.start as usize..entry.start as usize + usize::from(entry.len)).unwrap_or_default()
    }

    fn has(&self, one: MatchKind, other: MatchKind) -> bool {
        self.kinds & (1 << one as u8 | 1 << other as u8) != 0
    }

    /// Builds the two Bloom filters.
    fn build_bloom(&mut self) {
        let table = &*self;
        let names = |from_left: bool| {
            let is_included = move |kind: MatchKind| match kind {
                MatchKind::Path | MatchKind::Suffix => !from_left,
                MatchKind::Prefix => from_left,
                _ => false,
            };
            table.entries.iter().filter(move |entry| is_included(entry.kind)).map(move |entry| {
                let key = table.key(entry).get(1..).unwrap_or_default();
                let mut parts = key.split(|&byte| byte == b'/');
                let part = if from_left { parts.next() } else { parts.next_back() };
                segment(table.seed, part.unwrap_or_default())
            })
        };
        let (last, first) = (BloomFilter::of(names(false), FILTER_BITS), BloomFilter::of(names(true), FILTER_BITS));
        (self.last, self.first) = (last, first);
    }
}

/// Returns the hash of a whole pattern.
fn hash_key(seed: u64, kind: MatchKind, key: &[u8]) -> u64 {
    let add = |hash, part: &[u8]| roll(hash, segment(seed, part));
    let path = key.get(1..).unwrap_or_default();
    let rolled = match kind {
        MatchKind::Prefix => path.split(|&byte| byte == b'/').fold(seed, add),
        MatchKind::Host => key.rsplit(|&byte| byte == b'.').fold(seed, add),
        _ => path.rsplit(|&byte| byte == b'/').fold(seed, add),
    };
    finish(rolled, kind)
}

/// Returns the hash of one segment or label.
fn segment(seed: u64, bytes: &[u8]) -> u64 {
    hash_bytes(seed, SEGMENT, bytes)
}

/// Adds the hash of one more segment.
const fn roll(hash: u64, segment: u64) -> u64 {
    fold(hash.rotate_left(29) ^ segment, ROLL)
}

/// Returns the hash to look up.
const fn finish(rolled: u64, kind: MatchKind) -> u64 {
    fold(rolled ^ (kind as u64).wrapping_mul(ROLL), KIND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(patterns: &[(MatchKind, String)]) -> Table {
        let mut builder = TableBuilder::default();
        for (number, (kind, key)) in (0u32..).zip(patterns) {
            assert!(builder.add(*kind, key.as_bytes(), Rule { signature: number, as_written: None, slash: false }));
        }
        builder.build().unwrap()
    }

    /// Returns the numbers of the patterns found, and the number of lookups.
    fn found(table: &Table, path: &str, complete: bool) -> (Vec<u32>, u32) {
        let mut all = Vec::new();
        let lookups =
            table.path(path.as_bytes(), complete, &mut |_, rules, _| all.extend(rules.iter().map(|r| r.signature)));
        all.sort_unstable();
        (all, lookups)
    }

    #[test]
    fn keys_up_to_the_limit_are_found_in_paths_of_any_length() {
        for len in [2, 3, 8, 9, 255, 510, 511, 512] {
            for cut in [1, 2, len / 2, len - 1] {
                // One slash at the beginning, one within (not at the end, which a normal form never has).
                let mut key = vec![b'x'; len];
                key[0] = b'/';
                if cut > 1 && cut < len - 1 {
                    key[cut] = b'/';
                }
                let key = String::from_utf8(key).unwrap();
                let table =
                    table(&[MatchKind::Path, MatchKind::Suffix, MatchKind::Prefix].map(|kind| (kind, key.clone())));
                assert_eq!(found(&table, &key, true).0, [0, 1, 2]);
                assert_eq!(found(&table, &key, false).0, [2]);
                for more in ["/y".to_owned(), format!("/{}", "y".repeat(2000)), "/y".repeat(2000)] {
                    assert_eq!(found(&table, &format!("{more}{key}"), true).0, [1], "{len} {cut}");
                    assert_eq!(found(&table, &format!("{key}{more}"), true).0, [2], "{len} {cut}");
                }
                assert!(found(&table, &format!("/y{}", &key[1..]), true).0.is_empty());
                assert!(found(&table, &format!("{key}y"), true).0.is_empty());
            }
        }
    }

    #[test]
    fn hosts_match_at_label_boundaries() {
        let long = format!("{}.org", "x".repeat(508));
        let table = table(&[(MatchKind::Host, "b.org".to_owned()), (MatchKind::Host, long.clone())]);
        let hits = |host: &str| {
            let mut all = Vec::new();
            table.host(host.as_bytes(), &mut |_, rules, _| all.extend(rules.iter().map(|rule| rule.signature)));
            all
        };
        assert_eq!(hits("b.org"), [0]);
        assert_eq!(hits(&format!("{}b.org", "a.".repeat(600))), [0]);
        assert_eq!(hits(&long), [1]);
        assert_eq!(hits(&format!("a.{long}")), [1]);
        for other in ["", "org", "ab.org", ".", "b.org.", &format!("a{long}"), &"x".repeat(3000)] {
            assert!(hits(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn lookups_do_not_grow_with_the_number_of_patterns() {
        let key = |number: u32| format!("/a/b{number}/c/d");
        let most = [10, 1_000, 30_000].map(|count| {
            let patterns: Vec<(MatchKind, String)> = (0..count)
                .map(|number| {
                    ([MatchKind::Path, MatchKind::Suffix, MatchKind::Prefix][number as usize % 3], key(number))
                })
                .collect();
            let table = table(&patterns);
            (0..count).for_each(|number| assert_eq!(found(&table, &key(number), true).0, [number]));
            (0..1000).map(|number| found(&table, &format!("/a/x{number}/c/d"), true).1).max()
        });
        assert_eq!(most, [most[0]; 3]);
        // Four boundaries from each side, the root, and the two Bloom filters.
        assert_eq!(most[0], Some(11));
    }
}
