//! The client's stream: requests split out, bodies passed over, the way found back after a loss. Not the pairing with
//! answers.

use httparse::Status;
use std::mem::MaybeUninit;

use super::body::{Body, Passed};
use super::fields::Fields;
use super::head::{Added, Gathered, find_end, pass_lines};
use super::line::{RequestLine, may_be_request, split_request};
use super::{Counters, Limits};

/// The client's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    phase: Phase,
    /// Bytes of the present body.
    content: u64,
}

/// Where in the client's stream.
#[derive(Debug, Default)]
enum Phase {
    /// Nothing was seen yet.
    #[default]
    Start,
    /// A request is expected.
    Head,
    /// In the lines of a head. `certain`: it began somewhere unknown, so its first line must leave no doubt.
    Lines { gathered: Box<Gathered>, certain: bool },
    /// In a head of which enough is known: up to its blank line; then the body.
    Rest { body: Body, line: u32 },
    /// In a body.
    Body(Body),
    /// Somewhere unknown: up to a line that is a request.
    Lost { line_start: bool },
    /// Not HTTP, or not any more.
    Dead,
}

/// A head that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) line: RequestLine<'a>,
    pub(super) fields: Fields<'a>,
    pub(super) truncated: bool,
}

/// Who is told.
pub(super) trait Sink {
    /// A request whose head ended at this stream offset.
    fn request(&mut self, found: &Found<'_>, head_end: u64);
    /// Its body ended, or can't be followed.
    fn body_end(&mut self, content: u64);
}

/// What a stretch of the stream is parsed with.
pub(super) struct Tools<'t, S> {
    pub(super) limits: &'t Limits,
    pub(super) counters: &'t mut Counters,
    pub(super) sink: &'t mut S,
}

/// Slots for fields on the fast path; a request with more takes the other one.
const SLOTS: usize = 64;

