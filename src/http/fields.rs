//! Extracts the relevant header fields line by line and skips malformed lines. Does not derive the body framing; see
//! [`super::body`].

use memchr::memchr;

use super::head::is_blank_line;
use super::line::trim;

/// First values of the relevant fields, and everything that determines the body framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) user_agent: Option<&'a [u8]>,
    pub(super) referrer: Option<&'a [u8]>,
    pub(super) forwarded_for: Option<&'a [u8]>,
    pub(super) content_type: Option<&'a [u8]>,
    pub(super) location: Option<&'a [u8]>,
    pub(super) content_encoding: Option<&'a [u8]>,
    /// Combined value of the Content-Length fields.
    pub(super) length: ContentLength,
    /// Last transfer coding over all Transfer-Encoding fields, if there are any.
    pub(super) coding: Option<TransferCoding>,
    /// Whether the client waits for a 100 response before it sends the body (RFC 9110 section 10.1.1).
    pub(super) expects: bool,
    /// Lines without a name or a colon.
    pub(super) bad_lines: u64,
}

/// Combined value of the Content-Length fields (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ContentLength {
    #[default]
    Absent,
    /// All agree. A number beyond 64 bits becomes the largest one, never 0.
    Valid(u64),
    /// Not a number.
    Invalid,
    /// Different numbers; holds the first one.
    Conflicting(u64),
}

/// The last transfer coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransferCoding {
    Chunked,
    Other,
}

impl<'a> Fields<'a> {
    /// Adds one field.
    pub(super) fn take(&mut self, name: &[u8], value: FieldValue<'a>) {
        match name.len() {
            4 if is_name(name, b"host") => keep_first(&mut self.host, value),
            6 if is_name(name, b"expect") => self.expects = true,
            7 if is_name(name, b"referer") => keep_first(&mut self.referrer, value),
            8 if is_name(name, b"location") => keep_first(&mut self.location, value),
            10 if is_name(name, b"user-agent") => keep_first(&mut self.user_agent, value),
            12 if is_name(name, b"content-type") => keep_first(&mut self.content_type, value),
            14 if is_name(name, b"content-length") => self.length = self.length.merge(value.bytes),
            15 if is_name(name, b"x-forwarded-for") => keep_first(&mut self.forwarded_for, value),
            16 if is_name(name, b"content-encoding") => keep_first(&mut self.content_encoding, value),
            17 if is_name(name, b"transfer-encoding") => self.coding = last_coding(value.bytes).or(self.coding),
            _ => {}
        }
    }

    /// Parses all lines of a head after its first line.
    pub(super) fn of_lines(lines: &'a [u8]) -> Self {
        let mut fields = Self::default();
        let mut rest = lines;
        while !rest.is_empty() {
            let line = Line::first(rest).unwrap_or(Line { end: rest.len(), folded: true });
            fields.take_line(&rest[..line.end], line.folded);
            rest = rest.get(line.end + 1..).unwrap_or_default();
        }
        fields
    }

    /// Parses the lines up to the blank one that ends a head. Returns the fields and the offset after that line; `None`
    /// if there is no blank line.
    pub(super) fn of_head(lines: &'a [u8]) -> Option<(Self, usize)> {
        let mut fields = Self::default();
        let mut at = 0;
        loop {
            let line = Line::first(&lines[at..])?;
            let bytes = &lines[at..at + line.end];
            at += line.end + 1;
            if is_blank_line(bytes) {
                return Some((fields, at));
            }
            fields.take_line(bytes, line.folded);
        }
    }

    fn take_line(&mut self, line: &'a [u8], folded: bool) {
        if trim(line).is_empty() {
            return;
        }
        match memchr(b':', line) {
            Some(colon) if !trim(&line[..colon]).is_empty() => {
                self.take(trim(&line[..colon]), FieldValue { bytes: trim(&line[colon + 1..]), folded });
            }
            _ => self.bad_lines += 1,
        }
    }
}

/// A field value.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldValue<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether it may contain line folds (RFC 9112 section 5.2).
    pub(super) folded: bool,
}

/// A line with its folded continuation lines.
struct Line {
    /// Position of its last line feed.
    end: usize,
    folded: bool,
}

impl Line {
    /// Finds the first line of `bytes`. `None` if its end is missing.
    fn first(bytes: &[u8]) -> Option<Self> {
        let mut end = memchr(b'\n', bytes)?;
        let mut folded = false;
        // A blank line ends a head, whatever follows it.
        while matches!(bytes.get(end + 1), Some(b' ' | b'\t')) && !is_blank_line(&bytes[..end]) {
            end += 1 + memchr(b'\n', &bytes[end + 1..])?;
            folded = true;
        }
        Some(Self { end, folded })
    }
}

