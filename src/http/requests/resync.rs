//! Finds the next request in the client's stream when its position is unknown, and handles truncated messages.

use super::parse::{RequestHead, is_certain};
use super::{PartialHead, Phase, RequestHandler, Requests, line_of};
use crate::http::fields::Fields;
use crate::http::line::{RequestLine, may_be_request, split_request};
use crate::http::{ParseContext, StreamPosition};

impl Requests {
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
                        self.phase =
                            Phase::PartialHead(Box::new(PartialHead { start, strict: true, ..PartialHead::default() }));
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
            Phase::Start | Phase::Head | Phase::Resync { .. } | Phase::Tls { .. } | Phase::Stopped => return,
        };
        if partial.fallback.is_some() {
            context.handler.body_end(self.body_len);
        }
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
