//! Writes JSON in pure ASCII: whatever a string contains, only bytes from 0x20 to 0x7e are written, so that untrusted
//! input cannot send control sequences to a terminal. The content is chosen by the other files of [`super`].

mod serializer;

use std::io::Write;

use serde::Serialize;

/// Appends `value` as JSON without blanks.
pub(super) fn append<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    value.serialize(serializer::Json(out)).expect("records contain only types that the serializer supports");
}

/// Limits a number to the largest one that consumers can store: Elasticsearch rejects a record with a number above the
/// range of its `long`.
pub(super) fn clamp_to_i64(value: u64) -> u64 {
    value.min(i64::MAX.unsigned_abs())
}

/// Returns the character after the backslash of a short escape (RFC 8259 section 7).
const fn short_escape(character: char) -> Option<u8> {
    Some(match character {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        _ => return None,
    })
}

/// Returns the length of `character` inside a JSON string, in bytes.
pub(super) const fn escaped_len(character: char) -> usize {
    match character {
        _ if short_escape(character).is_some() => 2,
        ' '..='~' => 1,
        '\0'..='\u{ffff}' => 6,
        _ => 12,
    }
}

/// Reports whether all bytes are printable ASCII, including the blank.
pub(super) fn is_printable(bytes: &[u8]) -> bool {
    all_words(bytes, |word| nonprintable_bits(word) & HIGH_BITS == 0)
}

/// Reports whether a JSON string contains these bytes unescaped: printable ASCII without quotes and backslashes.
fn is_plain(bytes: &[u8]) -> bool {
    all_words(bytes, |word| {
        (nonprintable_bits(word) | match_bits(word, b'"') | match_bits(word, b'\\')) & HIGH_BITS == 0
    })
}

/// Reports whether `bytes` is ASCII and contains none of three bytes.
pub(super) fn contains_none(bytes: &[u8], [a, b, c]: [u8; 3]) -> bool {
    all_words(bytes, |word| (match_bits(word, a) | match_bits(word, b) | match_bits(word, c)) & HIGH_BITS == 0)
}

/// The value 1 in each byte.
const ONES: u64 = u64::MAX / 0xff;
const HIGH_BITS: u64 = ONES * 0x80;

/// Returns a word with a high bit set if any of its eight bytes is not printable: the byte's own high bit, or the one
/// that results from adding 1 (0x7f) or from subtracting 0x20 (control characters).
const fn nonprintable_bits(word: u64) -> u64 {
    word | word.wrapping_add(ONES) | word.wrapping_sub(ONES * 0x20)
}

/// Returns a word with a high bit set if any of its eight bytes is `byte` or not ASCII: an equal byte becomes 0 by XOR
/// and gets its high bit by subtracting 1.
const fn match_bits(word: u64, byte: u8) -> u64 {
    (word ^ (ONES * byte as u64)).wrapping_sub(ONES) | word
}

/// Reports whether `holds` is true for all bytes, tested eight at a time. Shorter input is padded with `~`.
#[inline]
fn all_words(bytes: &[u8], holds: impl Fn(u64) -> bool) -> bool {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let all = chunks.iter().all(|chunk| holds(u64::from_ne_bytes(*chunk)));
    match bytes.last_chunk() {
        // Tests the rest together with some bytes that were tested already.
        Some(last) => all && holds(u64::from_ne_bytes(*last)),
        None => {
            let mut padded = [b'~'; 8];
            padded.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
            holds(u64::from_ne_bytes(padded))
        }
    }
}

/// Appends `text` as the content of a JSON string.
fn push_escaped(text: &str, out: &mut Vec<u8>) {
    // Nearly every text is plain, and testing eight bytes at once is far cheaper than finding the first special one.
    if is_plain(text.as_bytes()) {
        return out.extend_from_slice(text.as_bytes());
    }
    let mut rest = text;
    while let Some(at) = rest.find(|c| escaped_len(c) > 1) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut characters = special.chars();
        if let Some(character) = characters.next() {
            push_escape(character, out);
        }
        rest = characters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Appends the escape sequence of a character.
#[cold]
fn push_escape(character: char, out: &mut Vec<u8>) {
    if let Some(short) = short_escape(character) {
        return out.extend_from_slice(&[b'\\', short]);
    }
    // Characters outside the Basic Multilingual Plane are a surrogate pair.
    for unit in character.encode_utf16(&mut [0; 2]) {
        write!(out, "\\u{unit:04x}").expect("a Vec takes every byte");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn word_tests_equal_byte_tests() {
        let excluded = [b' ', b',', b';'];
        for byte in 0..=u8::MAX {
            let printable = (b' '..=b'~').contains(&byte);
            for len in 1..20 {
                for at in 0..len {
                    for other in [b'~', b'a'] {
                        let mut bytes = vec![other; len];
                        bytes[at] = byte;
                        assert_eq!(is_printable(&bytes), printable, "{byte} at {at} of {len}");
                        assert_eq!(is_plain(&bytes), printable && !b"\"\\".contains(&byte), "{byte} at {at} of {len}");
                        let none = byte.is_ascii() && !excluded.contains(&byte);
                        assert_eq!(contains_none(&bytes, excluded), none, "{byte} at {at} of {len}");
                    }
                }
            }
        }
        assert!(is_printable(b"") && is_plain(b"") && contains_none(b"", excluded));
    }

    /// Asserts that the output equals serde_json's if that is printable ASCII, and otherwise parses to the same value.
    fn assert_equals_serde_json(value: &Value) {
        let mut out = Vec::new();
        append(value, &mut out);
        assert!(out.iter().all(|byte| matches!(byte, b' '..=b'~')), "{value}");
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), *value);
        let expected = value.to_string();
        if is_printable(expected.as_bytes()) {
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[ -~]{0,20}", "[a-z]{0,12}", any::<String>()];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_value_equals_serde_json(value in any_value()) {
            assert_equals_serde_json(&value);
        }
    }

    #[test]
    fn unsupported_types_are_refused() {
        let mut out = Vec::new();
        let numbered = BTreeMap::from([(1, "one")]);
        assert!(numbered.serialize(serializer::Json(&mut out)).is_err());
    }

    #[test]
    fn every_character_is_written_in_ascii_and_parses_back() {
        for character in (0..=0x2ffff).step_by(3).chain(0..0x300).filter_map(char::from_u32) {
            let mut out = Vec::new();
            append(&character, &mut out);
            assert!(out.iter().all(|byte| matches!(byte, b' '..=b'~')), "{character:?}");
            assert_eq!(out.len(), 2 + escaped_len(character), "{character:?}");
            assert_eq!(serde_json::from_slice::<char>(&out).unwrap(), character);
        }
    }
}
