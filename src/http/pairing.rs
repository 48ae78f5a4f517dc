//! Pairs responses with requests using only what the acknowledgment numbers prove; never guesses. Does not parse the
//! framing of either stream; see [`super::requests`] and [`super::responses`].
//!
//! **Without loss**, responses come in the order of the requests (RFC 9112 section 9.3.2): a final response belongs to
//! the oldest pending request if the segment in which it begins acknowledges all of that request's head. A response
//! that acknowledges nothing of the head was sent unsolicited (408 on an idle connection) and belongs to no request;
//! one that acknowledges a part of it (431, 408) may or may not belong to it.
//!
//! **Unseen requests** (a gap, garbage that a server may answer with 400, a body whose end servers place differently,
//! too many requests to remember) are queued as one entry without a number. Requests before it are proven as above;
//! requests after it are ambiguous.
//!
//! **Unseen responses** make every pending request ambiguous. From then on a response is identified only by its start
//! offset. A request is *fresh* if the client, when it sent it, had read the server's stream up to some offset that
//! lies beyond what it had read when it sent the previous request. If a response begins at exactly that offset, in a
//! segment that acknowledges the request's head, it is the response to that request, and the ambiguity ends.
//!
//! This last step relies on one assumption: the client waits for responses. A client that once sent a request before it
//! had the response to the previous one (pipelining) is not trusted again after a loss: its requests stay unproven.
//! Bytes of the client that were not captured are bounded by what the server had received of them when it sent data that
//! the client had read before the next request (see [`PendingRequests::lost_requests`]). Directly after such a loss, the
//! response must acknowledge exactly the end of the request, unless the client was seen waiting before.

use super::StreamPosition;
use super::queue::Queue;

/// Requests sent directly after a response that are taken as evidence that a client waits for responses.
///
/// Rationale: one may be chance; where the capture truncates every request (snaplen) there is no better evidence.
const MIN_PROMPT_REQUESTS: u8 = 2;

/// A request that waits for its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PendingRequest {
    /// Number of the request; `None` for an unknown number of requests, possibly none.
    pub(super) tx_id: Option<u32>,
    /// Stream offset of its first byte.
    pub(super) start: u64,
    /// Stream offset after its head.
    pub(super) head_end: u64,
    /// Bytes of the server's stream that the client had read (acknowledged) when it sent the first byte.
    pub(super) read: Option<u64>,
    pub(super) class: MethodClass,
    /// Whether it may be the remainder of a request whose beginning was lost.
    pub(super) fragment: bool,
    /// Whether the client had read more of the server's stream than at the previous request, and is trusted to wait for
    /// responses.
    fresh: bool,
    /// Whether requests may have been lost directly before it, of a client that was not seen waiting yet: its response
    /// must acknowledge exactly the end of the request.
    exact: bool,
    /// Whether it begins exactly where the last response that was paired acknowledged the client's stream up to.
    follows_pair: bool,
}

/// Request methods that affect the framing of the response.
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
        Self {
            tx_id: Some(tx_id),
            start,
            head_end,
            read,
            class,
            fragment: false,
            fresh: false,
            exact: false,
            follows_pair: false,
        }
    }

    /// Creates an entry for an unknown number of unseen requests.
    const fn unknown() -> Self {
        Self {
            tx_id: None,
            start: 0,
            head_end: 0,
            read: None,
            class: MethodClass::Plain,
            fragment: false,
            fresh: false,
            exact: false,
            follows_pair: false,
        }
    }
}

/// The pending requests of a flow, oldest first. The first one has a number.
#[derive(Debug, Default)]
pub(super) struct PendingRequests {
    requests: Queue<PendingRequest>,
    /// Whether it is unknown which request the next response belongs to.
    ambiguous: bool,
    /// Whether the client was seen sending a request before it had the response to the previous one.
    pipelining: bool,
    /// Whether the client was seen waiting for a response before it sent the next request.
    waits_for_responses: bool,
    /// Requests sent at the moment when the client had read all of a response, whichever request that belonged to.
    prompt_requests: u8,
    /// Whether requests may have been lost directly before the next one.
    after_loss: bool,
    /// Bytes of the server's stream that the client had read when it sent the last request that was seen.
    last_read: Option<u64>,
    /// The largest such value over all requests that were seen or may have been lost.
    max_read: u64,
    /// Stream offset at which the last response ended.
    last_response_end: u64,
    /// Bytes of the client's stream that the first segment of the last final response acknowledged.
    last_response_acked: Option<u64>,
    /// The same of the last one that was paired.
    last_paired_acked: Option<u64>,
}

