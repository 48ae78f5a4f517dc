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

use super::queue::Queue;

/// Requests sent just behind a response that show that a client waits.
///
/// Rationale: one may be chance; where the capture cuts every request (snaplen) no better evidence comes.
const POLITE: u8 = 2;

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PendingRequest {
    /// Its number; `None` for an unknown number of requests, even none.
    pub(super) tx_id: Option<u32>,
    /// Stream offset of its first byte.
    pub(super) begin: u64,
    /// Stream offset behind its head.
    pub(super) head_end: u64,
    /// How much of the server's stream the client had read when it sent the first byte.
    pub(super) read: Option<u64>,
    pub(super) kind: MethodClass,
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
    pub(super) fn new(tx_id: u32, begin: u64, head_end: u64, read: Option<u64>, kind: MethodClass) -> Self {
        Self { tx_id: Some(tx_id), begin, head_end, read, kind, fragment: false, fresh: false }
    }

    const fn unknown() -> Self {
        Self { tx_id: None, begin: 0, head_end: 0, read: None, kind: MethodClass::Plain, fragment: false, fresh: false }
    }
}

/// Where a final response begins in the server's stream, and how much of the client's stream its segment acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) at: u64,
    pub(super) acked: Option<u64>,
}

/// The requests of a flow that wait, oldest first. The first one has a number.
#[derive(Debug, Default)]
pub(super) struct PendingRequests {
    entries: Queue<PendingRequest>,
    /// Whether it is unknown which request the next response answers.
    doubt: bool,
    /// Whether the client was seen to send a request before it had the answer to the one before.
    pipelines: bool,
    /// Whether the client was seen to wait for an answer before it sent the next request.
    waits: bool,
    /// How many requests were sent just when the client had read all of a response, whomever that answered.
    polite: u8,
    /// Whether the request before was perhaps not seen.
    blind: bool,
    /// How much of the server's stream the client had read when it sent the last request that was seen.
    last: Option<u64>,
    /// The same of the last request that was seen or may have been.
    read: u64,
    /// Where the last response ended.
    ended: u64,
}

/// Whom a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairResult {
    /// This request.
    One(PendingRequest),
    /// Perhaps one of those that were given up.
    Several,
    /// No request that was seen.
    Nobody,
}

impl PendingRequests {
    /// Whether the next response answers the next request, whichever that is.
    pub(super) fn is_even(&self) -> bool {
        self.entries.is_empty() && !self.doubt
    }

    /// As new; room for a few requests stays.
    pub(super) fn renew(&mut self) {
        /// Rationale: the least that a row takes once it was needed.
        const ROOM: usize = 4;
        let mut entries = std::mem::take(&mut self.entries);
        entries.clear(ROOM);
        *self = Self { entries, ..Self::default() };
    }

    pub(super) fn memory(&self) -> usize {
        self.entries.memory()
    }

    /// Adds a request. `seen`: how much of the server's stream was seen so far; `most`: requests that may wait. Says
    /// whether it was taken; otherwise its answer will not be known.
    pub(super) fn add(&mut self, mut entry: PendingRequest, seen: u64, most: usize) -> bool {
        self.pipelines |= entry.read.is_some() && entry.read == self.last;
        self.last = entry.read;
        let blind = std::mem::take(&mut self.blind);
        // If there was a request in what was lost, this one did not wait for its answer.
        self.pipelines |= blind && !self.waits && !entry.fragment && entry.read.is_some_and(|read| read <= self.read);
        if self.ended > 0 && entry.read == Some(self.ended) && self.ended > self.read {
            self.polite = self.polite.saturating_add(1);
            self.waits |= self.polite >= POLITE;
        }
        let known = self.waits || !blind;
        entry.fresh = known && !self.pipelines && entry.read.is_some_and(|read| read > self.read && read >= seen);
        self.read = self.read.max(entry.read.unwrap_or(seen));
        if self.entries.len() >= most {
            self.unknown_request();
            return false;
        }
        self.entries.push_back(entry);
        true
    }

    /// Notes a request whose answer came before it.
    pub(super) fn answered(&mut self, read: Option<u64>, ended: u64) {
        self.pipelines |= read.is_some_and(|read| read < ended || self.last == Some(read));
        self.waits |= ended > 0 && read == Some(ended);
        self.last = read;
        self.read = self.read.max(read.unwrap_or(0));
    }

    /// Bytes of the client passed that may have been requests. The client had read `read` bytes of the server before
    /// it sent the last of them.
    pub(super) fn lost_requests(&mut self, read: u64) {
        self.read = self.read.max(read);
        self.blind = true;
        self.unknown_request();
    }

