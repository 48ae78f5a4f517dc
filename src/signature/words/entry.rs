//! What a word list is made of: what an entry may be, how it is written and hashed, and the words and names of a path.
//! Not which signature has it: see [`super`].

use crate::signature::perfect_hash::{fold, hash_bytes};

/// Words of a path that are looked up, the last ones: what is looked for stands at the end. Rationale: the longest of
/// 100,000 benign paths have about 30.
pub(super) const MAX_WORDS: usize = 64;

/// Bytes a word may have.
pub(super) const MAX_WORD: usize = 64;

const WORD: u64 = 0x510e_527f_ade6_82d1;
const LAST: u64 = 0x6c07_8965_3b8d_a2c5;
const NAME: u64 = 0x2f6e_2b17_c0ac_29b7;

/// What is wrong with a word, and the way out.
pub(in crate::signature) fn check(word: &str) -> Result<(), String> {
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

/// A look instead of five comparisons: every byte of every path is asked.
const SEPARATORS: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < SEPARATING.len() {
        table[SEPARATING[at] as usize] = true;
        at += 1;
    }
    table
};
const SEPARATING: &[u8] = b"/._-~";

/// Whether a byte ends a word.
pub(super) const fn is_separator(byte: u8) -> bool {
    SEPARATORS[byte as usize]
}

/// The last words of a path, the last one first, each with where it begins.
pub(super) fn words_of(path: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    parts(path, is_separator).take(MAX_WORDS)
}

/// What stands between separators, the last one first, each with where it begins.
pub(super) fn parts(text: &[u8], is_separator: impl Fn(u8) -> bool) -> impl Iterator<Item = (usize, &[u8])> {
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

/// What is looked up.
#[derive(Clone, Copy, Debug)]
pub(super) enum WordLookup<'p> {
    /// A word, an ending, or `/` for no ending.
    Word(&'p [u8]),
    /// A word of the last name.
    Last(&'p [u8]),
    /// A whole name.
    Name(&'p [u8]),
    /// A word of the name right below another name.
    Below(&'p [u8], &'p [u8]),
}

impl WordLookup<'_> {
    /// How much of the path it is at most.
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Word(word) | Self::Last(word) | Self::Name(word) => word.len(),
            Self::Below(name, word) => name.len() + word.len(),
        }
    }

    pub(super) fn hash(self, seed: u64) -> u64 {
        let hash = |bytes| hash_word(seed, bytes);
        match self {
            Self::Word(word) => hash(word),
            Self::Last(word) => of_last(hash(word)),
            Self::Name(name) => of_name(hash(name)),
            Self::Below(name, word) => of_below(hash(name), hash(word)),
        }
    }

    /// Whether it is this entry as written.
    pub(super) fn is(self, known: &[u8]) -> bool {
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
pub(super) fn word_below(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = entry.strip_prefix(b"/")?;
    let slash = memchr::memchr(b'/', inside)?;
    let (name, word) = (inside.get(..slash)?, inside.get(slash + 1..)?);
    (!word.is_empty()).then_some((name, word))
}

/// The hash of an entry as written.
pub(super) fn hash_entry(seed: u64, entry: &[u8]) -> u64 {
    let what = match (word_of_last(entry), whole_name(entry), word_below(entry)) {
        (Some(word), ..) => WordLookup::Last(word),
        (_, Some(name), _) => WordLookup::Name(name),
        (.., Some((name, word))) => WordLookup::Below(name, word),
        _ => WordLookup::Word(entry),
    };
    what.hash(seed)
}

/// The hash of a word, or of a name; the three below are made of it.
pub(super) fn hash_word(seed: u64, word: &[u8]) -> u64 {
    fold(hash_bytes(seed, WORD, word), WORD)
}

pub(super) const fn of_last(word: u64) -> u64 {
    fold(word ^ LAST, WORD)
}

pub(super) const fn of_name(name: u64) -> u64 {
    fold(name ^ NAME, WORD)
}

pub(super) const fn of_below(name: u64, word: u64) -> u64 {
    fold(name.rotate_left(29) ^ word, NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

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
