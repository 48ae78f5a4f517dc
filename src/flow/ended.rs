//! Flows of which both directions ended in order: what is remembered of them for as long as copies of their segments may
//! still come. Not flows any more: nothing is handed on of what comes late.

use super::Class;
use crate::segment::{Flags, FlowKey, Segment, Seq};
use crate::table::{Hashed, Table};
use crate::time::Timestamp;

/// Where the streams of an ended flow began: a SYN that says so again is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginnings(pub(super) [Seq; 2]);

/// The ended flows of a shard. Rationale: they are most of the flows of a scan, and a tenth of the size of live ones, so
/// that the live ones stay in the cache.
#[derive(Debug)]
pub(super) struct Ended {
    table: Table<FlowKey, Beginnings, 1>,
}

/// What a segment with the addresses of an ended flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// No flow with these addresses ended lately, or this begins a new one.
    New,
    /// It belongs to the one that ended.
    Belated,
}

impl Ended {
    /// `keys` are those of the table of live flows: one hash of a key is good for both.
    pub(super) fn new(keys: [u64; 2]) -> Self {
        Self { table: Table::new(keys) }
    }

    pub(super) fn memory(&self) -> usize {
        self.table.len() * Table::<FlowKey, Beginnings, 1>::entry_size()
    }

    /// Remembers a flow, whose key has this hash; says whether an older one was forgotten for it before its time.
    pub(super) fn remember(
        &mut self,
        key: FlowKey,
        hash: Hashed,
        beginnings: Beginnings,
        now: Timestamp,
        linger: std::time::Duration,
        most: usize,
    ) -> bool {
        let mut early = false;
        while let Some((slot, ended)) = self.table.oldest(0) {
            let due = ended.after(linger) <= now;
            if !due && self.table.len() < most.max(1) {
                break;
            }
            early |= !due;
            self.table.discard(slot);
        }
        if let Some(slot) = self.table.find_hashed(&key, hash) {
            self.table.discard(slot);
        }
        self.table.insert_hashed(key, hash, beginnings, Class::New as usize, now);
        early
    }

    /// Judges a segment that has no flow, and whose key has this hash.
    pub(super) fn judge(&mut self, segment: &Segment<'_>, hash: Hashed, linger: std::time::Duration) -> Late {
        let head = segment.head;
        let Some(slot) = self.table.find_hashed(&head.key, hash) else { return Late::New };
        let again = self.table.get(slot).is_some_and(|(_, Beginnings(first))| {
            !head.flags.has(Flags::SYN) || first[head.side as usize] == head.seq.advance(1)
        });
        let fresh = self.table.touched(slot).is_some_and(|ended| head.clock < ended.after(linger));
        if again && fresh {
            // Where one came late, others may come later still.
            self.table.touch(slot, Class::New as usize, head.clock);
            return Late::Belated;
        }
        self.table.discard(slot);
        Late::New
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        while let Some((slot, _)) = self.table.oldest(0) {
            self.table.discard(slot);
        }
    }
}
