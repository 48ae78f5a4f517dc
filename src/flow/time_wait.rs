//! The TIME-WAIT table: entries of flows whose directions both ended in order, kept while copies of their segments may
//! still arrive. The flows themselves are gone: late segments are not delivered.

use std::collections::VecDeque;
use std::time::Duration;

use crate::segment::{FlowKey, Segment, Seq, TcpFlags};
use crate::table::{Hashed, Index};
use crate::time::Timestamp;

/// The initial sequence numbers of an ended flow plus one: a SYN with the same number is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialSeqs(pub(super) [Seq; 2]);

/// The ended flows of a shard, in the order in which they ended. Rationale: they are most of the flows of a scan. In a
/// queue they are written and removed sequentially, and only their index has scattered memory accesses.
#[derive(Debug, Default)]
pub(super) struct TimeWait {
    chunks: VecDeque<Vec<TimeWaitEntry>>,
    /// Number of the first entry; numbers wrap around.
    first_number: u32,
    /// Number of entries removed from the first chunk.
    removed: usize,
    /// Number of entries in the queue, removed ones included.
    len: usize,
    /// The numbers of the entries that are not removed.
    index: Index,
    /// A free chunk, for the next one that is needed.
    spare: Option<Vec<TimeWaitEntry>>,
}

/// An ended flow.
#[derive(Clone, Copy, Debug)]
struct TimeWaitEntry {
    key: FlowKey,
    hash: Hashed,
    initial_seqs: InitialSeqs,
    /// Time when the flow ended, or of its latest late segment.
    touched: Timestamp,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the position where it was inserted.
    Unchanged,
    /// A late segment arrived: the entry will be moved to the end of the queue.
    Refreshed,
    /// Another flow has the addresses.
    Removed,
}

/// Entries that are allocated together. Rationale: growth without copying the whole queue, and little waste in the 16
/// shards of a small capture.
const CHUNK: usize = 64;

/// The relation of a segment to the ended flow with its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// No flow with these addresses ended lately, or the segment begins a new one.
    New,
    /// The segment belongs to the ended flow.
    Stale,
}

impl TimeWait {
    /// Returns the memory in bytes.
    pub(super) fn memory(&self) -> usize {
        self.len * (size_of::<TimeWaitEntry>() + Index::ENTRY)
    }

    /// Adds a flow, whose key has this hash; returns whether an older one was removed early for it. There must be no
    /// entry with the same addresses: [`TimeWait::lookup`] removed it when the flow began.
    pub(super) fn insert(
        &mut self,
        key: FlowKey,
        hash: Hashed,
        initial_seqs: InitialSeqs,
        now: Timestamp,
        timeout: Duration,
        limit: usize,
    ) -> bool {
        let mut early = false;
        while let Some(&entry) = self.chunks.front().and_then(|chunk| chunk.get(self.removed)) {
            let due = entry.touched.after(timeout) <= now;
            if entry.state == State::Unchanged && !due && self.len < limit.max(1) {
                break;
            }
            if entry.state != State::Removed {
                self.index.remove(entry.hash, self.first_number);
            }
            self.remove_first();
            match entry.state {
                State::Removed => {}
                State::Refreshed if !due => self.push(TimeWaitEntry { state: State::Unchanged, ..entry }),
                State::Unchanged | State::Refreshed => early |= !due,
            }
        }
        debug_assert!(self.find(&key, hash).is_none(), "looked up before it began");
        self.push(TimeWaitEntry { key, hash, initial_seqs, touched: now, state: State::Unchanged });
        early
    }

    /// Classifies a segment that has no flow, and whose key has this hash.
    pub(super) fn lookup(&mut self, segment: &Segment<'_>, hash: Hashed, timeout: Duration) -> Late {
        let head = segment.head;
        let Some(number) = self.find(&head.key, hash) else { return Late::New };
        let Some(entry) = self.entry_mut(number) else { return Late::New };
        let InitialSeqs(first) = entry.initial_seqs;
        let again = !head.flags.has(TcpFlags::SYN) || first[head.side as usize] == head.seq.advance(1);
        if again && head.clock < entry.touched.after(timeout) {
            // After one late segment, others may arrive even later.
            (entry.touched, entry.state) = (head.clock, State::Refreshed);
            return Late::Stale;
        }
        // The entry leaves the queue when it is the first.
        entry.state = State::Removed;
        self.index.remove(hash, number);
        Late::New
    }

