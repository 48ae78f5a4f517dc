//! When a missing part of a stream is given up: two kinds of deadlines, each a queue because each is set from the clock
//! by a fixed span. Not the expiry of flows, whose order the table keeps.

use std::collections::VecDeque;
use std::time::Duration;

use crate::segment::Side;
use crate::table::Slot;
use crate::time::Timestamp;

/// Why a hole is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    /// Nobody acknowledged the missing bytes: they may still be sent again.
    Open,
    /// The receiver has them, or a doubtful segment waits for confirmation: they can only come late.
    Acknowledged,
}

impl Hole {
    /// Rationale: a sender's retransmission timer starts at 1 s and doubles (RFC 6298), so 5 s see two attempts; bytes
    /// that were acknowledged can only be behind in the capture itself, by far less than half a second.
    pub(super) const fn span(self) -> Duration {
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

/// The queues. A direction has at most one entry in each (`Disorder::armed`); entries of flows that are gone stay for
/// the span, so the owner takes the first one early when there are too many.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queues: [VecDeque<(Timestamp, Slot, Side)>; 2],
}

impl Deadlines {
    /// Adds a deadline one span after `now`.
    pub(super) fn push(&mut self, hole: Hole, now: Timestamp, slot: Slot, side: Side) {
        self.queues[hole as usize].push_back((now.after(hole.span()), slot, side));
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Timestamp {
        let first = |hole: Hole| self.queues[hole as usize].front().map_or(Timestamp::MAX, |entry| entry.0);
        first(Hole::Open).min(first(Hole::Acknowledged))
    }

    /// Takes the first entry of a queue that is longer than `limit`.
    pub(super) fn overdue(&mut self, limit: usize) -> Option<Due> {
        let hole =
            [Hole::Open, Hole::Acknowledged].into_iter().find(|&hole| self.queues[hole as usize].len() > limit)?;
        let (deadline, slot, side) = self.queues[hole as usize].pop_front()?;
        Some(Due { deadline, slot, side, hole })
    }

    /// Takes the earliest deadline.
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
