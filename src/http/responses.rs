//! The server's stream: status lines and fields split out, bodies passed over, the way found back after a loss. Whom a
//! response answers is asked of its [`Sink`].

use super::body::{Body, Passed};
use super::fields::{Fields, Length};
use super::head::{Added, Gathered, find_end};
use super::line::{StatusLine, may_be_response, split_response};
use super::waiting::Kind;
use super::{Counters, Limits};

/// The server's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Responses {
    phase: Phase,
    /// Bytes of the present body.
    content: u64,
    /// What the segment acknowledged in which the present response begins.
    acked: Option<u64>,
}

/// Where in the server's stream.
#[derive(Debug, Default)]
enum Phase {
    /// A response is expected.
    #[default]
    Head,
    /// In the lines of a head.
    Lines(Box<Gathered>),
    /// In a body.
    Body(Body),
    /// Somewhere unknown: up to a line that is a status line.
    Lost { line_start: bool },
    /// Not HTTP, or not any more.
    Dead,
}

/// A response's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) line: StatusLine<'a>,
    pub(super) fields: Fields<'a>,
    /// `Content-Length`, where it is valid.
    pub(super) content_length: Option<u64>,
}

/// Who is told.
pub(super) trait Sink {
    /// A response whose first segment acknowledged the client's stream up to `acked`. Says what the method of the
    /// request it answers means for it.
    fn response(&mut self, found: &Found<'_>, acked: Option<u64>) -> Kind;
    /// Its body ended, or can't be followed.
    fn body_end(&mut self, content: u64);
    /// Bytes were lost whose meaning is not known.
    fn lost(&mut self);
}

/// What a stretch of the stream is parsed with.
pub(super) struct Tools<'t, S> {
    pub(super) limits: &'t Limits,
    pub(super) counters: &'t mut Counters,
    pub(super) sink: &'t mut S,
}

