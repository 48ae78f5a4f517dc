//! All held requests of a shard, by deadline and by age. Not the requests themselves, which stand with their flows.

use std::collections::VecDeque;

use crate::table::Slot;
use crate::time::Timestamp;

/// When an alert must not wait any longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) at: Timestamp,
    pub(super) slot: Slot,
    pub(super) tx_id: u32,
}

/// All held requests of the shard, by deadline and by age. Entries of requests that were settled meanwhile stay until
/// they come up, or until they are the majority.
#[derive(Debug, Default)]
pub(super) struct PendingIndex {
    pub(super) deadlines: VecDeque<Deadline>,
    ages: VecDeque<(Slot, u32)>,
    pub(super) memory: usize,
    count: usize,
}

/// Entries of settled requests that are not worth a clean-up.
const LEFTOVERS: usize = 1024;

impl PendingIndex {
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Whether what is held takes more than `most` bytes, or entries of settled requests are the majority.
    pub(super) fn is_over(&self, most: usize) -> bool {
        self.memory > most || self.ages.len().max(self.deadlines.len()) > self.worth_keeping()
    }

    pub(super) fn next_deadline(&self) -> Timestamp {
        self.deadlines.front().map_or(Timestamp::MAX, |deadline| deadline.at)
    }

    pub(super) fn pop(&mut self) -> Option<Deadline> {
        self.deadlines.pop_front()
    }

    /// Takes the oldest entry.
    pub(super) fn oldest(&mut self) -> Option<(Slot, u32)> {
        self.ages.pop_front()
    }

    /// Forgets entries of settled requests once they are the majority.
    pub(super) fn forget_unless(&mut self, mut alive: impl FnMut(Slot, u32) -> bool) {
        let most = self.worth_keeping();
        if self.ages.len() > most {
            self.ages.retain(|&(slot, tx_id)| alive(slot, tx_id));
        }
        if self.deadlines.len() > most {
            self.deadlines.retain(|deadline| alive(deadline.slot, deadline.tx_id));
        }
    }

    /// Entries of which most are of requests that are still held.
    fn worth_keeping(&self) -> usize {
        2 * self.count + LEFTOVERS
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