/// Result of pairing a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairResult {
    /// The response belongs to this request.
    Matched(PendingRequest),
    /// The response may belong to one of the requests given up.
    Ambiguous,
    /// The response belongs to no request that was seen.
    NoRequest,
}

impl PendingRequests {
    /// Resets the state; keeps capacity for a few requests.
    pub(super) fn reset(&mut self) {
        /// Rationale: the smallest capacity that the queue allocates.
        const KEPT_CAPACITY: usize = 4;
        let mut requests = std::mem::take(&mut self.requests);
        requests.clear(KEPT_CAPACITY);
        *self = Self { requests, ..Self::default() };
    }

    pub(super) fn memory(&self) -> usize {
        self.requests.memory()
    }

    /// Adds a request. `seen` is how much of the server's stream was seen so far, `limit` the most requests that may be
    /// pending. Returns whether the request was added; otherwise its response will not be determined.
    pub(super) fn add(&mut self, mut request: PendingRequest, seen: u64, limit: usize) -> bool {
        self.pipelining |= request.read.is_some() && request.read == self.last_read;
        self.last_read = request.read;
        let after_loss = std::mem::take(&mut self.after_loss);
        request.exact = after_loss && !self.waits_for_responses;
        request.follows_pair = self.last_paired_acked == Some(request.start);
        // If a request was lost, this one was sent without waiting for the response to it.
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
        request.fresh = !self.pipelining && request.read.is_some_and(|read| read > self.max_read && read >= seen);
        self.max_read = self.max_read.max(request.read.unwrap_or(seen));
        if self.requests.len() >= limit {
            self.add_unknown_request();
            return false;
        }
        self.requests.push_back(request);
        true
    }

    /// Reports whether nothing is pending and the next response belongs to the next request.
    pub(super) fn is_in_step(&self) -> bool {
        self.requests.is_empty() && !self.ambiguous
    }

    /// Notes a request whose response was captured before it; the response before that one ended at `previous_end`.
    pub(super) fn paired_early(&mut self, read: Option<u64>, previous_end: u64) {
        self.pipelining |= read.is_some_and(|read| read < previous_end || self.last_read == Some(read));
        self.waits_for_responses |= previous_end > 0 && read == Some(previous_end);
        self.last_read = read;
        self.max_read = self.max_read.max(read.unwrap_or(0));
    }

    /// Notes client bytes that are no known request; the client had read `read` bytes of the server's stream.
    pub(super) fn skipped(&mut self, read: u64) {
        self.max_read = self.max_read.max(read);
    }

    /// Notes that client bytes were skipped that may have held requests. The client had read at most `read` bytes of the
    /// server's stream when it sent the last of them.
    pub(super) fn lost_requests(&mut self, read: u64) {
        self.max_read = self.max_read.max(read);
        self.after_loss = true;
        self.add_unknown_request();
    }

    fn add_unknown_request(&mut self) {
        match self.requests.back() {
            // Without pending requests no entry is needed: most connections that get here never carried HTTP.
            None => self.ambiguous = true,
            Some(PendingRequest { tx_id: None, .. }) => {}
            Some(_) => self.requests.push_back(PendingRequest::unknown()),
        }
    }

    /// Notes that server bytes up to `end` were skipped that may have held responses. Gives up all pending requests and
    /// reports them to `unseen`, except fresh ones sent after the client had read the server's stream up to `end`.
    pub(super) fn lost_responses(&mut self, end: u64, unseen: impl FnMut(u32)) {
        self.ambiguous = true;
        self.give_up(|request| !(request.fresh && request.read >= Some(end)), unseen);
    }

