//! The flow's id in the output: a hash with a published key, the same for live capture, replay and every record of the
//! flow. Tables are keyed by random hashes instead; see [`crate::table`].

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use crate::segment::FlowKey;
use crate::time::Timestamp;

/// The published key: `smsentry` and `flow-id.` in ASCII.
const KEY: [u8; 16] = *b"smsentryflow-id.";

/// Returns 96 bits of SipHash-1-3-128 over the 42 bytes of [`FlowKey::packed`] and the first packet's time in microseconds
/// since the epoch (64 bits, big-endian).
#[must_use]
pub fn flow_id(key: &FlowKey, start: Timestamp) -> u128 {
    let mut hasher = SipHasher13::new_with_key(&KEY);
    hasher.write(&key.packed());
    hasher.write(&start.micros().to_be_bytes());
    hasher.finish128().as_u128() & ((1 << 96) - 1)
}
