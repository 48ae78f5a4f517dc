//! The word lists of all `words` signatures: finds the signatures that have a word of each of their lists in a path,
//! within their scope. Does not choose between matches: see [`super::matcher`].
//!
//! A path is scanned at most twice. The first pass only checks whether any word of it is in the first list of a
//! signature. The rare words are in these lists, so most paths end there, after a check of one or two Bloom filter
//! words for each word of the path, and without allocation. The second pass collects every word that is in any list.

mod builder;
mod entry;

use std::cell::OnceCell;

use serde::{Deserialize, Serialize};

pub(super) use builder::WordsBuilder;
pub(super) use entry::check_entry;
use entry::{
    MAX_WORD, MAX_WORDS, WordLookup, below_hash, hash_word, is_separator, last_hash, name_hash, parts, words_of,
};

use super::bloom::BloomFilter;
use super::perfect_hash::PerfectHash;

/// An entry of lists, as ranges of [`Words::texts`] and [`Words::numbers`]. Compact and in one struct, because a path
/// looks up ten of them, each far from the others in memory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Entry {
    /// Offset of the text as written: a word, an ending with its dot, `/` for no ending, `/WORD` for a word of the last
    /// name, `/NAME/` for a whole name, and `/NAME/WORD` for a word of the name right below.
    text: u32,
    len: u32,
    /// Index of the lists with this entry that are the first list of a signature; those before `lists`.
    first_lists: u32,
    /// Index of all lists with this entry, in order; those before `end`.
    lists: u32,
    end: u32,
}

/// Conditions of a signature on the words of a path.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct WordRule {
    signature: u32,
    /// Its lists; empty for a signature of another kind, which has only words that exclude a match.
    lists: Vec<u32>,
    /// The list of words that exclude a match.
    unless: Option<u32>,
    /// Number of the path's last segments that count; `None` for all.
    last: Option<u8>,
    /// Whether those segments must have no other words.
    only: bool,
}

/// A word of a path that is in lists.
#[derive(Clone, Copy, Debug)]
struct ListedWord<'a> {
    /// All lists that have it, in order.
    lists: &'a [u32],
    /// Those of them that are the first list of a signature.
    first_lists: &'a [u32],
    /// Offset in the path.
    start: usize,
    len: usize,
}

impl ListedWord<'_> {
    fn is_in(&self, list: u32) -> bool {
        self.lists.binary_search(&list).is_ok()
    }
}

/// All `words` patterns, and the words that exclude matches of every kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Words {
    seed: u64,
    hash: PerfectHash,
    entries: Vec<Entry>,
    /// The texts of the entries as written, concatenated.
    texts: Vec<u8>,
    /// Numbers of lists, grouped by entry.
    numbers: Vec<u32>,
    /// The entries of first lists.
    first_filter: BloomFilter,
    /// For each list, the numbers of the rules whose first list it is.
    rules_by_first: Vec<Vec<u32>>,
    /// In the order of their signatures.
    rules: Vec<WordRule>,
    /// Whether an entry begins with `/`: names are looked up only then.
    has_names: bool,
    /// The names of entries `/NAME/WORD`, sorted.
    parents: Vec<Vec<u8>>,
    /// The names in `parents`.
    parent_filter: BloomFilter,
}

