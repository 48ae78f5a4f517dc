//! One datagram that waits for fragments. It answers overlaps as Linux does (`inet_frag_queue_insert`), because the
//! datagram that a server would see is the one wanted. Not the table of them: see [`super::defrag`].
//!
//! The rules, measured against Linux 6.18: a fragment within a contiguous run that arrived in order is a duplicate and
//! ignored, whatever its bytes; any other overlap drops the datagram, and so do an end beyond the known end, an empty
//! fragment and a second end. What arrives after such a drop begins a new datagram.

use std::collections::BTreeMap;

use super::Counters;

/// The IP version of a fragment; also the class in the table, because the versions have different timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4 = 0,
    V6 = 1,
}

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    /// Protocol of the payload; that of the first fragment counts.
    pub(super) protocol: u8,
    /// Offset of the data in the datagram, a multiple of 8.
    pub(super) offset: u32,
    /// Whether there are more fragments behind it.
    pub(super) more: bool,
    /// Bytes of headers before the data.
    pub(super) before: u32,
    /// The data.
    pub(super) data: &'a [u8],
}

/// A datagram put together.
#[derive(Debug)]
pub(super) struct Reassembled {
    pub(super) protocol: u8,
    pub(super) before: u32,
    pub(super) bytes: Box<[u8]>,
}

/// What a run takes in its map beside its bytes. Rationale: key and vector are 28 bytes, nodes are at least half full
/// and an allocation is rounded up to eight bytes.
const RUN: usize = 56;
/// What the first run's node takes on top: it has room for eleven.
const NODE: usize = 250;
/// The longest IP packet.
const LONGEST: u32 = 65_535;

/// Most bytes of an IP packet, its first header included; the length in an IPv6 header does not count that header.
const fn longest(family: Family) -> u32 {
    match family {
        Family::V4 => LONGEST,
        Family::V6 => LONGEST + 40,
    }
}

/// What became of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FragmentOutcome {
    /// It is held.
    Held,
    /// It changes nothing.
    Ignored,
    /// It breaks the whole datagram.
    Broken,
}

/// A datagram that waits for fragments.
///
/// Invariants: runs do not overlap and are not empty; `received` is the sum of their lengths and `end` the highest
/// end of a fragment, so the datagram is complete when the last fragment is in and both are equal.
#[derive(Debug, Default)]
pub(super) struct Datagram {
    /// Bytes by offset. Only the last run grows: two that meet stay apart, as in Linux, where this decides what a
    /// duplicate is.
    runs: BTreeMap<u32, Vec<u8>>,
    received: u32,
    end: u32,
    last_seen: bool,
    protocol: u8,
    before: u32,
    pub(super) fragments: u32,
    /// Bytes that the runs take.
    pub(super) memory: usize,
}

impl Datagram {
    /// Takes a fragment.
    pub(super) fn add(&mut self, family: Family, fragment: &Fragment<'_>, counters: &mut Counters) -> FragmentOutcome {
        let Fragment { offset, more, mut data, .. } = *fragment;
        if more && data.len() % 8 != 0 {
            counters.fragment_invalid += 1;
            // RFC 8200 section 4.5 discards the fragment; IPv4 in Linux drops its odd bytes.
            if family == Family::V6 {
                return FragmentOutcome::Ignored;
            }
            data = &data[..data.len() & !7];
        }
        let end = offset.saturating_add(data.len() as u32);
        if end.saturating_add(fragment.before) > longest(family) {
            counters.too_large += 1;
            // What can't even be stated, IPv6 discards alone. The rest is held as in Linux, and fails in the end.
            if family == Family::V6 && end > LONGEST {
                return FragmentOutcome::Ignored;
            }
        }
        if !self.fits(end, more) || data.is_empty() {
            counters.fragment_invalid += 1;
            return FragmentOutcome::Broken;
        }
        self.end = self.end.max(end);
        self.last_seen |= !more;
        let verdict = self.place(offset, end, data, counters);
        if verdict == FragmentOutcome::Held {
            self.fragments += 1;
            self.received += data.len() as u32;
            if offset == 0 {
                self.protocol = fragment.protocol;
                self.before = fragment.before;
            }
        }
        verdict
    }

    /// Whether an end agrees with what is known of the datagram's end.
    fn fits(&self, end: u32, more: bool) -> bool {
        if more { !self.last_seen || end <= self.end } else { end == self.end || (end > self.end && !self.last_seen) }
    }

    fn place(&mut self, offset: u32, end: u32, data: &[u8], counters: &mut Counters) -> FragmentOutcome {
        if let Some((start, run)) = self.runs.range(..end).next_back()
            && start + run.len() as u32 > offset
        {
            let within = *start <= offset && end <= start + run.len() as u32;
            counters.overlap_conflict += u64::from(self.conflicts(offset, end, data));
            if within {
                counters.duplicates += 1;
                return FragmentOutcome::Ignored;
            }
            counters.overlap += 1;
            return FragmentOutcome::Broken;
        }
        if let Some(mut last) = self.runs.last_entry()
            && last.key() + last.get().len() as u32 == offset
        {
            let run = last.get_mut();
            let before = run.capacity();
            run.extend_from_slice(data);
            self.memory += run.capacity() - before;
        } else {
            self.memory += RUN + data.len() + if self.runs.is_empty() { NODE } else { 0 };
            self.runs.insert(offset, data.to_vec());
        }
        FragmentOutcome::Held
    }

    /// Whether bytes held differ from those of an overlapping fragment. The work is that of reading the fragment: no two
    /// runs begin within 8 bytes of each other.
    fn conflicts(&self, offset: u32, end: u32, data: &[u8]) -> bool {
        let overlapping = self.runs.range(..end).rev().take_while(|(start, run)| *start + run.len() as u32 > offset);
        overlapping.into_iter().any(|(start, run)| {
            let (from, to) = (offset.max(*start), end.min(start + run.len() as u32));
            run[(from - start) as usize..(to - start) as usize]
                != data[(from - offset) as usize..(to - offset) as usize]
        })
    }

    /// Whether nothing lacks.
    pub(super) fn is_complete(&self) -> bool {
        self.last_seen && self.received == self.end
    }

    /// The datagram, unless it is longer than an IP packet can be.
    pub(super) fn into_whole(self, family: Family) -> Option<Reassembled> {
        if self.before.saturating_add(self.end) > longest(family) {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.end as usize);
        for run in self.runs.values() {
            bytes.extend_from_slice(run);
        }
        Some(Reassembled { protocol: self.protocol, before: self.before, bytes: bytes.into_boxed_slice() })
    }
}
