//! The word lists of all `words` signatures: which of them have a word of each list in a path, and in the right place.
//! Not the choice between matches: see [`super::matcher`].
//!
//! A path is gone through twice at most. The first time asks only whether any word of it may stand in a signature's first
//! list; that is where the rare words are, so most paths end there, with a look at a bit or two for each word, and
//! nothing was allocated. The second time collects every word that is known.

mod builder;
mod entry;

use std::cell::OnceCell;

use serde::{Deserialize, Serialize};

pub(super) use builder::WordsBuilder;
pub(super) use entry::check;
use entry::{MAX_WORD, MAX_WORDS, WordLookup, hash_word, is_separator, of_below, of_last, of_name, parts, words_of};

use super::bloom::BloomFilter;
use super::perfect_hash::PerfectHash;

/// An entry of lists: where in [`Words::texts`] and [`Words::numbers`] it has what. Together and small, because a path
/// asks for ten of them, and each is far from the others.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Word {
    /// As written: a word, an ending with its dot, `/` for no ending, `/WORD` for a word of the last name, `/NAME/` for a
    /// whole name, and `/NAME/WORD` for a word of the name that stands right below.
    text: u32,
    len: u32,
    /// The lists it stands in that are the first of a signature; from `lists` on, all that it stands in, in order.
    opens: u32,
    lists: u32,
    end: u32,
}

/// What a signature asks of the words together.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct WordRule {
    signature: u32,
    /// Its lists; none for a signature of another kind, which has only words that rule it out.
    lists: Vec<u32>,
    /// The words that rule it out.
    unless: Option<u32>,
    /// How many of the path's last segments count.
    last: Option<u8>,
    /// Whether those segments have no other words.
    only: bool,
}

/// A word of a path that stands in lists.
#[derive(Clone, Copy, Debug)]
struct ListedWord<'a> {
    /// The lists that it stands in, and those of them that are the first of a signature.
    lists: &'a [u32],
    opens: &'a [u32],
    /// Where it begins in the path.
    start: usize,
    len: usize,
}

impl ListedWord<'_> {
    fn is_of(&self, list: u32) -> bool {
        self.lists.binary_search(&list).is_ok()
    }
}

/// All `words` patterns, and the words that rule out signatures of every kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Words {
    seed: u64,
    hash: PerfectHash,
    words: Vec<Word>,
    /// The entries as written, one after the other.
    texts: Vec<u8>,
    /// Numbers of lists, those of one entry after those of the other.
    numbers: Vec<u32>,
    /// The entries of first lists.
    opening: BloomFilter,
    /// The numbers of the demands whose first list each one is.
    openers: Vec<Vec<u32>>,
    /// In the order of their signatures.
    demands: Vec<WordRule>,
    /// Whether an entry means a whole name: only then are they looked up.
    names: bool,
    /// The names below which single words are looked for, sorted.
    parents: Vec<Vec<u8>>,
    /// The same.
    upper: BloomFilter,
}

