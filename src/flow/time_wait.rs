//! Flows of which both directions ended in order: what is remembered of them for as long as copies of their segments may
//! still come. Not flows any more: nothing is handed on of what comes late.

use std::collections::VecDeque;
use std::time::Duration;

use crate::segment::{FlowKey, Segment, Seq, TcpFlags};
use crate::table::{Hashed, Index};
use crate::time::Timestamp;

/// Where the streams of an ended flow began: a SYN that says so again is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialSeqs(pub(super) [Seq; 2]);

/// The ended flows of a shard, in a row in which they stand as they ended. Rationale: they are most of the flows of a
/// scan. In a row they are written and given up one behind the other, and only their index is all over the memory.
#[derive(Debug, Default)]
pub(super) struct TimeWait {
    chunks: VecDeque<Vec<TimeWaitEntry>>,
    /// Number of the first place of the row; numbers go round.
    first_number: u32,
    /// How many places of the first chunk were given up.
    removed: usize,
    /// How many stand in the row, those that were forgotten among them.
    len: usize,
    /// The numbers of those that are remembered.
    index: Index,
    /// A chunk that was given up, for the next that is needed.
    spare: Option<Vec<TimeWaitEntry>>,
}

/// An ended flow.
#[derive(Clone, Copy, Debug)]
struct TimeWaitEntry {
    key: FlowKey,
    hash: Hashed,
    initial_seqs: InitialSeqs,
    /// When it ended, or when the latest segment came that was too late.
    touched: Timestamp,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It stands where it was put.
    Unchanged,
    /// A segment came late: it will be put at the end of the row again.
    Refreshed,
    /// Another flow has its addresses.
    Removed,
}

/// Graves that are allocated together. Rationale: growth without copying the whole row, and little waste in the 16 shards of
/// a small capture.
const CHUNK: usize = 64;

/// What a segment with the addresses of an ended flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// No flow with these addresses ended lately, or this begins a new one.
    New,
    /// It belongs to the one that ended.
    Stale,
}

impl TimeWait {
    /// Memory in bytes.
    pub(super) fn memory(&self) -> usize {
        self.len * (size_of::<TimeWaitEntry>() + Index::ENTRY)
    }

    /// Remembers a flow, whose key has this hash; says whether an older one was forgotten for it before its time. None with
    /// its addresses is remembered: [`TimeWait::lookup`] forgot it when the flow began.
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
        debug_assert!(self.find(&key, hash).is_none(), "judged before it began");
        self.push(TimeWaitEntry { key, hash, initial_seqs, touched: now, state: State::Unchanged });
        early
    }

    /// Judges a segment that has no flow, and whose key has this hash.
    pub(super) fn lookup(&mut self, segment: &Segment<'_>, hash: Hashed, timeout: Duration) -> Late {
        let head = segment.head;
        let Some(number) = self.find(&head.key, hash) else { return Late::New };
        let Some(entry) = self.entry_mut(number) else { return Late::New };
        let InitialSeqs(first) = entry.initial_seqs;
        let again = !head.flags.has(TcpFlags::SYN) || first[head.side as usize] == head.seq.advance(1);
        if again && head.clock < entry.touched.after(timeout) {
            // Where one came late, others may come later still.
            (entry.touched, entry.state) = (head.clock, State::Refreshed);
            return Late::Stale;
        }
        // It is given up when its turn comes.
        entry.state = State::Removed;
        self.index.remove(hash, number);
        Late::New
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn find(&self, key: &FlowKey, hash: Hashed) -> Option<u32> {
        self.index.find(hash, |number| self.at(number).is_some_and(|entry| entry.key == *key))
    }

    /// Where a number stands: the chunk, and the place in it.
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

    /// Gives up the first place of the row.
    fn remove_first(&mut self) {
        self.first_number = self.first_number.wrapping_add(1);
        self.len -= 1;
        self.removed += 1;
        if self.removed == CHUNK {
            self.removed = 0;
            self.spare = self.chunks.pop_front();
        }
    }

    /// Puts a entry at the end of the row.
    fn push(&mut self, entry: TimeWaitEntry) {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            let mut chunk = self.spare.take().unwrap_or_else(|| Vec::with_capacity(CHUNK));
            chunk.clear();
            self.chunks.push_back(chunk);
        }
        // Limits keep a row far below 2^32 places.
        let number = self.first_number.wrapping_add(self.len as u32);
        self.chunks.back_mut().expect("a chunk with room").push(entry);
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

    /// Against a plain list, over many seeded steps, some of which come late, and with all hashes alike now and then.
    #[test]
    fn agrees_with_a_plain_list() {
        let mut random: u32 = 7;
        for same_hash in [false, true] {
            let (mut ended, mut model) = (TimeWait::default(), Vec::<(u32, Timestamp)>::new());
            for step in 0..30_000_u32 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let number = (random >> 8) % if same_hash { 60 } else { 400 };
                let hash = Hashed::of_bits(if same_hash { 5 } else { number.wrapping_mul(0x9e37_79b9) });
                let now = Timestamp::from_nanos(i64::from(step) * 50_000_000);
                let known = model.iter().position(|&(known, _)| known == number);
                let fresh = known.is_some_and(|at| now < model[at].1.after(TIMEOUT));
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
                let late = ended.lookup(&segment, hash, TIMEOUT);
                assert_eq!(late == Late::Stale, fresh && !syn, "step {step}");
                match known {
                    Some(at) if fresh && !syn => model[at].1 = now,
                    Some(at) => drop(model.remove(at)),
                    None => {}
                }
                if late == Late::New {
                    assert!(!ended.insert(key(number), hash, initial_seqs(number), now, TIMEOUT, 10_000));
                    model.push((number, now));
                }
                assert!(ended.len <= 400 && ended.index.len() <= ended.len);
            }
            ended.clear();
            assert_eq!((ended.memory(), ended.index.len()), (0, 0));
        }
    }

    #[test]
    fn oldest_entries_are_removed_for_new_ones() {
        let mut ended = TimeWait::default();
        let early = (0..1000_u32).filter(|&number| {
            let now = Timestamp::from_nanos(i64::from(number));
            ended.insert(key(number), Hashed::of_bits(number), initial_seqs(number), now, TIMEOUT, 100)
        });
        assert_eq!(early.count(), 900);
        assert_eq!((ended.len, ended.index.len()), (100, 100));
        assert!(ended.find(&key(899), Hashed::of_bits(899)).is_none());
        assert!(ended.find(&key(900), Hashed::of_bits(900)).is_some());
    }
}
