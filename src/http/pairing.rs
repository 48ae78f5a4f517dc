//! Which response answers which request: only what the acknowledgment numbers prove, never a guess. Not the framing of
//! either stream.
//!
//! **While nothing was lost** responses come in the order of the requests (RFC 9112 section 9.3.2): a final response
//! answers the oldest request that waits, if the segment it begins in acknowledges all of that request's head. One that
//! acknowledges nothing of the head was sent unasked (408 on an idle connection) and answers nobody; one that
//! acknowledges a part of it (431, 408) may be an answer or not.
//!
//! **Requests that nobody saw** (a gap, garbage that a server may answer with 400, a body whose end servers see
//! differently, too many requests to remember) stand in the row as one entry without a number. What waits before it is
//! proven as above, what waits behind it is in doubt.
//!
//! **Responses that nobody saw** put everything in doubt that waits. From then on a response is known only by where it
//! begins: a request that was *fresh* was sent when the client had read the server's stream up to some offset, and more
//! of it than when it had sent the request before. If a response begins at exactly that offset, in a segment that
//! acknowledges the request's head, it is the answer, and the doubt is over.
//!
//! That last step stands on one assumption: a client that waits for answers goes on waiting for them. A client that was
//! once seen to send a request before it had the answer to the one before (pipelining) is never believed again after a
//! loss: its requests stay unproven. Right behind a loss in its own stream only one is believed that was seen to wait
//! before.

use super::StreamPosition;
use super::queue::Queue;

/// Requests sent just behind a response that show that a client waits.
///
/// Rationale: one may be chance; where the capture cuts every request (snaplen) no better evidence comes.
const MIN_PROMPT_REQUESTS: u8 = 2;

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PendingRequest {
    /// Its number; `None` for an unknown number of requests, even none.
    pub(super) tx_id: Option<u32>,
    /// Stream offset of its first byte.
    pub(super) start: u64,
    /// Stream offset behind its head.
    pub(super) head_end: u64,
    /// How much of the server's stream the client had read when it sent the first byte.
    pub(super) read: Option<u64>,
    pub(super) class: MethodClass,
    /// Whether it may be the rest of a request whose beginning was lost.
    pub(super) fragment: bool,
    fresh: bool,
}

/// What the method says about the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodClass {
    Plain,
    Head,
    Connect,
}

impl MethodClass {
    pub(super) fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Plain,
        }
    }
}

impl PendingRequest {
    pub(super) fn new(tx_id: u32, start: u64, head_end: u64, read: Option<u64>, class: MethodClass) -> Self {
        Self { tx_id: Some(tx_id), start, head_end, read, class, fragment: false, fresh: false }
    }

    const fn unknown() -> Self {
        Self {
            tx_id: None,
            start: 0,
            head_end: 0,
            read: None,
            class: MethodClass::Plain,
            fragment: false,
            fresh: false,
        }
    }
}

/// The requests of a flow that wait, oldest first. The first one has a number.
#[derive(Debug, Default)]
pub(super) struct PendingRequests {
    requests: Queue<PendingRequest>,
    /// Whether it is unknown which request the next response answers.
    ambiguous: bool,
    /// Whether the client was seen to send a request before it had the answer to the one before.
    pipelining: bool,
    /// Whether the client was seen to wait for an answer before it sent the next request.
    waits_for_responses: bool,
    /// How many requests were sent just when the client had read all of a response, whomever that answered.
    prompt_requests: u8,
    /// Whether the request before was perhaps not seen.
    after_loss: bool,
    /// How much of the server's stream the client had read when it sent the last request that was seen.
    last_read: Option<u64>,
    /// The same of the last request that was seen or may have been.
    max_read: u64,
    /// Where the last response ended.
    last_response_end: u64,
}

/// Whom a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairResult {
    /// This request.
    Matched(PendingRequest),
    /// Perhaps one of those that were given up.
    Ambiguous,
    /// No request that was seen.
    NoRequest,
}

impl PendingRequests {
    /// Whether the next response answers the next request, whichever that is.
    pub(super) fn is_in_step(&self) -> bool {
        self.requests.is_empty() && !self.ambiguous
    }

    /// As new; room for a few requests stays.
    pub(super) fn reset(&mut self) {
        /// Rationale: the least that a row takes once it was needed.
        const KEPT_CAPACITY: usize = 4;
        let mut requests = std::mem::take(&mut self.requests);
        requests.clear(KEPT_CAPACITY);
        *self = Self { requests, ..Self::default() };
    }

    pub(super) fn memory(&self) -> usize {
        self.requests.memory()
    }

    /// Adds a request. `seen`: how much of the server's stream was seen so far; `most`: requests that may wait. Says
    /// whether it was taken; otherwise its answer will not be known.
    pub(super) fn add(&mut self, mut request: PendingRequest, seen: u64, limit: usize) -> bool {
        self.pipelining |= request.read.is_some() && request.read == self.last_read;
        self.last_read = request.read;
        let after_loss = std::mem::take(&mut self.after_loss);
        // If there was a request in what was lost, this one did not wait for its answer.
        self.pipelining |= after_loss
            && !self.waits_for_responses
            && !request.fragment
            && request.read.is_some_and(|read| read <= self.max_read);
        if self.last_response_end > 0
            && request.read == Some(self.last_response_end)
            && self.last_response_end > self.max_read
        {
            self.prompt_requests = self.prompt_requests.saturating_add(1);
            self.waits_for_responses |= self.prompt_requests >= MIN_PROMPT_REQUESTS;
        }
        let known = self.waits_for_responses || !after_loss;
        request.fresh =
            known && !self.pipelining && request.read.is_some_and(|read| read > self.max_read && read >= seen);
        self.max_read = self.max_read.max(request.read.unwrap_or(seen));
        if self.requests.len() >= limit {
            self.unknown_request();
            return false;
        }
        self.requests.push_back(request);
        true
    }

