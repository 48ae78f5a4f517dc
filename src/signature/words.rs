//! The word lists of all `words` signatures: which of them have a word of each list in a path, and in the right place.
//! Not the choice between matches: see [`super::find`].
//!
//! A path is gone through twice at most. The first time asks only whether any word of it stands in a signature's first
//! list; that is where the rare words are, so most paths end there and nothing was allocated. The second time collects
//! every word that is known.

use std::collections::BTreeMap;

use super::Scope;
use super::perfect_hash::{PerfectHash, fold};

/// Words of a path that are looked up, the last ones: what is looked for stands at the end. Rationale: the longest of
/// 100,000 benign paths have about 30.
const MAX_WORDS: usize = 64;

/// Bytes a word may have.
const MAX_WORD: usize = 64;

/// The number that stands for the words that rule a match out; lists are numbered from 0.
const UNLESS: u8 = u8::MAX;

const WORD: u64 = 0x510e_527f_ade6_82d1;

/// What is wrong with a word, and the way out.
pub(super) fn check(word: &str) -> Result<(), String> {
    let inside = word.strip_prefix('.').unwrap_or(word);
    if inside.is_empty() || word.len() > MAX_WORD {
        return Err(format!("write 1 to {MAX_WORD} bytes"));
    }
    // An ending is compared from its dot to the end of the path, so only a slash never stands in one.
    let splits = |byte: u8| if word.starts_with('.') { byte == b'/' } else { is_separator(byte) };
    if inside.bytes().any(splits) {
        return Err("a word ends at each of / . _ - ~, so this one is never seen: write its words, or an ending that begins with `.`".to_owned());
    }
    if word.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
        return Err("blanks and control characters have no place in a word".to_owned());
    }
    Ok(())
}

/// Whether a byte ends a word.
const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'.' | b'_' | b'-' | b'~')
}

/// One list of one signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    signature: u32,
    list: u8,
}

/// A word that stands in lists of signatures.
#[derive(Clone, Debug)]
struct Word {
    text: Vec<u8>,
    /// Whether it stands in the first list of one of them.
    opens: bool,
    places: Vec<Place>,
}

/// What a signature asks of the words together.
#[derive(Clone, Copy, Debug)]
struct Demand {
    signature: u32,
    /// How many lists it has; 0 for a signature of another kind, which has only words that rule it out.
    lists: u8,
    /// How many of the path's last segments count.
    last: Option<u8>,
    /// Whether those segments have no other words.
    only: bool,
}

/// Collects words for [`Words`].
#[derive(Debug, Default)]
pub(super) struct WordsBuilder {
    words: BTreeMap<Vec<u8>, Vec<Place>>,
    demands: Vec<Demand>,
}

impl WordsBuilder {
    /// Adds the lists of a signature and its scope, checked before. Signatures come in the order of their numbers.
    pub(super) fn add(&mut self, signature: u32, lists: &[Vec<String>], scope: &Scope) {
        debug_assert!(lists.len() < usize::from(UNLESS));
        for (list, words) in (0u8..).zip(lists) {
            words.iter().for_each(|word| self.place(word, Place { signature, list }));
        }
        scope.unless.iter().for_each(|word| self.place(word, Place { signature, list: UNLESS }));
        if !lists.is_empty() || !scope.unless.is_empty() {
            let lists = u8::try_from(lists.len()).unwrap_or(UNLESS);
            self.demands.push(Demand { signature, lists, last: scope.last, only: scope.only });
        }
    }

    fn place(&mut self, word: &str, place: Place) {
        let places = self.words.entry(word.to_ascii_lowercase().into_bytes()).or_default();
        if !places.contains(&place) {
            places.push(place);
        }
    }

    /// Builds the table. `None` if no seed gives a perfect hash.
    pub(super) fn build(self) -> Option<Words> {
        let (seed, hash) = (0..8).find_map(|seed| {
            let hashes: Vec<u64> = self.words.keys().map(|word| hash_word(seed, word)).collect();
            Some((seed, PerfectHash::build(&hashes)?))
        })?;
        let words = (self.words.into_iter())
            .map(|(text, places)| Word { text, opens: places.iter().any(|place| place.list == 0), places })
            .collect();
        Some(Words { seed, hash, words, demands: self.demands })
    }
}

/// A word of a path that a signature knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    place: Place,
    len: usize,
    /// Where it begins in the path.
    start: usize,
}

/// All `words` patterns, and the words that rule out signatures of every kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    seed: u64,
    hash: PerfectHash,
    words: Vec<Word>,
    /// In the order of their signatures.
    demands: Vec<Demand>,
}