/// Compares a name, ignoring ASCII case, with `known`, which is in lower case.
///
/// Compares a word at a time for speed, since a head has a dozen names. The last word may overlap bytes already
/// compared.
#[inline(always)]
fn is_name<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else { return false };
    if N >= 8 {
        (0..N - 7).step_by(8).chain([N - 8]).all(|at| same_word(&name[at..at + 8], &known[at..at + 8]))
    } else {
        [0, N - 4].into_iter().all(|at| same_word(&name[at..at + 4], &known[at..at + 4]))
    }
}

/// Compares at most eight bytes, ignoring ASCII case. Upper-case and lower-case letters differ in one bit, and no other
/// byte equals a letter after that bit is set; all other bytes must be equal.
#[inline(always)]
fn same_word(name: &[u8], known: &[u8]) -> bool {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
    let case = known.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(byte.is_ascii_lowercase()) << 5);
    word(name) | case == word(known)
}

/// Stores the first value; of a folded value its first line that is not blank.
fn keep_first<'a>(slot: &mut Option<&'a [u8]>, value: FieldValue<'a>) {
    if slot.is_none() {
        *slot = match value {
            FieldValue { bytes, folded: true } if bytes.contains(&b'\n') => {
                bytes.split(|&byte| byte == b'\n').map(trim).find(|line| !line.is_empty()).or(Some(b""))
            }
            FieldValue { bytes, .. } => Some(trim(bytes)),
        };
    }
}

impl ContentLength {
    /// Combines the length so far with another field value, which may be a list.
    fn merge(self, value: &[u8]) -> Self {
        value.split(|&byte| byte == b',').map(trim).fold(self, |length, number| match (length, parse(number)) {
            (Self::Absent, Some(number)) => Self::Valid(number),
            (Self::Valid(before), Some(number)) if before == number => length,
            (Self::Valid(before) | Self::Conflicting(before), Some(_)) => Self::Conflicting(before),
            (Self::Conflicting(_), None) => length,
            _ => Self::Invalid,
        })
    }
}

/// Parses decimal digits; saturates.
fn parse(digits: &[u8]) -> Option<u64> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    valid.then(|| {
        digits.iter().fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

/// Returns the last coding of a list; `None` for `identity`, which old software sends and recipients ignore.
fn last_coding(value: &[u8]) -> Option<TransferCoding> {
    let last = value.split(|&byte| byte == b',').map(trim).rfind(|coding| !coding.is_empty())?;
    // Codings may have parameters (RFC 9112 section 7). Chunked has none, but a lenient server compares only the name.
    let name = trim(last.split(|&byte| byte == b';').next().unwrap_or_default());
    match name {
        name if name.eq_ignore_ascii_case(b"chunked") => Some(TransferCoding::Chunked),
        name if name.eq_ignore_ascii_case(b"identity") => None,
        _ => Some(TransferCoding::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::find_end;

    /// Seeded random heads of a few different pieces: blank lines, folds, lines without a name, heads without an end,
    /// and bytes after the head.
    #[test]
    fn one_pass_and_two_pass_parsing_agree() {
        const PIECES: [&[u8]; 9] = [b"\n", b"\r\n", b" ", b"\t", b":", b"host:", b"a", b"Content-Length: 7", b"\r"];
        const FIRST_LINE: &[u8] = b"HTTP/1.1 200 OK\r\n";
        let (mut random, mut complete) = (0x9e37_79b9_7f4a_7c15_u64, 0);
        for _ in 0..50_000 {
            let mut bytes = FIRST_LINE.to_vec();
            for _ in 0..random % 24 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                bytes.extend_from_slice(PIECES[(random >> 33) as usize % PIECES.len()]);
            }
            random = random.wrapping_add(0x9e37_79b9);
            let one_pass = Fields::of_head(&bytes[FIRST_LINE.len()..]);
            let two_pass =
                find_end(&bytes).map(|end| (Fields::of_lines(&bytes[FIRST_LINE.len()..end]), end - FIRST_LINE.len()));
            assert_eq!(one_pass, two_pass, "{:?}", String::from_utf8_lossy(&bytes));
            complete += u32::from(one_pass.is_some());
        }
        assert!((10_000..45_000).contains(&complete), "{complete}");
    }

    /// Every byte value at every position of every name, compared with the bytewise comparison.
    #[test]
    fn name_comparison_equals_bytewise_comparison() {
        fn check<const N: usize>(known: &[u8; N]) {
            for at in 0..N {
                for byte in 0..=u8::MAX {
                    let mut name = known.to_ascii_uppercase();
                    name[at] = byte;
                    assert_eq!(is_name(&name, known), name.eq_ignore_ascii_case(known), "{name:?}");
                }
            }
            assert!(!is_name(&known[1..], known) && is_name(known, known));
        }
        check(b"host");
        check(b"expect");
        check(b"referer");
        check(b"location");
        check(b"user-agent");
        check(b"content-type");
        check(b"content-length");
        check(b"x-forwarded-for");
        check(b"content-encoding");
        check(b"transfer-encoding");
    }
}
