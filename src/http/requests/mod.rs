//! Parses the client's stream: splits out requests, skips bodies and resynchronises after a loss. Does not pair
//! requests with responses; see [`super::pairing`].

mod heads;
mod parse;
mod prefaces;
mod resync;

use std::net::IpAddr;

pub(super) use parse::RequestHead;

use parse::is_tls;

use super::body::{Body, BodyProgress};
use super::head::{HeadBuffer, skip_lines};
use super::line::may_be_request;
use super::opening::Opening;
use super::preface::PrefaceBuffer;
use super::{ParseContext, ProgressGuard, StreamPosition};
use resync::UnprovenSegments;

/// Parser state of the client's stream.
#[derive(Debug, Default)]
pub(super) struct Requests {
    phase: Phase,
    opening: Opening,
    /// Content bytes seen of the current body.
    body_len: u64,
    /// Whether the client waits for a 100 response before it sends the current body.
    expects: bool,
    /// Stream offset at which the current request's head ends, if servers disagree about the end of its body.
    disputed: Option<u64>,
    /// Stream offset at which the last complete request ends.
    message_end: u64,
    /// Segments that may hold requests, until an answer shows it.
    unproven: Option<Box<UnprovenSegments>>,
    /// Which prefaces may follow.
    prefaces: Prefaces,
    /// How much of the server's stream the latest segment acknowledged.
    segment_acked: Option<u64>,
}

/// Position in the client's stream.
#[derive(Debug, Default)]
enum Phase {
    /// Nothing was seen yet, or only prefaces.
    #[default]
    Start,
    /// In what may become a preface.
    Preface(Box<PrefaceBuffer>),
    /// In a preface, with so many more bytes.
    PrefaceRest(usize),
    /// A request is expected.
    Head,
    /// In a head that is being buffered.
    PartialHead(Box<PartialHead>),
    /// In a head that exceeded the limit: skips up to its blank line; then the body follows.
    HeadRemainder { body: Body, line: u32 },
    /// In a body.
    Body(Body),
    /// At the beginning of a body that may never be sent, because the response came before it.
    UnsentBody(Body),
    /// Position unknown: searches for a request line.
    Resync { line_start: bool },
    /// The stream began as TLS, as far as its first `seen` bytes show; at most three are looked at.
    Tls { seen: u8 },
    /// No longer HTTP.
    Stopped,
}

/// The prefaces that may follow at the beginning of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Prefaces {
    #[default]
    Any,
    /// The PROXY protocol has one header.
    OnlySocks,
    None,
}

/// A head that arrives in pieces.
#[derive(Debug, Default)]
struct PartialHead {
    buffer: HeadBuffer,
    start: StreamPosition,
    /// Whether it began at an unknown position, so that its first line must be certain to be a request.
    strict: bool,
    /// What the bytes belong to if they are not a head.
    fallback: Option<Fallback>,
}

/// What the bytes belong to that turn out not to be a head.
#[derive(Debug)]
enum Fallback {
    Body(Body),
    /// A first line that is no request line so far, the last segment of which acknowledged so much of the server's
    /// stream.
    Line(Box<PartialHead>, Option<u64>),
}

impl PartialHead {
    /// Returns an empty head at a position where its first line must be certain to be a request.
    fn strict(start: StreamPosition, fallback: Option<Fallback>) -> Box<Self> {
        Box::new(Self { buffer: HeadBuffer::default(), start, strict: true, fallback })
    }

    /// Returns the stream offset of the first byte that is not parsed yet.
    fn unparsed_start(&self) -> u64 {
        match &self.fallback {
            Some(Fallback::Line(before, _)) => before.start.offset,
            _ => self.start.offset,
        }
    }

    fn memory(&self) -> usize {
        let before = match &self.fallback {
            Some(Fallback::Line(before, _)) => size_of::<Self>() + before.buffer.memory(),
            _ => 0,
        };
        size_of::<Self>() + self.buffer.memory() + before
    }
}

/// Position of a request in the client's stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadPosition {
    /// Stream offset of its first byte.
    pub(super) start: u64,
    /// Stream offset after its head.
    pub(super) head_end: u64,
    /// Bytes of the server's stream acknowledged by the segment with its first byte.
    pub(super) acked: Option<u64>,
}

