//! The word lists of all `words` signatures: which of them have a word of each list in a path. Not the choice between
//! matches: see [`super::find`].

use std::collections::BTreeMap;

use super::perfect_hash::{PerfectHash, fold};

/// Words of a path that are looked up, the last ones: what is looked for stands at the end. Rationale: the longest of
/// 100,000 benign paths have about 30.
const MAX_WORDS: usize = 64;

/// Bytes a word may have.
const MAX_WORD: usize = 64;

const WORD: u64 = 0x510e_527f_ade6_82d1;
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
    let splits = |byte: u8| is_separator(byte) && !(byte == b'.' && word.starts_with('.'));
    if inside.bytes().any(splits) {
        return Err("a word ends at each of / . _ - ~, so this one is never seen: write its words, or an ending that begins with `.`".to_owned());
    }
    if word.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
        return Err("blanks and control characters have no place in a word".to_owned());
    }
    Ok(())
}

/// What is wrong with an entry that begins with `/`, seen without it: nothing more (the last name has no ending), `NAME/`,
/// or `NAME/WORD`.
fn check_place(place: &str) -> Result<(), String> {
    if place.is_empty() {
        return Ok(());
    }
    let Some((name, word)) = place.split_once('/') else {
        return Err("write `/NAME/` for a whole name, or `/NAME/WORD` for a word of what stands below it".to_owned());
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

/// Collects words for [`Words`].
///
/// The keys are the entries as written: a word, an ending with its dot, `/` for no ending, `/NAME/` for a whole name, and
/// `/NAME/WORD` for a word of the name that stands right below.
#[derive(Debug, Default)]
pub(super) struct WordsBuilder {
    words: BTreeMap<Vec<u8>, Vec<Place>>,
    lists: BTreeMap<u32, u8>,
}

impl WordsBuilder {
    /// Adds the lists of a signature, checked before.
    pub(super) fn add(&mut self, signature: u32, lists: &[Vec<String>]) {
        for (list, words) in (0u8..).zip(lists) {
            self.lists.insert(signature, list + 1);
            for word in words {
                let places = self.words.entry(word.to_ascii_lowercase().into_bytes()).or_default();
                let place = Place { signature, list };
                if !places.contains(&place) {
                    places.push(place);
                }
            }
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
        let (words, lists) = (self.words.into_iter().collect(), self.lists.into_iter().collect());
        Some(Words { seed, hash, words, lists, names, parents })
    }
}

/// All `words` patterns.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    seed: u64,
    hash: PerfectHash,
    words: Vec<(Vec<u8>, Vec<Place>)>,
    /// How many lists each signature has, by signature.
    lists: Vec<(u32, u8)>,
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
        let words: usize = self.words.iter().map(|(word, places)| word.capacity() + places.capacity() * 8 + 48).sum();
        let parents: usize = self.parents.iter().map(|name| name.capacity() + 24).sum();
        self.hash.memory() + words + self.lists.capacity() * 8 + parents
    }

    /// Calls `visit` with every signature that has a word of each of its lists in `path` (in normal form), and the
    /// bytes of the longest word of each list together. `whole` unset: the path's end was cut off and has no ending.
    pub(super) fn find(&self, path: &[u8], whole: bool, visit: &mut dyn FnMut(u32, usize)) {
        if self.words.is_empty() {
            return;
        }
        // Nothing is allocated before a word is found.
        let mut found: Vec<(Place, usize)> = Vec::new();
        let mut probe = |entry: Entry<'_>| {
            if let Some(places) = self.probe(entry) {
                found.extend(places.iter().map(|&place| (place, entry.len())));
            }
        };
        let words = path.rsplit(|&byte| is_separator(byte)).filter(|word| !word.is_empty()).take(MAX_WORDS);
        words.for_each(|word| probe(Entry::Word(word)));
        if whole {
            let window = path.get(path.len().saturating_sub(MAX_WORD)..).unwrap_or_default();
            let name =
                memchr::memrchr(b'/', window).map_or(window, |slash| window.get(slash + 1..).unwrap_or_default());
            memchr::memrchr_iter(b'.', name).for_each(|dot| probe(Entry::Word(name.get(dot..).unwrap_or_default())));
            if self.names && !name.contains(&b'.') {
                probe(Entry::Word(b"/"));
            }
        }
        if self.names {
            self.names(path, &mut probe);
        }
        if found.len() < 2 {
            return;
        }
        found.sort_unstable();
        for of_signature in found.chunk_by(|a, b| a.0.signature == b.0.signature) {
            let Some((first, _)) = of_signature.first() else { continue };
            let lists = of_signature.chunk_by(|a, b| a.0 == b.0);
            let (count, len) =
                lists.fold((0, 0), |(count, len), list| (count + 1, len + list.last().map_or(0, |(_, len)| *len)));
            let wanted = self.lists.binary_search_by_key(&first.signature, |(signature, _)| *signature);
            if wanted.ok().and_then(|at| self.lists.get(at)).is_some_and(|(_, lists)| usize::from(*lists) == count) {
                visit(first.signature, len);
            }
        }
    }

    /// Looks up every whole name, and the words of those that stand right below a known one.
    fn names<'p>(&self, path: &'p [u8], probe: &mut dyn FnMut(Entry<'p>)) {
        let mut below: &[u8] = &[];
        for name in path.rsplit(|&byte| byte == b'/').filter(|name| !name.is_empty()).take(MAX_WORDS) {
            if name.len() <= MAX_WORD {
                probe(Entry::Name(name));
                if self.parents.binary_search_by(|known| known.as_slice().cmp(name)).is_ok() {
                    let words = below.rsplit(|&byte| is_separator(byte)).filter(|word| !word.is_empty());
                    words.take(MAX_WORDS).for_each(|word| probe(Entry::Below(name, word)));
                }
            }
            below = name;
        }
    }

    fn probe(&self, entry: Entry<'_>) -> Option<&[Place]> {
        if entry.len() > 2 * MAX_WORD {
            return None;
        }
        let number = self.hash.get(entry.hash(self.seed))?;
        self.words.get(number as usize).filter(|(known, _)| entry.is(known)).map(|(_, places)| places.as_slice())
    }
}

