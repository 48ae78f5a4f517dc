//! Decodes the beginning of a response body: undoes `Content-Encoding` as far as the available bytes reach, up to a
//! fixed length. Does not remove chunked framing; see [`crate::http`].

use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};

use crate::http::BODY_BEGINNING;

/// Content coding of a body (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentCoding {
    /// Not coded.
    #[default]
    Plain,
    /// gzip (RFC 1952).
    Gzip,
    /// `deflate`: zlib (RFC 1950), or raw deflate (RFC 1951), which some servers send and all browsers accept.
    Deflate,
}

impl ContentCoding {
    /// Returns the coding that a `Content-Encoding` value names, or `None` if it is not supported: other codings (`br`,
    /// `zstd`), and more than one.
    #[must_use]
    pub fn from_header(value: Option<&[u8]>) -> Option<Self> {
        let items = value.unwrap_or_default().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let mut codings = items.filter(|item| !item.is_empty() && !item.eq_ignore_ascii_case(b"identity"));
        let Some(name) = codings.next() else { return Some(Self::Plain) };
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match codings.next() {
            None if is(b"gzip") || is(b"x-gzip") => Some(Self::Gzip),
            None if is(b"deflate") => Some(Self::Deflate),
            _ => None,
        }
    }

    /// Calls `visit` with the decoded beginning of `body`: at most [`BODY_BEGINNING`] bytes, as many as `body` yields.
    /// For a body that is not coded as declared, these are the bytes decoded before the error.
    pub fn with_decoded<T>(self, body: &[u8], visit: impl FnOnce(&[u8]) -> T) -> T {
        let mut buffer = [0; BODY_BEGINNING];
        match self {
            Self::Plain => visit(body.get(..BODY_BEGINNING).unwrap_or(body)),
            Self::Gzip => visit(fill(GzDecoder::new(body), &mut buffer)),
            Self::Deflate if is_zlib(body) => visit(fill(ZlibDecoder::new(body), &mut buffer)),
            Self::Deflate => visit(fill(DeflateDecoder::new(body), &mut buffer)),
        }
    }
}

/// Reports whether a body begins with a zlib header: the method deflate, and a valid check value (RFC 1950 section
/// 2.2). Raw deflate could only look the same with a stored block whose padding is not zero.
fn is_zlib(body: &[u8]) -> bool {
    matches!(*body, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([method, flags]) % 31 == 0)
}

/// Fills `buffer` up to the first error and returns the filled part. A body that ends early is an error too.
fn fill(mut decoder: impl Read, buffer: &mut [u8]) -> &[u8] {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match decoder.read(rest) {
            Ok(0) | Err(_) => break,
            Ok(read) => filled += read,
        }
    }
    buffer.get(..filled).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    /// Encodes `text`: 0 is gzip, 1 zlib, anything else raw deflate.
    fn encode(format: u8, level: u32, text: &[u8]) -> Vec<u8> {
        let level = Compression::new(level);
        match format {
            0 => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            1 => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            _ => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn coding(format: u8) -> ContentCoding {
        if format == 0 { ContentCoding::Gzip } else { ContentCoding::Deflate }
    }

    #[test]
    fn header_values_name_supported_codings() {
        for (value, expected) in [
            (None, Some(ContentCoding::Plain)),
            (Some(""), Some(ContentCoding::Plain)),
            (Some("identity"), Some(ContentCoding::Plain)),
            (Some("GZip"), Some(ContentCoding::Gzip)),
            (Some("x-gzip , identity"), Some(ContentCoding::Gzip)),
            (Some(" deflate"), Some(ContentCoding::Deflate)),
            (Some("br"), None),
            (Some("zstd"), None),
            (Some("gzip, gzip"), None),
            (Some("gzip;q=1"), None),
        ] {
            assert_eq!(ContentCoding::from_header(value.map(str::as_bytes)), expected, "{value:?}");
        }
    }

    #[test]
    fn decompression_bomb_is_cut_at_the_limit() {
        let bomb = encode(0, 9, &vec![b'x'; 100 << 20]);
        ContentCoding::Gzip.with_decoded(&bomb, |text| assert_eq!(text, [b'x'; BODY_BEGINNING]));
        ContentCoding::Gzip.with_decoded(&bomb[..100], |text| assert_eq!(text, [b'x'; BODY_BEGINNING]));
    }

    #[test]
    fn wrongly_declared_coding_yields_almost_nothing() {
        for coding in [ContentCoding::Gzip, ContentCoding::Deflate] {
            for body in [&b""[..], b"TWILIO_AUTH_TOKEN=x", b"\x1f\x8b", b"x\x9c", &[0xff; 2000]] {
                coding.with_decoded(body, |text| assert!(text.len() < 100, "{coding:?} {text:?}"));
            }
        }
    }

    proptest! {
        #[test]
        fn encoded_text_is_decoded(
            text in prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..3000),
            format in 0_u8..3,
            level in 0_u32..10,
            cut in 0_usize..4000,
        ) {
            let body = encode(format, level, &text);
            coding(format).with_decoded(&body, |got| assert_eq!(got, &text[..text.len().min(BODY_BEGINNING)]));
            // A part of the body yields a part of the text, and a longer part no less.
            let part = &body[..cut.min(body.len())];
            let some = coding(format).with_decoded(part, |got| {
                assert!(text.starts_with(got) && got.len() <= BODY_BEGINNING);
                got.len()
            });
            assert!(coding(format).with_decoded(&part[..part.len() / 2], <[u8]>::len) <= some);
            ContentCoding::Plain.with_decoded(&text, |got| assert_eq!(got, &text[..text.len().min(BODY_BEGINNING)]));
        }
    }
}
