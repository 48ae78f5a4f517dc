//! Parses the server's stream: splits out status lines and fields, skips bodies and resynchronises after a loss. Does
//! not pair responses with requests; the [`ResponseHandler`] does.

use super::body::{Body, BodyProgress};
use super::fields::{ContentLength, Fields};
use super::head::{Added, HeadBuffer, skip_lines};
use super::line::{StatusLine, may_be_response, split_response};
use super::opening::Opening;
use super::pairing::MethodClass;
use super::preface::{Parsed, PrefaceBuffer, of_server};
use super::{ParseContext, ProgressGuard, Response, StreamPosition};

/// Parser state of the server's stream.
#[derive(Debug, Default)]
pub(super) struct Responses {
    phase: Phase,
    opening: Opening,
    /// Content bytes seen of the current body.
    body_len: u64,
    /// Whether the handler wants more of the current body.
    body_wanted: bool,
}

/// Position in the server's stream.
#[derive(Debug, Default)]
enum Phase {
    /// Nothing was seen yet.
    #[default]
    Start,
    /// In what may become the answers of a SOCKS server.
    Preface(Box<PrefaceBuffer>),
    /// A response is expected.
    Head,
    /// In a head that is being buffered.
    PartialHead(Box<PartialHead>),
    /// In a body.
    Body(Body),
    /// In a head that exceeded the limit: skips up to its blank line; then the body follows, or the next head.
    HeadRemainder { body: Option<Body>, line: u32 },
    /// Position unknown, until a response begins where one is expected.
    Resync,
    /// Not HTTP, or no longer HTTP.
    Stopped,
}

/// A head that arrives in pieces.
#[derive(Debug)]
struct PartialHead {
    buffer: HeadBuffer,
    start: StreamPosition,
}

/// A parsed response head.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseHead<'a> {
    pub(super) line: StatusLine<'a>,
    pub(super) fields: Fields<'a>,
    /// Value of `Content-Length`, if valid.
    pub(super) content_length: Option<u64>,
    /// Whether fields may be missing.
    pub(super) truncated: bool,
}

/// The end of a parsed head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadEnd {
    /// Its blank line.
    Complete,
    /// The limit; the number is not 0 within a line.
    TooLong(u32),
    /// A gap, or the end of the stream.
    Cut,
}

/// Receives the events of the server's stream.
pub(super) trait ResponseHandler {
    /// Returns where a response must begin and what its segment must acknowledge, while the pairing is ambiguous.
    fn expected(&self) -> Option<StreamPosition>;
    /// No response begins at the expected position.
    fn unanswered(&mut self);
    /// An interim response ended at stream offset `end`.
    fn interim(&mut self, start: StreamPosition, end: u64);
    /// A final response, or 101. Returns the method class of the request it belongs to, if any, and whether its body is
    /// wanted.
    fn response(&mut self, head: &ResponseHead<'_>, start: StreamPosition) -> (Option<MethodClass>, bool);
    /// Receives the next bytes of its body. Returns whether more are wanted.
    fn body(&mut self, bytes: &[u8]) -> bool;
    /// Its body ended at stream offset `at`, or can no longer be followed.
    fn body_end(&mut self, body_len: u64, at: u64);
    /// Bytes up to stream offset `end` were skipped; their meaning is unknown.
    fn lost(&mut self, end: u64);
}

impl<'a> ResponseHead<'a> {
    pub(super) fn response(&self) -> Response<'a> {
        Response {
            status: self.line.status,
            reason: self.line.reason,
            content_type: self.fields.content_type,
            location: self.fields.location,
            content_length: self.content_length,
            content_encoding: self.fields.content_encoding,
            truncated: self.truncated,
        }
    }
}

