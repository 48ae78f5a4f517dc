//! The server's stream: status lines and fields split out, bodies passed over, the way found back after a loss. Whom a
//! response answers is asked of its [`ResponseHandler`].

use super::body::{Body, Passed};
use super::fields::{Fields, Length};
use super::head::{Added, HeadBuffer, pass_lines};
use super::line::{StatusLine, may_be_response, split_response};
use super::pairing::{Beginning, MethodClass};
use super::{ParseContext, ProgressGuard, Response};

/// The server's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Responses {
    phase: Phase,
    /// Bytes of the present body.
    content: u64,
    /// Whether somebody looks at the present body.
    watched: bool,
}

/// Where in the server's stream.
#[derive(Debug, Default)]
enum Phase {
    /// A response is expected.
    #[default]
    Head,
    /// In the lines of a head.
    Lines(Box<Lines>),
    /// In a body.
    Body(Body),
    /// In a head of which enough is known: up to its blank line; then the body, or the next head.
    Rest { body: Option<Body>, line: u32 },
    /// Somewhere unknown, until a response begins where one is expected.
    Lost,
    /// Not HTTP, or not any more.
    Dead,
}

/// A head that comes in pieces.
#[derive(Debug)]
struct Lines {
    gathered: HeadBuffer,
    began: Beginning,
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
    fn expected(&self) -> Option<Beginning>;
    /// None begins there.
    fn unanswered(&mut self);
    /// An interim response ended at this offset.
    fn interim(&mut self, beginning: Beginning, end: u64);
    /// A final response or 101. Says what the method of the request it answers means for it, if it answers one, and
    /// whether its body is wanted.
    fn response(&mut self, found: &ResponseHead<'_>, beginning: Beginning) -> (Option<MethodClass>, bool);
    /// The next bytes of its body. Says whether more are wanted.
    fn body(&mut self, bytes: &[u8]) -> bool;
    /// Its body ended at this offset, or can't be followed.
    fn body_end(&mut self, content: u64, at: u64);
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
        tools: &mut ParseContext<'_, impl ResponseHandler>,
    ) {
        let mut still = ProgressGuard::default();
        while !bytes.is_empty() {
            let here = Beginning { at: offset, acked };
            let most = self.meet_expected(bytes, here, tools);
            let taken = still.taken(self.step(&bytes[..most], here, tools), tools.counters);
            bytes = &bytes[taken..];
            offset += taken as u64;
        }
    }

    fn step(&mut self, bytes: &[u8], here: Beginning, tools: &mut ParseContext<'_, impl ResponseHandler>) -> usize {
        match &mut self.phase {
            Phase::Dead | Phase::Lost => bytes.len(),
            Phase::Head => self.begin(bytes, here, tools),
            Phase::Lines(_) => self.gather(bytes, here, tools),
            Phase::Rest { body, line } => {
                let (taken, done) = pass_lines(line, bytes);
                let body = *body;
                if done {
                    self.enter(body, here.at + taken as u64, tools);
                }
                taken
            }
            Phase::Body(_) => self.pass_body(bytes, here, tools),
        }
    }

    /// Begins a response where one is expected after a loss, unless it is in progress. Says how many bytes come before the next such place.
    fn meet_expected(
        &mut self,
        bytes: &[u8],
        here: Beginning,
        tools: &mut ParseContext<'_, impl ResponseHandler>,
    ) -> usize {
        let Some(expected) = tools.sink.expected() else { return bytes.len() };
        if let Phase::Lines(lines) = &self.phase
            && lines.began.at == expected.at
        {
            return bytes.len();
        }
        let Some(before) = expected.at.checked_sub(here.at) else {
            tools.sink.unanswered();
            return bytes.len();
        };
        if before > 0 {
            return usize::try_from(before).map_or(bytes.len(), |before| before.min(bytes.len()));
        }
        match self.phase {
            Phase::Head | Phase::Dead => {}
            _ if may_be_response(bytes) && here.acked >= expected.acked => self.abandon(here.at, tools),
            _ => tools.sink.unanswered(),
        }
        bytes.len()
    }

