//! Responses captured before the requests they belong to: one direction of a mirror may lag behind the other by many
//! exchanges. They wait here, within limits, until the requests are captured. Does not decide which request a response
//! belongs to; see [`super::pairing`].

use std::collections::VecDeque;

use super::{BODY_BEGINNING, Response, StreamPosition, responses};

/// Bytes of early responses for which beginnings of bodies are kept; later ones are kept without their bodies.
///
/// Rationale: half of what a direction may queue out of order. A flow of which only the server's side is captured keeps
/// no more than this.
const MAX_BYTES: usize = 128 << 10;

/// Early responses in order. Boxed by the owner because they are rare: without any, only a pointer is stored.
#[derive(Debug, Default)]
pub(super) struct EarlyResponses {
    responses: VecDeque<Early>,
    /// Heap memory of the responses, in bytes.
    heap: usize,
    /// Whether responses behind these were not kept.
    pub(super) overflowed: bool,
}

/// A response captured before its request.
#[derive(Debug)]
pub(super) struct Early {
    /// Where it begins, and how much of the client's stream its first segment acknowledged.
    pub(super) start: StreamPosition,
    /// Stream offset at which the previous response ended.
    pub(super) previous_end: u64,
    pub(super) status: u16,
    reason: Box<[u8]>,
    content_type: Option<Box<[u8]>>,
    location: Option<Box<[u8]>>,
    content_length: Option<u64>,
    content_encoding: Option<Box<[u8]>>,
    truncated: bool,
    /// The beginning of its body.
    pub(super) body: Vec<u8>,
    /// Content bytes of its body, once it has ended.
    pub(super) body_len: Option<u64>,
}

impl EarlyResponses {
    pub(super) fn len(&self) -> usize {
        self.responses.len()
    }

    /// Returns the memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.responses.capacity() * size_of::<Early>() + self.heap
    }

    pub(super) fn push(&mut self, early: Early) {
        self.heap += early.heap();
        self.responses.push_back(early);
    }

    /// Removes and returns the oldest response that acknowledges more of the client's stream than up to `start`, with
    /// those before it: they belong to no request from there on.
    pub(super) fn pop_behind(&mut self, start: u64) -> Option<Early> {
        loop {
            let early = self.responses.pop_front()?;
            self.heap -= early.heap();
            if early.start.acked > Some(start) {
                return Some(early);
            }
        }
    }

    /// Returns where the first response begins that acknowledges the client's stream up to `end`.
    pub(super) fn start_of_acknowledging(&self, end: u64) -> Option<u64> {
        self.responses.iter().find(|early| early.start.acked >= Some(end)).map(|early| early.start.offset)
    }

    /// Stores the next bytes of the last response's body. Returns whether more are wanted.
    pub(super) fn store_body(&mut self, bytes: &[u8]) -> bool {
        let space = MAX_BYTES.saturating_sub(self.heap);
        let Some(early) = self.responses.back_mut().filter(|early| early.body_len.is_none()) else { return false };
        let before = early.heap();
        let wanted = BODY_BEGINNING.saturating_sub(early.body.len());
        let part = &bytes[..bytes.len().min(wanted)];
        if part.len() > space {
            return false;
        }
        early.body.reserve_exact(part.len());
        early.body.extend_from_slice(part);
        self.heap = self.heap - before + early.heap();
        early.body.len() < BODY_BEGINNING
    }

    /// Notes that the last response ended.
    pub(super) fn body_end(&mut self, body_len: u64) {
        if let Some(early) = self.responses.back_mut() {
            early.body_len.get_or_insert(body_len);
        }
    }
}

impl Early {
    pub(super) fn new(head: &responses::ResponseHead<'_>, start: StreamPosition, previous_end: u64) -> Self {
        /// Rationale: usual values are far shorter.
        const MAX_VALUE: usize = 256;
        let keep = |value: &[u8]| -> Box<[u8]> { value[..value.len().min(MAX_VALUE)].into() };
        Self {
            start,
            previous_end,
            status: head.line.status,
            reason: keep(head.line.reason),
            content_type: head.fields.content_type.map(keep),
            location: head.fields.location.map(keep),
            content_length: head.content_length,
            content_encoding: head.fields.content_encoding.map(keep),
            truncated: head.truncated,
            body: Vec::new(),
            body_len: None,
        }
    }

    pub(super) fn response(&self) -> Response<'_> {
        Response {
            status: self.status,
            reason: &self.reason,
            content_type: self.content_type.as_deref(),
            location: self.location.as_deref(),
            content_length: self.content_length,
            content_encoding: self.content_encoding.as_deref(),
            truncated: self.truncated,
        }
    }

    fn heap(&self) -> usize {
        let optional = |value: &Option<Box<[u8]>>| value.as_ref().map_or(0, |value| value.len());
        self.reason.len()
            + optional(&self.content_type)
            + optional(&self.location)
            + optional(&self.content_encoding)
            + self.body.capacity()
    }
}
