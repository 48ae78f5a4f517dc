//! The client's stream where it is not known where a request begins, and where it breaks off.

use super::parse::{RequestHead, is_certain};
use super::{Began, Lines, Phase, RequestHandler, Requests, line_of};
use crate::http::ParseContext;
use crate::http::fields::Fields;
use crate::http::line::{RequestLine, may_be_request, split_request};

impl Requests {
    /// Looks for a line that is a request. Nothing is kept but the last line of the bytes, and only if it may be one.
    pub(super) fn search(&mut self, mut line_start: bool, bytes: &[u8], here: Began, most: usize) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let end = memchr::memchr(b'\n', rest).map(|end| end + 1);
            if line_start && may_be_request(rest) {
                match end {
                    Some(end) => {
                        if end <= most && split_request(&rest[..end]).is_some_and(|line| is_certain(&line)) {
                            self.phase = Phase::Head;
                            return at;
                        }
                    }
                    None => {
                        let began = Began { offset: here.offset + at as u64, acked: here.acked };
                        self.phase = Phase::Lines(Box::new(Lines { began, certain: true, ..Lines::default() }));
                        return at;
                    }
                }
            }
            line_start = end.is_some();
            at += end.unwrap_or(rest.len());
        }
        self.phase = Phase::Lost { line_start };
        bytes.len()
    }

    /// What ends in the middle: a body, or a head that is judged as it stands, for the server may have read it.
    pub(super) fn cut_short(&mut self, offset: u64, tools: &mut ParseContext<'_, impl RequestHandler>) {
        let lines = match std::mem::take(&mut self.phase) {
            Phase::Lines(lines) => lines,
            Phase::Rest { .. } | Phase::Body(_) | Phase::Refused(_) => return tools.sink.body_end(self.content),
            Phase::Start | Phase::Head | Phase::Lost { .. } | Phase::Dead => return,
        };
        if lines.instead.is_some() {
            tools.sink.body_end(self.content);
        }
        let gathered = &lines.gathered;
        let whole = gathered.has_first_line() || gathered.cut;
        let line = if whole { line_of(gathered) } else { line_of(gathered).and_then(RequestLine::without_cut_end) };
        let Some(line) =
            line.filter(|line| if lines.certain { !gathered.cut && is_certain(line) } else { line.is_plausible() })
        else {
            return;
        };
        let fields = Fields::of_lines(gathered.fields());
        self.found(
            &RequestHead { line, fields, lines: gathered.fields(), truncated: true },
            lines.began,
            offset,
            tools,
        );
        tools.sink.body_end(0);
    }
}
