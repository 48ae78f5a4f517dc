//! Heads of requests: parsed in place where a segment contains all of one, otherwise collected. Decides what first bytes
//! that are no request are. Does not parse lines and fields; see [`super::parse`].

use super::parse::{
    FirstLine, RequestHead, classify, has_binary_word, is_binary, is_certain, is_preface, is_tls, parse_fast,
    parse_tolerant,
};
use super::{Fallback, PartialHead, Phase, RequestHandler, Requests};
use crate::http::body::Body;
use crate::http::fields::Fields;
use crate::http::head::{Added, HeadBuffer, find_end};
use crate::http::line::{RequestLine, may_be_request, split_request};
use crate::http::opening::Opening;
use crate::http::{ParseContext, StreamPosition};

impl Requests {
    /// Parses the beginning of a request, or of other data.
    pub(super) fn start_request(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) -> usize {
        // Servers skip empty lines before a request (RFC 9112 section 2.2), and lenient ones skip whitespace.
        let blanks = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t')).count();
        if blanks > 0 {
            return blanks;
        }
        if matches!(self.phase, Phase::Start) && is_binary(bytes) {
            context.counters.not_http += 1;
            context.handler.lost(self.segment_acked);
            self.opening.note(Opening::of_other(bytes));
            // A capture may begin in the middle of a body, but TLS remains TLS, unless the server shows otherwise.
            self.phase = if is_tls(0, bytes[0]) { Phase::Tls { seen: 1 } } else { Phase::Resync { line_start: false } };
            return bytes.len().min(1);
        }
        self.phase = Phase::Head;
        let limits = context.limits;
        if let Some((len, head)) = parse_fast(bytes)
            && len <= limits.head
            && head.line.httparse_line_len(bytes) <= limits.line
        {
            if is_preface(&head.line) {
                return self.note_http2(len, context);
            }
            self.emit_request(&head, here, here.offset + len as u64, context);
            self.enter_body(Body::of_request(&head.fields, context.counters), context);
            return len;
        }
        // Parses in place only what is complete and within the limits.
        if let Some(line_end) = memchr::memchr(b'\n', bytes).map(|end| end + 1)
            && line_end <= limits.line.min(limits.head)
        {
            let line = &bytes[..line_end];
            let first_line = classify(line, false);
            if first_line != FirstLine::Request {
                self.handle_other_line(first_line, line, here, here.offset + line_end as u64, context);
                return line_end;
            }
            if let Some(len) = find_end(bytes)
                && len <= limits.head
                && let Some(head) = parse_tolerant(&bytes[..len], line_end)
            {
                context.counters.tolerant += 1;
                self.emit_request(&head, here, here.offset + len as u64, context);
                self.enter_body(Body::of_request(&head.fields, context.counters), context);
                return len;
            }
        }
        self.phase = Phase::PartialHead(Box::new(PartialHead { start: here, ..PartialHead::default() }));
        0
    }

    pub(super) fn buffer_head(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) -> usize {
        let Phase::PartialHead(partial) = &mut self.phase else { return bytes.len() };
        let PartialHead { buffer, strict, .. } = &mut **partial;
        match buffer.add(bytes, context.limits.line, context.limits.head) {
            Added::All => {
                let possible = |start| if *strict { may_be_request(start) } else { !has_binary_word(start) };
                if !buffer.has_first_line() && !possible(buffer.bytes()) {
                    self.reject_head(false, context);
                }
                bytes.len()
            }
            Added::FirstLine(taken) => {
                context.counters.line_truncated += u64::from(buffer.cut);
                let line = buffer.first_line();
                if *strict {
                    if buffer.cut || !split_request(line).is_some_and(|line| is_certain(&line)) {
                        self.reject_head(true, context);
                    }
                    return taken;
                }
                let first_line = classify(line, buffer.cut);
                if first_line != FirstLine::Request
                    && let Phase::PartialHead(partial) = std::mem::take(&mut self.phase)
                {
                    let end = here.offset + taken as u64;
                    self.handle_other_line(first_line, partial.buffer.first_line(), partial.start, end, context);
                }
                taken
            }
            Added::Complete(taken) => {
                self.finish_buffered_head(here.offset + taken as u64, false, context);
                taken
            }
            Added::TooLong(taken) => {
                context.counters.head_limit += 1;
                self.finish_buffered_head(here.offset + taken as u64, true, context);
                taken
            }
        }
    }

