//! The server's stream: status lines and fields split out, bodies passed over, the way found back after a loss. Whom a
//! response answers is asked of its [`ResponseHandler`].

use super::body::{Body, BodyProgress};
use super::fields::{ContentLength, Fields};
use super::head::{Added, HeadBuffer, skip_lines};
use super::line::{StatusLine, may_be_response, split_response};
use super::pairing::MethodClass;
use super::{ParseContext, ProgressGuard, Response, StreamPosition};

/// The server's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Responses {
    phase: Phase,
    /// Bytes of the present body.
    body_len: u64,
    /// Whether somebody looks at the present body.
    body_wanted: bool,
}

/// Where in the server's stream.
#[derive(Debug, Default)]
enum Phase {
    /// A response is expected.
    #[default]
    Head,
    /// In the lines of a head.
    PartialHead(Box<PartialHead>),
    /// In a body.
    Body(Body),
    /// In a head of which enough is known: up to its blank line; then the body, or the next head.
    HeadRemainder { body: Option<Body>, line: u32 },
    /// Somewhere unknown, until a response begins where one is expected.
    Resync,
    /// Not HTTP, or not any more.
    Stopped,
}

/// A head that comes in pieces.
#[derive(Debug)]
struct PartialHead {
    buffer: HeadBuffer,
    start: StreamPosition,
}

/// A response's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseHead<'a> {
    pub(super) line: StatusLine<'a>,
    pub(super) fields: Fields<'a>,
    /// `Content-Length`, where it is valid.
    pub(super) content_length: Option<u64>,
}

/// Who is told.
pub(super) trait ResponseHandler {
    /// Where a response must begin, and what its segment must acknowledge, if the way is lost.
    fn expected(&self) -> Option<StreamPosition>;
    /// None begins there.
    fn unanswered(&mut self);
    /// An interim response ended at this offset.
    fn interim(&mut self, start: StreamPosition, end: u64);
    /// A final response or 101. Says what the method of the request it answers means for it, if it answers one, and
    /// whether its body is wanted.
    fn response(&mut self, head: &ResponseHead<'_>, start: StreamPosition) -> (Option<MethodClass>, bool);
    /// The next bytes of its body. Says whether more are wanted.
    fn body(&mut self, bytes: &[u8]) -> bool;
    /// Its body ended at this offset, or can't be followed.
    fn body_end(&mut self, body_len: u64, at: u64);
    /// Bytes passed, up to this offset, whose meaning is not known.
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
        }
    }
}

impl Responses {
    /// Takes bytes in order, of a segment that acknowledged the client's stream up to `acked`; `offset` is that of the
    /// first one.
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

