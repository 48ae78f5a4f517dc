//! A request that is held until its answer is known, and what is kept with it. Not what becomes of it: see
//! [`super::transactions`].

use std::borrow::Cow;
use std::sync::Arc;

use super::deadlines::Deadline;
use crate::http::BODY_BEGINNING;
use crate::outcome::{BodyCheck, Outcome};
use crate::record::{Request, RequestTraits, Transaction};
use crate::signature::Signature;
use crate::table::{ALLOCATION, Slot};
use crate::uri::Evasions;

/// A request that is held.
#[derive(Debug)]
pub(super) struct PendingTransaction {
    pub(super) transaction: Box<Transaction>,
    /// Running number of the packet that completed the request.
    pub(super) number: u64,
    pub(super) probe: Option<ProbeMatch>,
    /// The answer's body, as far as it is needed.
    pub(super) body_sample: Option<BodySample>,
    /// What was counted for it.
    pub(super) memory: usize,
    /// Bytes of the server were lost while it waited: its answer may have been among them.
    pub(super) lost: bool,
}

/// What a signature found in it.
#[derive(Clone, Debug)]
pub(super) struct ProbeMatch {
    pub(super) signature: Arc<Signature>,
    pub(super) matched: Vec<u8>,
    pub(super) evasions: Evasions,
    pub(super) also: Vec<String>,
    pub(super) trace: RequestTraits,
    pub(super) told: Option<Outcome>,
}

/// The beginning of a body that decides about the outcome: dropped as soon as it did, and never told.
#[derive(Debug)]
pub(super) struct BodySample {
    pub(super) open: BodyCheck,
    pub(super) body: Vec<u8>,
}

impl BodySample {
    /// What one takes, whatever is in it.
    pub(super) const MEMORY: usize = BODY_BEGINNING + ALLOCATION;

    pub(super) fn new(open: BodyCheck) -> Self {
        Self { open, body: Vec::with_capacity(BODY_BEGINNING) }
    }

    /// Takes bytes. Says whether there is room for more.
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        let room = BODY_BEGINNING.saturating_sub(self.body.len());
        self.body.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.body.len() < BODY_BEGINNING
    }
}

/// What a held request takes beside itself and its strings. Rationale: eight allocations, and its two places in the row of all that
/// wait, which may be half empty.
pub(super) const OVERHEAD: usize = 8 * ALLOCATION + 2 * (size_of::<Deadline>() + size_of::<(Slot, u32)>());

impl ProbeMatch {
    pub(super) fn heap(&self) -> usize {
        let also = self.also.iter().map(|slug| size_of::<String>() + slug.capacity());
        self.matched.capacity() + also.sum::<usize>()
    }
}

impl PendingTransaction {
    pub(super) fn tx_id(&self) -> u32 {
        self.transaction.tx_id
    }
}

/// A word of a request line to be kept: those of everyday are nobody's.
pub(super) fn intern_token(word: &[u8]) -> Cow<'static, [u8]> {
    const EVERYDAY: [&[u8]; 5] = [b"GET", b"POST", b"HEAD", b"HTTP/1.1", b"HTTP/1.0"];
    let known = EVERYDAY.into_iter().find(|known| *known == word);
    known.map_or_else(|| Cow::Owned(word.to_vec()), Cow::Borrowed)
}

/// Heap memory of a request's strings.
pub(super) fn heap(request: &Request) -> usize {
    let optional = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::capacity);
    let owned = |value: &Cow<'static, [u8]>| if let Cow::Owned(value) = value { value.capacity() } else { 0 };
    owned(&request.method)
        + request.target.capacity()
        + owned(&request.protocol)
        + optional(&request.host)
        + optional(&request.user_agent)
        + optional(&request.referrer)
        + optional(&request.forwarded_for)
}