    /// Emits a buffered head that is complete or has reached the limit.
    pub(super) fn finish_buffered_head(
        &mut self,
        head_end: u64,
        too_long: bool,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        let Phase::PartialHead(partial) = &self.phase else { return };
        let buffer = &partial.buffer;
        let line = split_request(buffer.first_line())
            .filter(|line| if partial.strict { buffer.has_first_line() } else { line.is_plausible() });
        if line.is_none() {
            return self.reject_head(false, context);
        }
        let Phase::PartialHead(partial) = std::mem::take(&mut self.phase) else { return };
        let buffer = &partial.buffer;
        let Some(line) = line_of(buffer) else { return };
        self.end_fallback(partial.fallback.as_ref(), context);
        let field_lines = buffer.fields();
        let fields = Fields::of_lines(field_lines);
        let truncated = too_long || buffer.cut;
        if truncated || parse_fast(buffer.bytes()).is_none() {
            context.counters.tolerant += 1;
        }
        self.emit_request(&RequestHead { line, fields, field_lines, truncated }, partial.start, head_end, context);
        let body = Body::of_request(&fields, context.counters);
        if too_long {
            self.phase = Phase::HeadRemainder { body, line: u32::from(buffer.is_within_line()) };
        } else {
            self.enter_body(body, context);
        }
    }

    /// Handles buffered bytes that are not a head: they belong to a body, or are unknown. `line_start` is whether they
    /// end with a line.
    pub(super) fn reject_head(&mut self, line_start: bool, context: &mut ParseContext<'_, impl RequestHandler>) {
        let Phase::PartialHead(partial) = std::mem::take(&mut self.phase) else { return };
        match partial.fallback {
            Some(fallback) if !partial.buffer.cut => {
                self.phase = match fallback {
                    Fallback::Body(body) => Phase::Body(body),
                    Fallback::Line(partial, _) => Phase::PartialHead(partial),
                };
                self.parse(partial.buffer.bytes(), partial.start.offset, partial.start.acked, context);
            }
            Some(fallback) => {
                self.phase = Phase::Resync { line_start };
                self.end_fallback(Some(&fallback), context);
                context.handler.lost(self.segment_acked);
            }
            None => {
                self.phase = Phase::Resync { line_start };
                if partial.strict {
                    context.handler.skipped(self.segment_acked);
                } else {
                    self.opening.note(Opening::Other);
                    context.counters.resync += 1;
                    context.handler.lost(self.segment_acked);
                }
            }
        }
    }

    /// Ends what precedes a head that was found in it.
    pub(super) fn end_fallback(
        &self,
        fallback: Option<&Fallback>,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        match fallback {
            None => {}
            Some(Fallback::Body(_)) => context.handler.body_end(self.body_len),
            Some(Fallback::Line(_, acked)) => {
                context.counters.resync += 1;
                context.handler.lost(*acked);
            }
        }
    }

    /// Handles a first line, ending at stream offset `end`, that is not a request line with a version: HTTP/0.9, HTTP/2
    /// or other data.
    pub(super) fn handle_other_line(
        &mut self,
        first_line: FirstLine,
        line: &[u8],
        start: StreamPosition,
        end: u64,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        self.phase = Phase::Resync { line_start: true };
        let line_bytes = line;
        match (first_line, split_request(line)) {
            (FirstLine::Preface, _) => {
                self.note_http2(line.len(), context);
            }
            (FirstLine::Simple, Some(line)) => {
                context.counters.tolerant += 1;
                self.emit_request(
                    &RequestHead { line, fields: Fields::default(), field_lines: &[], truncated: false },
                    start,
                    end,
                    context,
                );
                context.handler.body_end(0);
                context.handler.lost(self.segment_acked);
            }
            _ => {
                self.opening.note(Opening::of_other(line_bytes));
                context.counters.resync += 1;
                context.handler.lost(self.segment_acked);
            }
        }
    }

    /// Handles the preface of HTTP/2. The server may not have received it, so that requests may follow nevertheless.
    pub(super) fn note_http2(&mut self, taken: usize, context: &mut ParseContext<'_, impl RequestHandler>) -> usize {
        context.counters.not_http += 1;
        context.handler.lost(self.segment_acked);
        self.opening.note(Opening::Other);
        self.phase = Phase::Resync { line_start: true };
        taken
    }
}

pub(super) fn line_of(buffer: &HeadBuffer) -> Option<RequestLine<'_>> {
    split_request(buffer.first_line())
}
