//! The client's stream: requests split out, bodies passed over, the way found back after a loss. Not the pairing with
//! answers.

mod parse;
mod resync;

pub(super) use parse::RequestHead;

use parse::{FirstLine, fast, is_binary, is_certain, is_preface, is_tls, judge, tolerant};

use super::body::{Body, Passed};
use super::fields::Fields;
use super::head::{Added, HeadBuffer, find_end, pass_lines};
use super::line::{RequestLine, may_be_request, split_request};
use super::{ParseContext, ProgressGuard};

/// The client's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    phase: Phase,
    /// Bytes of the present body.
    content: u64,
    /// Whether the client waits for a go-ahead before it sends the present body.
    expects: bool,
}

/// The first byte of a request.
#[derive(Clone, Copy, Debug, Default)]
struct Began {
    offset: u64,
    /// How much of the server's stream its segment acknowledged.
    acked: Option<u64>,
}

/// Where in the client's stream.
#[derive(Debug, Default)]
enum Phase {
    /// Nothing was seen yet.
    #[default]
    Start,
    /// A request is expected.
    Head,
    /// In the lines of a head.
    Lines(Box<Lines>),
    /// In a head of which enough is known: up to its blank line; then the body.
    Rest { body: Body, line: u32 },
    /// In a body.
    Body(Body),
    /// At the beginning of a body that may never be sent: the request was answered before it.
    Refused(Body),
    /// Somewhere unknown: up to a line that is a request.
    Lost { line_start: bool },
    /// Not HTTP, or not any more.
    Dead,
}

/// A head that comes in pieces.
#[derive(Debug, Default)]
struct Lines {
    gathered: HeadBuffer,
    began: Began,
    /// It began somewhere unknown, so its first line must leave no doubt.
    certain: bool,
    /// What it is if it is no head.
    instead: Option<Body>,
}

/// Where a request stands in the client's stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadPosition {
    /// Offset of its first byte.
    pub(super) begin: u64,
    /// Offset behind its head.
    pub(super) head_end: u64,
    /// How much of the server's stream the segment with its first byte acknowledged.
    pub(super) acked: Option<u64>,
}

/// Who is told.
pub(super) trait RequestHandler {
    /// A request.
    fn request(&mut self, found: &RequestHead<'_>, place: HeadPosition);
    /// Its body ended, or can't be followed.
    fn body_end(&mut self, content: u64);
    /// What passed may have been requests.
    fn lost(&mut self);
}

impl Requests {
    /// Takes bytes in order; `offset` is that of the first one, `acked` what their segment acknowledged.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut offset: u64,
        acked: Option<u64>,
        tools: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        let mut still = ProgressGuard::default();
        while !bytes.is_empty() {
            let taken = still.taken(self.step(bytes, Began { offset, acked }, tools), tools.counters);
            bytes = &bytes[taken..];
            offset += taken as u64;
        }
    }

    /// So many bytes were lost.
    pub(super) fn gap(&mut self, len: u64, offset: u64, tools: &mut ParseContext<'_, impl RequestHandler>) {
        match &mut self.phase {
            Phase::Dead => return,
            Phase::Body(body) => {
                let before = self.content;
                if body.pass_gap(len, &mut self.content) {
                    tools.counters.body_bytes += self.content - before;
                    if body.is_empty() {
                        self.body_ended(tools);
                    }
                    return;
                }
            }
            _ => {}
        }
        self.cut_short(offset, tools);
        self.phase = Phase::Lost { line_start: true };
        tools.counters.resync += 1;
        tools.sink.lost();
    }

    /// The stream is over.
    pub(super) fn end(&mut self, offset: u64, tools: &mut ParseContext<'_, impl RequestHandler>) {
        self.cut_short(offset, tools);
        self.phase = Phase::Dead;
    }

    /// The connection speaks something else from now on.
    pub(super) fn give_up(&mut self) {
        self.phase = Phase::Dead;
    }

    /// The connection is a tunnel from now on, through which anything may come.
    pub(super) fn begin_again(&mut self) {
        if matches!(self.phase, Phase::Head) {
            self.phase = Phase::Start;
        }
    }

    /// The present request was answered: a client that waits for a go-ahead may now not send the body (RFC 9110
    /// section 10.1.1).
    pub(super) fn refused(&mut self) {
        if let Phase::Body(body) = self.phase
            && self.expects
            && self.content == 0
        {
            self.phase = Phase::Refused(body);
        }
    }

    /// Bytes of the present body.
    pub(super) const fn content(&self) -> u64 {
        self.content
    }

    /// Where the head begins that is in progress.
    pub(super) fn unfinished(&self) -> Option<u64> {
        match &self.phase {
            Phase::Lines(lines) => Some(lines.began.offset),
            _ => None,
        }
    }

    pub(super) fn memory(&self) -> usize {
        match &self.phase {
            Phase::Lines(lines) => lines.gathered.memory() + size_of::<Lines>(),
            _ => 0,
        }
    }