    /// Begins a response where one is expected after a loss, unless it is in progress. Says how many bytes come before the next such place.
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
            Phase::Head | Phase::Stopped => {}
            _ if may_be_response(bytes) && here.acked >= expected.acked => self.abort_message(here.offset, context),
            _ => context.handler.unanswered(),
        }
        bytes.len()
    }

    /// What is in progress was misunderstood: a response begins here.
    fn abort_message(&mut self, at: u64, context: &mut ParseContext<'_, impl ResponseHandler>) {
        self.body_wanted = false;
        if matches!(self.phase, Phase::Body(_) | Phase::HeadRemainder { body: Some(_), .. }) {
            context.handler.body_end(self.body_len, at);
        }
        self.phase = Phase::Head;
    }

    /// So many bytes were lost, from `offset` on.
    pub(super) fn gap(&mut self, len: u64, offset: u64, context: &mut ParseContext<'_, impl ResponseHandler>) {
        let end = offset.saturating_add(len);
        self.body_wanted = false;
        if let Phase::Stopped = self.phase {
            return;
        }
        if let Phase::Body(body) = &mut self.phase
            && body.skip_gap(len, &mut self.body_len)
        {
            if body.is_empty() {
                self.end_body(end, context);
            }
            // Whoever did not wait for the end of this body is not known again.
            if context.handler.expected().is_some_and(|expected| expected.offset < end) {
                context.handler.lost(end);
            }
            return;
        }
        context.counters.resync += 1;
        self.enter_resync(end, context);
    }

    /// The way is lost; up to `end` nothing is known.
    pub(super) fn enter_resync(&mut self, end: u64, context: &mut ParseContext<'_, impl ResponseHandler>) {
        self.abort_message(end, context);
        self.phase = Phase::Resync;
        context.handler.lost(end);
    }

    /// The stream is over. Says whether it ended within the head of a response.
    pub(super) fn end(&mut self, at: u64, context: &mut ParseContext<'_, impl ResponseHandler>) -> bool {
        let within_head = matches!(self.phase, Phase::PartialHead(_));
        self.abort_message(at, context);
        self.phase = Phase::Stopped;
        within_head
    }

    /// The connection speaks something else from now on.
    pub(super) fn stop(&mut self) {
        self.phase = Phase::Stopped;
    }

    pub(super) fn memory(&self) -> usize {
        match &self.phase {
            Phase::PartialHead(partial) => partial.buffer.memory() + size_of::<PartialHead>(),
            _ => 0,
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
            self.emit_response(&bytes[..line_end], fields, here, None, here.offset + len as u64, context);
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
        let (taken, known, rest) = match buffer.add(bytes, context.limits.line, context.limits.head) {
            Added::All => (bytes.len(), buffer.has_first_line() || may_be_response(buffer.bytes()), None),
            Added::FirstLine(taken) => (taken, split_response(buffer.first_line()).is_some(), None),
            Added::Complete(taken) => {
                self.finish_buffered_head(None, here.offset + taken as u64, context);
                return taken;
            }
            Added::TooLong(taken) => (taken, true, Some(u32::from(buffer.is_within_line()))),
        };
        let at = here.offset + taken as u64;
        if rest.is_some() {
            context.counters.head_limit += 1;
            self.finish_buffered_head(rest, at, context);
        } else if !known {
            context.counters.resync += 1;
            self.enter_resync(at, context);
        }
        taken
    }

    /// A gathered head is complete, or as long as it may get: then `rest` says whether its end is within a line.
    fn finish_buffered_head(
        &mut self,
        rest: Option<u32>,
        at: u64,
        context: &mut ParseContext<'_, impl ResponseHandler>,
    ) {
        if let Phase::PartialHead(partial) = std::mem::take(&mut self.phase) {
            let fields = Fields::of_lines(partial.buffer.fields());
            self.emit_response(partial.buffer.first_line(), fields, partial.start, rest, at, context);
        }
    }

    /// A head is known, its first line and the others, up to offset `at`.
    fn emit_response(
        &mut self,
        line: &[u8],
        fields: Fields<'_>,
        start: StreamPosition,
        rest: Option<u32>,
        at: u64,
        context: &mut ParseContext<'_, impl ResponseHandler>,
    ) {
        let Some(line) = split_response(line) else {
            context.counters.resync += 1;
            return self.enter_resync(at, context);
        };
        let content_length = match fields.length {
            ContentLength::Valid(length) => Some(length),
            _ => None,
        };
        context.counters.responses += 1;
        context.counters.bad_header_lines += fields.bad_lines;
        self.body_len = 0;
        let head = ResponseHead { line, fields, content_length };
        self.phase = Phase::Head;
        let body = if (100..200).contains(&line.status) && line.status != 101 {
            context.handler.interim(start, at);
            None
        } else {
            let (class, wanted) = context.handler.response(&head, start);
            self.body_wanted = wanted;
            if line.status == 101 {
                // What follows is another protocol, if this was what the client asked for.
                if class.is_some() {
                    context.handler.body_end(0, at);
                    self.phase = Phase::Stopped;
                    return;
                }
                return self.enter_resync(at, context);
            }
            // Without a body whatever the fields say (RFC 9112 section 6.3).
            let bodiless = class == Some(MethodClass::Head)
                || matches!(line.status, 204 | 304)
                || (class == Some(MethodClass::Connect) && (200..300).contains(&line.status));
            Some(if bodiless { Body::Length(0) } else { Body::of_response(&fields, context.counters) })
        };
        match rest {
            Some(line) => self.phase = Phase::HeadRemainder { body, line },
            None => self.enter_body(body, at, context),
        }
    }

    /// The phase behind a head that ended at `at`.
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
        let passed = if self.body_wanted {
            let (body_wanted, handler) = (&mut self.body_wanted, &mut *context.handler);
            body.skip_with(bytes, &mut self.body_len, |part| {
                if *body_wanted && !part.is_empty() {
                    *body_wanted = handler.body(part);
                }
            })
        } else {
            body.skip(bytes, &mut self.body_len)
        };
        match passed {
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