    /// What is in progress was misunderstood: a response begins here.
    fn abandon(&mut self, at: u64, tools: &mut ParseContext<'_, impl ResponseHandler>) {
        self.watched = false;
        if matches!(self.phase, Phase::Body(_) | Phase::Rest { body: Some(_), .. }) {
            tools.sink.body_end(self.content, at);
        }
        self.phase = Phase::Head;
    }

    /// So many bytes were lost, from `offset` on.
    pub(super) fn gap(&mut self, len: u64, offset: u64, tools: &mut ParseContext<'_, impl ResponseHandler>) {
        let end = offset.saturating_add(len);
        self.watched = false;
        if let Phase::Dead = self.phase {
            return;
        }
        if let Phase::Body(body) = &mut self.phase
            && body.pass_gap(len, &mut self.content)
        {
            if body.is_empty() {
                self.body_ended(end, tools);
            }
            // Whoever did not wait for the end of this body is not known again.
            if tools.sink.expected().is_some_and(|expected| expected.at < end) {
                tools.sink.lost(end);
            }
            return;
        }
        tools.counters.resync += 1;
        self.lose(end, tools);
    }

    /// The way is lost; up to `end` nothing is known.
    pub(super) fn lose(&mut self, end: u64, tools: &mut ParseContext<'_, impl ResponseHandler>) {
        self.abandon(end, tools);
        self.phase = Phase::Lost;
        tools.sink.lost(end);
    }

    /// The stream is over. Says whether it ended within the head of a response.
    pub(super) fn end(&mut self, at: u64, tools: &mut ParseContext<'_, impl ResponseHandler>) -> bool {
        let within_head = matches!(self.phase, Phase::Lines(_));
        self.abandon(at, tools);
        self.phase = Phase::Dead;
        within_head
    }

    /// The connection speaks something else from now on.
    pub(super) fn give_up(&mut self) {
        self.phase = Phase::Dead;
    }

    pub(super) fn memory(&self) -> usize {
        match &self.phase {
            Phase::Lines(lines) => lines.gathered.memory() + size_of::<Lines>(),
            _ => 0,
        }
    }

    fn begin(&mut self, bytes: &[u8], here: Beginning, tools: &mut ParseContext<'_, impl ResponseHandler>) -> usize {
        let blanks = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if blanks > 0 {
            return blanks;
        }
        if !may_be_response(bytes) {
            tools.counters.resync += 1;
            self.lose(here.at + 1, tools);
            return 1;
        }
        let limits = tools.limits;
        if let Some(line_end) = memchr::memchr(b'\n', bytes).map(|end| end + 1)
            && line_end <= limits.line
            && let Some((fields, rest)) = Fields::of_head(&bytes[line_end..])
            && line_end + rest <= limits.head
        {
            let len = line_end + rest;
            self.head(&bytes[..line_end], fields, here, None, here.at + len as u64, tools);
            return len;
        }
        self.phase = Phase::Lines(Box::new(Lines { gathered: HeadBuffer::default(), began: here }));
        0
    }

    fn gather(&mut self, bytes: &[u8], here: Beginning, tools: &mut ParseContext<'_, impl ResponseHandler>) -> usize {
        let Phase::Lines(lines) = &mut self.phase else { return bytes.len() };
        let gathered = &mut lines.gathered;
        let (taken, known, rest) = match gathered.add(bytes, tools.limits.line, tools.limits.head) {
            Added::All => (bytes.len(), gathered.has_first_line() || may_be_response(gathered.bytes()), None),
            Added::FirstLine(taken) => (taken, split_response(gathered.first_line()).is_some(), None),
            Added::Complete(taken) => {
                self.gathered(None, here.at + taken as u64, tools);
                return taken;
            }
            Added::TooLong(taken) => (taken, true, Some(u32::from(gathered.is_within_line()))),
        };
        let at = here.at + taken as u64;
        if rest.is_some() {
            tools.counters.head_limit += 1;
            self.gathered(rest, at, tools);
        } else if !known {
            tools.counters.resync += 1;
            self.lose(at, tools);
        }
        taken
    }