impl Words {
    /// Returns the number of different entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let entries =
            self.entries.capacity() * size_of::<Entry>() + self.texts.capacity() + self.numbers.capacity() * 4;
        let rules_by_first: usize = self.rules_by_first.iter().map(|rules| rules.capacity() * size_of::<u32>()).sum();
        let rules: usize =
            self.rules.iter().map(|rule| size_of::<WordRule>() + rule.lists.capacity() * size_of::<u32>()).sum();
        let parents: usize = self.parents.iter().map(|name| name.capacity() + size_of::<Vec<u8>>()).sum();
        let filters = self.first_filter.memory() + self.parent_filter.memory();
        self.hash.memory() + entries + rules_by_first + parents + filters + rules
    }

    /// Returns the words of a path in normal form, not yet looked up. With `complete` unset the path's end was cut off,
    /// and it has no ending.
    pub(super) const fn of<'a>(&'a self, path: &'a [u8], complete: bool) -> PathWords<'a> {
        PathWords { words: self, path, complete, listed: OnceCell::new() }
    }

    /// Returns a bit set of the lists that have one of the words, or nothing if so few first lists are present that it
    /// does not pay. Most rules have no word of their other lists in the path, which the bits show quickly.
    fn present_lists(&self, listed: &[ListedWord<'_>], first_lists: usize) -> Vec<u64> {
        /// Rationale: a word may be in hundreds of lists, and a signature has two or three.
        const MANY: usize = 8;
        if first_lists <= MANY {
            return Vec::new();
        }
        let mut present = vec![0u64; self.rules_by_first.len().div_ceil(64)];
        for &list in listed.iter().flat_map(|word| word.lists) {
            present[list as usize / 64] |= 1 << (list % 64);
        }
        present
    }

    fn rule(&self, signature: u32) -> Option<&WordRule> {
        let at = self.rules.binary_search_by_key(&signature, |rule| rule.signature).ok()?;
        self.rules.get(at)
    }

    /// Reports whether any part of `path` is an entry of a first list.
    fn has_first_entry(&self, path: &[u8], complete: bool) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let last = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
        let in_last = |start: usize| self.has_names && complete && start >= last;
        let by_word = words_of(path).any(|(start, word)| {
            let hash = hash_word(self.seed, word);
            self.in_first_list(hash, WordLookup::Word(word))
                || in_last(start) && self.in_first_list(last_hash(hash), WordLookup::Last(word))
        });
        let by_ending =
            |_: usize, ending: &[u8]| self.in_first_list(hash_word(self.seed, ending), WordLookup::Word(ending));
        by_word
            || complete && self.endings(path, last, &mut { by_ending })
            || self.has_names && self.has_first_name(path)
    }

    /// Reports whether a name, or a word of the name right below another one, is an entry of a first list.
    fn has_first_name(&self, path: &[u8]) -> bool {
        let mut below: &[u8] = &[];
        parts(path, |byte| byte == b'/').take(MAX_WORDS).any(|(_, name)| {
            let hash = hash_word(self.seed, name);
            let found = self.in_first_list(name_hash(hash), WordLookup::Name(name))
                || self.parent_filter.may_contain(hash) && self.has_first_below(hash, name, below);
            below = name;
            found
        })
    }

    /// Reports whether a word of `name` is an entry of a first list; `name` is right below `parent`, which has this
    /// hash.
    fn has_first_below(&self, hash: u64, parent: &[u8], name: &[u8]) -> bool {
        parts(name, is_separator).take(MAX_WORDS).any(|(_, word)| {
            self.in_first_list(below_hash(hash, hash_word(self.seed, word)), WordLookup::Below(parent, word))
        })
    }

    /// Reports whether an entry with this hash is in a first list: the Bloom filter, then the entry itself.
    fn in_first_list(&self, hash: u64, entry: WordLookup<'_>) -> bool {
        self.first_filter.may_contain(hash) && self.in_first_list_exact(entry)
    }

    #[cold]
    #[inline(never)]
    fn in_first_list_exact(&self, entry: WordLookup<'_>) -> bool {
        self.lookup(entry).is_some_and(|entry| entry.first_lists < entry.lists)
    }

    /// Calls `visit` with every ending of the last name, which begins at `last`, and with `/` if it has none, until
    /// `visit` returns `true`. Returns whether it did.
    fn endings(&self, path: &[u8], last: usize, visit: &mut dyn FnMut(usize, &[u8]) -> bool) -> bool {
        let from = last.max(path.len().saturating_sub(MAX_WORD));
        let name = path.get(from..).unwrap_or_default();
        let mut without = true;
        for dot in memchr::memrchr_iter(b'.', name) {
            without = false;
            if visit(from + dot, name.get(dot..).unwrap_or_default()) {
                return true;
            }
        }
        without && self.has_names && visit(last, b"/")
    }

    /// Calls `visit` with every part of `path` that is an entry.
    fn visit_listed<'a>(&'a self, path: &[u8], complete: bool, visit: &mut dyn FnMut(ListedWord<'a>)) {
        if self.entries.is_empty() {
            return;
        }
        let mut lookup = |part: WordLookup<'_>, start: usize| {
            if let Some(entry) = self.lookup(part) {
                let span = |from: u32, to: u32| self.numbers.get(from as usize..to as usize).unwrap_or_default();
                let (lists, first_lists) = (span(entry.lists, entry.end), span(entry.first_lists, entry.lists));
                visit(ListedWord { lists, first_lists, start, len: part.len() });
            }
        };
        words_of(path).for_each(|(start, word)| lookup(WordLookup::Word(word), start));
        if complete {
            let start = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
            self.endings(path, start, &mut |at, ending| {
                lookup(WordLookup::Word(ending), at);
                false
            });
            if self.has_names {
                words_of(path)
                    .take_while(|&(at, _)| at >= start)
                    .for_each(|(at, word)| lookup(WordLookup::Last(word), at));
            }
        }
        if self.has_names {
            self.lookup_names(path, &mut lookup);
        }
    }

    /// Looks up every whole name, and the words of the names right below one of `parents`. The latter start in the
    /// parent name, so that start and length cover the path up to the end of the word.
    fn lookup_names<'p>(&self, path: &'p [u8], lookup: &mut dyn FnMut(WordLookup<'p>, usize)) {
        let mut below: &[u8] = &[];
        for (start, name) in parts(path, |byte| byte == b'/').take(MAX_WORDS) {
            if name.len() <= MAX_WORD {
                lookup(WordLookup::Name(name), start);
                if self.parents.binary_search_by(|parent| parent.as_slice().cmp(name)).is_ok() {
                    parts(below, is_separator)
                        .take(MAX_WORDS)
                        .for_each(|(within, word)| lookup(WordLookup::Below(name, word), start + 1 + within));
                }
            }
            below = name;
        }
    }

    fn lookup(&self, part: WordLookup<'_>) -> Option<Entry> {
        if part.len() > 2 * MAX_WORD {
            return None;
        }
        let number = self.hash.get(part.hash(self.seed))?;
        let entry = *self.entries.get(number as usize)?;
        let text = self.texts.get(entry.text as usize..(entry.text + entry.len) as usize)?;
        part.is(text).then_some(entry)
    }
}