    /// Notes a request whose answer came before it.
    pub(super) fn paired_early(&mut self, read: Option<u64>, ended: u64) {
        self.pipelining |= read.is_some_and(|read| read < ended || self.last_read == Some(read));
        self.waits_for_responses |= ended > 0 && read == Some(ended);
        self.last_read = read;
        self.max_read = self.max_read.max(read.unwrap_or(0));
    }

    /// Bytes of the client passed that may have been requests. The client had read `read` bytes of the server before
    /// it sent the last of them.
    pub(super) fn lost_requests(&mut self, read: u64) {
        self.max_read = self.max_read.max(read);
        self.after_loss = true;
        self.unknown_request();
    }

    fn unknown_request(&mut self) {
        match self.requests.back() {
            // Without a place in the row where there is no row: most connections that end here never spoke HTTP.
            None => self.ambiguous = true,
            Some(PendingRequest { tx_id: None, .. }) => {}
            Some(_) => self.requests.push_back(PendingRequest::unknown()),
        }
    }

    /// Bytes of the server passed, up to `end`, that may have been responses. Requests that are given up are told to
    /// `unseen`; those that were sent after the client had read all of it are not.
    pub(super) fn lost_responses(&mut self, end: u64, unseen: impl FnMut(u32)) {
        self.ambiguous = true;
        self.give_up(|request| !(request.fresh && request.read >= Some(end)), unseen);
    }

    /// The server's stream ended at `end`, within a response if `within`.
    pub(super) fn end(&mut self, end: u64, within: bool, mut unseen: impl FnMut(u32)) {
        if self.ambiguous {
            self.lost_responses(end, unseen);
        } else if within && let Some(tx_id) = self.pop().and_then(|request| request.tx_id) {
            unseen(tx_id);
        }
    }

    /// A response ended at this offset.
    pub(super) fn response_ended(&mut self, at: u64) {
        self.last_response_end = at;
    }

    /// Where the last response ended.
    pub(super) const fn last_end(&self) -> u64 {
        self.last_response_end
    }

    /// Where a response must begin to end the doubt, and what its segment must acknowledge.
    pub(super) fn expected(&self) -> Option<StreamPosition> {
        let fresh = self.requests.iter().filter(|_| self.ambiguous).find(|request| request.fresh)?;
        fresh.read.map(|at| StreamPosition { offset: at, acked: Some(fresh.head_end) })
    }

    /// An interim response stands where a final one is expected: that one begins behind it.
    pub(super) fn interim(&mut self, response: StreamPosition, end: u64) {
        let ambiguous = self.ambiguous;
        let Some(request) = self.requests.iter_mut().filter(|_| ambiguous).find(|request| request.fresh) else {
            return;
        };
        if request.read == Some(response.offset) && response.acked >= Some(request.head_end) {
            request.read = Some(end);
        }
    }

    /// No response begins where one was expected: the client did not wait.
    pub(super) fn unanswered(&mut self, mut unseen: impl FnMut(u32)) {
        self.pipelining = true;
        self.give_up(|_| true, &mut unseen);
    }

    /// Whom a final response answers.
    pub(super) fn pair(&mut self, response: StreamPosition, mut unseen: impl FnMut(u32)) -> PairResult {
        let acked = response.acked.unwrap_or(0);
        if self.ambiguous {
            return self.pair_ambiguous(response.offset, acked, unseen);
        }
        let Some(&front) = self.requests.front() else { return PairResult::NoRequest };
        if acked >= front.head_end {
            self.pop();
            self.pipelining |= front.read.is_some_and(|read| read < self.last_response_end);
            self.waits_for_responses |= self.last_response_end > 0 && front.read == Some(self.last_response_end);
            return PairResult::Matched(front);
        }
        if acked <= front.start && response.acked.is_some() {
            return PairResult::NoRequest;
        }
        self.ambiguous = true;
        self.give_up(|_| true, &mut unseen);
        PairResult::Ambiguous
    }

    fn pair_ambiguous(&mut self, at: u64, acked: u64, mut unseen: impl FnMut(u32)) -> PairResult {
        let is_proven =
            |request: &PendingRequest| request.fresh && request.read == Some(at) && acked >= request.head_end;
        let position = if self.pipelining { None } else { self.requests.iter().position(is_proven) };
        if let Some(position) = position {
            for _ in 0..position {
                if let Some(tx_id) = self.requests.pop_front().and_then(|request| request.tx_id) {
                    unseen(tx_id);
                }
            }
            self.ambiguous = false;
            return self.pop().map_or(PairResult::NoRequest, PairResult::Matched);
        }
        let before = self.requests.len();
        self.give_up(|request| request.head_end <= acked, unseen);
        if self.requests.len() < before { PairResult::Ambiguous } else { PairResult::NoRequest }
    }

    /// Takes the oldest; what follows it and has no number puts the rest in doubt.
    fn pop(&mut self) -> Option<PendingRequest> {
        let request = self.requests.pop_front();
        self.drop_unknown_front();
        request
    }

    fn give_up(&mut self, which: impl Fn(&PendingRequest) -> bool, mut unseen: impl FnMut(u32)) {
        self.requests.retain(|request| {
            let keep = !which(request);
            if let (false, Some(tx_id)) = (keep, request.tx_id) {
                unseen(tx_id);
            }
            keep
        });
        self.drop_unknown_front();
    }

    fn drop_unknown_front(&mut self) {
        while self.requests.front().is_some_and(|request| request.tx_id.is_none()) {
            self.requests.pop_front();
            self.ambiguous = true;
        }
    }
}
