//! The header fields that matter: found line by line, bad lines passed over. Not what they mean for the body: see
//! [`super::body`].

use memchr::{memchr, memchr_iter};

use super::line::trim;

/// The first values of the fields that matter, and all that decides about the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) user_agent: Option<&'a [u8]>,
    pub(super) referrer: Option<&'a [u8]>,
    pub(super) forwarded_for: Option<&'a [u8]>,
    pub(super) content_type: Option<&'a [u8]>,
    pub(super) location: Option<&'a [u8]>,
    pub(super) content_encoding: Option<&'a [u8]>,
    pub(super) length: Length,
    /// The last transfer coding of all fields, if there is a field.
    pub(super) coding: Option<Coding>,
    /// Whether the client waits for a go-ahead before it sends the body (RFC 9110 section 10.1.1).
    pub(super) expects: bool,
    pub(super) bad_lines: u64,
}

/// What the Content-Length fields say together (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Length {
    #[default]
    Absent,
    /// All agree. A number beyond 64 bits is the largest there is: never zero.
    Valid(u64),
    /// No number.
    Invalid,
    /// Different numbers; the first one.
    Conflicting(u64),
}

/// The last transfer coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Chunked,
    Other,
}

impl<'a> Fields<'a> {
    /// Takes one field. `value` may have line folds in it (RFC 9112 section 5.2).
    pub(super) fn take(&mut self, name: &[u8], value: &'a [u8]) {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"host") => keep(&mut self.host, value),
            6 if is(b"expect") => self.expects = true,
            7 if is(b"referer") => keep(&mut self.referrer, value),
            8 if is(b"location") => keep(&mut self.location, value),
            10 if is(b"user-agent") => keep(&mut self.user_agent, value),
            12 if is(b"content-type") => keep(&mut self.content_type, value),
            14 if is(b"content-length") => self.length = self.length.and(value),
            15 if is(b"x-forwarded-for") => keep(&mut self.forwarded_for, value),
            16 if is(b"content-encoding") => keep(&mut self.content_encoding, value),
            17 if is(b"transfer-encoding") => self.coding = last_coding(value).or(self.coding),
            _ => {}
        }
    }

    /// Takes all lines of a head behind its first line.
    pub(super) fn of_lines(lines: &'a [u8]) -> Self {
        let mut fields = Self::default();
        let mut start = 0;
        let mut ends = memchr_iter(b'\n', lines).chain(std::iter::once(lines.len())).peekable();
        while let Some(mut end) = ends.next() {
            // A line that begins with a blank goes on with the one before.
            while lines.get(end + 1).is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
                let Some(next) = ends.next() else { break };
                end = next;
            }
            fields.take_line(&lines[start..end.min(lines.len())]);
            start = (end + 1).min(lines.len());
        }
        fields
    }

    fn take_line(&mut self, line: &'a [u8]) {
        if trim(line).is_empty() {
            return;
        }
        match memchr(b':', line) {
            Some(colon) if !trim(&line[..colon]).is_empty() => {
                self.take(trim(&line[..colon]), trim(&line[colon + 1..]))
            }
            _ => self.bad_lines += 1,
        }
    }
}

/// Keeps the first value; of a folded one its first line that is not blank.
fn keep<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8]) {
    if slot.is_none() {
        *slot = value.split(|&byte| byte == b'\n').map(trim).find(|line| !line.is_empty()).or(Some(b""));
    }
}

impl Length {
    fn and(self, value: &[u8]) -> Self {
        value.split(|&byte| byte == b',').map(trim).fold(self, |length, number| match (length, parse(number)) {
            (Self::Absent, Some(number)) => Self::Valid(number),
            (Self::Valid(before), Some(number)) if before == number => length,
            (Self::Valid(before) | Self::Conflicting(before), Some(_)) => Self::Conflicting(before),
            (Self::Conflicting(_), None) => length,
            _ => Self::Invalid,
        })
    }
}

/// Digits only; saturates.
fn parse(digits: &[u8]) -> Option<u64> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    valid.then(|| {
        digits.iter().fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

/// The last coding of a list; none where it is `identity`, which old software sends and everybody passes over.
fn last_coding(value: &[u8]) -> Option<Coding> {
    let last = value.split(|&byte| byte == b',').map(trim).rfind(|coding| !coding.is_empty())?;
    // Parameters of a coding (RFC 9112 section 7): chunked has none, but a lenient server looks at the name only.
    let name = trim(last.split(|&byte| byte == b';').next().unwrap_or_default());
    match name {
        name if name.eq_ignore_ascii_case(b"chunked") => Some(Coding::Chunked),
        name if name.eq_ignore_ascii_case(b"identity") => None,
        _ => Some(Coding::Other),
    }
}
