//! Splits request lines and status lines bytewise, and tolerantly where real servers are tolerant. Does not parse the
//! fields that follow; see [`super::fields`].

use memchr::{memchr, memrchr};

use super::Direction;
use super::preface::is_proxy_header;

/// A request line (RFC 9112 section 3), borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    /// `HTTP/…`; empty if there is no version (HTTP/0.9).
    pub(super) protocol: &'a [u8],
}

/// A status line (RFC 9112 section 4), borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusLine<'a> {
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
}

/// Methods accepted in a line without a version: those of RFC 9110 and the common extensions.
const METHODS: [&[u8]; 18] = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"SEARCH",
    b"REPORT",
];

/// Longest method accepted where nothing else indicates a request, in bytes.
const MAX_METHOD: usize = 24;

const fn is_delimiter(byte: u8) -> bool {
    // RFC 9112 section 3: lenient servers accept any of these in place of the single space.
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c)
}

const fn is_blank(byte: u8) -> bool {
    is_delimiter(byte) || matches!(byte, b'\r' | b'\n')
}

/// Strips whitespace from both ends.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}

/// Splits a request line. `None` if it has no target.
pub(super) fn split_request(line: &[u8]) -> Option<RequestLine<'_>> {
    let line = trim(line);
    let method_end = line.iter().position(|&byte| is_delimiter(byte))?;
    let (method, rest) = line.split_at(method_end);
    let rest = trim(rest);
    let (target, protocol) = split_version(rest);
    (!target.is_empty()).then_some(RequestLine { method, target, protocol })
}

/// Splits `target HTTP/x.y` at the last delimiters before the version. Without a version everything is target.
fn split_version(rest: &[u8]) -> (&[u8], &[u8]) {
    // The version begins at the last `HTTP/` after a delimiter and extends to the end of the line (`HTTP/1.1 x`).
    let mut end = rest.len();
    while let Some(slash) = memrchr(b'/', &rest[..end]) {
        if slash >= 5 && rest[slash - 4..slash].eq_ignore_ascii_case(b"HTTP") && is_delimiter(rest[slash - 5]) {
            return (trim(&rest[..slash - 5]), &rest[slash - 4..]);
        }
        // Inspects only the end of the line; otherwise a long target would be searched repeatedly.
        if rest.len() - slash > 32 {
            break;
        }
        end = slash;
    }
    (rest, b"")
}

impl RequestLine<'_> {
    /// Reports whether this is a request at all. With a version any method is accepted; without one only a known method
    /// and a target of the usual form.
    pub(super) fn is_plausible(&self) -> bool {
        if self.method.iter().any(|&byte| byte < 0x20 || byte == 0x7f) {
            return false;
        }
        !self.protocol.is_empty() || (is_known(self.method) && has_target_form(self.target))
    }

    /// Reports whether this is a request even at an unknown position in the stream, where text may look like one.
    pub(super) fn is_certain(&self) -> bool {
        self.protocol.get(5).is_some_and(u8::is_ascii_digit)
            && (has_target_form(self.target) || self.target == b"*" || self.method == b"CONNECT")
            && self.method.len() <= MAX_METHOD
            && self.method.iter().all(|&byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
    }
}

impl RequestLine<'_> {
    pub(super) fn has_known_method(&self) -> bool {
        is_known(self.method)
    }

    /// Drops the incomplete version that a cut may have left at the end of the line. `None` if the target itself may be
    /// cut, because half a path may be another path.
    pub(super) fn without_cut_end(self) -> Option<Self> {
        if !self.protocol.is_empty() {
            return Some(self);
        }
        let Some(blank) = self.target.iter().rposition(|&byte| is_delimiter(byte)) else {
            return self.target.iter().any(|byte| matches!(byte, b'?' | b'#')).then_some(self);
        };
        let word = &self.target[blank + 1..];
        let version = word.len() <= 5 && b"HTTP/"[..word.len()].eq_ignore_ascii_case(word);
        Some(if version { Self { target: trim(&self.target[..blank]), ..self } } else { self })
    }

    /// Returns the length of the first line of `bytes`, including its line end, if httparse parsed this line at their
    /// beginning: single spaces and a version of eight bytes.
    pub(super) fn httparse_line_len(&self, bytes: &[u8]) -> usize {
        let len = self.method.len() + self.target.len() + 10;
        len + if bytes.get(len) == Some(&b'\r') { 2 } else { 1 }
    }
}

