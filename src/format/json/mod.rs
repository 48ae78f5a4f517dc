//! JSON in pure ASCII: whatever stands in a string, no byte outside 0x20 to 0x7e is written, so that no terminal is
//! ever steered by what a stranger sent. Not the choice of what is written.

mod serializer;

use std::io::Write;

use serde::Serialize;

/// Appends `value` as JSON without blanks.
pub(super) fn append<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    value.serialize(serializer::Json(out)).expect("records are made of what the serializer knows");
}

/// The largest integer that consumers hold: Elasticsearch's `long` refuses the whole record beyond.
pub(super) fn integer(value: u64) -> u64 {
    value.min(i64::MAX.unsigned_abs())
}

/// What follows the backslash where a character has a short escape (RFC 8259 section 7).
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

/// Length of `character` inside a JSON string, in bytes.
pub(super) const fn escaped_len(character: char) -> usize {
    match character {
        _ if short_escape(character).is_some() => 2,
        ' '..='~' => 1,
        '\0'..='\u{ffff}' => 6,
        _ => 12,
    }
}

/// Whether all bytes are printable ASCII, the blank among them.
pub(super) fn is_printable(bytes: &[u8]) -> bool {
    all_eights(bytes, |eight| odd_bits(eight) & HIGH_BITS == 0)
}

/// Whether a JSON string holds them as they are: printable ASCII, neither quotes nor backslashes.
fn is_plain(bytes: &[u8]) -> bool {
    all_eights(bytes, |eight| (odd_bits(eight) | equal_bits(eight, b'"') | equal_bits(eight, b'\\')) & HIGH_BITS == 0)
}

/// Whether there is none of three bytes. Says no for what is not ASCII, too.
pub(super) fn has_none(bytes: &[u8], [a, b, c]: [u8; 3]) -> bool {
    all_eights(bytes, |eight| (equal_bits(eight, a) | equal_bits(eight, b) | equal_bits(eight, c)) & HIGH_BITS == 0)
}

/// One in each byte.
const EACH: u64 = u64::MAX / 0xff;
const HIGH_BITS: u64 = EACH * 0x80;

/// Has a high bit set if any of eight bytes is not printable: it has its own, or gets it by adding one (0x7f) or by taking
/// 0x20 away.
const fn odd_bits(eight: u64) -> u64 {
    eight | eight.wrapping_add(EACH) | eight.wrapping_sub(EACH * 0x20)
}

/// Has a high bit set if any of eight bytes is `byte`, or not ASCII: what is zero by being equal gets it by taking one away.
const fn equal_bits(eight: u64, byte: u8) -> u64 {
    (eight ^ (EACH * byte as u64)).wrapping_sub(EACH) | eight
}

/// Whether `holds` of all bytes, asked eight at a time; what is short is filled up with `~`.
#[inline]
fn all_eights(bytes: &[u8], holds: impl Fn(u64) -> bool) -> bool {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let all = chunks.iter().all(|chunk| holds(u64::from_ne_bytes(*chunk)));
    match bytes.last_chunk() {
        // Those of the rest, and some once more.
        Some(last) => all && holds(u64::from_ne_bytes(*last)),
        None => {
            let mut few = [b'~'; 8];
            few.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
            holds(u64::from_ne_bytes(few))
        }
    }
}

/// Appends `text` as it stands inside a JSON string.
fn push_escaped(text: &str, out: &mut Vec<u8>) {
    // Nearly every text is plain, and to ask eight bytes at once is far cheaper than to look for the first odd one.
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

/// Appends the escape of a character.
#[cold]
fn push_escape(character: char, out: &mut Vec<u8>) {
    if let Some(short) = short_escape(character) {
        return out.extend_from_slice(&[b'\\', short]);
    }
    // Characters beyond the basic plane are a surrogate pair.
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
    fn what_is_asked_eight_at_a_time_is_what_every_byte_says() {
        let odd = [b' ', b',', b';'];
        for byte in 0..=u8::MAX {
            let printable = (b' '..=b'~').contains(&byte);
            for len in 1..20 {
                for at in 0..len {
                    for other in [b'~', b'a'] {
                        let mut bytes = vec![other; len];
                        bytes[at] = byte;
                        assert_eq!(is_printable(&bytes), printable, "{byte} at {at} of {len}");
                        assert_eq!(is_plain(&bytes), printable && !b"\"\\".contains(&byte), "{byte} at {at} of {len}");
                        let none = byte.is_ascii() && !odd.contains(&byte);
                        assert_eq!(has_none(&bytes, odd), none, "{byte} at {at} of {len}");
                    }
                }
            }
        }
        assert!(is_printable(b"") && is_plain(b"") && has_none(b"", odd));
    }

    /// JSON as serde_json writes it: equal where all is ASCII, and the same value where not.
    fn is_what_serde_json_writes(value: &Value) {
        let mut out = Vec::new();
        append(value, &mut out);
        assert!(out.iter().all(|byte| matches!(byte, b' '..=b'~')), "{value}");
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), *value);
        let theirs = value.to_string();
        if is_printable(theirs.as_bytes()) {
            assert_eq!(String::from_utf8(out).unwrap(), theirs);
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
        fn any_value_is_what_serde_json_writes(value in any_value()) {
            is_what_serde_json_writes(&value);
        }
    }

    #[test]
    fn what_the_serializer_does_not_know_is_refused() {
        let mut out = Vec::new();
        let numbered = BTreeMap::from([(1, "one")]);
        assert!(numbered.serialize(serializer::Json(&mut out)).is_err());
    }

    #[test]
    fn every_character_is_ascii_has_the_stated_length_and_comes_back() {
        for character in (0..=0x2ffff).step_by(3).chain(0..0x300).filter_map(char::from_u32) {
            let mut out = Vec::new();
            append(&character, &mut out);
            assert!(out.iter().all(|byte| matches!(byte, b' '..=b'~')), "{character:?}");
            assert_eq!(out.len(), 2 + escaped_len(character), "{character:?}");
            assert_eq!(serde_json::from_slice::<char>(&out).unwrap(), character);
        }
    }
}
