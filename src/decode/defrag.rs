//! Fragments put together to datagrams, bounded in number, bytes and time. Not a general reassembler: it answers
//! overlaps as Linux does (`inet_frag_queue_insert`), because the datagram that a server would see is the one wanted.
//!
//! The rules, measured against Linux 6.18: a fragment within a contiguous run that arrived in order is a duplicate and
//! ignored, whatever its bytes; any other overlap drops the datagram, and so do an end beyond the known end, an empty
//! fragment and a second end. What arrives after such a drop begins a new datagram.

use std::collections::BTreeMap;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::{Counters, Limits};
use crate::table::{Table, TableKey};
use crate::time::Timestamp;

/// The IP version of a fragment; also the class in the table, because the versions have different timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4 = 0,
    V6 = 1,
}

/// What the fragments of one datagram have in common (RFC 791 section 2.3, RFC 8200 section 4.5), packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key([u8; 44]);

impl Key {
    /// The key of a fragment. The protocol is part of it in IPv4 only.
    pub(super) fn new(
        family: Family,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        id: u32,
        vlans: [u16; 3],
    ) -> Self {
        let octets = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let mut packed = [0; 44];
        packed[..16].copy_from_slice(&octets(source));
        packed[16..32].copy_from_slice(&octets(destination));
        packed[32..36].copy_from_slice(&id.to_be_bytes());
        packed[36] = family as u8;
        packed[37] = if family == Family::V4 { protocol } else { 0 };
        for (at, id) in vlans.into_iter().enumerate() {
            packed[38 + 2 * at..40 + 2 * at].copy_from_slice(&id.to_be_bytes());
        }
        Self(packed)
    }

    fn family(&self) -> Family {
        if self.0[36] == Family::V4 as u8 { Family::V4 } else { Family::V6 }
    }
}

impl TableKey for Key {
    fn hash(&self, hasher: &SipHasher13) -> u64 {
        hasher.hash(&self.0)
    }
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
pub(super) struct Whole {
    pub(super) protocol: u8,
    pub(super) before: u32,
    pub(super) bytes: Box<[u8]>,
}

/// Datagrams that wait for fragments.
///
/// Invariants: `memory` is the sum over the entries; an entry is never touched after it was added, so the lists of the
/// table are in the order of deadlines.
#[derive(Debug)]
pub(super) struct Defragmenter {
    table: Table<Key, Datagram, 2>,
    memory: usize,
}

impl Defragmenter {
    /// Nothing held; `keys` key the table's hash.
    pub(super) fn new(keys: [u64; 2]) -> Self {
        Self { table: Table::new(keys), memory: 0 }
    }

    /// Bytes held, counted from entries.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Datagrams held.
    pub(super) fn datagrams(&self) -> usize {
        self.table.len()
    }

    /// Drops everything held.
    pub(super) fn clear(&mut self) {
        while self.drop_oldest() {}
    }

    /// Takes a fragment, and returns the datagram that it completes.
    pub(super) fn add(
        &mut self,
        key: Key,
        fragment: &Fragment<'_>,
        clock: Timestamp,
        limits: &Limits,
        counters: &mut Counters,
    ) -> Option<Whole> {
        counters.fragments += 1;
        self.expire(clock, limits, counters);
        let family = key.family();
        let slot = self.table.find(&key).unwrap_or_else(|| {
            while self.table.len() >= limits.datagrams.max(1) && self.drop_oldest() {
                counters.memcap_drops += 1;
            }
            self.memory += ENTRY;
            self.table.insert(key, Datagram::default(), family as usize, clock)
        });
        let (_, datagram) = self.table.get_mut(slot)?;
        let before = datagram.memory;
        let verdict = datagram.add(family, fragment, counters);
        self.memory = self.memory + datagram.memory - before;
        let too_many = datagram.fragments > limits.fragments_per_datagram;
        let complete = datagram.is_complete();
        if verdict == Verdict::Broken || too_many || complete {
            counters.too_many_fragments += u64::from(too_many);
            let (_, datagram) = self.table.remove(slot)?;
            self.memory -= ENTRY + datagram.memory;
            let kept = complete && !too_many && verdict == Verdict::Held;
            return kept.then(|| datagram.into_whole(family)).flatten().inspect(|_| counters.reassembled += 1);
        }
        while self.memory > limits.fragment_bytes && self.drop_oldest() {
            counters.memcap_drops += 1;
        }
        None
    }