fn is_known(method: &[u8]) -> bool {
    METHODS.iter().any(|known| known.eq_ignore_ascii_case(method))
}

/// Reports whether a target begins with a path, an escape or an HTTP scheme.
fn has_target_form(target: &[u8]) -> bool {
    matches!(target, [b'/' | b'\\' | b'%', ..])
        || target.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"http://"))
        || target.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"https://"))
}

/// Reports whether bytes at the beginning of a line may become a request line that [`RequestLine::is_certain`] accepts.
pub(super) fn may_be_request(bytes: &[u8]) -> bool {
    let word =
        bytes.iter().take(MAX_METHOD + 1).take_while(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
    let len = word.count();
    len > 0 && len <= MAX_METHOD && bytes.get(len).is_none_or(|&byte| is_delimiter(byte))
}

/// Reports whether bytes at the beginning of a message may become a status line.
pub(super) fn may_be_response(bytes: &[u8]) -> bool {
    let len = bytes.len().min(5);
    bytes[..len].eq_ignore_ascii_case(&b"HTTP/"[..len])
}

/// Splits a status line: `HTTP/`, a version, a status code of three digits, a reason.
pub(super) fn split_response(line: &[u8]) -> Option<StatusLine<'_>> {
    let line = trim(line);
    if line.len() < 5 || !may_be_response(line) {
        return None;
    }
    let rest = &line[line.iter().position(|&byte| is_delimiter(byte))?..];
    let rest = trim(rest);
    let digits = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    if rest.get(3).is_some_and(|&byte| !is_delimiter(byte)) {
        return None;
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    (status >= 100).then_some(StatusLine { status, reason: trim(&rest[3..]) })
}

/// Guesses the direction of the first bytes of a stream: a request line or a PROXY header comes from the client, a status
/// line from the server.
#[must_use]
pub fn guess(bytes: &[u8]) -> Option<Direction> {
    if is_proxy_header(bytes) {
        return Some(Direction::ToServer);
    }
    let start = bytes.iter().position(|&byte| !is_blank(byte))?;
    let bytes = &bytes[start..];
    if may_be_response(bytes) {
        // A request's version may begin a segment too, but only a status line has a number after it.
        let line = bytes[..bytes.len().min(64)].split(|&byte| byte == b'\n').next().unwrap_or_default();
        return split_response(line).map(|_| Direction::ToClient);
    }
    let end = bytes.iter().take(MAX_METHOD + 1).position(|&byte| is_delimiter(byte))?;
    let known = is_known(&bytes[..end]);
    let target = &bytes[end + 1..];
    let plausible = known
        && (target.is_empty() || has_target_form(trim(target)) || matches!(&bytes[..end], b"CONNECT" | b"OPTIONS"));
    (plausible || is_unknown_method_with_version(&bytes[..end], target)).then_some(Direction::ToServer)
}

/// Reports whether bytes certainly begin a message: a request line with a version, as far as its end is there, or a
/// status line. Cheap where the first byte is none of a message.
#[must_use]
#[inline]
pub fn begins_message(bytes: &[u8]) -> bool {
    matches!(bytes, [b'A'..=b'Z' | b'h' | b'-' | b'_', ..]) && is_message(bytes)
}

#[inline(never)]
fn is_message(bytes: &[u8]) -> bool {
    if may_be_response(bytes) {
        return bytes.len() > 5 && guess(bytes) == Some(Direction::ToClient);
    }
    if !may_be_request(bytes) {
        return false;
    }
    match memchr(b'\n', bytes) {
        Some(end) => split_request(&bytes[..end]).is_some_and(|line| line.is_certain()),
        None => split_request(bytes).is_some_and(|line| line.has_known_method() && has_target_form(line.target)),
    }
}

/// Reports whether the method is unknown but alphabetic, and the line has a version.
fn is_unknown_method_with_version(method: &[u8], target: &[u8]) -> bool {
    /// Rationale: enough for a line of usual length, and cheap.
    const MAX_INSPECTED: usize = 512;
    let line = target[..target.len().min(MAX_INSPECTED)].split(|&byte| byte == b'\n').next().unwrap_or_default();
    method.iter().all(u8::is_ascii_alphabetic) && !split_version(trim(line)).1.is_empty()
}