impl Responses {
    /// Parses the next bytes of the stream. `offset` is the stream offset of the first one; `acked` is how much of the
    /// client's stream their segment acknowledged.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut offset: u64,
        acked: Option<u64>,
        context: &mut ParseContext<'_, impl ResponseHandler>,
    ) {
        let mut guard = ProgressGuard::default();
        while !bytes.is_empty() {
            let here = StreamPosition { offset, acked };
            let limit = self.sync_to_expected(bytes, here, context);
            let taken = guard.advance(self.step(&bytes[..limit], here, context), context.counters);
            bytes = &bytes[taken..];
            offset += taken as u64;
        }
    }

    fn step(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl ResponseHandler>,
    ) -> usize {
        match &mut self.phase {
            Phase::Stopped | Phase::Resync => bytes.len(),
            Phase::Start => self.start_stream(bytes, here),
            Phase::Preface(_) => self.buffer_preface(bytes, context),
            Phase::Head => self.start_response(bytes, here, context),
            Phase::PartialHead(_) => self.buffer_head(bytes, here, context),
            Phase::HeadRemainder { body, line } => {
                let (taken, done) = skip_lines(line, bytes);
                let body = *body;
                if done {
                    self.enter_body(body, here.offset + taken as u64, context);
                }
                taken
            }
            Phase::Body(_) => self.skip_body(bytes, here, context),
        }
    }

    /// Starts a response where one is expected after a loss, unless it is in progress. Returns the number of bytes to
    /// parse before the next such position.
    fn sync_to_expected(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl ResponseHandler>,
    ) -> usize {
        let Some(expected) = context.handler.expected() else { return bytes.len() };
        if let Phase::PartialHead(partial) = &self.phase
            && partial.start.offset == expected.offset
        {
            return bytes.len();
        }
        let Some(before) = expected.offset.checked_sub(here.offset) else {
            context.handler.unanswered();
            return bytes.len();
        };
        if before > 0 {
            return usize::try_from(before).map_or(bytes.len(), |before| before.min(bytes.len()));
        }
        match self.phase {
            Phase::Start | Phase::Head | Phase::Stopped => {}
            _ if may_be_response(bytes) && here.acked >= expected.acked => self.abort_message(here.offset, context),
            _ => context.handler.unanswered(),
        }
        bytes.len()
    }

    /// Aborts the message in progress, if any, at stream offset `at`, and expects the head of a response.
    fn abort_message(&mut self, at: u64, context: &mut ParseContext<'_, impl ResponseHandler>) {
        self.body_wanted = false;
        if matches!(self.phase, Phase::Body(_) | Phase::HeadRemainder { body: Some(_), .. }) {
            context.handler.body_end(self.body_len, at);
        }
        self.phase = Phase::Head;
    }

    /// Skips `len` lost bytes from stream offset `offset` on.
    pub(super) fn gap(&mut self, len: u64, offset: u64, context: &mut ParseContext<'_, impl ResponseHandler>) {
        let end = offset.saturating_add(len);
        self.body_wanted = false;
        if self.opening == Opening::Unknown {
            // What the first bytes were is lost with them.
            self.opening = Opening::Preface;
        }
        if let Phase::Stopped = self.phase {
            return;
        }
        if let Phase::Body(body) = &mut self.phase
            && body.skip_gap(len, &mut self.body_len)
        {
            if body.is_empty() {
                self.end_body(end, context);
            }
            // A client that did not wait for the end of this body can no longer be paired reliably.
            if context.handler.expected().is_some_and(|expected| expected.offset < end) {
                context.handler.lost(end);
            }
            return;
        }
        self.finish_cut_head(offset, context);
        context.counters.resync += 1;
        self.enter_resync(end, context);
    }

    /// Gives up the position in the stream; nothing is known up to `end`.
    pub(super) fn enter_resync(&mut self, end: u64, context: &mut ParseContext<'_, impl ResponseHandler>) {
        self.abort_message(end, context);
        self.phase = Phase::Resync;
        context.handler.lost(end);
    }

    /// Evaluates a head that is cut at stream offset `at`, as far as it was received, if its status line is whole: the
    /// client may have read all of it. Field lines without their end are not used, because a part of a value may be
    /// another value.
    fn finish_cut_head(&mut self, at: u64, context: &mut ParseContext<'_, impl ResponseHandler>) {
        if let Phase::PartialHead(partial) = &self.phase
            && partial.buffer.has_first_line()
            && let Phase::PartialHead(partial) = std::mem::replace(&mut self.phase, Phase::Head)
        {
            let fields = Fields::of_lines(partial.buffer.complete_fields());
            self.emit_response(partial.buffer.first_line(), fields, partial.start, HeadEnd::Cut, at, context);
        }
    }

    /// Ends the stream. Returns whether it ended within the status line of a response.
    pub(super) fn end(&mut self, at: u64, context: &mut ParseContext<'_, impl ResponseHandler>) -> bool {
        self.finish_cut_head(at, context);
        let within_head = matches!(self.phase, Phase::PartialHead(_));
        self.abort_message(at, context);
        self.phase = Phase::Stopped;
        within_head
    }

    /// Stops parsing: the connection has switched to another protocol.
    pub(super) fn stop(&mut self) {
        self.phase = Phase::Stopped;
        self.opening = Opening::Left;
    }

    /// Notes that the connection has become a tunnel, whose first bytes follow.
    pub(super) fn restart(&mut self) {
        self.opening = Opening::Unknown;
    }

    /// Returns what the stream began with.
    pub(super) const fn opening(&self) -> Opening {
        self.opening
    }

    pub(super) fn memory(&self) -> usize {
        match &self.phase {
            Phase::PartialHead(partial) => partial.buffer.memory() + size_of::<PartialHead>(),
            Phase::Preface(preface) => preface.memory(),
            _ => 0,
        }
    }

    /// Skips the answers of a SOCKS server at the beginning of the stream.
    fn start_stream(&mut self, bytes: &[u8], here: StreamPosition) -> usize {
        self.phase = Phase::Head;
        match of_server(bytes) {
            Parsed::Absent => 0,
            Parsed::Incomplete => {
                self.phase = Phase::Preface(Box::new(PrefaceBuffer { bytes: bytes.to_vec(), start: here }));
                bytes.len()
            }
            Parsed::Complete(preface) => preface.len,
        }
    }

    /// Adds bytes to what may become the answers of a SOCKS server.
    fn buffer_preface(&mut self, bytes: &[u8], context: &mut ParseContext<'_, impl ResponseHandler>) -> usize {
        let Phase::Preface(buffer) = std::mem::replace(&mut self.phase, Phase::Head) else { return 0 };
        let PrefaceBuffer { bytes: mut buffered, start } = *buffer;
        let before = buffered.len();
        // More bytes than can be incomplete are not needed.
        buffered.extend_from_slice(&bytes[..bytes.len().min(PrefaceBuffer::MAX_LEN)]);
        match of_server(&buffered) {
            Parsed::Absent => {
                self.feed(&buffered[..before], start.offset, start.acked, context);
                0
            }
            Parsed::Incomplete => {
                self.phase = Phase::Preface(Box::new(PrefaceBuffer { bytes: buffered, start }));
                bytes.len()
            }
            Parsed::Complete(preface) => preface.len - before,
        }
    }

    fn start_response(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl ResponseHandler>,
    ) -> usize {
        let blanks = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if blanks > 0 {
            return blanks;
        }
        if !may_be_response(bytes) {
            self.opening.note(Opening::of_other(bytes));
            context.counters.resync += 1;
            self.enter_resync(here.offset + 1, context);
            return 1;
        }
        let limits = context.limits;
        if let Some(line_end) = memchr::memchr(b'\n', bytes).map(|end| end + 1)
            && line_end <= limits.line
            && let Some((fields, rest)) = Fields::of_head(&bytes[line_end..])
            && line_end + rest <= limits.head
        {
            let len = line_end + rest;
            self.emit_response(&bytes[..line_end], fields, here, HeadEnd::Complete, here.offset + len as u64, context);
            return len;
        }
        self.phase = Phase::PartialHead(Box::new(PartialHead { buffer: HeadBuffer::default(), start: here }));
        0
    }

    fn buffer_head(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl ResponseHandler>,
    ) -> usize {
        let Phase::PartialHead(partial) = &mut self.phase else { return bytes.len() };
        let buffer = &mut partial.buffer;
        let (taken, known, too_long) = match buffer.add(bytes, context.limits.line, context.limits.head) {
            Added::All => (bytes.len(), buffer.has_first_line() || may_be_response(buffer.bytes()), None),
            Added::FirstLine(taken) => (taken, split_response(buffer.first_line()).is_some(), None),
            Added::Complete(taken) => {
                self.finish_buffered_head(HeadEnd::Complete, here.offset + taken as u64, context);
                return taken;
            }
            Added::TooLong(taken) => (taken, true, Some(HeadEnd::TooLong(u32::from(buffer.is_within_line())))),
        };
        let at = here.offset + taken as u64;
        if let Some(end) = too_long {
            context.counters.head_limit += 1;
            self.finish_buffered_head(end, at, context);
        } else if !known {
            self.opening.note(Opening::Other);
            context.counters.resync += 1;
            self.enter_resync(at, context);
        }
        taken
    }

    /// Emits a buffered head that is complete or has reached the limit.
    fn finish_buffered_head(&mut self, end: HeadEnd, at: u64, context: &mut ParseContext<'_, impl ResponseHandler>) {
        if let Phase::PartialHead(partial) = std::mem::replace(&mut self.phase, Phase::Head) {
            let fields = Fields::of_lines(partial.buffer.fields());
            self.emit_response(partial.buffer.first_line(), fields, partial.start, end, at, context);
        }
    }

    /// Handles a parsed head that ends at stream offset `at`.
    fn emit_response(
        &mut self,
        line: &[u8],
        fields: Fields<'_>,
        start: StreamPosition,
        end: HeadEnd,
        at: u64,
        context: &mut ParseContext<'_, impl ResponseHandler>,
    ) {
        let Some(line) = split_response(line) else {
            self.opening.note(Opening::Other);
            context.counters.resync += 1;
            return self.enter_resync(at, context);
        };
        self.opening = Opening::Message;
        let content_length = match fields.length {
            ContentLength::Valid(length) => Some(length),
            _ => None,
        };
        context.counters.responses += 1;
        context.counters.bad_header_lines += fields.bad_lines;
        self.body_len = 0;
        let head = ResponseHead { line, fields, content_length, truncated: end != HeadEnd::Complete };
        self.phase = Phase::Head;
        let body = if (100..200).contains(&line.status) && line.status != 101 {
            context.handler.interim(start, at);
            None
        } else {
            let (class, wanted) = context.handler.response(&head, start);
            self.body_wanted = wanted;
            if line.status == 101 {
                // If the client requested the switch, another protocol follows.
                if class.is_some() {
                    context.handler.body_end(0, at);
                    self.phase = Phase::Stopped;
                    return;
                }
                return self.enter_resync(at, context);
            }
            // These responses have no body, whatever their fields state (RFC 9112 section 6.3).
            let bodiless = class == Some(MethodClass::Head)
                || matches!(line.status, 204 | 304)
                || (class == Some(MethodClass::Connect) && (200..300).contains(&line.status));
            Some(if bodiless { Body::Length(0) } else { Body::of_response(&fields, context.counters) })
        };
        match end {
            HeadEnd::TooLong(line) => self.phase = Phase::HeadRemainder { body, line },
            HeadEnd::Complete | HeadEnd::Cut => self.enter_body(body, at, context),
        }
    }

    /// Enters the phase after a head that ended at `at`.
    fn enter_body(&mut self, body: Option<Body>, at: u64, context: &mut ParseContext<'_, impl ResponseHandler>) {
        self.phase = body.map_or(Phase::Head, Phase::Body);
        if body.is_some_and(|body| body.is_empty()) {
            self.end_body(at, context);
        }
    }

    fn end_body(&mut self, at: u64, context: &mut ParseContext<'_, impl ResponseHandler>) {
        self.phase = Phase::Head;
        self.body_wanted = false;
        context.handler.body_end(self.body_len, at);
    }

    fn skip_body(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl ResponseHandler>,
    ) -> usize {
        let Phase::Body(body) = &mut self.phase else { return 0 };
        let progress = if self.body_wanted {
            let (body_wanted, handler) = (&mut self.body_wanted, &mut *context.handler);
            body.skip_with(bytes, &mut self.body_len, |part| {
                if *body_wanted && !part.is_empty() {
                    *body_wanted = handler.body(part);
                }
            })
        } else {
            body.skip(bytes, &mut self.body_len)
        };
        match progress {
            BodyProgress::All => bytes.len(),
            BodyProgress::Ended(taken) => {
                self.end_body(here.offset + taken as u64, context);
                taken
            }
            BodyProgress::Broken(taken, _) => {
                context.counters.framing_errors += 1;
                self.enter_resync(here.offset + taken as u64, context);
                taken
            }
        }
    }
}
