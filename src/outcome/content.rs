//! The beginning of a body as the server meant it: what `Content-Encoding` did is undone, as far as the bytes at hand go
//! and never beyond a fixed length. Not the framing of chunks, which the http room removes.

use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};

use crate::http::BODY_BEGINNING;

/// How the content of a body is coded (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    #[default]
    Plain,
    /// gzip (RFC 1952).
    Gzip,
    /// `deflate`: zlib (RFC 1950), or bare deflate (RFC 1951), which some servers send and all browsers take.
    Deflate,
}

impl Coding {
    /// The coding that a `Content-Encoding` value names; none for what is not decoded here: other codings (`br`,
    /// `zstd`), and more than one.
    #[must_use]
    pub fn of(value: Option<&[u8]>) -> Option<Self> {
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

    /// Calls `look` with the decoded beginning of `body`: at most [`BODY_BEGINNING`] bytes, as many as the given ones
    /// tell. What is not coded as was said is taken as it is up to where that shows.
    pub fn decoded<T>(self, body: &[u8], look: impl FnOnce(&[u8]) -> T) -> T {
        let mut room = [0; BODY_BEGINNING];
        match self {
            Self::Plain => look(body.get(..BODY_BEGINNING).unwrap_or(body)),
            Self::Gzip => look(fill(GzDecoder::new(body), &mut room)),
            Self::Deflate if is_zlib(body) => look(fill(ZlibDecoder::new(body), &mut room)),
            Self::Deflate => look(fill(DeflateDecoder::new(body), &mut room)),
        }
    }
}

/// Whether a body begins as zlib does: the method deflate, and a check sum (RFC 1950 section 2.2). Bare deflate would
/// have to begin with a stored block whose padding is not zero.
fn is_zlib(body: &[u8]) -> bool {
    matches!(*body, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([method, flags]) % 31 == 0)
}

/// As much as there is room for, up to the first error: the end of what is at hand is one too.
fn fill(mut decoder: impl Read, room: &mut [u8]) -> &[u8] {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match decoder.read(rest) {
            Ok(0) | Err(_) => break,
            Ok(read) => filled += read,
        }
    }
    room.get(..filled).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    fn coded(kind: u8, level: u32, text: &[u8]) -> Vec<u8> {
        let level = Compression::new(level);
        let all = |mut encoder: Box<dyn FnMut() -> Vec<u8>>| encoder();
        let text = text.to_vec();
        match kind {
            0 => all(Box::new(move || {
                let mut to = GzEncoder::new(Vec::new(), level);
                to.write_all(&text).unwrap();
                to.finish().unwrap()
            })),
            1 => all(Box::new(move || {
                let mut to = ZlibEncoder::new(Vec::new(), level);
                to.write_all(&text).unwrap();
                to.finish().unwrap()
            })),
            _ => all(Box::new(move || {
                let mut to = DeflateEncoder::new(Vec::new(), level);
                to.write_all(&text).unwrap();
                to.finish().unwrap()
            })),
        }
    }

    fn coding(kind: u8) -> Coding {
        if kind == 0 { Coding::Gzip } else { Coding::Deflate }
    }

    #[test]
    fn codings_by_their_names() {
        for (value, expected) in [
            (None, Some(Coding::Plain)),
            (Some(""), Some(Coding::Plain)),
            (Some("identity"), Some(Coding::Plain)),
            (Some("GZip"), Some(Coding::Gzip)),
            (Some("x-gzip , identity"), Some(Coding::Gzip)),
            (Some(" deflate"), Some(Coding::Deflate)),
            (Some("br"), None),
            (Some("zstd"), None),
            (Some("gzip, gzip"), None),
            (Some("gzip;q=1"), None),
        ] {
            assert_eq!(Coding::of(value.map(str::as_bytes)), expected, "{value:?}");
        }
    }

    #[test]
    fn a_bomb_stays_small() {
        let bomb = coded(0, 9, &vec![b'x'; 100 << 20]);
        Coding::Gzip.decoded(&bomb, |text| assert_eq!(text, [b'x'; BODY_BEGINNING]));
        Coding::Gzip.decoded(&bomb[..100], |text| assert_eq!(text, [b'x'; BODY_BEGINNING]));
    }

    #[test]
    fn what_is_not_coded_as_said_is_nothing() {
        for coding in [Coding::Gzip, Coding::Deflate] {
            for body in [&b""[..], b"TWILIO_AUTH_TOKEN=x", b"\x1f\x8b", b"x\x9c", &[0xff; 2000]] {
                coding.decoded(body, |text| assert!(text.len() < 100, "{coding:?} {text:?}"));
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_coded_is_read_again(
            text in prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..3000),
            kind in 0_u8..3,
            level in 0_u32..10,
            cut in 0_usize..4000,
        ) {
            let body = coded(kind, level, &text);
            coding(kind).decoded(&body, |got| assert_eq!(got, &text[..text.len().min(BODY_BEGINNING)]));
            // Of a part of it, a part; and more of it tells no less.
            let part = &body[..cut.min(body.len())];
            let some = coding(kind).decoded(part, |got| {
                assert!(text.starts_with(got) && got.len() <= BODY_BEGINNING);
                got.len()
            });
            assert!(coding(kind).decoded(&part[..part.len() / 2], <[u8]>::len) <= some);
            Coding::Plain.decoded(&text, |got| assert_eq!(got, &text[..text.len().min(BODY_BEGINNING)]));
        }
    }
}
