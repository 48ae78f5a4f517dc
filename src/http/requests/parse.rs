//! Parses the lines of a head: with httparse, else with the tolerant parser; rejects what is not a request.

use std::mem::MaybeUninit;

use httparse::Status;

use crate::http::fields::{FieldValue, Fields};
use crate::http::line::{RequestLine, split_request};

/// A parsed request head.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct RequestHead<'a> {
    pub(in crate::http) line: RequestLine<'a>,
    pub(in crate::http) fields: Fields<'a>,
    /// Everything after the first line.
    pub(in crate::http) field_lines: &'a [u8],
    pub(in crate::http) truncated: bool,
}

/// Classes of a first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstLine {
    /// A request line; fields follow.
    Request,
    /// A request line without a version (HTTP/0.9): nothing follows.
    Simple,
    /// The connection preface of HTTP/2.
    Preface,
    Invalid,
}

/// Most fields on the fast path; a request with more takes the tolerant one.
const MAX_FAST_FIELDS: usize = 64;

/// Classifies a first line. `cut` is whether its end was not kept.
pub(super) fn classify(line: &[u8], cut: bool) -> FirstLine {
    match split_request(line) {
        Some(line) if is_preface(&line) => FirstLine::Preface,
        Some(line) if !line.is_plausible() => FirstLine::Invalid,
        Some(line) if line.protocol.is_empty() && !cut => FirstLine::Simple,
        Some(_) => FirstLine::Request,
        None => FirstLine::Invalid,
    }
}

/// Parses a complete head with httparse. `None` if httparse does not accept it.
pub(super) fn parse_fast(bytes: &[u8]) -> Option<(usize, RequestHead<'_>)> {
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FAST_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let Ok(Status::Complete(len)) = request.parse_with_uninit_headers(bytes, &mut slots) else { return None };
    let (method, target) = (request.method?.as_bytes(), request.path?.as_bytes());
    let mut fields = Fields::default();
    for header in request.headers.iter() {
        // httparse rejects folded lines in a request.
        fields.take(header.name.as_bytes(), FieldValue { bytes: header.value, folded: false });
    }
    // httparse accepts only these two versions, in upper case.
    let protocol: &[u8] = if request.version == Some(0) { b"HTTP/1.0" } else { b"HTTP/1.1" };
    let line = RequestLine { method, target, protocol };
    let field_lines = bytes.get(line.httparse_line_len(bytes)..len).unwrap_or_default();
    Some((len, RequestHead { line, fields, field_lines, truncated: false }))
}

/// Parses a complete head tolerantly; the first line ends at `line_end`.
pub(super) fn parse_tolerant(head: &[u8], line_end: usize) -> Option<RequestHead<'_>> {
    let (line, field_lines) = head.split_at(line_end);
    Some(RequestHead {
        line: split_request(line)?,
        fields: Fields::of_lines(field_lines),
        field_lines,
        truncated: false,
    })
}

/// Reports whether a line is the connection preface of HTTP/2 (RFC 9113 section 3.4).
pub(super) fn is_preface(line: &RequestLine<'_>) -> bool {
    line.method == b"PRI" && line.target == b"*" && line.protocol.starts_with(b"HTTP/2")
}

/// Reports whether a line is a request even at an unknown position, where HTTP/2 does not begin.
pub(super) fn is_certain(line: &RequestLine<'_>) -> bool {
    line.is_certain() && !is_preface(line)
}

/// Reports whether a stream with these first bytes is not a text protocol: its first byte is none of a method, or its
/// first word has a control character, with which no line is plausible.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| !(0x20..0x7f).contains(first)) || has_binary_word(bytes)
}

/// Reports whether the first word of a stream has a control character.
pub(super) fn has_binary_word(bytes: &[u8]) -> bool {
    /// Rationale: longer than any method, and short enough to be looked at again with every piece.
    const MAX_INSPECTED: usize = 32;
    let word = bytes.iter().take(MAX_INSPECTED).take_while(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'));
    word.into_iter().any(u8::is_ascii_control)
}

/// Reports whether a byte at this offset of a stream is that of a TLS record's type and version (RFC 8446 section 5.1).
pub(super) const fn is_tls(offset: u8, byte: u8) -> bool {
    match offset {
        0 => matches!(byte, 0x14..=0x17),
        1 => byte == 3,
        2 => byte <= 4,
        _ => true,
    }
}