impl Words {
    /// Different words.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let words = self.words.capacity() * size_of::<Word>() + self.texts.capacity() + self.numbers.capacity() * 4;
        let openers: usize = self.openers.iter().map(|openers| openers.capacity() * size_of::<u32>()).sum();
        let demands: usize =
            self.demands.iter().map(|demand| size_of::<WordRule>() + demand.lists.capacity() * size_of::<u32>()).sum();
        let parents: usize = self.parents.iter().map(|name| name.capacity() + size_of::<Vec<u8>>()).sum();
        let looks = self.opening.memory() + self.upper.memory();
        self.hash.memory() + words + openers + parents + looks + demands
    }

    /// What is known of a path in normal form. `whole` unset: its end was cut off, and it has no ending.
    pub(super) const fn of<'a>(&'a self, path: &'a [u8], whole: bool) -> PathWords<'a> {
        PathWords { words: self, path, whole, known: OnceCell::new() }
    }

    /// A bit for each list that has one of the words, where so many signatures open that it is worth it: most have
    /// nothing else in the path.
    fn seen(&self, known: &[ListedWord<'_>], opening: usize) -> Vec<u64> {
        /// Rationale: a word may stand in hundreds of lists, and a signature has two or three.
        const MANY: usize = 8;
        if opening <= MANY {
            return Vec::new();
        }
        let mut seen = vec![0u64; self.openers.len().div_ceil(64)];
        for &list in known.iter().flat_map(|known| known.lists) {
            seen[list as usize / 64] |= 1 << (list % 64);
        }
        seen
    }

    fn demand(&self, signature: u32) -> Option<&WordRule> {
        let at = self.demands.binary_search_by_key(&signature, |demand| demand.signature).ok()?;
        self.demands.get(at)
    }

    /// Whether anything of `path` stands in a first list.
    fn opens(&self, path: &[u8], whole: bool) -> bool {
        if self.words.is_empty() {
            return false;
        }
        let last = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
        let in_last = |start: usize| self.names && whole && start >= last;
        let by_word = words_of(path).any(|(start, word)| {
            let hash = hash_word(self.seed, word);
            self.is_opening(hash, WordLookup::Word(word))
                || in_last(start) && self.is_opening(of_last(hash), WordLookup::Last(word))
        });
        let by_ending =
            |_: usize, ending: &[u8]| self.is_opening(hash_word(self.seed, ending), WordLookup::Word(ending));
        by_word || whole && self.endings(path, last, &mut { by_ending }) || self.names && self.opens_by_name(path)
    }

    fn opens_by_name(&self, path: &[u8]) -> bool {
        let mut below: &[u8] = &[];
        parts(path, |byte| byte == b'/').take(MAX_WORDS).any(|(_, name)| {
            let hash = hash_word(self.seed, name);
            let found = self.is_opening(of_name(hash), WordLookup::Name(name))
                || self.upper.may_have(hash) && self.opens_below(hash, name, below);
            below = name;
            found
        })
    }

    /// Whether a word of `name`, which stands below `upper` with this hash, stands in a first list.
    fn opens_below(&self, hash: u64, upper: &[u8], name: &[u8]) -> bool {
        parts(name, is_separator).take(MAX_WORDS).any(|(_, word)| {
            self.is_opening(of_below(hash, hash_word(self.seed, word)), WordLookup::Below(upper, word))
        })
    }

    /// Whether an entry with this hash stands in a first list: a look at a bit, and another at the entry itself.
    fn is_opening(&self, hash: u64, entry: WordLookup<'_>) -> bool {
        self.opening.may_have(hash) && self.is_really_opening(entry)
    }

    #[cold]
    #[inline(never)]
    fn is_really_opening(&self, entry: WordLookup<'_>) -> bool {
        self.probe(entry).is_some_and(|word| word.opens < word.lists)
    }

    /// Calls `visit` with every ending of the last name, which begins at `last`, and with `/` if it has none, until that
    /// returns `true`, which is returned.
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
        without && self.names && visit(last, b"/")
    }

    /// Calls `visit` with everything of `path` that is known, where it begins and how much of the path it is.
    fn each<'a>(&'a self, path: &[u8], whole: bool, visit: &mut dyn FnMut(ListedWord<'a>)) {
        if self.words.is_empty() {
            return;
        }
        let mut probe = |entry: WordLookup<'_>, start: usize| {
            if let Some(word) = self.probe(entry) {
                let span = |from: u32, to: u32| self.numbers.get(from as usize..to as usize).unwrap_or_default();
                let (lists, opens) = (span(word.lists, word.end), span(word.opens, word.lists));
                visit(ListedWord { lists, opens, start, len: entry.len() });
            }
        };
        words_of(path).for_each(|(start, word)| probe(WordLookup::Word(word), start));
        if whole {
            let start = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
            self.endings(path, start, &mut |at, ending| {
                probe(WordLookup::Word(ending), at);
                false
            });
            if self.names {
                words_of(path)
                    .take_while(|&(at, _)| at >= start)
                    .for_each(|(at, word)| probe(WordLookup::Last(word), at));
            }
        }
        if self.names {
            self.names(path, &mut probe);
        }
    }

    /// Looks up every whole name, and the words of those that stand right below a known one; these begin in the upper
    /// name, so that they end where the word ends.
    fn names<'p>(&self, path: &'p [u8], probe: &mut dyn FnMut(WordLookup<'p>, usize)) {
        let mut below: &[u8] = &[];
        for (start, name) in parts(path, |byte| byte == b'/').take(MAX_WORDS) {
            if name.len() <= MAX_WORD {
                probe(WordLookup::Name(name), start);
                if self.parents.binary_search_by(|known| known.as_slice().cmp(name)).is_ok() {
                    parts(below, is_separator)
                        .take(MAX_WORDS)
                        .for_each(|(within, word)| probe(WordLookup::Below(name, word), start + 1 + within));
                }
            }
            below = name;
        }
    }

    fn probe(&self, entry: WordLookup<'_>) -> Option<Word> {
        if entry.len() > 2 * MAX_WORD {
            return None;
        }
        let number = self.hash.get(entry.hash(self.seed))?;
        let word = *self.words.get(number as usize)?;
        let text = self.texts.get(word.text as usize..(word.text + word.len) as usize)?;
        entry.is(text).then_some(word)
    }
}

