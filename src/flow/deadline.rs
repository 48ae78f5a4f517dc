//! Deadlines for giving up missing parts of a stream: two kinds, each in a queue, because each is set a fixed time
//! after the clock. Does not expire flows; the table keeps their order.

use std::collections::VecDeque;
use std::time::Duration;

use crate::segment::Side;
use crate::table::Slot;
use crate::time::Timestamp;

/// The state of a hole, which sets the time until it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    /// The missing bytes were not acknowledged and may still be retransmitted; or a doubtful segment waits for an
    /// acknowledgment.
    Open,
    /// The receiver has the bytes: they can only be captured late.
    Acknowledged,
}

impl Hole {
    /// Returns the time until the hole is given up.
    ///
    /// Rationale: a sender's retransmission timer starts at 1 s and doubles (RFC 6298), so 5 s include two attempts;
    /// bytes that were acknowledged can only be late in the capture itself, by far less than half a second.
    pub(super) const fn timeout(self) -> Duration {
        match self {
            Self::Open => Duration::from_secs(5),
            Self::Acknowledged => Duration::from_millis(500),
        }
    }
}

/// A deadline that passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) deadline: Timestamp,
    pub(super) slot: Slot,
    pub(super) side: Side,
    pub(super) hole: Hole,
}

/// Entries of closed flows that are not worth a pass over the queue.
const PRUNE_MIN: usize = 256;

/// The deadline queues. A direction has at most one entry in each (`OutOfOrder::armed`); entries of closed flows stay
/// until their deadline, or until they are the majority.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queues: [VecDeque<(Timestamp, Slot, Side)>; 2],
}

impl Deadlines {
    /// Adds a deadline one timeout after `now`.
    pub(super) fn push(&mut self, hole: Hole, now: Timestamp, slot: Slot, side: Side) {
        self.queues[hole as usize].push_back((now.after(hole.timeout()), slot, side));
    }

    /// Returns the earliest deadline.
    pub(super) fn next(&self) -> Timestamp {
        let first = |hole: Hole| self.queues[hole as usize].front().map_or(Timestamp::MAX, |entry| entry.0);
        first(Hole::Open).min(first(Hole::Acknowledged))
    }

    /// Removes entries of closed flows once they are the majority: at most `flows` live, each with two directions.
    pub(super) fn prune(&mut self, flows: usize, mut is_live: impl FnMut(Slot) -> bool) {
        for queue in &mut self.queues {
            // A pass over the queue is paid for by the entries that it removes: at least half of them.
            if queue.len() > flows.max(PRUNE_MIN).saturating_mul(4) {
                queue.retain(|&(_, slot, _)| is_live(slot));
            }
        }
    }

    /// Returns the number of entries in the longer queue.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queues.iter().map(VecDeque::len).max().unwrap_or(0)
    }

    /// Removes and returns the earliest deadline.
    pub(super) fn pop(&mut self) -> Option<Due> {
        let next = self.next();
        [Hole::Acknowledged, Hole::Open].into_iter().find_map(|hole| {
            let queue = &mut self.queues[hole as usize];
            let (deadline, slot, side) = *queue.front().filter(|entry| entry.0 == next)?;
            queue.pop_front();
            Some(Due { deadline, slot, side, hole })
        })
    }
}