    /// Removes all entries.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn find(&self, key: &FlowKey, hash: Hashed) -> Option<u32> {
        self.index.find(hash, |number| self.at(number).is_some_and(|entry| entry.key == *key))
    }

    /// Returns the position of a number: the chunk, and the index in it.
    fn position(&self, number: u32) -> (usize, usize) {
        let at = number.wrapping_sub(self.first_number) as usize + self.removed;
        (at / CHUNK, at % CHUNK)
    }

    fn at(&self, number: u32) -> Option<&TimeWaitEntry> {
        let (chunk, at) = self.position(number);
        self.chunks.get(chunk)?.get(at)
    }

    fn entry_mut(&mut self, number: u32) -> Option<&mut TimeWaitEntry> {
        let (chunk, at) = self.position(number);
        self.chunks.get_mut(chunk)?.get_mut(at)
    }

    /// Removes the first entry of the queue.
    fn remove_first(&mut self) {
        self.first_number = self.first_number.wrapping_add(1);
        self.len -= 1;
        self.removed += 1;
        if self.removed == CHUNK {
            self.removed = 0;
            self.spare = self.chunks.pop_front();
        }
    }

    /// Appends an entry to the queue.
    fn push(&mut self, entry: TimeWaitEntry) {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            let mut chunk = self.spare.take().unwrap_or_else(|| Vec::with_capacity(CHUNK));
            chunk.clear();
            self.chunks.push_back(chunk);
        }
        // Limits keep the queue far below 2^32 entries.
        let number = self.first_number.wrapping_add(self.len as u32);
        self.chunks.back_mut().expect("the last chunk has space").push(entry);
        self.len += 1;
        self.index.insert(entry.hash, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Encapsulation, Endpoint, Head, Side};

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn key(number: u32) -> FlowKey {
        let end = |port| Endpoint { ip: [192, 0, 2, 1].into(), port };
        FlowKey::new(end(number as u16), end(9999)).0
    }

    fn initial_seqs(number: u32) -> InitialSeqs {
        InitialSeqs([Seq(number), Seq(number)])
    }

    /// Compares with a plain list, over many seeded steps, some with late segments, and with equal hashes in one round.
    #[test]
    fn agrees_with_a_plain_list() {
        let mut random: u32 = 7;
        for same_hash in [false, true] {
            let (mut time_wait, mut model) = (TimeWait::default(), Vec::<(u32, Timestamp)>::new());
            for step in 0..30_000_u32 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let number = (random >> 8) % if same_hash { 60 } else { 400 };
                let hash = Hashed::of_bits(if same_hash { 5 } else { number.wrapping_mul(0x9e37_79b9) });
                let now = Timestamp::from_nanos(i64::from(step) * 50_000_000);
                let existing = model.iter().position(|&(other, _)| other == number);
                let fresh = existing.is_some_and(|at| now < model[at].1.after(TIMEOUT));
                let syn = random >> 28 < 4;
                let (flags, seq) = if syn { (TcpFlags::SYN, number + 5) } else { (TcpFlags::ACK, number) };
                let head = Head {
                    key: key(number),
                    side: Side::Low,
                    flags: TcpFlags(flags),
                    seq: Seq(seq),
                    clock: now,
                    ..Head::default()
                };
                let segment = Segment { head: &head, tcp: &[], encapsulation: &Encapsulation::default() };
                let late = time_wait.lookup(&segment, hash, TIMEOUT);
                assert_eq!(late == Late::Stale, fresh && !syn, "step {step}");
                match existing {
                    Some(at) if fresh && !syn => model[at].1 = now,
                    Some(at) => drop(model.remove(at)),
                    None => {}
                }
                if late == Late::New {
                    assert!(!time_wait.insert(key(number), hash, initial_seqs(number), now, TIMEOUT, 10_000));
                    model.push((number, now));
                }
                assert!(time_wait.len <= 400 && time_wait.index.len() <= time_wait.len);
            }
            time_wait.clear();
            assert_eq!((time_wait.memory(), time_wait.index.len()), (0, 0));
        }
    }

    #[test]
    fn oldest_entries_are_removed_for_new_ones() {
        let mut time_wait = TimeWait::default();
        let early = (0..1000_u32).filter(|&number| {
            let now = Timestamp::from_nanos(i64::from(number));
            time_wait.insert(key(number), Hashed::of_bits(number), initial_seqs(number), now, TIMEOUT, 100)
        });
        assert_eq!(early.count(), 900);
        assert_eq!((time_wait.len, time_wait.index.len()), (100, 100));
        assert!(time_wait.find(&key(899), Hashed::of_bits(899)).is_none());
        assert!(time_wait.find(&key(900), Hashed::of_bits(900)).is_some());
    }
}