/// The words of one path; looked up once, when something is first asked that a look at a bit does not answer.
#[derive(Debug)]
pub(super) struct PathWords<'a> {
    words: &'a Words,
    path: &'a [u8],
    whole: bool,
    known: OnceCell<Vec<ListedWord<'a>>>,
}

impl PathWords<'_> {
    /// Calls `visit` with every signature that has a word of each of its lists in the path, where it wants them, and
    /// the bytes of the longest word of each list together.
    pub(super) fn find(&self, visit: &mut dyn FnMut(u32, usize)) {
        if self.words.opens(self.path, self.whole) {
            self.find_opened(visit);
        }
    }

    // Cold: the way of all other paths is short and stays in the cache of instructions.
    #[cold]
    #[inline(never)]
    fn find_opened(&self, visit: &mut dyn FnMut(u32, usize)) {
        let Self { words, path, .. } = *self;
        let known = self.known();
        let mut opening: Vec<u32> = known.iter().flat_map(|known| known.opens).copied().collect();
        opening.sort_unstable();
        opening.dedup();
        if opening.is_empty() {
            return;
        }
        let seen = words.seen(known, opening.len());
        let is_seen = |&list: &u32| seen.get(list as usize / 64).is_none_or(|bits| bits >> (list % 64) & 1 == 1);
        for &demand in opening.iter().filter_map(|&list| words.openers.get(list as usize)).flatten() {
            if let Some(demand) = words.demands.get(demand as usize)
                && demand.lists.iter().all(is_seen)
                && let Some(len) = demand.len(known, path)
            {
                visit(demand.signature, len);
            }
        }
    }

    /// Whether the path has one of the words that rule the signature out.
    pub(super) fn rule_out(&self, signature: u32) -> bool {
        let unless = self.words.demand(signature).and_then(|demand| demand.unless);
        unless.is_some_and(|list| self.known().iter().any(|known| known.is_of(list)))
    }

    #[cold]
    #[inline(never)]
    fn known(&self) -> &[ListedWord<'_>] {
        self.known.get_or_init(|| {
            // Rationale: a path has a handful, and one allocation is better than three.
            let mut known = Vec::with_capacity(16);
            self.words.each(self.path, self.whole, &mut |word| known.push(word));
            known
        })
    }
}

impl WordRule {
    /// The bytes of the longest word of each list together, if the path's words have what it asks for.
    fn len(&self, known: &[ListedWord<'_>], path: &[u8]) -> Option<usize> {
        let from = self.last.map_or(0, |last| last_segments(path, last));
        let mut sum = 0;
        for &list in &self.lists {
            let words = known.iter().filter(|known| known.start >= from && known.is_of(list));
            sum += words.map(|known| known.len).max()?;
        }
        if self.unless.is_some_and(|list| known.iter().any(|known| known.is_of(list))) {
            return None;
        }
        let is_listed = |(start, word): (usize, &[u8])| {
            let covers =
                |known: &&ListedWord<'_>| known.start <= start && start + word.len() <= known.start + known.len;
            known.iter().filter(covers).any(|known| self.lists.iter().any(|&list| known.is_of(list)))
        };
        (!self.only || words_of(path).take_while(|&(start, _)| start >= from).all(is_listed)).then_some(sum)
    }
}

/// Where the last `count` segments of a path begin.
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
    fn whole_words_of_every_list() {
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
    fn words_that_rule_out() {
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
    fn words_of_the_last_segments() {
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
    fn words_of_the_last_name() {
        let lists: &[&[&str]] = &[&["twilio"], &["/env", "/creds"]];
        for path in ["/twilio/.env.local", "/.env.twilio", "/twilio/x/env", "/my-creds-twilio.php"] {
            assert!(found(lists, path), "{path}");
        }
        for path in ["/env/twilio", "/twilio/env/x", "/twilio/environment"] {
            assert!(!found(lists, path), "{path}");
        }
    }

    #[test]
    fn whole_names_and_words_below_a_name() {
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
        // An entry is one of its kind only.
        assert!(!found(&[&["/plugins/"], &["/a/"]], "/plugins/x-a"));
        assert!(!found(&[&["plugins"], &["/a/b"]], "/plugins/a-b"));
    }
}