    /// Notes that the server's stream ended at `end`; `within_head` is whether it ended within the head of a response.
    pub(super) fn end(&mut self, end: u64, within_head: bool, mut unseen: impl FnMut(u32)) {
        if self.ambiguous {
            self.lost_responses(end, unseen);
        } else if within_head && let Some(tx_id) = self.pop().and_then(|request| request.tx_id) {
            unseen(tx_id);
        }
    }

    /// Notes that responses were not kept for requests that are not captured yet.
    pub(super) fn dropped_early_responses(&mut self) {
        self.ambiguous = true;
    }

    /// Notes the stream offset at which a response ended.
    pub(super) fn response_ended(&mut self, at: u64) {
        self.last_response_end = at;
    }

    /// Returns the stream offset at which the last response ended.
    pub(super) const fn last_end(&self) -> u64 {
        self.last_response_end
    }

    /// Returns where a response must begin to end the ambiguity, and what its segment must acknowledge.
    pub(super) fn expected(&self) -> Option<StreamPosition> {
        let fresh = self.requests.iter().filter(|_| self.ambiguous).find(|request| request.fresh)?;
        fresh.read.map(|at| StreamPosition { offset: at, acked: Some(fresh.head_end) })
    }

    /// Notes an interim response. If it begins where a final one was expected, the final one is now expected after it.
    pub(super) fn interim(&mut self, response: StreamPosition, end: u64) {
        let ambiguous = self.ambiguous;
        let Some(request) = self.requests.iter_mut().filter(|_| ambiguous).find(|request| request.fresh) else {
            return;
        };
        if request.read == Some(response.offset) && response.acked >= Some(request.head_end) {
            request.read = Some(end);
        }
    }

    /// Notes that no response begins where one was expected: the client did not wait.
    pub(super) fn unanswered(&mut self, mut unseen: impl FnMut(u32)) {
        self.pipelining = true;
        self.give_up(|_| true, &mut unseen);
    }

    /// Pairs a final response with a pending request. The last complete request ends at stream offset `request_end`.
    pub(super) fn pair(
        &mut self,
        response: StreamPosition,
        request_end: u64,
        mut unseen: impl FnMut(u32),
    ) -> PairResult {
        let acked = response.acked.unwrap_or(0);
        // A client that waits sends more before the server can answer again.
        self.pipelining |= response.acked.is_some() && response.acked == self.last_response_acked;
        self.last_response_acked = response.acked;
        if self.ambiguous {
            return self.pair_ambiguous(response.offset, acked, request_end, unseen);
        }
        let Some(&front) = self.requests.front() else { return PairResult::NoRequest };
        if acked >= front.head_end {
            self.pop();
            self.last_paired_acked = response.acked;
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

    fn pair_ambiguous(&mut self, at: u64, acked: u64, request_end: u64, mut unseen: impl FnMut(u32)) -> PairResult {
        let is_proven =
            |request: &PendingRequest| request.fresh && request.read == Some(at) && acked >= request.head_end;
        let position = if self.pipelining { None } else { self.requests.iter().position(is_proven) };
        let position = position.filter(|&position| {
            let mut rest = self.requests.iter().skip(position);
            let Some(request) = rest.next().filter(|request| request.exact) else { return true };
            // The end of a request that was cut is not known.
            let end = rest.next().map_or(request_end, |next| next.start);
            if end < request.head_end { request.follows_pair } else { end == acked }
        });
        if let Some(position) = position {
            for _ in 0..position {
                if let Some(tx_id) = self.requests.pop_front().and_then(|request| request.tx_id) {
                    unseen(tx_id);
                }
            }
            self.ambiguous = false;
            self.last_paired_acked = Some(acked);
            return self.pop().map_or(PairResult::NoRequest, PairResult::Matched);
        }
        let before = self.requests.len();
        self.give_up(|request| request.head_end <= acked, unseen);
        if self.requests.len() < before { PairResult::Ambiguous } else { PairResult::NoRequest }
    }

    /// Removes the oldest request. If an entry without a number follows it, the rest becomes ambiguous.
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