    fn expire(&mut self, clock: Timestamp, limits: &Limits, counters: &mut Counters) {
        for (family, timeout) in [(Family::V4, limits.timeout_v4), (Family::V6, limits.timeout_v6)] {
            while let Some((slot, since)) = self.table.oldest(family as usize)
                && since.after(timeout) <= clock
                && self.drop_entry(slot)
            {
                counters.timeouts += 1;
            }
        }
    }

    /// Drops the datagram that is held longest; whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let oldest = [0, 1].into_iter().filter_map(|class| self.table.oldest(class)).min_by_key(|(_, since)| *since);
        oldest.is_some_and(|(slot, _)| self.drop_entry(slot))
    }

    fn drop_entry(&mut self, slot: crate::table::Slot) -> bool {
        let Some((_, datagram)) = self.table.remove(slot) else { return false };
        self.memory -= ENTRY + datagram.memory;
        true
    }
}

/// What an entry takes without its runs.
const ENTRY: usize = Table::<Key, Datagram, 2>::entry_size();
/// What a run takes in its map beside its bytes. Rationale: key and vector are 28 bytes, nodes are at least half full
/// and an allocation costs some 16 bytes more.
const RUN: usize = 80;
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
enum Verdict {
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
struct Datagram {
    /// Bytes by offset. Only the last run grows: two that meet stay apart, as in Linux, where this decides what a
    /// duplicate is.
    runs: BTreeMap<u32, Vec<u8>>,
    received: u32,
    end: u32,
    last_seen: bool,
    protocol: u8,
    before: u32,
    fragments: u32,
    memory: usize,
}

impl Datagram {
    fn add(&mut self, family: Family, fragment: &Fragment<'_>, counters: &mut Counters) -> Verdict {
        let Fragment { offset, more, mut data, .. } = *fragment;
        if more && data.len() % 8 != 0 {
            counters.fragment_invalid += 1;
            // RFC 8200 section 4.5 discards the fragment; IPv4 in Linux drops its odd bytes.
            if family == Family::V6 {
                return Verdict::Ignored;
            }
            data = &data[..data.len() & !7];
        }
        let end = offset.saturating_add(data.len() as u32);
        if end.saturating_add(fragment.before) > longest(family) {
            counters.too_large += 1;
            // What can't even be stated, IPv6 discards alone. The rest is held as in Linux, and fails in the end.
            if family == Family::V6 && end > LONGEST {
                return Verdict::Ignored;
            }
        }
        if !self.fits(end, more) || data.is_empty() {
            counters.fragment_invalid += 1;
            return Verdict::Broken;
        }
        self.end = self.end.max(end);
        self.last_seen |= !more;
        let verdict = self.place(offset, end, data, counters);
        if verdict == Verdict::Held {
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

    fn place(&mut self, offset: u32, end: u32, data: &[u8], counters: &mut Counters) -> Verdict {
        if let Some((start, run)) = self.runs.range(..end).next_back()
            && start + run.len() as u32 > offset
        {
            let within = *start <= offset && end <= start + run.len() as u32;
            counters.overlap_conflict += u64::from(self.conflicts(offset, end, data));
            if within {
                counters.duplicates += 1;
                return Verdict::Ignored;
            }
            counters.overlap += 1;
            return Verdict::Broken;
        }
        if let Some(mut last) = self.runs.last_entry()
            && last.key() + last.get().len() as u32 == offset
        {
            let run = last.get_mut();
            let before = run.capacity();
            run.extend_from_slice(data);
            self.memory += run.capacity() - before;
        } else {
            self.memory += RUN + data.len();
            self.runs.insert(offset, data.to_vec());
        }
        Verdict::Held
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

    fn is_complete(&self) -> bool {
        self.last_seen && self.received == self.end
    }

    fn into_whole(self, family: Family) -> Option<Whole> {
        if self.before.saturating_add(self.end) > longest(family) {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.end as usize);
        for run in self.runs.values() {
            bytes.extend_from_slice(run);
        }
        Some(Whole { protocol: self.protocol, before: self.before, bytes: bytes.into_boxed_slice() })
    }
}
