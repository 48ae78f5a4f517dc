//! Does one round of percent-decoding: `%HH` and `%uHHHH`, everything else literal. Does not normalise paths; see
//! [`super::path`](mod@super::path).

/// Escapes decoded in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    /// A `%HH` other than `%25`.
    pub percent: bool,
    /// A `%25`.
    pub percent_sign: bool,
    /// A `%uHHHH`, or `%HH` bytes that were an overlong or full-width form of ASCII.
    pub unicode: bool,
}

impl Decoded {
    /// Reports whether anything was decoded.
    pub(super) const fn any(self) -> bool {
        self.percent || self.percent_sign || self.unicode
    }
}

/// Decodes `source` once into `out` (cleared first). `out` never becomes longer than `source`.
pub(super) fn decode(source: &[u8], out: &mut Vec<u8>) -> Decoded {
    out.clear();
    let mut decoded = Decoded::default();
    let mut rest = source;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        let (literal, escape) = rest.split_at(percent);
        out.extend_from_slice(literal);
        rest = match take_escape(escape) {
            Some((Escape::Byte(byte), after)) => {
                push_byte(byte, out, &mut decoded);
                after
            }
            Some((Escape::Character(character), after)) => {
                push_char(character, out);
                decoded.unicode = true;
                after
            }
            None => {
                out.push(b'%');
                escape.get(1..).unwrap_or_default()
            }
        };
    }
    out.extend_from_slice(rest);
    decoded
}

/// Value of an escape.
enum Escape {
    Byte(u8),
    Character(char),
}

/// Returns the escape at the beginning of `bytes`, which begin with `%`, and the bytes after it.
fn take_escape(bytes: &[u8]) -> Option<(Escape, &[u8])> {
    match *bytes {
        [_, b'u' | b'U', a, b, c, d, ref after @ ..] => {
            Some((Escape::Character(char::from_u32(hex(&[a, b, c, d])?)?), after))
        }
        // Two digits are at most 255.
        [_, high, low, ref after @ ..] => Some((Escape::Byte(hex(&[high, low])? as u8), after)),
        _ => None,
    }
}

/// Parses hexadecimal digits; `None` if any byte is not one.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

/// Appends a decoded byte; folds an overlong or full-width sequence that it completes.
fn push_byte(byte: u8, out: &mut Vec<u8>, decoded: &mut Decoded) {
    match byte {
        b'%' => decoded.percent_sign = true,
        _ => decoded.percent = true,
    }
    let low = u32::from(byte & 0x3f);
    let folded = match *out.as_slice() {
        _ if byte & 0xc0 != 0x80 => None,
        // Overlong two-byte and three-byte forms of ASCII, which RFC 3629 section 3 forbids and some decoders accept.
        [.., lead @ (0xc0 | 0xc1)] => Some((1, u32::from(lead & 1) << 6 | low)),
        [.., 0xe0, middle @ (0x80 | 0x81)] => Some((2, u32::from(middle & 1) << 6 | low)),
        [.., 0xef, middle @ (0xbc | 0xbd)] => {
            fullwidth_to_ascii(0xf000 | u32::from(middle & 0x3f) << 6 | low).map(|ascii| (2, u32::from(ascii)))
        }
        _ => None,
    };
    match folded {
        Some((replaced, ascii)) => {
            out.truncate(out.len().saturating_sub(replaced));
            out.push(ascii as u8);
            decoded.unicode = true;
        }
        None => out.push(byte),
    }
}

/// Appends a decoded character; full-width ASCII becomes ASCII.
fn push_char(character: char, out: &mut Vec<u8>) {
    match fullwidth_to_ascii(u32::from(character)) {
        Some(ascii) => out.push(ascii),
        None => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Returns the ASCII character of a full-width one (U+FF01–U+FF5E).
fn fullwidth_to_ascii(code: u32) -> Option<u8> {
    // The range maps to 0x21..=0x7e.
    (0xff01..=0xff5e).contains(&code).then(|| (code - 0xfee0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(source: &str) -> (String, Decoded) {
        let mut out = Vec::new();
        let decoded = decode(source.as_bytes(), &mut out);
        (String::from_utf8_lossy(&out).into_owned(), decoded)
    }

    #[test]
    fn invalid_escapes_are_kept() {
        for literal in ["", "%", "%%", "%z", "%4", "%zz", "%%target%%", "%u12", "%ud800", "%u12g4", "a%"] {
            let (out, decoded) = once(literal);
            assert_eq!((out.as_str(), decoded.any()), (literal, false), "{literal}");
        }
    }

    #[test]
    fn valid_escapes_are_decoded() {
        for (source, expected) in [
            ("%41", "A"),
            ("%%41", "%A"),
            ("%2541", "%41"),
            ("%u0073ms", "sms"),
            ("%U0073ms", "sms"),
            ("%uff53ms", "sms"),
            ("%ef%bd%93ms", "sms"),
            ("%c0%afx", "/x"),
            ("%e0%80%afx", "/x"),
            ("%u00e9", "é"),
            ("%c3%a9", "é"),
            ("%", "%"),
        ] {
            assert_eq!(once(source).0, expected, "{source}");
        }
    }
}
