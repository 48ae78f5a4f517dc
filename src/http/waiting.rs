//! Which response answers which request: only what the acknowledgment numbers prove, never a guess.
//!
//! Responses come in the order of the requests (RFC 9112 section 9.3.2), so while nothing was lost the first final
//! response that acknowledges the head of the oldest waiting request answers it. A response that does not acknowledge
//! it was sent before the server had read it, and answers nobody.
//!
//! After a loss a response answers a request only if it is the only one it can answer: it acknowledges exactly one
//! request that still waits. Where several are possible all of them are given up, and whatever is later in the stream
//! may be the answer to one of those. That ends when the client shows that it had everything: a new request whose own
//! segment acknowledges all that the server is known to have sent, with no message of the server in progress. A client
//! sends such a request after it has read the answers before, so the next response is the new one's.

use std::collections::VecDeque;

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number; `None` for requests that may have been in a gap.
    pub(super) tx_id: Option<u32>,
    /// Stream offset behind its head.
    pub(super) head_end: u64,
    pub(super) kind: Kind,
}

/// What the method says about the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Head,
    Connect,
}

impl Kind {
    pub(super) fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Plain,
        }
    }
}

/// The requests of a flow that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    entries: VecDeque<Entry>,
    /// Something was lost: only exclusion proves.
    uncertain: bool,
    /// Answers that may still come to requests that were given up.
    ghosts: u32,
}

/// Whom a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// This request.
    One(Entry),
    /// One of several: these were given up and are in the list that was handed in.
    Several,
    /// No request that was seen.
    Nobody,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    /// Adds a request. `had_all`: its segment shows that the client had read everything. Requests that are given up
    /// are told to `unseen`.
    pub(super) fn add(&mut self, entry: Entry, had_all: bool, mut unseen: impl FnMut(u32)) {
        if had_all && (self.uncertain || self.ghosts > 0) {
            self.entries.drain(..).filter_map(|entry| entry.tx_id).for_each(&mut unseen);
            self.uncertain = false;
            self.ghosts = 0;
        }
        self.entries.push_back(entry);
    }

    /// Bytes of the server were lost whose meaning is not known.
    pub(super) fn lost_answers(&mut self) {
        self.uncertain = true;
    }

    /// Bytes of the client were lost that may have been requests; they end at `end`.
    pub(super) fn lost_requests(&mut self, end: u64) {
        self.uncertain = true;
        match self.entries.back_mut() {
            Some(Entry { tx_id: None, head_end, .. }) => *head_end = end,
            _ => self.entries.push_back(Entry { tx_id: None, head_end: end, kind: Kind::Plain }),
        }
    }

    /// Whom a response answers whose first segment acknowledged the client's stream up to `acked`.
    pub(super) fn answer(&mut self, acked: Option<u64>, mut unseen: impl FnMut(u32)) -> Answers {
        // Without an acknowledgment everything that waits may be meant.
        let acked = acked.unwrap_or(u64::MAX);
        let exact = acked != u64::MAX && !self.uncertain && self.ghosts == 0;
        let possible = self.entries.iter().take_while(|entry| entry.head_end <= acked).count();
        match possible {
            0 => Answers::Nobody,
            _ if exact => self.entries.pop_front().map_or(Answers::Nobody, Answers::One),
            1 if self.ghosts == 0 && self.entries[0].tx_id.is_some() => {
                self.entries.pop_front().map_or(Answers::Nobody, Answers::One)
            }
            _ => {
                // What was lost may have held requests without number; they count as one that stays possible.
                let lost = self.entries.iter().take(possible).any(|entry| entry.tx_id.is_none());
                let given_up = self.entries.drain(..possible).filter_map(|entry| entry.tx_id);
                let count = given_up.map(&mut unseen).count() as u32;
                self.ghosts = (self.ghosts + count + u32::from(lost)).saturating_sub(1).max(u32::from(lost));
                Answers::Several
            }
        }
    }
}
