//! Finds the next request in the client's stream when its position is unknown, and handles truncated messages.

use super::heads::line_of;
use super::parse::{RequestHead, is_certain};
use super::{Fallback, PartialHead, Phase, RequestHandler, Requests};
use crate::http::fields::Fields;
use crate::http::line::{RequestLine, may_be_request, split_request};
use crate::http::{ParseContext, StreamPosition};

/// Segments at an unknown position, the first of which may begin a request.
#[derive(Debug)]
pub(super) struct UnprovenSegments {
    segments: Vec<Segment>,
    /// How much of the server's stream the segment before them acknowledged.
    pub(super) before: Option<u64>,
}

#[derive(Debug)]
struct Segment {
    start: StreamPosition,
    bytes: Box<[u8]>,
}

impl UnprovenSegments {
    /// Adds a segment. Returns whether there is space for it.
    fn push(&mut self, bytes: &[u8], start: StreamPosition) -> bool {
        /// Rationale: a few heads of usual size; such segments are rare.
        const MAX_BYTES: usize = 16 << 10;
        const MAX_SEGMENTS: usize = 32;
        let fits = self.segments.len() < MAX_SEGMENTS
            && self.segments.iter().map(|segment| segment.bytes.len()).sum::<usize>() + bytes.len() <= MAX_BYTES;
        if fits {
            self.segments.push(Segment { start, bytes: bytes.into() });
        }
        fits
    }

    /// Returns the memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        let segments = self.segments.iter().map(|segment| segment.bytes.len()).sum::<usize>();
        size_of::<Self>() + self.segments.capacity() * size_of::<Segment>() + segments
    }
}

/// Reports whether bytes begin with a line that is certain to be a request line.
fn begins_request(bytes: &[u8]) -> bool {
    may_be_request(bytes)
        && memchr::memchr(b'\n', bytes)
            .is_some_and(|end| split_request(&bytes[..=end]).is_some_and(|line| is_certain(&line)))
}

impl Requests {
    /// Looks for a request at the start of a segment where the position in the stream is unknown: after a loss, in a line
    /// that is no request line, or in a body whose end is disputed. A client that waits for answers begins the next
    /// request with the first segment that it sends after it has read one, and the server has then taken what precedes
    /// for complete. If the answer is not known yet, segments that may begin a request are kept for it.
    pub(super) fn resync_at_segment(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        let since = match &self.phase {
            Phase::Resync { .. } => 0,
            Phase::Body(_) if let Some(since) = self.disputed => since,
            Phase::PartialHead(partial) if partial.fallback.is_none() && !partial.buffer.has_first_line() => {
                partial.start.offset
            }
            _ => return self.drop_unproven(u64::MAX, context),
        };
        if !may_be_request(bytes) || !context.handler.is_behind_answer(here, self.segment_acked, since) {
            return self.keep_unproven(bytes, here, context);
        }
        self.drop_unproven(u64::MAX, context);
        match &mut self.phase {
            Phase::Resync { line_start } => *line_start = true,
            Phase::Body(body) => {
                self.phase = Phase::PartialHead(PartialHead::strict(here, Some(Fallback::Body(*body))));
            }
            Phase::PartialHead(partial) => {
                let fallback = Fallback::Line(std::mem::take(partial), self.segment_acked);
                self.phase = Phase::PartialHead(PartialHead::strict(here, Some(fallback)));
            }
            _ => {}
        }
    }

    /// Keeps a segment that may begin a request, and those that follow it, until the server's next answer shows which of
    /// them does.
    fn keep_unproven(
        &mut self,
        bytes: &[u8],
        here: StreamPosition,
        context: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        let begins =
            begins_request(bytes) && !matches!(self.phase, Phase::PartialHead(_) | Phase::Resync { line_start: true });
        if self.unproven.is_none() && !begins {
            return;
        }
        let before = self.segment_acked;
        let segments = self.unproven.get_or_insert_with(|| Box::new(UnprovenSegments { segments: Vec::new(), before }));
        if !segments.push(bytes, here) {
            self.drop_unproven(u64::MAX, context);
        }
    }

