//! Converts strings from packets to output text: decodes them as Suricata and Zeek do, and truncates them to a cap in
//! serialised bytes. JSON's own escaping is applied on top: see [`super::json`].

use std::fmt::{self, Display, Write};

use serde::{Serialize, Serializer};

use super::json::{contains_none, escaped_len, is_printable};

/// Maximum serialised bytes per source byte, in any of the forms below: a control character becomes `\u0001`.
const EXPANSION: usize = 6;

/// A string of a record, with the form in which it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text<'a> {
    /// Text, unchanged.
    Plain(&'a str),
    /// Text in the form that Suricata's `metadata` keyword allows: `_` for blanks, commas and semicolons.
    Word(&'a str),
    /// Bytes that are not UTF-8, in Suricata's form: each byte from 0x80 is the four characters `\xhh`.
    Bytes(&'a [u8]),
    /// Bytes in the form of Zeek's JSON writer: each control or non-UTF-8 byte is the four characters `\xhh`.
    Zeek(&'a [u8]),
}

impl<'a> Text<'a> {
    /// Converts captured bytes as Suricata does: text if all of it is valid UTF-8, else bytes.
    pub(super) fn from_wire(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or(Self::Bytes(bytes), Self::Plain)
    }

    /// Returns the longest prefix that takes at most `cap` bytes in a JSON string, and whether it is shorter than the
    /// whole. Characters and escapes are not split.
    pub(super) fn truncate(self, cap: usize) -> (Self, bool) {
        if self.source_len().saturating_mul(EXPANSION) <= cap {
            return (self, false);
        }
        let (end, _) = self.measure(cap);
        (self.prefix(end), end < self.source_len())
    }

    /// Returns the number of bytes that it takes in a JSON string.
    pub(super) fn serialised_len(self) -> usize {
        self.measure(usize::MAX).1
    }

    /// Returns source and serialised length of the longest prefix within `cap`.
    fn measure(self, cap: usize) -> (usize, usize) {
        if let Some(text) = self.verbatim()
            && text.len() <= cap
            && memchr::memchr2(b'"', b'\\', text.as_bytes()).is_none()
        {
            return (text.len(), text.len());
        }
        match self {
            Self::Plain(text) => prefix_len(text.chars().map(|c| (c.len_utf8(), escaped_len(c))), cap),
            Self::Word(text) => prefix_len(text.chars().map(|c| (c.len_utf8(), escaped_len(metadata_char(c)))), cap),
            Self::Bytes(bytes) => prefix_len(bytes.iter().map(|&byte| (1, byte_len(byte))), cap),
            Self::Zeek(bytes) => prefix_len(zeek_units(bytes), cap),
        }
    }

    /// Returns the text itself if its form changes nothing, which is nearly always the case.
    fn verbatim(self) -> Option<&'a str> {
        let text = match self {
            Self::Word(text) if !contains_none(text.as_bytes(), [b' ', b',', b';']) => return None,
            Self::Plain(text) | Self::Word(text) => text,
            Self::Bytes(bytes) | Self::Zeek(bytes) => std::str::from_utf8(bytes).ok()?,
        };
        is_printable(text.as_bytes()).then_some(text)
    }

    /// Returns the source bytes.
    pub(super) const fn source(self) -> &'a [u8] {
        match self {
            Self::Plain(text) | Self::Word(text) => text.as_bytes(),
            Self::Bytes(bytes) | Self::Zeek(bytes) => bytes,
        }
    }

    const fn source_len(self) -> usize {
        self.source().len()
    }

    fn prefix(self, end: usize) -> Self {
        match self {
            Self::Plain(text) => Self::Plain(text.get(..end).unwrap_or(text)),
            Self::Word(text) => Self::Word(text.get(..end).unwrap_or(text)),
            Self::Bytes(bytes) => Self::Bytes(bytes.get(..end).unwrap_or(bytes)),
            Self::Zeek(bytes) => Self::Zeek(bytes.get(..end).unwrap_or(bytes)),
        }
    }
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Plain(text) => f.write_str(text),
            Self::Word(text) => {
                // Written in runs: each call of the serialiser costs more than a character.
                let mut runs = text.split(|c| metadata_char(c) != c);
                f.write_str(runs.next().unwrap_or_default())?;
                runs.try_for_each(|run| {
                    f.write_char('_')?;
                    f.write_str(run)
                })
            }
            Self::Bytes(bytes) => write_bytes(f, bytes),
            Self::Zeek(bytes) => {
                for chunk in bytes.utf8_chunks() {
                    write_escaping(f, chunk.valid())?;
                    chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
                }
                Ok(())
            }
        }
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.verbatim() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_str(self),
        }
    }
}

