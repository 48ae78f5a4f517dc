//! Reassembles one datagram. Overlaps are handled as in Linux (`inet_frag_queue_insert`), to obtain the datagram that a
//! server would see. Does not contain the table of datagrams; see [`super::defrag`].
//!
//! The rules, measured against Linux 6.18: a fragment within a contiguous run that arrived in order is a duplicate and
//! ignored, whatever its bytes; any other overlap drops the datagram, and so do an end beyond the known end, an empty
//! fragment and a second, different end. A fragment that arrives after such a drop begins a new datagram.

use std::collections::BTreeMap;

use super::Counters;

/// The IP version of a fragment; also the class in the table, because the versions have different timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IpVersion {
    V4 = 0,
    V6 = 1,
}

/// An IP fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    /// Protocol of the payload; the one of the first fragment is used.
    pub(super) protocol: u8,
    /// Offset of the data in the datagram, in bytes, a multiple of 8.
    pub(super) offset: u32,
    /// Whether more fragments follow it.
    pub(super) more: bool,
    /// Bytes of headers before the data.
    pub(super) header_len: u32,
    /// The data.
    pub(super) data: &'a [u8],
}

/// A reassembled datagram.
#[derive(Debug)]
pub(super) struct Reassembled {
    pub(super) protocol: u8,
    /// Bytes of headers before the data.
    pub(super) header_len: u32,
    pub(super) bytes: Box<[u8]>,
}

/// Memory of a run in bytes, besides its data. Rationale: key and vector are 28 bytes, nodes are at least half full and
/// an allocation is rounded up to 8 bytes.
const RUN: usize = 56;
/// Additional memory of the first run in bytes: its map node has space for 11.
const NODE: usize = 250;
/// The largest value of an IP length field, in bytes.
const LONGEST: u32 = 65_535;

/// Returns the maximum length of an IP packet in bytes, its first header included; the length field in an IPv6 header
/// does not include that header.
const fn longest(version: IpVersion) -> u32 {
    match version {
        IpVersion::V4 => LONGEST,
        IpVersion::V6 => LONGEST + 40,
    }
}

/// The result of adding a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FragmentOutcome {
    /// It is stored.
    Stored,
    /// It is ignored; the datagram is unchanged.
    Ignored,
    /// It makes the datagram invalid.
    Invalid,
}

/// An incomplete datagram.
///
/// Invariants: runs do not overlap and are not empty; `received` is the sum of their lengths and `end` the highest
/// end of a fragment, so the datagram is complete when the last fragment is in and both are equal.
#[derive(Debug, Default)]
pub(super) struct Datagram {
    /// Data by offset. Only the last run grows: adjacent runs are not merged, as in Linux, where this decides which
    /// fragments are duplicates.
    runs: BTreeMap<u32, Vec<u8>>,
    received: u32,
    end: u32,
    last_seen: bool,
    protocol: u8,
    header_len: u32,
    /// Fragments stored.
    pub(super) fragments: u32,
    /// Memory of the runs in bytes.
    pub(super) memory: usize,
}

impl Datagram {
    /// Adds a fragment.
    pub(super) fn add(
        &mut self,
        version: IpVersion,
        fragment: &Fragment<'_>,
        counters: &mut Counters,
    ) -> FragmentOutcome {
        let Fragment { offset, more, mut data, .. } = *fragment;
        if more && data.len() % 8 != 0 {
            counters.fragment_invalid += 1;
            // RFC 8200 section 4.5 discards the fragment; IPv4 in Linux drops its odd bytes.
            if version == IpVersion::V6 {
                return FragmentOutcome::Ignored;
            }
            data = &data[..data.len() & !7];
        }
        let end = offset.saturating_add(data.len() as u32);
        if end.saturating_add(fragment.header_len) > longest(version) {
            counters.too_large += 1;
            // IPv6 discards only the fragment if its end exceeds the length field. The rest is stored as in Linux, and
            // fails at reassembly.
            if version == IpVersion::V6 && end > LONGEST {
                return FragmentOutcome::Ignored;
            }
        }
        if !self.end_is_consistent(end, more) || data.is_empty() {
            counters.fragment_invalid += 1;
            return FragmentOutcome::Invalid;
        }
        self.end = self.end.max(end);
        self.last_seen |= !more;
        let outcome = self.store(offset, end, data, counters);
        if outcome == FragmentOutcome::Stored {
            self.fragments += 1;
            self.received += data.len() as u32;
            if offset == 0 {
                self.protocol = fragment.protocol;
                self.header_len = fragment.header_len;
            }
        }
        outcome
    }

    /// Returns whether the end of a fragment is consistent with the known end of the datagram.
    fn end_is_consistent(&self, end: u32, more: bool) -> bool {
        if more { !self.last_seen || end <= self.end } else { end == self.end || (end > self.end && !self.last_seen) }
    }

    /// Stores the data of a fragment unless it overlaps stored data.
    fn store(&mut self, offset: u32, end: u32, data: &[u8], counters: &mut Counters) -> FragmentOutcome {
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
            return FragmentOutcome::Invalid;
        }
        if let Some(mut last) = self.runs.last_entry()
            && last.key() + last.get().len() as u32 == offset
        {
            let run = last.get_mut();
            let capacity_before = run.capacity();
            run.extend_from_slice(data);
            self.memory += run.capacity() - capacity_before;
        } else {
            self.memory += RUN + data.len() + if self.runs.is_empty() { NODE } else { 0 };
            self.runs.insert(offset, data.to_vec());
        }
        FragmentOutcome::Stored
    }

    /// Returns whether stored bytes differ from those of an overlapping fragment. The cost is that of reading the
    /// fragment: no two runs begin within 8 bytes of each other.
    fn conflicts(&self, offset: u32, end: u32, data: &[u8]) -> bool {
        let overlapping = self.runs.range(..end).rev().take_while(|(start, run)| *start + run.len() as u32 > offset);
        overlapping.into_iter().any(|(start, run)| {
            let (from, to) = (offset.max(*start), end.min(start + run.len() as u32));
            run[(from - start) as usize..(to - start) as usize]
                != data[(from - offset) as usize..(to - offset) as usize]
        })
    }

    /// Returns whether all fragments are stored.
    pub(super) fn is_complete(&self) -> bool {
        self.last_seen && self.received == self.end
    }

    /// Returns the reassembled datagram, unless it is longer than the maximum of an IP packet.
    pub(super) fn reassemble(self, version: IpVersion) -> Option<Reassembled> {
        if self.header_len.saturating_add(self.end) > longest(version) {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.end as usize);
        for run in self.runs.values() {
            bytes.extend_from_slice(run);
        }
        Some(Reassembled { protocol: self.protocol, header_len: self.header_len, bytes: bytes.into_boxed_slice() })
    }
}