    /// A gathered head is complete, or as long as it may get: then `rest` says whether its end is within a line.
    fn gathered(&mut self, rest: Option<u32>, at: u64, tools: &mut ParseContext<'_, impl ResponseHandler>) {
        if let Phase::Lines(lines) = std::mem::take(&mut self.phase) {
            let fields = Fields::of_lines(lines.gathered.fields());
            self.head(lines.gathered.first_line(), fields, lines.began, rest, at, tools);
        }
    }

    /// A head is known, its first line and the others, up to offset `at`.
    fn head(
        &mut self,
        line: &[u8],
        fields: Fields<'_>,
        began: Beginning,
        rest: Option<u32>,
        at: u64,
        tools: &mut ParseContext<'_, impl ResponseHandler>,
    ) {
        let Some(line) = split_response(line) else {
            tools.counters.resync += 1;
            return self.lose(at, tools);
        };
        let content_length = match fields.length {
            Length::Valid(length) => Some(length),
            _ => None,
        };
        tools.counters.responses += 1;
        tools.counters.bad_header_lines += fields.bad_lines;
        self.content = 0;
        let found = ResponseHead { line, fields, content_length };
        self.phase = Phase::Head;
        let body = if (100..200).contains(&line.status) && line.status != 101 {
            tools.sink.interim(began, at);
            None
        } else {
            let (kind, wanted) = tools.sink.response(&found, began);
            self.watched = wanted;
            if line.status == 101 {
                // What follows is another protocol, if this was what the client asked for.
                if kind.is_some() {
                    tools.sink.body_end(0, at);
                    self.phase = Phase::Dead;
                    return;
                }
                return self.lose(at, tools);
            }
            // Without a body whatever the fields say (RFC 9112 section 6.3).
            let bodiless = kind == Some(MethodClass::Head)
                || matches!(line.status, 204 | 304)
                || (kind == Some(MethodClass::Connect) && (200..300).contains(&line.status));
            Some(if bodiless { Body::Length(0) } else { Body::of_response(&fields, tools.counters) })
        };
        match rest {
            Some(line) => self.phase = Phase::Rest { body, line },
            None => self.enter(body, at, tools),
        }
    }

    /// The phase behind a head that ended at `at`.
    fn enter(&mut self, body: Option<Body>, at: u64, tools: &mut ParseContext<'_, impl ResponseHandler>) {
        self.phase = body.map_or(Phase::Head, Phase::Body);
        if body.is_some_and(|body| body.is_empty()) {
            self.body_ended(at, tools);
        }
    }

    fn body_ended(&mut self, at: u64, tools: &mut ParseContext<'_, impl ResponseHandler>) {
        self.phase = Phase::Head;
        self.watched = false;
        tools.sink.body_end(self.content, at);
    }

    fn pass_body(
        &mut self,
        bytes: &[u8],
        here: Beginning,
        tools: &mut ParseContext<'_, impl ResponseHandler>,
    ) -> usize {
        let Phase::Body(body) = &mut self.phase else { return 0 };
        let passed = if self.watched {
            let (watched, sink) = (&mut self.watched, &mut *tools.sink);
            body.pass_by(bytes, &mut self.content, |part| {
                if *watched && !part.is_empty() {
                    *watched = sink.body(part);
                }
            })
        } else {
            body.pass(bytes, &mut self.content)
        };
        match passed {
            Passed::All => bytes.len(),
            Passed::Ended(taken) => {
                self.body_ended(here.at + taken as u64, tools);
                taken
            }
            Passed::Broken(taken, _) => {
                tools.counters.framing_errors += 1;
                self.lose(here.at + taken as u64, tools);
                taken
            }
        }
    }
}