    fn step(&mut self, bytes: &[u8], here: Began, tools: &mut ParseContext<'_, impl RequestHandler>) -> usize {
        match &mut self.phase {
            Phase::Dead => bytes.len(),
            Phase::Start | Phase::Head => self.begin(bytes, here, tools),
            Phase::Lines(_) => self.gather(bytes, here, tools),
            Phase::Rest { body, line } => {
                let (taken, done) = pass_lines(line, bytes);
                let body = *body;
                if done {
                    self.enter(body, tools);
                }
                taken
            }
            Phase::Body(_) => self.pass_body(bytes, tools),
            Phase::Refused(body) => {
                let body = *body;
                self.phase = if may_be_request(bytes) {
                    Phase::Lines(Box::new(Lines {
                        began: here,
                        certain: true,
                        instead: Some(body),
                        ..Lines::default()
                    }))
                } else {
                    Phase::Body(body)
                };
                0
            }
            Phase::Lost { line_start } => {
                let line_start = *line_start;
                self.search(line_start, bytes, here, tools.limits.line.min(tools.limits.head))
            }
        }
    }

    /// At the beginning of a request, or of what is none.
    fn begin(&mut self, bytes: &[u8], here: Began, tools: &mut ParseContext<'_, impl RequestHandler>) -> usize {
        // Servers pass over empty lines before a request (RFC 9112 section 2.2), and lenient ones over blanks.
        let blanks = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t')).count();
        if blanks > 0 {
            return blanks;
        }
        if matches!(self.phase, Phase::Start) && is_binary(bytes[0]) {
            tools.counters.not_http += 1;
            tools.sink.lost();
            // A capture may begin in the middle of a body; but TLS stays TLS.
            self.phase = if is_tls(bytes[0]) { Phase::Dead } else { Phase::Lost { line_start: false } };
            return bytes.len().min(1);
        }
        self.phase = Phase::Head;
        let limits = tools.limits;
        if let Some((len, found)) = fast(bytes)
            && len <= limits.head
            && found.line.len_of_everyday(bytes) <= limits.line
        {
            if is_preface(&found.line) {
                return self.speaks_http2(bytes.len(), tools);
            }
            self.found(&found, here, here.offset + len as u64, tools);
            self.enter(Body::of_request(&found.fields, tools.counters), tools);
            return len;
        }
        // Only what is wholly there and within the limits is read in place.
        if let Some(line_end) = memchr::memchr(b'\n', bytes).map(|end| end + 1)
            && line_end <= limits.line.min(limits.head)
        {
            let line = &bytes[..line_end];
            let verdict = judge(line, false);
            if verdict != FirstLine::Request {
                self.odd_line(verdict, line, here, here.offset + line_end as u64, tools);
                return line_end;
            }
            if let Some(len) = find_end(bytes)
                && len <= limits.head
                && let Some(found) = tolerant(&bytes[..len], line_end)
            {
                tools.counters.tolerant += 1;
                self.found(&found, here, here.offset + len as u64, tools);
                self.enter(Body::of_request(&found.fields, tools.counters), tools);
                return len;
            }
        }
        self.phase = Phase::Lines(Box::new(Lines { began: here, ..Lines::default() }));
        0
    }

    fn gather(&mut self, bytes: &[u8], here: Began, tools: &mut ParseContext<'_, impl RequestHandler>) -> usize {
        let Phase::Lines(lines) = &mut self.phase else { return bytes.len() };
        let Lines { gathered, certain, .. } = &mut **lines;
        match gathered.add(bytes, tools.limits.line, tools.limits.head) {
            Added::All => {
                if *certain && !gathered.has_first_line() && !may_be_request(gathered.bytes()) {
                    self.no_head(false, tools);
                }
                bytes.len()
            }
            Added::FirstLine(taken) => {
                tools.counters.line_truncated += u64::from(gathered.cut);
                let line = gathered.first_line();
                if *certain {
                    if gathered.cut || !split_request(line).is_some_and(|line| is_certain(&line)) {
                        self.no_head(true, tools);
                    }
                    return taken;
                }
                let verdict = judge(line, gathered.cut);
                if verdict != FirstLine::Request
                    && let Phase::Lines(lines) = std::mem::take(&mut self.phase)
                {
                    let end = here.offset + taken as u64;
                    self.odd_line(verdict, lines.gathered.first_line(), lines.began, end, tools);
                }
                taken
            }
            Added::Complete(taken) => {
                self.gathered(here.offset + taken as u64, false, tools);
                taken
            }
            Added::TooLong(taken) => {
                tools.counters.head_limit += 1;
                self.gathered(here.offset + taken as u64, true, tools);
                taken
            }
        }
    }

