//! Skips message bodies to find what follows them. Stores nothing; the content can be inspected as it passes.

use memchr::memchr;

use super::Counters;
use super::fields::{ContentLength, Fields, TransferCoding};

/// Framing of a body, with the parsing position in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many more bytes.
    Length(u64),
    /// Chunked transfer coding (RFC 9112 section 7.1).
    Chunked(Chunk),
    /// Everything until the connection closes.
    UntilClose,
}

/// Position in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the chunk-size line.
    Size { size: u64, digits: u8, blank: bool, extension: bool },
    /// So many more bytes of chunk data.
    Data(u64),
    /// At the line end after chunk data.
    DataEnd,
    /// In the trailer section; `line` is not 0 within a line that is not blank (carriage returns do not count).
    Trailer { line: u32 },
}

/// Result of skipping bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyProgress {
    /// All bytes belong to the body, and it continues.
    All,
    /// The body ended after so many bytes.
    Ended(usize),
    /// After so many bytes the framing is invalid; the flag is whether a line begins there.
    Broken(usize, bool),
}

impl Chunk {
    const START: Self = Self::Size { size: 0, digits: 0, blank: false, extension: false };
}

impl Body {
    /// Returns the body framing of a request with these fields (RFC 9112 section 6.3).
    pub(super) fn of_request(fields: &Fields<'_>, counters: &mut Counters) -> Self {
        Self::by_fields(fields, counters).unwrap_or(Self::Length(0))
    }

    /// Reports whether servers disagree about where the body of a request with these fields ends.
    pub(super) fn is_disputed(fields: &Fields<'_>) -> bool {
        match (fields.coding, fields.length) {
            (None, ContentLength::Absent | ContentLength::Valid(_))
            | (Some(TransferCoding::Chunked), ContentLength::Absent) => false,
            (None, ContentLength::Invalid | ContentLength::Conflicting(_)) | (Some(_), _) => true,
        }
    }

    /// Returns the body framing of a response that may have a body.
    pub(super) fn of_response(fields: &Fields<'_>, counters: &mut Counters) -> Self {
        match (fields.coding, fields.length) {
            (Some(TransferCoding::Other), _) => Self::UntilClose,
            _ => Self::by_fields(fields, counters).unwrap_or(Self::UntilClose),
        }
    }

    fn by_fields(fields: &Fields<'_>, counters: &mut Counters) -> Option<Self> {
        if fields.coding.is_some() && fields.length != ContentLength::Absent {
            counters.framing_conflicts += 1;
        }
        if fields.coding == Some(TransferCoding::Chunked) {
            return Some(Self::Chunked(Chunk::START));
        }
        if fields.coding == Some(TransferCoding::Other) {
            counters.framing_errors += 1;
        }
        match fields.length {
            ContentLength::Absent => None,
            ContentLength::Valid(length) => Some(Self::Length(length)),
            ContentLength::Conflicting(first) => {
                counters.framing_conflicts += 1;
                Some(Self::Length(first))
            }
            ContentLength::Invalid => {
                counters.framing_errors += 1;
                Some(Self::Length(0))
            }
        }
    }

    /// Reports whether the body is empty.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::Length(0)
    }

    /// Skips bytes; adds the number of content bytes to `body_len`.
    pub(super) fn skip(&mut self, bytes: &[u8], body_len: &mut u64) -> BodyProgress {
        self.skip_with(bytes, body_len, |_| ())
    }

    /// Skips bytes; passes content bytes to `content` and adds their number to `body_len`.
    pub(super) fn skip_with(
        &mut self,
        bytes: &[u8],
        body_len: &mut u64,
        mut content: impl FnMut(&[u8]),
    ) -> BodyProgress {
        match self {
            Self::UntilClose => {
                *body_len += bytes.len() as u64;
                content(bytes);
                BodyProgress::All
            }
            Self::Length(rest) => {
                let take = (*rest).min(bytes.len() as u64);
                *rest -= take;
                *body_len += take;
                content(&bytes[..take as usize]);
                if *rest == 0 { BodyProgress::Ended(take as usize) } else { BodyProgress::All }
            }
            Self::Chunked(chunk) => skip_chunks(chunk, bytes, body_len, content),
        }
    }

    /// Skips a gap. Returns `false` if it is no longer known what follows.
    pub(super) fn skip_gap(&mut self, len: u64, body_len: &mut u64) -> bool {
        match self {
            Self::UntilClose => {
                *body_len += len;
                true
            }
            Self::Length(rest) | Self::Chunked(Chunk::Data(rest)) if *rest >= len => {
                *rest -= len;
                *body_len += len;
                true
            }
            _ => false,
        }
    }
}

fn skip_chunks(chunk: &mut Chunk, bytes: &[u8], body_len: &mut u64, mut content: impl FnMut(&[u8])) -> BodyProgress {
    let mut at = 0;
    while at < bytes.len() {
        match chunk {
            Chunk::Data(rest) => {
                let take = (*rest).min((bytes.len() - at) as u64);
                *rest -= take;
                *body_len += take;
                content(&bytes[at..at + take as usize]);
                at += take as usize;
                if *rest == 0 {
                    *chunk = Chunk::DataEnd;
                }
            }
            Chunk::DataEnd => match bytes[at] {
                b'\r' => at += 1,
                b'\n' => {
                    at += 1;
                    *chunk = Chunk::START;
                }
                _ => return BodyProgress::Broken(at, true),
            },
            Chunk::Size { size, digits, blank, extension } => {
                let byte = bytes[at];
                at += 1;
                match (byte, char::from(byte).to_digit(16)) {
                    (b'\n', _) if *digits == 0 => return BodyProgress::Broken(at, true),
                    (b'\n', _) => *chunk = if *size == 0 { Chunk::Trailer { line: 0 } } else { Chunk::Data(*size) },
                    (_, _) if *extension => {
                        at += memchr(b'\n', &bytes[at..]).unwrap_or(bytes.len() - at);
                    }
                    (_, Some(digit)) => {
                        // Saturates: 2^64 must not become 0.
                        let wide = u128::from(*size) * 16 + u128::from(digit);
                        *size = u64::try_from(wide).unwrap_or(u64::MAX);
                        *digits = digits.saturating_add(1);
                    }
                    (b';' | b' ' | b'\t' | b'\r', _) if *digits > 0 => *extension = true,
                    (b' ' | b'\t', _) => *blank = true,
                    // A request may begin where a chunk size is expected: its line begins before the first digit.
                    _ => return BodyProgress::Broken(at - 1, *digits == 0 && !*blank),
                }
            }
            Chunk::Trailer { line } => {
                let end = memchr(b'\n', &bytes[at..]).map(|end| at + end);
                let part = &bytes[at..end.unwrap_or(bytes.len())];
                let text = part.iter().filter(|&&byte| byte != b'\r').take(1).count() as u32;
                *line |= text;
                let Some(end) = end else { return BodyProgress::All };
                at = end + 1;
                if *line == 0 {
                    return BodyProgress::Ended(at);
                }
                *line = 0;
            }
        }
    }
    BodyProgress::All
}
