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
const LAST: u64 = 0x6c07_8965_3b8d_a2c5;
const NAME: u64 = 0x2f6e_2b17_c0ac_29b7;

/// What is wrong with a word, and the way out.
pub(super) fn check(word: &str) -> Result<(), String> {
    if let Some(place) = word.strip_prefix('/') {
        return check_place(place);
    }
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

/// What is wrong with an entry that begins with `/`, seen without it: nothing more (the last name has no ending), `WORD`
/// (of the last name), `NAME/`, or `NAME/WORD`.
fn check_place(place: &str) -> Result<(), String> {
    if place.is_empty() {
        return Ok(());
    }
    let Some((name, word)) = place.split_once('/') else {
        let ending =
            place.starts_with('.').then(|| "an ending is of the last name anyway: write it without `/`".to_owned());
        return ending.map_or_else(|| check(place), Err);
    };
    let odd = |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || matches!(byte, b'?' | b'#' | b';');
    if name.is_empty() || name.len() > MAX_WORD || name.ends_with('.') || name.bytes().any(odd) {
        return Err(format!("write a name of 1 to {MAX_WORD} bytes as a path in normal form has it"));
    }
    if word.starts_with('.') {
        return Err("an ending belongs to the last name: write it as an entry of its own".to_owned());
    }
    if word.is_empty() { Ok(()) } else { check(word) }
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

/// An entry of lists of signatures.
#[derive(Clone, Debug)]
struct Word {
    /// As written: a word, an ending with its dot, `/` for no ending, `/WORD` for a word of the last name, `/NAME/` for a
    /// whole name, and `/NAME/WORD` for a word of the name that stands right below.
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
            let hashes: Vec<u64> = self.words.keys().map(|word| hash_entry(seed, word)).collect();
            Some((seed, PerfectHash::build(&hashes)?))
        })?;
        let mut parents: Vec<Vec<u8>> =
            self.words.keys().filter_map(|entry| Some(word_below(entry)?.0.to_vec())).collect();
        parents.sort_unstable();
        parents.dedup();
        let names = self.words.keys().any(|entry| entry.starts_with(b"/"));
        let words = (self.words.into_iter())
            .map(|(text, places)| Word { text, opens: places.iter().any(|place| place.list == 0), places })
            .collect();
        Some(Words { seed, hash, words, demands: self.demands, names, parents })
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
    /// Whether an entry means a whole name: only then are they looked up.
    names: bool,
    /// The names below which single words are looked for, sorted.
    parents: Vec<Vec<u8>>,
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
        let parents: usize = self.parents.iter().map(|name| name.capacity() + size_of::<Vec<u8>>()).sum();
        self.hash.memory() + words + parents + self.demands.capacity() * size_of::<Demand>()
    }

    /// Calls `visit` with every signature that has a word of each of its lists in `path` (in normal form), where it
    /// wants them, and the bytes of the longest word of each list together. `whole` unset: the path's end was cut off
    /// and has no ending.
    pub(super) fn find(&self, path: &[u8], whole: bool, visit: &mut dyn FnMut(u32, usize)) {
        let mut open: Vec<u32> = Vec::new();
        self.each(path, whole, &mut |word, _, _| {
            if word.opens {
                open.extend(word.places.iter().filter(|place| place.list == 0).map(|place| place.signature));
            }
        });
        if open.is_empty() {
            return;
        }
        open.sort_unstable();
        let mut found: Vec<Found> = Vec::new();
        self.each(path, whole, &mut |word, start, len| {
            let places = word.places.iter().filter(|place| open.binary_search(&place.signature).is_ok());
            found.extend(places.map(|&place| Found { place, len, start }));
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
            self.each(path, whole, &mut |word, _, _| out |= word.places.contains(&place));
        }
        out
    }

    fn demand(&self, signature: u32) -> Option<&Demand> {
        let at = self.demands.binary_search_by_key(&signature, |demand| demand.signature).ok()?;
        self.demands.get(at)
    }

    /// Calls `visit` with everything of `path` that is known, where it begins and how much of the path it is.
    fn each<'a>(&'a self, path: &[u8], whole: bool, visit: &mut dyn FnMut(&'a Word, usize, usize)) {
        if self.words.is_empty() {
            return;
        }
        let mut probe = |entry: Entry<'_>, start: usize| {
            if let Some(word) = self.probe(entry) {
                visit(word, start, entry.len());
            }
        };
        words_of(path).for_each(|(start, word)| probe(Entry::Word(word), start));
        if whole {
            let start = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
            let from = start.max(path.len().saturating_sub(MAX_WORD));
            let mut without = true;
            for dot in memchr::memrchr_iter(b'.', path.get(from..).unwrap_or_default()) {
                without = false;
                probe(Entry::Word(path.get(from + dot..).unwrap_or_default()), from + dot);
            }
            if self.names && without {
                probe(Entry::Word(b"/"), start);
            }
            if self.names {
                words_of(path).take_while(|&(at, _)| at >= start).for_each(|(at, word)| probe(Entry::Last(word), at));
            }
        }
        if self.names {
            self.names(path, &mut probe);
        }
    }

    /// Looks up every whole name, and the words of those that stand right below a known one; these begin in the upper
    /// name, so that they end where the word ends.
    fn names<'p>(&self, path: &'p [u8], probe: &mut dyn FnMut(Entry<'p>, usize)) {
        let mut below: &[u8] = &[];
        for (start, name) in parts(path, |byte| byte == b'/').take(MAX_WORDS) {
            if name.len() <= MAX_WORD {
                probe(Entry::Name(name), start);
                if self.parents.binary_search_by(|known| known.as_slice().cmp(name)).is_ok() {
                    parts(below, is_separator)
                        .take(MAX_WORDS)
                        .for_each(|(within, word)| probe(Entry::Below(name, word), start + 1 + within));
                }
            }
            below = name;
        }
    }

    fn probe(&self, entry: Entry<'_>) -> Option<&Word> {
        if entry.len() > 2 * MAX_WORD {
            return None;
        }
        let number = self.hash.get(entry.hash(self.seed))?;
        self.words.get(number as usize).filter(|known| entry.is(&known.text))
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
    parts(path, is_separator).take(MAX_WORDS)
}