    /// Gives up the segments kept: those that begin before stream offset `end` are no known requests.
    pub(super) fn drop_unproven(&mut self, end: u64, context: &mut ParseContext<'_, impl RequestHandler>) {
        let Some(kept) = self.unproven.take() else { return };
        if let Some(last) = kept.segments.iter().rfind(|segment| segment.start.offset < end) {
            context.handler.skipped(last.start.acked);
        }
    }

    /// Notes that an answer begins in a segment that acknowledges the client's stream up to `end`: what precedes is
    /// complete, and a request line there begins a request.
    pub(in crate::http) fn answered(&mut self, end: u64, context: &mut ParseContext<'_, impl RequestHandler>) {
        let Some(segments) = self.unproven.as_ref().map(|kept| &kept.segments) else { return };
        if segments.first().is_none_or(|first| first.start.offset > end) {
            return;
        }
        let unknown = matches!(self.phase, Phase::Resync { .. })
            || (matches!(self.phase, Phase::Body(_)) && self.disputed.is_some());
        let found = segments.iter().position(|segment| segment.start.offset == end && begins_request(&segment.bytes));
        let Some(at) = found.filter(|_| unknown) else { return self.drop_unproven(u64::MAX, context) };
        let segments = self.unproven.take().map_or_else(Vec::new, |kept| kept.segments);
        if let Phase::Body(_) = self.phase {
            context.handler.body_end(self.body_len);
        }
        self.phase = Phase::Head;
        for Segment { start, bytes } in &segments[at..] {
            self.segment_acked = start.acked;
            self.parse(bytes, start.offset, start.acked, context);
        }
    }

    /// Searches for a line that is certain to be a request. Buffers only the last, incomplete line of the bytes, and
    /// only if it may become one; `limit` is the longest line accepted, in bytes.
    pub(super) fn find_request_line(
        &mut self,
        mut line_start: bool,
        bytes: &[u8],
        here: StreamPosition,
        limit: usize,
    ) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let end = memchr::memchr(b'\n', rest).map(|end| end + 1);
            if line_start && may_be_request(rest) {
                match end {
                    Some(end) => {
                        if end <= limit && split_request(&rest[..end]).is_some_and(|line| is_certain(&line)) {
                            self.phase = Phase::Head;
                            return at;
                        }
                    }
                    None => {
                        let start = StreamPosition { offset: here.offset + at as u64, acked: here.acked };
                        self.phase = Phase::PartialHead(PartialHead::strict(start, None));
                        return at;
                    }
                }
            }
            line_start = end.is_some();
            at += end.unwrap_or(rest.len());
        }
        self.phase = Phase::Resync { line_start };
        bytes.len()
    }

    /// Ends the message in progress at `offset`: a body, or a head that is evaluated as far as it was received, because
    /// the server may have read all of it.
    pub(super) fn finish_truncated(&mut self, offset: u64, context: &mut ParseContext<'_, impl RequestHandler>) {
        let partial = match std::mem::take(&mut self.phase) {
            Phase::PartialHead(partial) => partial,
            Phase::HeadRemainder { .. } | Phase::Body(_) | Phase::UnsentBody(_) => {
                return context.handler.body_end(self.body_len);
            }
            Phase::Start
            | Phase::Preface(_)
            | Phase::PrefaceRest(_)
            | Phase::Head
            | Phase::Resync { .. }
            | Phase::Tls { .. }
            | Phase::Stopped => return,
        };
        self.end_fallback(partial.fallback.as_ref(), context);
        let buffer = &partial.buffer;
        let complete = buffer.has_first_line() || buffer.cut;
        let line = if complete { line_of(buffer) } else { line_of(buffer).and_then(RequestLine::without_cut_end) };
        let Some(line) =
            line.filter(|line| if partial.strict { !buffer.cut && is_certain(line) } else { line.is_plausible() })
        else {
            return;
        };
        let fields = Fields::of_lines(buffer.fields());
        self.emit_request(
            &RequestHead { line, fields, field_lines: buffer.fields(), truncated: true },
            partial.start,
            offset,
            context,
        );
        context.handler.body_end(0);
    }
}
