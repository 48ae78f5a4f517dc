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

/// What is wrong with a word, and the way out.
pub(super) fn check(word: &str) -> Result<(), String> {
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
            let hashes: Vec<u64> = self.words.keys().map(|word| hash_word(seed, word)).collect();
            Some((seed, PerfectHash::build(&hashes)?))
        })?;
        Some(Words { seed, hash, words: self.words.into_iter().collect(), lists: self.lists.into_iter().collect() })
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
}

impl Words {
    /// Different words.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let words: usize = self.words.iter().map(|(word, places)| word.capacity() + places.capacity() * 8 + 48).sum();
        self.hash.memory() + words + self.lists.capacity() * 8
    }

    /// Calls `visit` with every signature that has a word of each of its lists in `path` (in normal form), and the
    /// bytes of the longest word of each list together. `whole` unset: the path's end was cut off and has no ending.
    pub(super) fn find(&self, path: &[u8], whole: bool, visit: &mut dyn FnMut(u32, usize)) {
        if self.words.is_empty() {
            return;
        }
        // Nothing is allocated before a word is found.
        let mut found: Vec<(Place, usize)> = Vec::new();
        let mut probe = |word: &[u8]| {
            if let Some(places) = self.probe(word) {
                found.extend(places.iter().map(|&place| (place, word.len())));
            }
        };
        path.rsplit(|&byte| is_separator(byte)).filter(|word| !word.is_empty()).take(MAX_WORDS).for_each(&mut probe);
        if whole {
            let window = path.get(path.len().saturating_sub(MAX_WORD)..).unwrap_or_default();
            let name =
                memchr::memrchr(b'/', window).map_or(window, |slash| window.get(slash + 1..).unwrap_or_default());
            memchr::memrchr_iter(b'.', name).for_each(|dot| probe(name.get(dot..).unwrap_or_default()));
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

    fn probe(&self, word: &[u8]) -> Option<&[Place]> {
        if word.len() > MAX_WORD {
            return None;
        }
        let number = self.hash.get(hash_word(self.seed, word))?;
        self.words.get(number as usize).filter(|(known, _)| known == word).map(|(_, places)| places.as_slice())
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
    fn words_that_are_never_seen_are_refused() {
        for word in ["", ".", "a-b", "a.b", "a/b", ".a/b", "a b"] {
            assert!(check(word).is_err(), "{word}");
        }
        for word in ["a", ".env", ".tar.gz", "twilio2"] {
            assert!(check(word).is_ok(), "{word}");
        }
    }
}