/// What stands between separators, the last one first, each with where it begins.
fn parts(text: &[u8], is_separator: impl Fn(u8) -> bool) -> impl Iterator<Item = (usize, &[u8])> {
    let mut end = text.len();
    text.rsplit(move |&byte| is_separator(byte))
        .map(move |part| {
            let start = end - part.len();
            // The separator before it; there is none before the first.
            end = start.saturating_sub(1);
            (start, part)
        })
        .filter(|(_, part)| !part.is_empty())
}

/// Where the last `count` segments of a path begin.
fn last_segments(path: &[u8], count: u8) -> usize {
    match usize::from(count).checked_sub(1) {
        Some(before) => memchr::memrchr_iter(b'/', path).nth(before).unwrap_or(0),
        None => path.len(),
    }
}

/// What is looked up.
#[derive(Clone, Copy, Debug)]
enum Entry<'p> {
    /// A word, an ending, or `/` for no ending.
    Word(&'p [u8]),
    /// A word of the last name.
    Last(&'p [u8]),
    /// A whole name.
    Name(&'p [u8]),
    /// A word of the name right below another name.
    Below(&'p [u8], &'p [u8]),
}

impl Entry<'_> {
    /// How much of the path it is at most.
    const fn len(self) -> usize {
        match self {
            Self::Word(word) | Self::Last(word) | Self::Name(word) => word.len(),
            Self::Below(name, word) => name.len() + word.len(),
        }
    }

    fn hash(self, seed: u64) -> u64 {
        match self {
            Self::Word(word) => hash_word(seed, word),
            Self::Last(word) => fold(hash_word(seed, word) ^ LAST, WORD),
            Self::Name(name) => fold(hash_word(seed, name) ^ NAME, WORD),
            Self::Below(name, word) => fold(hash_word(seed, name).rotate_left(29) ^ hash_word(seed, word), NAME),
        }
    }

    /// Whether it is this entry as written.
    fn is(self, known: &[u8]) -> bool {
        match self {
            Self::Word(word) => known == word,
            Self::Last(word) => word_of_last(known) == Some(word),
            Self::Name(name) => whole_name(known) == Some(name),
            Self::Below(name, word) => word_below(known) == Some((name, word)),
        }
    }
}

/// The word of an entry `/WORD`.
fn word_of_last(entry: &[u8]) -> Option<&[u8]> {
    entry.strip_prefix(b"/").filter(|word| !word.is_empty() && !word.contains(&b'/'))
}

/// The name of an entry `/NAME/`.
fn whole_name(entry: &[u8]) -> Option<&[u8]> {
    entry.strip_prefix(b"/")?.strip_suffix(b"/").filter(|name| !name.is_empty())
}

/// Name and word of an entry `/NAME/WORD`.
fn word_below(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = entry.strip_prefix(b"/")?;
    let slash = memchr::memchr(b'/', inside)?;
    let (name, word) = (inside.get(..slash)?, inside.get(slash + 1..)?);
    (!word.is_empty()).then_some((name, word))
}

/// The hash of an entry as written.
fn hash_entry(seed: u64, entry: &[u8]) -> u64 {
    let what = match (word_of_last(entry), whole_name(entry), word_below(entry)) {
        (Some(word), ..) => Entry::Last(word),
        (_, Some(name), _) => Entry::Name(name),
        (.., Some((name, word))) => Entry::Below(name, word),
        _ => Entry::Word(entry),
    };
    what.hash(seed)
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

    #[test]
    fn words_that_are_never_seen_are_refused() {
        for word in ["", ".", "a-b", "a.b", "a/b", ".a/b", "a b", "//", "/a/b-c", "/a/.b", "/a/b/c", "/a b/", "//a"] {
            assert!(check(word).is_err(), "{word}");
        }
        for word in [
            "a",
            ".env",
            ".tar.gz",
            ".php~",
            ".env-old",
            "twilio2",
            "/",
            "/a",
            "/wp-content/",
            "/plugins/sms",
            "/a.b_c/",
        ] {
            assert!(check(word).is_ok(), "{word}");
        }
    }
}