/// The words of one path; looked up once, on the first query that the Bloom filters do not answer.
#[derive(Debug)]
pub(super) struct PathWords<'a> {
    words: &'a Words,
    path: &'a [u8],
    complete: bool,
    listed: OnceCell<Vec<ListedWord<'a>>>,
}

impl PathWords<'_> {
    /// Calls `visit` with every signature that has a word of each of its lists in the path, within its scope, and with
    /// the sum of the lengths of the longest word of each list, in bytes.
    pub(super) fn find(&self, visit: &mut dyn FnMut(u32, usize)) {
        if self.words.has_first_entry(self.path, self.complete) {
            self.find_rules(visit);
        }
    }

    // Cold: the code for all other paths is short and stays in the instruction cache.
    #[cold]
    #[inline(never)]
    fn find_rules(&self, visit: &mut dyn FnMut(u32, usize)) {
        let Self { words, path, .. } = *self;
        let listed = self.listed();
        let mut first_lists: Vec<u32> = listed.iter().flat_map(|word| word.first_lists).copied().collect();
        first_lists.sort_unstable();
        first_lists.dedup();
        if first_lists.is_empty() {
            return;
        }
        let present = words.present_lists(listed, first_lists.len());
        let is_present = |&list: &u32| present.get(list as usize / 64).is_none_or(|bits| bits >> (list % 64) & 1 == 1);
        for &number in first_lists.iter().filter_map(|&list| words.rules_by_first.get(list as usize)).flatten() {
            if let Some(rule) = words.rules.get(number as usize)
                && rule.lists.iter().all(is_present)
                && let Some(len) = rule.match_len(listed, path)
            {
                visit(rule.signature, len);
            }
        }
    }

    /// Reports whether the path has one of the words that exclude a match of the signature.
    pub(super) fn excludes(&self, signature: u32) -> bool {
        let unless = self.words.rule(signature).and_then(|rule| rule.unless);
        unless.is_some_and(|list| self.listed().iter().any(|word| word.is_in(list)))
    }

    #[cold]
    #[inline(never)]
    fn listed(&self) -> &[ListedWord<'_>] {
        self.listed.get_or_init(|| {
            // Rationale: a path has a handful, and one allocation is better than three.
            let mut listed = Vec::with_capacity(16);
            self.words.visit_listed(self.path, self.complete, &mut |word| listed.push(word));
            listed
        })
    }
}

