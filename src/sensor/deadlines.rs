//! All pending requests of a shard by deadline and by age. The requests themselves belong to their flows; see
//! [`super::pending`].

use std::collections::VecDeque;

use crate::table::Slot;
use crate::time::Timestamp;

/// The time at which an alert must not wait any longer for its response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) at: Timestamp,
    pub(super) slot: Slot,
    pub(super) tx_id: u32,
}

/// All pending requests of the shard by deadline and by age. Entries of finished requests stay until they reach the front,
/// or until they are the majority.
#[derive(Debug, Default)]
pub(super) struct PendingIndex {
    pub(super) deadlines: VecDeque<Deadline>,
    ages: VecDeque<(Slot, u32)>,
    /// Memory of the pending requests in bytes.
    pub(super) memory: usize,
    count: usize,
}

/// Number of entries of finished requests below which cleaning up does not pay.
const MIN_STALE: usize = 1024;

impl PendingIndex {
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Returns whether the pending requests take more than `limit` bytes, or entries of finished requests are the majority.
    pub(super) fn is_over(&self, limit: usize) -> bool {
        self.memory > limit || self.ages.len().max(self.deadlines.len()) > self.max_entries()
    }

    pub(super) fn next_deadline(&self) -> Timestamp {
        self.deadlines.front().map_or(Timestamp::MAX, |deadline| deadline.at)
    }

    pub(super) fn pop(&mut self) -> Option<Deadline> {
        self.deadlines.pop_front()
    }

    /// Removes and returns the oldest entry.
    pub(super) fn oldest(&mut self) -> Option<(Slot, u32)> {
        self.ages.pop_front()
    }

    /// Removes entries of finished requests once they are the majority.
    pub(super) fn compact(&mut self, mut is_pending: impl FnMut(Slot, u32) -> bool) {
        let limit = self.max_entries();
        if self.ages.len() > limit {
            self.ages.retain(|&(slot, tx_id)| is_pending(slot, tx_id));
        }
        if self.deadlines.len() > limit {
            self.deadlines.retain(|deadline| is_pending(deadline.slot, deadline.tx_id));
        }
    }

    /// The number of entries up to which most belong to pending requests.
    fn max_entries(&self) -> usize {
        2 * self.count + MIN_STALE
    }

    pub(super) fn add(&mut self, slot: Slot, tx_id: u32, memory: usize) {
        self.ages.push_back((slot, tx_id));
        self.memory += memory;
        self.count += 1;
    }

    pub(super) fn remove(&mut self, memory: usize) {
        self.memory -= memory;
        self.count -= 1;
    }
}