impl Requests {
    /// Takes bytes in order; `offset` is that of the first one.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut offset: u64, tools: &mut Tools<'_, impl Sink>) {
        while !bytes.is_empty() {
            let taken = self.step(bytes, offset, tools);
            bytes = &bytes[taken..];
            offset += taken as u64;
        }
    }

    /// So many bytes were lost. Says whether requests may have been among them.
    pub(super) fn gap(&mut self, len: u64, offset: u64, tools: &mut Tools<'_, impl Sink>) -> bool {
        match &mut self.phase {
            Phase::Dead => return false,
            Phase::Body(body) => {
                let before = self.content;
                if body.pass_gap(len, &mut self.content) {
                    tools.counters.body_bytes += self.content - before;
                    if body.is_empty() {
                        self.body_ended(tools);
                    }
                    return false;
                }
                self.body_ended(tools);
            }
            Phase::Rest { .. } => self.body_ended(tools),
            _ => self.cut_short(offset, tools),
        }
        self.phase = Phase::Lost { line_start: true };
        tools.counters.resync += 1;
        true
    }

    /// The stream is over.
    pub(super) fn end(&mut self, offset: u64, tools: &mut Tools<'_, impl Sink>) {
        if let Phase::Body(_) | Phase::Rest { .. } = self.phase {
            self.body_ended(tools);
        }
        self.cut_short(offset, tools);
        self.phase = Phase::Dead;
    }

    /// The connection speaks something else from now on. Returns how much of the present body was seen.
    pub(super) fn give_up(&mut self) -> u64 {
        self.phase = Phase::Dead;
        self.content
    }

    /// The connection is a tunnel from now on, through which anything may come.
    pub(super) fn begin_again(&mut self) {
        if matches!(self.phase, Phase::Head) {
            self.phase = Phase::Start;
        }
    }

    pub(super) fn memory(&self) -> usize {
        match &self.phase {
            Phase::Lines { gathered, .. } => gathered.memory(),
            _ => 0,
        }
    }

    fn step(&mut self, bytes: &[u8], offset: u64, tools: &mut Tools<'_, impl Sink>) -> usize {
        match &mut self.phase {
            Phase::Dead => bytes.len(),
            Phase::Start | Phase::Head => self.begin(bytes, offset, tools),
            Phase::Lines { .. } => self.gather(bytes, offset, tools),
            Phase::Rest { body, line } => {
                let (taken, done) = pass_lines(line, bytes);
                let body = *body;
                if done {
                    self.enter(body, tools);
                }
                taken
            }
            Phase::Body(_) => self.pass_body(bytes, tools),
            Phase::Lost { line_start } => {
                let line_start = *line_start;
                self.search(line_start, bytes)
            }
        }
    }

    /// At the beginning of a request, or of what is none.
    fn begin(&mut self, bytes: &[u8], offset: u64, tools: &mut Tools<'_, impl Sink>) -> usize {
        // Servers pass over empty lines before a request (RFC 9112 section 2.2), and lenient ones over blanks.
        let blanks = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t')).count();
        if blanks > 0 {
            return blanks;
        }
        if matches!(self.phase, Phase::Start) && is_binary(bytes[0]) {
            tools.counters.not_http += 1;
            self.phase = Phase::Dead;
            return bytes.len();
        }
        self.phase = Phase::Head;
        if let Some((len, found)) = fast(bytes)
            && is_within(&bytes[..len], tools.limits)
        {
            if is_preface(&found.line) {
                return self.speaks_http2(bytes.len(), tools);
            }
            self.found(&found, offset + len as u64, true, tools);
            return len;
        }
        // Only what is wholly there and within the limits is read in place.
        if let Some(line_end) = memchr::memchr(b'\n', bytes).map(|end| end + 1)
            && line_end <= tools.limits.line.min(tools.limits.head)
        {
            if !is_everyday(&bytes[..line_end]) {
                return self.odd_line(&bytes[..line_end], line_end, offset, false, tools);
            }
            if let Some(len) = find_end(bytes)
                && len <= tools.limits.head
                && let Some(found) = tolerant(&bytes[..len], line_end)
            {
                tools.counters.tolerant += 1;
                self.found(&found, offset + len as u64, true, tools);
                return len;
            }
        }
        self.phase = Phase::Lines { gathered: Box::default(), certain: false };
        0
    }

    fn gather(&mut self, bytes: &[u8], offset: u64, tools: &mut Tools<'_, impl Sink>) -> usize {
        let Phase::Lines { gathered, certain } = &mut self.phase else { return bytes.len() };
        match gathered.add(bytes, tools.limits.line, tools.limits.head) {
            Added::All => {
                if *certain && !gathered.has_first_line() && !may_be_request(gathered.bytes()) {
                    self.phase = Phase::Lost { line_start: false };
                }
                bytes.len()
            }
            Added::FirstLine(taken) => {
                let line = gathered.first_line();
                tools.counters.line_truncated += u64::from(gathered.cut);
                let good = if *certain {
                    split_request(line).is_some_and(|line| line.is_certain())
                } else {
                    gathered.cut || is_everyday(line)
                };
                if !good {
                    let (certain, line) = (*certain, line.to_vec());
                    self.odd_line(&line, taken, offset, certain, tools);
                }
                taken
            }
            Added::Complete(taken) => {
                self.gathered(offset + taken as u64, false, tools);
                taken
            }
            Added::TooLong(taken) => {
                tools.counters.head_limit += 1;
                self.gathered(offset + taken as u64, true, tools);
                taken
            }
        }
    }

    /// A gathered head is complete, or as long as it may get.
    fn gathered(&mut self, head_end: u64, too_long: bool, tools: &mut Tools<'_, impl Sink>) {
        let Phase::Lines { gathered, certain } = std::mem::take(&mut self.phase) else { return };
        self.phase = Phase::Lost { line_start: !too_long };
        let Some(line) = split_request(gathered.first_line()) else { return };
        // A complete line was looked at when it came.
        if !gathered.has_first_line() && !is_good_piece(&line, &gathered, certain) {
            return;
        }
        let fields = Fields::of_lines(gathered.fields());
        let truncated = too_long || gathered.cut;
        let found = Found { line, fields, truncated };
        if httparse_refuses(gathered.bytes()) {
            tools.counters.tolerant += 1;
        }
        self.found(&found, head_end, !too_long, tools);
    }

    /// A first line that is no request with a version: HTTP/0.9, HTTP/2, or nothing.
    fn odd_line(
        &mut self,
        line: &[u8],
        taken: usize,
        offset: u64,
        certain: bool,
        tools: &mut Tools<'_, impl Sink>,
    ) -> usize {
        self.phase = Phase::Lost { line_start: true };
        match split_request(line) {
            Some(line) if is_preface(&line) => {
                self.speaks_http2(taken, tools);
            }
            Some(line) if line.is_plausible() && !certain => {
                tools.counters.requests += 1;
                tools.counters.tolerant += 1;
                let found = Found { line, fields: Fields::default(), truncated: false };
                tools.sink.request(&found, offset + taken as u64);
                tools.sink.body_end(0);
            }
            _ => tools.counters.resync += u64::from(!certain),
        }
        taken
    }

    fn speaks_http2(&mut self, taken: usize, tools: &mut Tools<'_, impl Sink>) -> usize {
        tools.counters.not_http += 1;
        self.phase = Phase::Dead;
        taken
    }

    /// A request with its fields. `whole`: the blank line was seen.
    fn found(&mut self, found: &Found<'_>, head_end: u64, whole: bool, tools: &mut Tools<'_, impl Sink>) {
        tools.counters.requests += 1;
        tools.counters.bad_header_lines += found.fields.bad_lines;
        let body = Body::of_request(&found.fields, tools.counters);
        tools.sink.request(found, head_end);
        if whole {
            self.enter(body, tools);
        } else {
            self.content = 0;
            self.phase = Phase::Rest { body, line: 1 };
        }
    }

    /// The phase behind a head.
    fn enter(&mut self, body: Body, tools: &mut Tools<'_, impl Sink>) {
        self.content = 0;
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
        let before = self.content;
        let passed = body.pass(bytes, &mut self.content);
        tools.counters.body_bytes += self.content - before;
        match passed {
            Passed::All => bytes.len(),
            Passed::Ended(taken) => {
                self.body_ended(tools);
                taken
            }
            Passed::Broken { taken, line_start } => {
                tools.counters.framing_errors += 1;
                self.body_ended(tools);
                self.phase = Phase::Lost { line_start };
                taken
            }
        }
    }

    /// Looks for the beginning of a line that may be a request.
    fn search(&mut self, mut line_start: bool, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            if line_start && at < bytes.len() && may_be_request(&bytes[at..]) {
                self.phase = Phase::Lines { gathered: Box::default(), certain: true };
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

    /// A head that ends in the middle is judged as it stands: the server may have read it.
    fn cut_short(&mut self, offset: u64, tools: &mut Tools<'_, impl Sink>) {
        let Phase::Lines { gathered, certain } = std::mem::take(&mut self.phase) else { return };
        let Some(line) = split_request(gathered.first_line()) else { return };
        if is_good_piece(&line, &gathered, certain) {
            tools.counters.requests += 1;
            let fields = Fields::of_lines(gathered.fields());
            tools.sink.request(&Found { line, fields, truncated: true }, offset);
            tools.sink.body_end(0);
        }
    }
}

/// Lets httparse read a head that is wholly there. `None` where it does not take it.
fn fast(bytes: &[u8]) -> Option<(usize, Found<'_>)> {
    let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
    let mut request = httparse::Request::new(&mut []);
    let Ok(Status::Complete(len)) = request.parse_with_uninit_headers(bytes, &mut slots) else { return None };
    let (method, target) = (request.method?.as_bytes(), request.path?.as_bytes());
    let mut fields = Fields::default();
    for header in request.headers.iter() {
        fields.take(header.name.as_bytes(), header.value);
    }
    // httparse takes these two versions only, in upper case.
    let protocol: &[u8] = if request.version == Some(0) { b"HTTP/1.0" } else { b"HTTP/1.1" };
    Some((len, Found { line: RequestLine { method, target, protocol }, fields, truncated: false }))
}

/// Whether the beginning of a line is taken for a request. `certain`: it must leave no doubt.
fn is_good_piece(line: &RequestLine<'_>, gathered: &Gathered, certain: bool) -> bool {
    if certain { line.is_certain() } else { line.is_plausible() || gathered.cut }
}

/// Whether a head is short enough to be read in place, as it would be kept if it came in pieces.
fn is_within(head: &[u8], limits: &Limits) -> bool {
    let line_end = || memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
    head.len() <= limits.head && (head.len() <= limits.line || line_end() <= limits.line)
}

/// Whether httparse would have refused a head that came in pieces.
fn httparse_refuses(head: &[u8]) -> bool {
    fast(head).is_none()
}

/// Reads a head that is wholly there; the first line ends at `line_end`.
fn tolerant(head: &[u8], line_end: usize) -> Option<Found<'_>> {
    let (line, lines) = head.split_at(line_end);
    Some(Found { line: split_request(line)?, fields: Fields::of_lines(lines), truncated: false })
}

/// Whether a line is a request with a version below 2.
fn is_everyday(line: &[u8]) -> bool {
    split_request(line).is_some_and(|line| line.is_plausible() && !line.protocol.is_empty() && !is_preface(&line))
}

/// The connection preface of HTTP/2 (RFC 9113 section 3.4).
fn is_preface(line: &RequestLine<'_>) -> bool {
    line.method == b"PRI" && line.target == b"*" && line.protocol.starts_with(b"HTTP/2")
}

/// Whether a stream that begins so is no text protocol.
const fn is_binary(first: u8) -> bool {
    first < 0x20 || first >= 0x7f
}