/// Replaces what Suricata's `metadata` keyword does not allow.
const fn metadata_char(character: char) -> char {
    match character {
        ',' | ';' => '_',
        c if c.is_whitespace() => '_',
        c => c,
    }
}

fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for run in bytes.chunk_by(|a, b| a.is_ascii() == b.is_ascii()) {
        match std::str::from_utf8(run) {
            Ok(text) if text.is_ascii() => f.write_str(text)?,
            _ => run.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?,
        }
    }
    Ok(())
}

fn write_escaping(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_control()) {
        let (plain, special) = rest.split_at(at);
        let control = special.as_bytes().first().copied().unwrap_or_default();
        write!(f, "{plain}\\x{control:02x}")?;
        rest = special.get(1..).unwrap_or_default();
    }
    f.write_str(rest)
}

/// Bytes of `\\xhh` in a JSON string, which doubles the backslash.
const HEX_LEN: usize = 5;

const fn byte_len(byte: u8) -> usize {
    if byte.is_ascii() { escaped_len(byte as char) } else { HEX_LEN }
}

fn zeek_units(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let len = |c: char| if c.is_ascii_control() { HEX_LEN } else { escaped_len(c) };
        let valid = chunk.valid().chars().map(move |c| (c.len_utf8(), len(c)));
        valid.chain(chunk.invalid().iter().map(|_| (1, HEX_LEN)))
    })
}

/// Returns source and serialised length of the longest prefix within `cap`. Each unit is given by its source and
/// serialised length.
pub(super) fn prefix_len(units: impl Iterator<Item = (usize, usize)>, cap: usize) -> (usize, usize) {
    let (mut end, mut used) = (0, 0);
    for (source, serialised) in units {
        if used + serialised > cap {
            break;
        }
        end += source;
        used += serialised;
    }
    (end, used)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::json;

    fn serialised(text: Text<'_>) -> String {
        let mut out = Vec::new();
        json::append(&text, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn for_each_form(bytes: &[u8], check: impl Fn(Text<'_>)) {
        check(Text::from_wire(bytes));
        check(Text::Bytes(bytes));
        check(Text::Zeek(bytes));
        if let Ok(text) = std::str::from_utf8(bytes) {
            check(Text::Word(text));
        }
    }

    #[test]
    fn bytes_have_the_forms_of_suricata_and_zeek() {
        let url = Text::from_wire(b"/sms/api/\xff\xfe?x=1");
        assert_eq!(serialised(url), r#""/sms/api/\\xff\\xfe?x=1""#);
        assert_eq!(serialised(Text::from_wire("é\u{202e}😀\x1b".as_bytes())), r#""\u00e9\u202e\ud83d\ude00\u001b""#);
        assert_eq!(serialised(Text::from_wire(b"\xc3\xa9\xff")), r#""\\xc3\\xa9\\xff""#);
        assert_eq!(serialised(Text::Zeek(b"\xc3\xa9\xff\n\x7f")), r#""\u00e9\\xff\\x0a\\x7f""#);
        assert_eq!(serialised(Text::Word("WP SMS, 2;3")), r#""WP_SMS__2_3""#);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn truncated_string_is_the_longest_prefix_within_the_cap(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..80),
                any::<String>().prop_map(String::into_bytes),
            ],
            cap in 0_usize..120,
        ) {
            for_each_form(&bytes, |text| {
                let (truncated, shorter) = text.truncate(cap);
                let (all, kept) = (serialised(text), serialised(truncated));
                assert!(kept.len() - 2 <= cap);
                assert!(all.starts_with(&kept[..kept.len() - 1]));
                assert_eq!(shorter, kept != all);
                // One more character does not fit: the longest has 12 bytes.
                assert!(!shorter || kept.len() - 2 + 12 > cap);
            });
        }
    }
}