/// Receives the events of the client's stream.
pub(super) trait RequestHandler {
    /// A request was found.
    fn request(&mut self, head: &RequestHead<'_>, position: HeadPosition);
    /// Its body ended, or can no longer be followed.
    fn body_end(&mut self, body_len: u64);
    /// A PROXY header names the client.
    fn proxied(&mut self, source: IpAddr);
    /// Bytes were skipped at an unknown position, or in a body whose end is disputed; their segment acknowledged so
    /// much of the server's stream.
    fn skipped(&mut self, acked: Option<u64>);
    /// Bytes that were seen may have held requests, or those that follow may; see `skipped` for `acked`.
    fn lost(&mut self, acked: Option<u64>);
    /// Bytes up to stream offset `end` that were not captured may have held requests.
    fn gap(&mut self, end: u64);
    /// Returns whether the segment at `here` is the first that the client sent after it had read an answer of the server
    /// to bytes behind stream offset `since`. The segment before acknowledged the server's stream up to `before`.
    fn is_behind_answer(&self, here: StreamPosition, before: Option<u64>, since: u64) -> bool;
}

impl Requests {
    /// Parses the next bytes of the stream. `offset` is the stream offset of the first one; `acked` is how much of the
    /// server's stream their segment acknowledged.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        offset: u64,
        acked: Option<u64>,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        self.resync_at_segment(bytes, StreamPosition { offset, acked }, context);
        self.segment_acked = acked;
        self.parse(bytes, offset, acked, context);
    }

    fn parse(
        &mut self,
        mut bytes: &[u8],
        mut offset: u64,
        acked: Option<u64>,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        let mut guard = ProgressGuard::default();
        while !bytes.is_empty() {
            let taken = guard.advance(self.step(bytes, StreamPosition { offset, acked }, context), context.counters);
            bytes = &bytes[taken..];
            offset += taken as u64;
            if let Phase::Head = self.phase {
                self.message_end = offset;
            }
        }
    }

    /// Skips `len` lost bytes from stream offset `offset` on.
    pub(super) fn gap(&mut self, len: u64, offset: u64, context: &mut ParseContext<'_, impl RequestHandler>) {
        match &mut self.phase {
            Phase::Stopped | Phase::Tls { .. } => return,
            Phase::Body(body) => {
                let before = self.body_len;
                if body.skip_gap(len, &mut self.body_len) {
                    context.counters.body_bytes += self.body_len - before;
                    if self.disputed.is_some() {
                        context.handler.gap(offset.saturating_add(len));
                    }
                    if body.is_empty() {
                        self.end_body(context);
                    }
                    return;
                }
            }
            _ => {}
        }
        self.finish_truncated(offset, context);
        if self.opening == Opening::Unknown {
            // What the first bytes were is lost with them.
            self.opening = Opening::Preface;
        }
        self.phase = Phase::Resync { line_start: true };
        context.counters.resync += 1;
        context.handler.gap(offset.saturating_add(len));
    }

    /// Ends the stream at `offset`.
    pub(super) fn end(&mut self, offset: u64, context: &mut ParseContext<'_, impl RequestHandler>) {
        self.finish_truncated(offset, context);
        self.phase = Phase::Stopped;
    }

    /// Stops parsing: the connection has switched to another protocol.
    pub(super) fn stop(&mut self) {
        self.phase = Phase::Stopped;
        self.opening = Opening::Left;
    }

    /// Notes that the server sends responses: if the stream began as TLS, the server did not receive those bytes.
    pub(super) fn server_speaks_http(&mut self) {
        if let Phase::Tls { .. } = self.phase {
            self.phase = Phase::Resync { line_start: true };
        }
    }

    /// Returns what the stream began with.
    pub(super) const fn opening(&self) -> Opening {
        self.opening
    }

    /// Starts over: the connection has become a tunnel, which may carry anything.
    pub(super) fn restart(&mut self) {
        if matches!(self.phase, Phase::Head) {
            self.phase = Phase::Start;
            self.opening = Opening::Unknown;
        }
    }

    /// Notes that the response to the current request began. A client that waits for a 100 response may now omit the
    /// body (RFC 9110 section 10.1.1).
    pub(super) fn response_before_body(&mut self) {
        if let Phase::Body(body) = self.phase
            && self.expects
            && self.body_len == 0
        {
            self.phase = Phase::UnsentBody(body);
        }
    }

    /// Returns the number of content bytes seen of the current body.
    pub(super) const fn body_len(&self) -> u64 {
        self.body_len
    }

    /// Returns whether the server's next answer may show that a request was found.
    pub(super) const fn waits_for_answer(&self) -> bool {
        self.unproven.is_some()
    }

    /// Returns the stream offset at which the last complete request ends.
    pub(super) const fn message_end(&self) -> u64 {
        self.message_end
    }

