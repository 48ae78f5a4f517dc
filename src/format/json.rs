//! JSON in pure ASCII: whatever stands in a string, no byte outside 0x20 to 0x7e is written, so that no terminal is
//! ever steered by what a stranger sent. Not the choice of what is written.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Appends `value` as JSON without blanks.
pub(super) fn append<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    value
        .serialize(&mut Serializer::with_formatter(out, Ascii))
        .expect("a Vec takes every byte, and no map here has keys that are not strings");
}

/// Length of `character` inside a JSON string, in bytes.
pub(super) const fn escaped_len(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        ' '..='~' => 1,
        '\0'..='\u{ffff}' => 6,
        _ => 12,
    }
}

/// Whether all bytes are printable ASCII, the blank among them.
pub(super) fn is_printable(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let all = chunks.iter().all(|chunk| are_printable(*chunk));
    match bytes.last_chunk() {
        // Those of the rest, and some once more.
        Some(last) => all && are_printable(*last),
        None => rest.iter().all(|byte| matches!(byte, b' '..=b'~')),
    }
}

/// The same of eight bytes at once: none has its high bit, nor gets it by adding one (0x7f), nor by taking 0x20 away.
const fn are_printable(bytes: [u8; 8]) -> bool {
    const EACH: u64 = u64::MAX / 0xff;
    let bytes = u64::from_ne_bytes(bytes);
    let odd = bytes | bytes.wrapping_add(EACH) | bytes.wrapping_sub(EACH * 0x20);
    odd & (EACH * 0x80) == 0
}

/// Escapes everything outside printable ASCII; serde_json itself escapes quotes, backslashes and C0 controls.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly every fragment is plain, and to ask eight bytes at once is far cheaper than to look for the first odd one.
        if is_printable(fragment.as_bytes()) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !matches!(c, ' '..='~')) {
            let (plain, special) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut characters = special.chars();
            if let Some(character) = characters.next() {
                // Characters beyond the basic plane are a surrogate pair (RFC 8259 section 7).
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_is_what_every_byte_says() {
        for byte in 0..=u8::MAX {
            for len in 1..20 {
                for at in 0..len {
                    let mut bytes = vec![b'~'; len];
                    bytes[at] = byte;
                    assert_eq!(is_printable(&bytes), (b' '..=b'~').contains(&byte), "{byte} at {at} of {len}");
                }
            }
        }
        assert!(is_printable(b""));
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