    fn unknown_request(&mut self) {
        match self.entries.back() {
            // Without a place in the row where there is no row: most connections that end here never spoke HTTP.
            None => self.doubt = true,
            Some(PendingRequest { tx_id: None, .. }) => {}
            Some(_) => self.entries.push_back(PendingRequest::unknown()),
        }
    }

    /// Bytes of the server passed, up to `end`, that may have been responses. Requests that are given up are told to
    /// `unseen`; those that were sent after the client had read all of it are not.
    pub(super) fn lost_answers(&mut self, end: u64, unseen: impl FnMut(u32)) {
        self.doubt = true;
        self.give_up(|entry| !(entry.fresh && entry.read >= Some(end)), unseen);
    }

    /// The server's stream ended at `end`, within a response if `within`.
    pub(super) fn end(&mut self, end: u64, within: bool, mut unseen: impl FnMut(u32)) {
        if self.doubt {
            self.lost_answers(end, unseen);
        } else if within && let Some(tx_id) = self.pop().and_then(|entry| entry.tx_id) {
            unseen(tx_id);
        }
    }

    /// A response ended at this offset.
    pub(super) fn response_ended(&mut self, at: u64) {
        self.ended = at;
    }

    /// Where the last response ended.
    pub(super) const fn last_end(&self) -> u64 {
        self.ended
    }

    /// Where a response must begin to end the doubt, and what its segment must acknowledge.
    pub(super) fn expected(&self) -> Option<Beginning> {
        let fresh = self.entries.iter().filter(|_| self.doubt).find(|entry| entry.fresh)?;
        fresh.read.map(|at| Beginning { at, acked: Some(fresh.head_end) })
    }

    /// An interim response stands where a final one is expected: that one begins behind it.
    pub(super) fn interim(&mut self, response: Beginning, end: u64) {
        let doubt = self.doubt;
        let Some(entry) = self.entries.iter_mut().filter(|_| doubt).find(|entry| entry.fresh) else { return };
        if entry.read == Some(response.at) && response.acked >= Some(entry.head_end) {
            entry.read = Some(end);
        }
    }

    /// No response begins where one was expected: the client did not wait.
    pub(super) fn unanswered(&mut self, mut unseen: impl FnMut(u32)) {
        self.pipelines = true;
        self.give_up(|_| true, &mut unseen);
    }

    /// Whom a final response answers.
    pub(super) fn answer(&mut self, response: Beginning, mut unseen: impl FnMut(u32)) -> PairResult {
        let acked = response.acked.unwrap_or(0);
        if self.doubt {
            return self.answer_in_doubt(response.at, acked, unseen);
        }
        let Some(&front) = self.entries.front() else { return PairResult::Nobody };
        if acked >= front.head_end {
            self.pop();
            self.pipelines |= front.read.is_some_and(|read| read < self.ended);
            self.waits |= self.ended > 0 && front.read == Some(self.ended);
            return PairResult::One(front);
        }
        if acked <= front.begin && response.acked.is_some() {
            return PairResult::Nobody;
        }
        self.doubt = true;
        self.give_up(|_| true, &mut unseen);
        PairResult::Several
    }

    fn answer_in_doubt(&mut self, at: u64, acked: u64, mut unseen: impl FnMut(u32)) -> PairResult {
        let proven = |entry: &PendingRequest| entry.fresh && entry.read == Some(at) && acked >= entry.head_end;
        let place = if self.pipelines { None } else { self.entries.iter().position(proven) };
        if let Some(place) = place {
            for _ in 0..place {
                if let Some(tx_id) = self.entries.pop_front().and_then(|entry| entry.tx_id) {
                    unseen(tx_id);
                }
            }
            self.doubt = false;
            return self.pop().map_or(PairResult::Nobody, PairResult::One);
        }
        let before = self.entries.len();
        self.give_up(|entry| entry.head_end <= acked, unseen);
        if self.entries.len() < before { PairResult::Several } else { PairResult::Nobody }
    }

    /// Takes the oldest; what follows it and has no number puts the rest in doubt.
    fn pop(&mut self) -> Option<PendingRequest> {
        let entry = self.entries.pop_front();
        self.settle();
        entry
    }

    fn give_up(&mut self, which: impl Fn(&PendingRequest) -> bool, mut unseen: impl FnMut(u32)) {
        self.entries.retain(|entry| {
            let stays = !which(entry);
            if let (false, Some(tx_id)) = (stays, entry.tx_id) {
                unseen(tx_id);
            }
            stays
        });
        self.settle();
    }

    fn settle(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.tx_id.is_none()) {
            self.entries.pop_front();
            self.doubt = true;
        }
    }
}