impl WordRule {
    /// Returns the sum of the lengths of the longest word of each list, in bytes, if the path's words meet the rule.
    fn match_len(&self, listed: &[ListedWord<'_>], path: &[u8]) -> Option<usize> {
        let from = self.last.map_or(0, |last| last_segments(path, last));
        let mut sum = 0;
        for &list in &self.lists {
            let words = listed.iter().filter(|word| word.start >= from && word.is_in(list));
            sum += words.map(|word| word.len).max()?;
        }
        if self.unless.is_some_and(|list| listed.iter().any(|word| word.is_in(list))) {
            return None;
        }
        let is_listed = |(start, part): (usize, &[u8])| {
            let covers = |word: &&ListedWord<'_>| word.start <= start && start + part.len() <= word.start + word.len;
            listed.iter().filter(covers).any(|word| self.lists.iter().any(|&list| word.is_in(list)))
        };
        (!self.only || words_of(path).take_while(|&(start, _)| start >= from).all(is_listed)).then_some(sum)
    }
}

/// Returns the offset at which the last `count` segments of a path begin.
fn last_segments(path: &[u8], count: u8) -> usize {
    match usize::from(count).checked_sub(1) {
        Some(before) => memchr::memrchr_iter(b'/', path).nth(before).unwrap_or(0),
        None => path.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{WordList, WordScope};

    fn found(lists: &[&[&str]], path: &str) -> bool {
        found_in(lists, &WordScope::default(), path)
    }

    fn found_in(lists: &[&[&str]], scope: &WordScope, path: &str) -> bool {
        let lists: Vec<WordList> = lists.iter().map(|list| list.iter().map(|&word| word.into()).collect()).collect();
        let mut builder = WordsBuilder::default();
        builder.add(7, &lists, scope);
        let mut hit = false;
        builder.build().unwrap().of(path.as_bytes(), true).find(&mut |signature, _| hit = signature == 7);
        hit
    }

    #[test]
    fn every_list_needs_a_whole_word() {
        let lists: &[&[&str]] = &[&["twilio", "otp"], &["secrets", "config", ".env", ".tar.gz"]];
        for path in [
            "/twilio/secrets",
            "/a/config_twilio.js",
            "/twilio/.env",
            "/otp.env",
            "/twilio-x/y.tar.gz",
            "/secrets~twilio",
        ] {
            assert!(found(lists, path), "{path}");
        }
        for path in [
            "/twilio",
            "/secrets.env",
            "/zotpress/config",
            "/twilio/.env.bak",
            "/twilio/env",
            "/twilios/secrets",
            "/x.env/twilio",
        ] {
            assert!(!found(lists, path), "{path}");
        }
    }

    #[test]
    fn excluding_words_prevent_a_match() {
        let scope = WordScope { unless: ["blog".into(), ".png".into()].into(), ..WordScope::default() };
        let lists: &[&[&str]] = &[&["twilio"], &["secrets"]];
        for (path, expected) in [
            ("/twilio/secrets", true),
            ("/weblog/twilio/secrets", true),
            ("/png/twilio/secrets", true),
            ("/blog/twilio-secrets", false),
            ("/twilio/secrets/blog", false),
            ("/twilio-secrets.png", false),
            ("/twilio-secrets.png/x", true),
        ] {
            assert_eq!(found_in(lists, &scope, path), expected, "{path}");
        }
    }

    #[test]
    fn last_limits_words_to_the_last_segments() {
        let lists: &[&[&str]] = &[&["sms", "twilio"], &["config", "secrets"], &[".json", ".tar.gz"]];
        let last = |last, only| WordScope { last: Some(last), only, ..WordScope::default() };
        for (path, one, two, nothing_else) in [
            ("/sms_config.json", true, true, true),
            ("/a/sms-config.json", true, true, true),
            ("/sms/config.json", false, true, false),
            ("/sms/x/config.json", false, false, false),
            ("/my-sms-config.json", true, true, false),
            ("/sms.config.prod.json", true, true, false),
            ("/twilio_sms_secrets.tar.gz", true, true, true),
            ("/_sms--config.json", true, true, true),
            ("/sms_config.json/x", false, false, false),
        ] {
            assert_eq!(found_in(lists, &last(1, false), path), one, "{path}");
            assert_eq!(found_in(lists, &last(2, false), path), two, "{path}");
            assert_eq!(found_in(lists, &last(1, true), path), nothing_else, "{path}");
        }
        assert!(found_in(lists, &last(2, true), "/sms/config.json"));
        assert!(!found_in(lists, &last(2, true), "/sms/api/config.json"));
        assert!(!found_in(lists, &last(2, true), "/v1/sms_config.json"));
    }

    #[test]
    fn slash_word_matches_in_the_last_name_only() {
        let lists: &[&[&str]] = &[&["twilio"], &["/env", "/creds"]];
        for path in ["/twilio/.env.local", "/.env.twilio", "/twilio/x/env", "/my-creds-twilio.php"] {
            assert!(found(lists, path), "{path}");
        }
        for path in ["/env/twilio", "/twilio/env/x", "/twilio/environment"] {
            assert!(!found(lists, path), "{path}");
        }
    }

    #[test]
    fn entries_match_whole_names_and_words_below_a_name() {
        let lists: &[&[&str]] = &[&["/plugins/sms", "/wp-sms.pro/"], &["/plugins/"], &[".css", "/"]];
        for path in [
            "/wp-content/plugins/my-sms-x/a/b.css",
            "/plugins/sms",
            "/plugins/a/wp-sms.pro/dir",
            "/plugins/plugins/sms_x.css",
        ] {
            assert!(found(lists, path), "{path}");
        }
        for path in [
            "/wp-content/plugins/zot/sms.css",
            "/my-plugins/sms/a.css",
            "/plugins-sms/plugins/a.css",
            "/plugins/smsa-express/a.css",
            "/plugins/sms/a.cs",
            "/plugins/x/wp-sms.pro2/dir",
            "/plugins/x/wp-sms.pro/a.b",
            "/sms/plugins",
            "/plugins",
        ] {
            assert!(!found(lists, path), "{path}");
        }
        // Entries of different kinds do not match each other.
        assert!(!found(&[&["/plugins/"], &["/a/"]], "/plugins/x-a"));
        assert!(!found(&[&["plugins"], &["/a/b"]], "/plugins/a-b"));
    }
}