impl Responses {
    /// Takes bytes in order, of a segment that acknowledged the client's stream up to `acked`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], acked: Option<u64>, tools: &mut Tools<'_, impl Sink>) {
        while !bytes.is_empty() {
            let taken = match &self.phase {
                Phase::Dead => bytes.len(),
                Phase::Head => self.begin(bytes, acked, tools),
                Phase::Lines(_) => self.gather(bytes, tools),
                Phase::Body(_) => self.pass_body(bytes, tools),
                Phase::Lost { line_start } => self.search(*line_start, bytes, acked),
            };
            bytes = &bytes[taken..];
        }
    }

    /// So many bytes were lost.
    pub(super) fn gap(&mut self, len: u64, tools: &mut Tools<'_, impl Sink>) {
        match &mut self.phase {
            Phase::Dead => return,
            Phase::Body(body) => {
                if body.pass_gap(len, &mut self.content) {
                    if body.is_empty() {
                        self.body_ended(tools);
                    }
                    return;
                }
                self.body_ended(tools);
            }
            _ => {}
        }
        self.phase = Phase::Lost { line_start: true };
        tools.counters.resync += 1;
        tools.sink.lost();
    }

    /// The stream is over. Says whether it ended within the head of a response.
    pub(super) fn end(&mut self, tools: &mut Tools<'_, impl Sink>) -> bool {
        if let Phase::Body(_) = self.phase {
            self.body_ended(tools);
        }
        let within_head = matches!(self.phase, Phase::Lines(_));
        self.phase = Phase::Dead;
        within_head
    }

    /// Whether no message is in progress.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.phase, Phase::Head | Phase::Lost { .. } | Phase::Dead)
    }

    /// The connection speaks something else from now on.
    pub(super) fn give_up(&mut self) {
        self.phase = Phase::Dead;
    }

    pub(super) fn memory(&self) -> usize {
        match &self.phase {
            Phase::Lines(gathered) => gathered.memory(),
            _ => 0,
        }
    }

    fn begin(&mut self, bytes: &[u8], acked: Option<u64>, tools: &mut Tools<'_, impl Sink>) -> usize {
        let blanks = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if blanks > 0 {
            return blanks;
        }
        if !may_be_response(bytes) {
            tools.counters.resync += 1;
            tools.sink.lost();
            self.phase = Phase::Lost { line_start: false };
            return 1;
        }
        self.acked = acked;
        let line_end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        if line_end <= tools.limits.line
            && let Some(len) = find_end(bytes).filter(|&len| len <= tools.limits.head)
        {
            self.head(&bytes[..line_end], &bytes[line_end..len], tools);
            // A line that is no status line is passed over alone, as it is where it comes in pieces.
            return if matches!(self.phase, Phase::Lost { .. }) { line_end } else { len };
        }
        self.phase = Phase::Lines(Box::default());
        0
    }

    fn gather(&mut self, bytes: &[u8], tools: &mut Tools<'_, impl Sink>) -> usize {
        let Phase::Lines(gathered) = &mut self.phase else { return bytes.len() };
        let (taken, complete) = match gathered.add(bytes, tools.limits.line, tools.limits.head) {
            Added::All => {
                if !may_be_response(gathered.bytes()) {
                    tools.sink.lost();
                    self.phase = Phase::Lost { line_start: false };
                }
                return bytes.len();
            }
            Added::FirstLine(taken) => (taken, split_response(gathered.first_line()).is_none()),
            Added::Complete(taken) => (taken, true),
            Added::TooLong(taken) => {
                tools.counters.head_limit += 1;
                (taken, true)
            }
        };
        if complete && let Phase::Lines(gathered) = std::mem::take(&mut self.phase) {
            self.head(gathered.first_line(), gathered.fields(), tools);
        }
        taken
    }

    /// A head is complete, or as long as it may get.
    fn head(&mut self, line: &[u8], lines: &[u8], tools: &mut Tools<'_, impl Sink>) {
        let Some(line) = split_response(line) else {
            tools.counters.resync += 1;
            tools.sink.lost();
            self.phase = Phase::Lost { line_start: true };
            return;
        };
        let fields = Fields::of_lines(lines);
        let content_length = match fields.length {
            Length::Valid(length) => Some(length),
            _ => None,
        };
        tools.counters.responses += 1;
        tools.counters.bad_header_lines += fields.bad_lines;
        self.content = 0;
        let found = Found { line, fields, content_length };
        self.phase = Phase::Head;
        if (100..200).contains(&line.status) && line.status != 101 {
            return;
        }
        let kind = tools.sink.response(&found, self.acked);
        if line.status == 101 {
            tools.sink.body_end(0);
            self.phase = Phase::Dead;
            return;
        }
        // Without a body whatever the fields say (RFC 9112 section 6.3).
        let bodiless = kind == Kind::Head
            || matches!(line.status, 204 | 304)
            || (kind == Kind::Connect && (200..300).contains(&line.status));
        let body = if bodiless { Body::Length(0) } else { Body::of_response(&fields, tools.counters) };
        self.phase = Phase::Body(body);
        if body.is_empty() {
            self.body_ended(tools);
        }
    }

    fn body_ended(&mut self, tools: &mut Tools<'_, impl Sink>) {
        self.phase = Phase::Head;
        tools.sink.body_end(self.content);
    }

    fn pass_body(&mut self, bytes: &[u8], tools: &mut Tools<'_, impl Sink>) -> usize {
        let Phase::Body(body) = &mut self.phase else { return 0 };
        match body.pass(bytes, &mut self.content) {
            Passed::All => bytes.len(),
            Passed::Ended(taken) => {
                self.body_ended(tools);
                taken
            }
            Passed::Broken { taken, .. } => {
                tools.counters.framing_errors += 1;
                self.body_ended(tools);
                tools.sink.lost();
                self.phase = Phase::Lost { line_start: false };
                taken
            }
        }
    }

    /// Looks for the beginning of a line that may be a status line.
    fn search(&mut self, mut line_start: bool, bytes: &[u8], acked: Option<u64>) -> usize {
        let mut at = 0;
        loop {
            if line_start && at < bytes.len() && may_be_response(&bytes[at..]) {
                self.acked = acked;
                self.phase = Phase::Lines(Box::default());
                return at;
            }
            let Some(end) = memchr::memchr(b'\n', &bytes[at..]) else {
                self.phase = Phase::Lost { line_start: line_start && at == bytes.len() };
                return bytes.len();
            };
            at += end + 1;
            line_start = true;
        }
    }
}