impl Words {
    /// Different words.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let words: usize = (self.words.iter())
            .map(|word| word.text.capacity() + word.places.capacity() * size_of::<Place>() + size_of::<Word>())
            .sum();
        self.hash.memory() + words + self.demands.capacity() * size_of::<Demand>()
    }

    /// Calls `visit` with every signature that has a word of each of its lists in `path` (in normal form), where it
    /// wants them, and the bytes of the longest word of each list together. `whole` unset: the path's end was cut off
    /// and has no ending.
    pub(super) fn find(&self, path: &[u8], whole: bool, visit: &mut dyn FnMut(u32, usize)) {
        let mut opened = false;
        self.each(path, whole, &mut |word, _| opened |= word.opens);
        if !opened {
            return;
        }
        let mut found: Vec<Found> = Vec::new();
        self.each(path, whole, &mut |word, start| {
            found.extend(word.places.iter().map(|&place| Found { place, len: word.text.len(), start }));
        });
        found.sort_unstable();
        for of_signature in found.chunk_by(|a, b| a.place.signature == b.place.signature) {
            let Some(demand) = of_signature.first().and_then(|first| self.demand(first.place.signature)) else {
                continue;
            };
            if let Some(len) = demand.len(of_signature, path) {
                visit(demand.signature, len);
            }
        }
    }

    /// Whether `path` has one of the words that rule the signature out.
    pub(super) fn rule_out(&self, signature: u32, path: &[u8], whole: bool) -> bool {
        let place = Place { signature, list: UNLESS };
        let mut out = false;
        if self.demand(signature).is_some() {
            self.each(path, whole, &mut |word, _| out |= word.places.contains(&place));
        }
        out
    }

    fn demand(&self, signature: u32) -> Option<&Demand> {
        let at = self.demands.binary_search_by_key(&signature, |demand| demand.signature).ok()?;
        self.demands.get(at)
    }

    /// Calls `visit` with every word and every ending of `path` that is known, and where it begins.
    fn each<'a>(&'a self, path: &[u8], whole: bool, visit: &mut dyn FnMut(&'a Word, usize)) {
        if self.words.is_empty() {
            return;
        }
        for (start, word) in words_of(path) {
            if let Some(word) = self.probe(word) {
                visit(word, start);
            }
        }
        if whole {
            let from = path.len().saturating_sub(MAX_WORD);
            let name = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1).max(from);
            for dot in memchr::memrchr_iter(b'.', path.get(name..).unwrap_or_default()) {
                if let Some(word) = self.probe(path.get(name + dot..).unwrap_or_default()) {
                    visit(word, name + dot);
                }
            }
        }
    }

    fn probe(&self, word: &[u8]) -> Option<&Word> {
        if word.len() > MAX_WORD {
            return None;
        }
        let number = self.hash.get(hash_word(self.seed, word))?;
        self.words.get(number as usize).filter(|known| known.text == word)
    }
}

impl Demand {
    /// The bytes of the longest word of each list together, if `found`, all of this signature and in order, is what it
    /// asks for.
    fn len(&self, found: &[Found], path: &[u8]) -> Option<usize> {
        if self.lists == 0 || found.last()?.place.list == UNLESS {
            return None;
        }
        let from = self.last.map_or(0, |last| last_segments(path, last));
        let mut sum = 0;
        for list in 0..self.lists {
            let words = found.iter().filter(|found| found.place.list == list && found.start >= from);
            sum += words.map(|found| found.len).max()?;
        }
        let known = |(start, word): (usize, &[u8])| {
            found.iter().any(|found| found.start <= start && start + word.len() <= found.start + found.len)
        };
        (!self.only || words_of(path).take_while(|&(start, _)| start >= from).all(known)).then_some(sum)
    }
}

/// The last words of a path, the last one first, each with where it begins.
fn words_of(path: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut end = path.len();
    path.rsplit(|&byte| is_separator(byte))
        .map(move |word| {
            let start = end - word.len();
            // The separator before it; there is none before the first.
            end = start.saturating_sub(1);
            (start, word)
        })
        .filter(|(_, word)| !word.is_empty())
        .take(MAX_WORDS)
}

/// Where the last `count` segments of a path begin.
fn last_segments(path: &[u8], count: u8) -> usize {
    match usize::from(count).checked_sub(1) {
        Some(before) => memchr::memrchr_iter(b'/', path).nth(before).unwrap_or(0),
        None => path.len(),
    }
}

fn hash_word(seed: u64, word: &[u8]) -> u64 {
    let (chunks, rest) = word.as_chunks::<8>();
    let whole =
        chunks.iter().fold(seed ^ word.len() as u64, |hash, chunk| fold(hash ^ u64::from_le_bytes(*chunk), WORD));
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    fold(fold(whole ^ u64::from_le_bytes(last), WORD), WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lists: &[&[&str]], path: &str) -> bool {
        found_in(lists, &Scope::default(), path)
    }

    fn found_in(lists: &[&[&str]], scope: &Scope, path: &str) -> bool {
        let lists: Vec<Vec<String>> = lists.iter().map(|list| list.iter().map(|&word| word.into()).collect()).collect();
        let mut builder = WordsBuilder::default();
        builder.add(7, &lists, scope);
        let mut hit = false;
        builder.build().unwrap().find(path.as_bytes(), true, &mut |signature, _| hit = signature == 7);
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
        let scope = Scope { unless: vec!["blog".into(), ".png".into()], ..Scope::default() };
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
        let last = |last, only| Scope { last: Some(last), only, ..Scope::default() };
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
    fn words_that_are_never_seen_are_refused() {
        for word in ["", ".", "a-b", "a.b", "a/b", ".a/b", "a b"] {
            assert!(check(word).is_err(), "{word}");
        }
        for word in ["a", ".env", ".tar.gz", "twilio2", ".php~", ".env-old"] {
            assert!(check(word).is_ok(), "{word}");
        }
    }
}
