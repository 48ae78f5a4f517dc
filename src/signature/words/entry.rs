//! Entries of word lists: their syntax, check and hash, and the words and names of a path. Does not know which
//! signature has an entry: see [`super`].

use std::fmt;

use crate::signature::perfect_hash::{fold, hash_bytes};

/// Maximum number of words of a path that are looked up, counted from its end, where the relevant words are. Rationale:
/// the longest of 100,000 benign paths have about 30.
pub(super) const MAX_WORDS: usize = 64;

/// Maximum length of a word, in bytes.
pub(super) const MAX_WORD: usize = 64;

const WORD: u64 = 0x510e_527f_ade6_82d1;
const LAST: u64 = 0x6c07_8965_3b8d_a2c5;
const NAME: u64 = 0x2f6e_2b17_c0ac_29b7;

/// An entry of a word list that is not valid. The message includes the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::signature) enum EntryError {
    /// Empty, or longer than [`MAX_WORD`].
    Length,
    /// Contains a separator, so it is never a single word of a path.
    Separator,
    /// Contains blanks or control characters.
    Blank,
    /// `/.ending`.
    EndingOfLastName,
    /// `/NAME/.ending`.
    EndingBelowName,
    /// Not a name in the normal form of a path.
    Name,
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => return write!(f, "write 1 to {MAX_WORD} bytes"),
            Self::Separator => {
                "a word ends at each of / . _ - ~, so this one never matches: write its words, or an ending that \
                 begins with `.`"
            }
            Self::Blank => "blanks and control characters are not allowed in a word",
            Self::EndingOfLastName => "an ending always belongs to the last name: write it without `/`",
            Self::EndingBelowName => "an ending always belongs to the last name: write it as an entry of its own",
            Self::Name => return write!(f, "write a name of 1 to {MAX_WORD} bytes in the normal form of a path"),
        })
    }
}

impl std::error::Error for EntryError {}

/// Checks an entry of a word list.
pub(in crate::signature) fn check_entry(word: &str) -> Result<(), EntryError> {
    if let Some(inside) = word.strip_prefix('/') {
        return check_name_entry(inside);
    }
    let inside = word.strip_prefix('.').unwrap_or(word);
    if inside.is_empty() || word.len() > MAX_WORD {
        return Err(EntryError::Length);
    }
    // An ending is compared from its dot to the end of the path, so a slash is the only separator it cannot contain.
    let splits = |byte: u8| if word.starts_with('.') { byte == b'/' } else { is_separator(byte) };
    if inside.bytes().any(splits) {
        return Err(EntryError::Separator);
    }
    if word.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
        return Err(EntryError::Blank);
    }
    Ok(())
}

/// Checks an entry that begins with `/`, given without it: empty (the last name has no ending), `WORD` (of the last
/// name), `NAME/`, or `NAME/WORD`.
fn check_name_entry(inside: &str) -> Result<(), EntryError> {
    if inside.is_empty() {
        return Ok(());
    }
    let Some((name, word)) = inside.split_once('/') else {
        return if inside.starts_with('.') { Err(EntryError::EndingOfLastName) } else { check_entry(inside) };
    };
    let odd = |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || matches!(byte, b'?' | b'#' | b';');
    if name.is_empty() || name.len() > MAX_WORD || name.ends_with('.') || name.bytes().any(odd) {
        return Err(EntryError::Name);
    }
    if word.starts_with('.') {
        return Err(EntryError::EndingBelowName);
    }
    if word.is_empty() { Ok(()) } else { check_entry(word) }
}

/// Table of [`SEPARATORS`]: one lookup instead of five comparisons for every byte of every path.
const IS_SEPARATOR: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < SEPARATORS.len() {
        table[SEPARATORS[at] as usize] = true;
        at += 1;
    }
    table
};
const SEPARATORS: &[u8] = b"/._-~";

/// Reports whether a byte ends a word.
pub(super) const fn is_separator(byte: u8) -> bool {
    IS_SEPARATOR[byte as usize]
}

/// Returns the last [`MAX_WORDS`] words of a path, the last one first, each with its offset.
pub(super) fn words_of(path: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    parts(path, is_separator).take(MAX_WORDS)
}

/// Returns the non-empty parts between separators, the last one first, each with its offset.
pub(super) fn parts(text: &[u8], is_separator: impl Fn(u8) -> bool) -> impl Iterator<Item = (usize, &[u8])> {
    let mut end = text.len();
    text.rsplit(move |&byte| is_separator(byte))
        .map(move |part| {
            let start = end - part.len();
            // Skips the separator before it; there is none before the first.
            end = start.saturating_sub(1);
            (start, part)
        })
        .filter(|(_, part)| !part.is_empty())
}

/// A lookup of a part of a path among the entries.
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
    /// Returns the number of bytes of the path that it covers at most.
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
            Self::Last(word) => last_hash(hash(word)),
            Self::Name(name) => name_hash(hash(name)),
            Self::Below(name, word) => below_hash(hash(name), hash(word)),
        }
    }

    /// Reports whether it is this entry as written.
    pub(super) fn is(self, entry: &[u8]) -> bool {
        match self {
            Self::Word(word) => entry == word,
            Self::Last(word) => word_of_last(entry) == Some(word),
            Self::Name(name) => whole_name(entry) == Some(name),
            Self::Below(name, word) => word_below(entry) == Some((name, word)),
        }
    }
}

/// Returns the word of an entry `/WORD`.
fn word_of_last(entry: &[u8]) -> Option<&[u8]> {
    entry.strip_prefix(b"/").filter(|word| !word.is_empty() && !word.contains(&b'/'))
}

/// Returns the name of an entry `/NAME/`.
fn whole_name(entry: &[u8]) -> Option<&[u8]> {
    entry.strip_prefix(b"/")?.strip_suffix(b"/").filter(|name| !name.is_empty())
}

/// Returns the name and the word of an entry `/NAME/WORD`.
pub(super) fn word_below(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = entry.strip_prefix(b"/")?;
    let slash = memchr::memchr(b'/', inside)?;
    let (name, word) = (inside.get(..slash)?, inside.get(slash + 1..)?);
    (!word.is_empty()).then_some((name, word))
}

/// Returns the hash of an entry as written.
pub(super) fn hash_entry(seed: u64, entry: &[u8]) -> u64 {
    let lookup = match (word_of_last(entry), whole_name(entry), word_below(entry)) {
        (Some(word), ..) => WordLookup::Last(word),
        (_, Some(name), _) => WordLookup::Name(name),
        (.., Some((name, word))) => WordLookup::Below(name, word),
        _ => WordLookup::Word(entry),
    };
    lookup.hash(seed)
}

/// Returns the hash of a word, or of a name. The three functions below derive their hashes from it.
pub(super) fn hash_word(seed: u64, word: &[u8]) -> u64 {
    fold(hash_bytes(seed, WORD, word), WORD)
}

pub(super) const fn last_hash(word: u64) -> u64 {
    fold(word ^ LAST, WORD)
}

pub(super) const fn name_hash(name: u64) -> u64 {
    fold(name ^ NAME, WORD)
}

pub(super) const fn below_hash(name: u64, word: u64) -> u64 {
    fold(name.rotate_left(29) ^ word, NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_never_match_are_rejected() {
        for word in ["", ".", "a-b", "a.b", "a/b", ".a/b", "a b", "//", "/a/b-c", "/a/.b", "/a/b/c", "/a b/", "//a"] {
            assert!(check_entry(word).is_err(), "{word}");
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
            assert!(check_entry(word).is_ok(), "{word}");
        }
    }
}