/// What is looked up.
#[derive(Clone, Copy, Debug)]
enum Entry<'p> {
    /// A word, an ending, or `/` for no ending.
    Word(&'p [u8]),
    /// A whole name.
    Name(&'p [u8]),
    /// A word of the name right below another name.
    Below(&'p [u8], &'p [u8]),
}

impl Entry<'_> {
    /// How much of the path it is.
    const fn len(self) -> usize {
        match self {
            Self::Word(word) | Self::Name(word) => word.len(),
            Self::Below(name, word) => name.len() + word.len(),
        }
    }

    fn hash(self, seed: u64) -> u64 {
        match self {
            Self::Word(word) => hash_word(seed, word),
            Self::Name(name) => fold(hash_word(seed, name) ^ NAME, WORD),
            Self::Below(name, word) => fold(hash_word(seed, name).rotate_left(29) ^ hash_word(seed, word), NAME),
        }
    }

    /// Whether it is this entry as written.
    fn is(self, known: &[u8]) -> bool {
        match self {
            Self::Word(word) => known == word,
            Self::Name(name) => whole_name(known) == Some(name),
            Self::Below(name, word) => word_below(known) == Some((name, word)),
        }
    }
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
    let what = match (whole_name(entry), word_below(entry)) {
        (Some(name), _) => Entry::Name(name),
        (None, Some((name, word))) => Entry::Below(name, word),
        (None, None) => Entry::Word(entry),
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
        let lists: Vec<Vec<String>> = lists.iter().map(|list| list.iter().map(|&word| word.into()).collect()).collect();
        let mut builder = WordsBuilder::default();
        builder.add(7, &lists);
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
        for word in ["", ".", "a-b", "a.b", "a/b", ".a/b", "a b", "/a", "//", "/a/b-c", "/a/.b", "/a/b/c", "/a b/", "//a"] {
            assert!(check(word).is_err(), "{word}");
        }
        for word in ["a", ".env", ".tar.gz", "twilio2", "/", "/wp-content/", "/plugins/sms", "/a.b_c/"] {
            assert!(check(word).is_ok(), "{word}");
        }
    }
}