    /// A gathered head is complete, or as long as it may get.
    fn gathered(&mut self, head_end: u64, too_long: bool, tools: &mut ParseContext<'_, impl RequestHandler>) {
        let Phase::Lines(lines) = &self.phase else { return };
        let gathered = &lines.gathered;
        let line = split_request(gathered.first_line())
            .filter(|line| if lines.certain { gathered.has_first_line() } else { line.is_plausible() });
        if line.is_none() {
            return self.no_head(false, tools);
        }
        let Phase::Lines(lines) = std::mem::take(&mut self.phase) else { return };
        let gathered = &lines.gathered;
        let Some(line) = line_of(gathered) else { return };
        if lines.instead.is_some() {
            tools.sink.body_end(0);
        }
        let lines_behind = gathered.fields();
        let fields = Fields::of_lines(lines_behind);
        let truncated = too_long || gathered.cut;
        if truncated || fast(gathered.bytes()).is_none() {
            tools.counters.tolerant += 1;
        }
        self.found(&RequestHead { line, fields, lines: lines_behind, truncated }, lines.began, head_end, tools);
        let body = Body::of_request(&fields, tools.counters);
        if too_long {
            self.phase = Phase::Rest { body, line: u32::from(gathered.is_within_line()) };
        } else {
            self.enter(body, tools);
        }
    }

    /// What was gathered is no head: it was a body, or nothing. `line_start`: it ended with a line.
    fn no_head(&mut self, line_start: bool, tools: &mut ParseContext<'_, impl RequestHandler>) {
        let Phase::Lines(lines) = std::mem::take(&mut self.phase) else { return };
        match lines.instead {
            Some(body) if !lines.gathered.cut => {
                self.phase = Phase::Body(body);
                self.feed(lines.gathered.bytes(), lines.began.offset, lines.began.acked, tools);
            }
            Some(_) => {
                self.phase = Phase::Lost { line_start };
                tools.sink.body_end(0);
                tools.sink.lost();
            }
            None => {
                self.phase = Phase::Lost { line_start };
                if !lines.certain {
                    tools.counters.resync += 1;
                    tools.sink.lost();
                }
            }
        }
    }

    /// A first line that is no request with a version: HTTP/0.9, HTTP/2, or nothing. It ends at `end`.
    fn odd_line(
        &mut self,
        verdict: FirstLine,
        line: &[u8],
        began: Began,
        end: u64,
        tools: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        self.phase = Phase::Lost { line_start: true };
        match (verdict, split_request(line)) {
            (FirstLine::Preface, _) => {
                self.speaks_http2(line.len(), tools);
            }
            (FirstLine::Simple, Some(line)) => {
                tools.counters.tolerant += 1;
                self.found(
                    &RequestHead { line, fields: Fields::default(), lines: &[], truncated: false },
                    began,
                    end,
                    tools,
                );
                tools.sink.body_end(0);
                tools.sink.lost();
            }
            _ => {
                tools.counters.resync += 1;
                tools.sink.lost();
            }
        }
    }

    fn speaks_http2(&mut self, taken: usize, tools: &mut ParseContext<'_, impl RequestHandler>) -> usize {
        tools.counters.not_http += 1;
        self.phase = Phase::Dead;
        taken
    }

    /// A request with its fields.
    fn found(
        &mut self,
        found: &RequestHead<'_>,
        began: Began,
        head_end: u64,
        tools: &mut ParseContext<'_, impl RequestHandler>,
    ) {
        tools.counters.requests += 1;
        tools.counters.bad_header_lines += found.fields.bad_lines;
        self.expects = found.fields.expects;
        self.content = 0;
        tools.sink.request(found, HeadPosition { begin: began.offset, head_end, acked: began.acked });
        if Body::is_disputed(&found.fields) {
            tools.sink.lost();
        }
    }

    /// The phase behind a head.
    fn enter(&mut self, body: Body, tools: &mut ParseContext<'_, impl RequestHandler>) {
        self.phase = Phase::Body(body);
        if body.is_empty() {
            self.body_ended(tools);
        }
    }

    fn body_ended(&mut self, tools: &mut ParseContext<'_, impl RequestHandler>) {
        self.phase = Phase::Head;
        tools.sink.body_end(self.content);
    }

    fn pass_body(&mut self, bytes: &[u8], tools: &mut ParseContext<'_, impl RequestHandler>) -> usize {
        let Phase::Body(body) = &mut self.phase else { return 0 };
        let before = self.content;
        let passed = body.pass(bytes, &mut self.content);
        tools.counters.body_bytes += self.content - before;
        match passed {
            Passed::All => bytes.len(),
            Passed::Ended(taken) => {
                self.body_ended(tools);
                taken
            }
            Passed::Broken(taken, line_start) => {
                tools.counters.framing_errors += 1;
                self.body_ended(tools);
                tools.sink.lost();
                self.phase = Phase::Lost { line_start };
                taken
            }
        }
    }
}

fn line_of(gathered: &HeadBuffer) -> Option<RequestLine<'_>> {
    split_request(gathered.first_line())
}