    /// Returns the stream offset at which the head in progress begins.
    pub(super) fn partial_head_start(&self) -> Option<u64> {
        match &self.phase {
            Phase::PartialHead(partial) => Some(partial.unparsed_start()),
            Phase::Preface(preface) => Some(preface.start.offset),
            _ => None,
        }
    }

    pub(super) fn memory(&self) -> usize {
        let unproven = self.unproven.as_ref().map_or(0, |segments| segments.memory());
        unproven
            + match &self.phase {
                Phase::PartialHead(partial) => partial.memory(),
                Phase::Preface(preface) => preface.memory(),
                _ => 0,
            }
    }

    fn step(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) -> usize {
        match &mut self.phase {
            Phase::Stopped | Phase::Tls { seen: 3.. } => bytes.len(),
            Phase::Tls { seen } if is_tls(*seen, bytes[0]) => {
                *seen += 1;
                1
            }
            Phase::Tls { .. } => {
                self.phase = Phase::Resync { line_start: false };
                0
            }
            Phase::Start if self.prefaces != Prefaces::None => self.start_preface(bytes, here, context),
            Phase::Preface(_) => self.buffer_preface(bytes, context),
            Phase::PrefaceRest(rest) => {
                let taken = bytes.len().min(*rest);
                *rest -= taken;
                if *rest == 0 {
                    self.phase = Phase::Start;
                }
                taken
            }
            Phase::Start | Phase::Head => self.start_request(bytes, here, context),
            Phase::PartialHead(_) => self.buffer_head(bytes, here, context),
            Phase::HeadRemainder { body, line } => {
                let (taken, done) = skip_lines(line, bytes);
                let body = *body;
                if done {
                    self.enter_body(body, context);
                }
                taken
            }
            Phase::Body(_) => self.skip_body(bytes, here, context),
            Phase::UnsentBody(body) => {
                let body = *body;
                self.phase = if may_be_request(bytes) {
                    Phase::PartialHead(PartialHead::strict(here, Some(Fallback::Body(body))))
                } else {
                    Phase::Body(body)
                };
                0
            }
            Phase::Resync { line_start } => {
                let line_start = *line_start;
                let taken =
                    self.find_request_line(line_start, bytes, here, context.limits.line.min(context.limits.head));
                if !matches!(self.phase, Phase::Resync { .. }) {
                    self.drop_unproven(here.offset + taken as u64, context);
                }
                if taken > 0 && self.unproven.is_none() {
                    context.handler.skipped(here.acked);
                }
                taken
            }
        }
    }

    /// Reports a request to the handler.
    fn emit_request(
        &mut self,
        head: &RequestHead<'_>,
        start: StreamPosition,
        head_end: u64,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        self.opening = Opening::Message;
        context.counters.requests += 1;
        context.counters.bad_header_lines += head.fields.bad_lines;
        self.expects = head.fields.expects;
        self.body_len = 0;
        context.handler.request(head, HeadPosition { start: start.offset, head_end, acked: start.acked });
        self.disputed = Body::is_disputed(&head.fields).then_some(head_end);
        if self.disputed.is_some() {
            context.handler.lost(self.segment_acked);
        }
    }

    /// Enters the body after a head.
    fn enter_body(&mut self, body: Body, context: &mut ParseContext<'_, impl RequestHandler>) {
        self.phase = Phase::Body(body);
        if body.is_empty() {
            self.end_body(context);
        }
    }

    fn end_body(&mut self, context: &mut ParseContext<'_, impl RequestHandler>) {
        self.phase = Phase::Head;
        context.handler.body_end(self.body_len);
    }

    fn skip_body(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) -> usize {
        if self.disputed.is_some() && self.unproven.is_none() {
            context.handler.skipped(here.acked);
        }
        let Phase::Body(body) = &mut self.phase else { return 0 };
        let before = self.body_len;
        let progress = body.skip(bytes, &mut self.body_len);
        context.counters.body_bytes += self.body_len - before;
        match progress {
            BodyProgress::All => bytes.len(),
            BodyProgress::Ended(taken) => {
                self.end_body(context);
                taken
            }
            BodyProgress::Broken(taken, line_start) => {
                context.counters.framing_errors += 1;
                self.end_body(context);
                let kept = self.unproven.as_ref().map(|segments| segments.before);
                context.handler.lost(kept.unwrap_or(self.segment_acked));
                self.phase = Phase::Resync { line_start };
                taken
            }
        }
    }
}
