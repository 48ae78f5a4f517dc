//! A request held until its response is known, and the memory it takes. Outcomes are decided in
//! [`super::transactions`].

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::deadlines::Deadline;
use crate::http::BODY_BEGINNING;
use crate::outcome::{BodyCheck, Outcome};
use crate::record::{Request, RequestTraits, Transaction};
use crate::signature::Signature;
use crate::table::{ALLOCATION, Slot};
use crate::uri::Evasions;

/// A request held until its response is known.
#[derive(Debug)]
pub(super) struct PendingTransaction {
    pub(super) transaction: Box<Transaction>,
    /// Number of the packet that completed the request.
    pub(super) number: u64,
    pub(super) probe: Option<ProbeMatch>,
    /// The beginning of the response's body, while the outcome depends on it.
    pub(super) body_sample: Option<BodySample>,
    /// Bytes counted for it.
    pub(super) memory: usize,
    /// Whether the response may have been among bytes of the server that were lost while it waited, or that came before
    /// it.
    pub(super) lost: bool,
}

/// The match of a signature in a request.
#[derive(Clone, Debug)]
pub(super) struct ProbeMatch {
    pub(super) signature: Arc<Signature>,
    pub(super) matched: Vec<u8>,
    pub(super) evasions: Evasions,
    pub(super) also: Vec<String>,
    pub(super) traits: RequestTraits,
    /// Client that a PROXY protocol header names.
    pub(super) proxied_for: Option<IpAddr>,
    /// The outcome of the last alert emitted for it.
    pub(super) reported: Option<Outcome>,
}

/// The beginning of a body that decides the outcome. Dropped as soon as it has; never written.
#[derive(Debug)]
pub(super) struct BodySample {
    pub(super) check: BodyCheck,
    pub(super) body: Vec<u8>,
}

impl BodySample {
    /// Memory of a sample in bytes, whatever it holds.
    pub(super) const MEMORY: usize = BODY_BEGINNING + ALLOCATION;

    pub(super) fn new(check: BodyCheck) -> Self {
        Self { check, body: Vec::with_capacity(BODY_BEGINNING) }
    }

    /// Appends bytes. Returns whether there is space for more.
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        let space = BODY_BEGINNING.saturating_sub(self.body.len());
        self.body.extend_from_slice(bytes.get(..space).unwrap_or(bytes));
        self.body.len() < BODY_BEGINNING
    }
}

/// Memory of a pending request beside itself and its strings, in bytes. Rationale: eight allocations, and its two entries in
/// the [`super::deadlines`] queues, which may be half empty.
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

/// Returns an owned token of a request line; the most frequent ones are not allocated.
pub(super) fn intern_token(word: &[u8]) -> Cow<'static, [u8]> {
    const FREQUENT: [&[u8]; 5] = [b"GET", b"POST", b"HEAD", b"HTTP/1.1", b"HTTP/1.0"];
    let known = FREQUENT.into_iter().find(|known| *known == word);
    known.map_or_else(|| Cow::Owned(word.to_vec()), Cow::Borrowed)
}

/// Returns the heap memory of a request's strings in bytes.
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
