//! Reassembles datagrams from IP fragments, with bounds on number, bytes and time. How one datagram handles its
//! fragments is in [`super::datagram`].

use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::datagram::{Datagram, Fragment, FragmentOutcome, IpVersion, Reassembled};
use super::{Counters, Limits};
use crate::table::{Table, TableKey};
use crate::time::Timestamp;

/// The fields that identify the fragments of one datagram (RFC 791 section 2.3, RFC 8200 section 4.5), packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DatagramKey([u8; 44]);

impl DatagramKey {
    /// Returns the key of a fragment. The protocol is part of it in IPv4 only.
    pub(super) fn new(
        version: IpVersion,
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
        packed[36] = version as u8;
        packed[37] = if version == IpVersion::V4 { protocol } else { 0 };
        for (at, id) in vlans.into_iter().enumerate() {
            packed[38 + 2 * at..40 + 2 * at].copy_from_slice(&id.to_be_bytes());
        }
        Self(packed)
    }

    fn version(&self) -> IpVersion {
        if self.0[36] == IpVersion::V4 as u8 { IpVersion::V4 } else { IpVersion::V6 }
    }
}

impl TableKey for DatagramKey {
    fn hash(&self, hasher: &SipHasher13) -> u64 {
        hasher.hash(&self.0)
    }
}

/// The incomplete datagrams.
///
/// Invariants: `memory` is the sum over the entries; an entry is never touched after it was added, so the lists of the
/// table are ordered by deadline.
#[derive(Debug)]
pub(super) struct Defragmenter {
    table: Table<DatagramKey, Datagram, 2>,
    memory: usize,
}

impl Defragmenter {
    /// Creates an empty defragmenter; `keys` key the table's hash.
    pub(super) fn new(keys: [u64; 2]) -> Self {
        Self { table: Table::new(keys), memory: 0 }
    }

    /// Returns the memory of the stored fragments in bytes, computed from the entries.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Returns the number of incomplete datagrams.
    pub(super) fn datagrams(&self) -> usize {
        self.table.len()
    }

    /// Drops all incomplete datagrams.
    pub(super) fn clear(&mut self) {
        while self.drop_oldest() {}
    }

    /// Adds a fragment, and returns the datagram that it completes.
    pub(super) fn add(
        &mut self,
        key: DatagramKey,
        fragment: &Fragment<'_>,
        clock: Timestamp,
        limits: &Limits,
        counters: &mut Counters,
    ) -> Option<Reassembled> {
        counters.fragments += 1;
        self.expire(clock, limits, counters);
        let version = key.version();
        let slot = self.table.find(&key).unwrap_or_else(|| {
            while self.table.len() >= limits.datagrams.max(1) && self.drop_oldest() {
                counters.memcap_drops += 1;
            }
            self.memory += ENTRY;
            self.table.insert(key, Datagram::default(), version as usize, clock)
        });
        let (_, datagram) = self.table.get_mut(slot)?;
        let memory_before = datagram.memory;
        let outcome = datagram.add(version, fragment, counters);
        self.memory = self.memory + datagram.memory - memory_before;
        let too_many = datagram.fragments > limits.fragments_per_datagram;
        let complete = datagram.is_complete();
        if outcome == FragmentOutcome::Invalid || too_many || complete {
            counters.too_many_fragments += u64::from(too_many);
            let (_, datagram) = self.table.remove(slot)?;
            self.memory -= ENTRY + datagram.memory;
            let valid = complete && !too_many && outcome == FragmentOutcome::Stored;
            return valid.then(|| datagram.reassemble(version)).flatten().inspect(|_| counters.reassembled += 1);
        }
        while self.memory > limits.fragment_bytes && self.drop_oldest() {
            counters.memcap_drops += 1;
        }
        None
    }

    /// Drops the datagrams whose time is up.
    fn expire(&mut self, clock: Timestamp, limits: &Limits, counters: &mut Counters) {
        for (version, timeout) in [(IpVersion::V4, limits.timeout_v4), (IpVersion::V6, limits.timeout_v6)] {
            while let Some((slot, since)) = self.table.oldest(version as usize)
                && since.after(timeout) <= clock
                && self.drop_entry(slot)
            {
                counters.timeouts += 1;
            }
        }
    }

    /// Drops the oldest datagram, and returns whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let oldest = [0, 1].into_iter().filter_map(|class| self.table.oldest(class)).min_by_key(|(_, since)| *since);
        oldest.is_some_and(|(slot, _)| self.drop_entry(slot))
    }

    /// Drops a datagram, and returns whether it existed.
    fn drop_entry(&mut self, slot: crate::table::Slot) -> bool {
        let Some((_, datagram)) = self.table.remove(slot) else { return false };
        self.memory -= ENTRY + datagram.memory;
        true
    }
}

/// Memory of an entry in bytes, without its runs.
const ENTRY: usize = Table::<DatagramKey, Datagram, 2>::entry_size();

#[cfg(test)]
mod tests {
    use super::*;

    struct Rig {
        defragmenter: Defragmenter,
        limits: Limits,
        counters: Counters,
        clock: Timestamp,
    }

    impl Rig {
        fn new(limits: Limits) -> Self {
            let clock = Timestamp::from_secs_nanos(1_000_000, 0);
            Self { defragmenter: Defragmenter::new([1, 2]), limits, counters: Counters::default(), clock }
        }

        fn add(&mut self, version: IpVersion, id: u32, offset: u32, more: bool, data: &[u8]) -> Option<Vec<u8>> {
            let address = "192.0.2.1".parse().unwrap();
            let key = DatagramKey::new(version, address, address, 17, id, [0; 3]);
            let header_len = if version == IpVersion::V4 { 20 } else { 40 };
            let fragment = Fragment { protocol: 17, offset, more, header_len, data };
            let datagram = self.defragmenter.add(key, &fragment, self.clock, &self.limits, &mut self.counters);
            self.check();
            datagram.map(|datagram| datagram.bytes.to_vec())
        }

        fn v4(&mut self, id: u32, offset: u32, more: bool, data: &[u8]) -> Option<Vec<u8>> {
            self.add(IpVersion::V4, id, offset, more, data)
        }

        /// Asserts that the bounds hold, and that an empty table uses no memory.
        fn check(&self) {
            assert!(self.defragmenter.memory() <= self.limits.fragment_bytes);
            assert!(self.defragmenter.datagrams() <= self.limits.datagrams);
            assert_eq!(self.defragmenter.datagrams() == 0, self.defragmenter.memory() == 0);
        }
    }

    fn random(state: &mut u64, bound: usize) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as usize % bound
    }

    /// Any division, any order and any number of exact duplicates while the datagram is incomplete reassemble its
    /// bytes.
    #[test]
    fn any_order_and_duplication_reassembles_the_datagram() {
        let mut state = 0x1234_5678_9abc_def1;
        let mut rig = Rig::new(Limits::default());
        for run in 0..2_000 {
            let bytes: Vec<u8> = (0..16 + random(&mut state, 3_000)).map(|_| random(&mut state, 256) as u8).collect();
            let mut cuts = vec![0];
            while let at = cuts[cuts.len() - 1] + 8 * (1 + random(&mut state, 30))
                && at < bytes.len()
            {
                cuts.push(at);
            }
            cuts.push(bytes.len());
            let mut parts: Vec<(usize, usize)> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
            for at in (1..parts.len()).rev() {
                parts.swap(at, random(&mut state, at + 1));
            }
            let last = parts.len() - 1;
            for (at, &(from, to)) in parts.iter().enumerate() {
                if at > 0 {
                    let (from, to) = parts[random(&mut state, at)];
                    assert_eq!(rig.v4(run, from as u32, to < bytes.len(), &bytes[from..to]), None);
                }
                let datagram = rig.v4(run, from as u32, to < bytes.len(), &bytes[from..to]);
                assert_eq!(datagram.as_deref(), (at == last).then_some(&bytes[..]), "run {run}");
            }
        }
        assert_eq!(rig.counters.reassembled, 2_000);
        assert_eq!(rig.counters.overlap + rig.counters.overlap_conflict, 0);
        assert_eq!(rig.defragmenter.memory(), 0);
    }

    /// Random fragments that may overlap: the result always equals that of a byte map of first copies.
    #[test]
    fn equals_a_naive_byte_map() {
        let mut state = 0xfeed_beef_0000_0001;
        let mut rig = Rig::new(Limits::default());
        let mut completed = 0;
        for run in 0..20_000 {
            let end = 8 * (2 + random(&mut state, 5));
            let mut map: Vec<Option<u8>> = vec![None; end];
            for _ in 0..12 {
                let from = 8 * random(&mut state, end / 8);
                let to = (from + 8 * (1 + random(&mut state, 2))).min(end);
                let fill = random(&mut state, 256) as u8;
                let overlaps = rig.counters.overlap;
                let datagram = rig.v4(run, from as u32, to < end, &vec![fill; to - from]);
                if rig.counters.overlap > overlaps {
                    map.fill(None);
                    continue;
                }
                for byte in &mut map[from..to] {
                    byte.get_or_insert(fill);
                }
                let expected: Option<Vec<u8>> = map.iter().copied().collect();
                assert_eq!(datagram, expected);
                if datagram.is_some() {
                    completed += 1;
                    map.fill(None);
                }
            }
        }
        assert!(completed > 1_000, "{completed}");
    }

    /// Sequences sent to a Linux 6.18 host over a raw socket, and the data that its UDP socket received.
    #[test]
    fn overlaps_are_handled_like_linux() {
        type Sequence = &'static [(u32, u32, bool, u8)];
        let cases: [(&str, Sequence, Option<&str>); 14] = [
            ("in order", &[(0, 16, true, b'a'), (16, 32, true, b'b'), (32, 48, false, b'c')], Some("abc")),
            (
                "same range",
                &[(0, 16, true, b'a'), (16, 32, true, b'b'), (16, 32, true, b'X'), (32, 48, false, b'c')],
                Some("abc"),
            ),
            (
                "same range, backwards",
                &[(32, 48, false, b'c'), (16, 32, true, b'b'), (16, 32, true, b'X'), (0, 16, true, b'a')],
                Some("abc"),
            ),
            (
                "across a run",
                &[(0, 16, true, b'a'), (16, 32, true, b'b'), (8, 24, true, b'X'), (32, 48, false, b'c')],
                Some("abc"),
            ),
            (
                "same range as a run",
                &[(0, 16, true, b'a'), (16, 32, true, b'b'), (0, 32, true, b'X'), (32, 48, false, b'c')],
                Some("abc"),
            ),
            (
                "across two runs",
                &[(16, 32, true, b'b'), (0, 16, true, b'a'), (8, 24, true, b'X'), (32, 48, false, b'c')],
                None,
            ),
            ("partial", &[(0, 24, true, b'a'), (16, 32, true, b'b'), (32, 48, false, b'c')], None),
            (
                "again after a drop",
                &[
                    (0, 24, true, b'a'),
                    (16, 32, true, b'X'),
                    (0, 16, true, b'a'),
                    (16, 32, true, b'b'),
                    (32, 48, false, b'c'),
                ],
                Some("abc"),
            ),
            ("superset", &[(8, 16, true, b'a'), (8, 24, true, b'b'), (0, 8, true, b'h'), (24, 48, false, b'c')], None),
            ("odd length", &[(0, 20, true, b'a'), (16, 32, true, b'b'), (32, 48, false, b'c')], Some("abc")),
            (
                "less than a unit",
                &[(0, 16, true, b'a'), (16, 20, true, b'X'), (16, 32, true, b'b'), (32, 48, false, b'c')],
                None,
            ),
            (
                "longer end",
                &[(0, 16, true, b'a'), (32, 48, false, b'c'), (32, 56, false, b'X'), (16, 32, true, b'b')],
                None,
            ),
            (
                "shorter end",
                &[(0, 16, true, b'a'), (32, 48, false, b'c'), (32, 40, false, b'X'), (16, 32, true, b'b')],
                None,
            ),
            (
                "beyond the end",
                &[(0, 16, true, b'a'), (32, 48, false, b'c'), (48, 56, true, b'X'), (16, 32, true, b'b')],
                None,
            ),
        ];
        for (name, sequence, expected) in cases {
            let mut rig = Rig::new(Limits::default());
            let mut datagram = None;
            for &(from, to, more, fill) in sequence {
                datagram = datagram.or(rig.v4(7, from, more, &vec![fill; (to - from) as usize]));
            }
            let expected = expected.map(|text| text.bytes().flat_map(|byte| [byte; 16]).collect::<Vec<u8>>());
            assert_eq!(datagram, expected, "{name}");
        }
    }

    #[test]
    fn overlaps_and_conflicts_are_counted_separately() {
        for (fill, conflicts) in [(1, 0), (9, 1)] {
            let mut rig = Rig::new(Limits::default());
            rig.v4(1, 0, true, &[1; 24]);
            rig.v4(1, 8, true, &[fill; 8]);
            assert_eq!(
                (rig.counters.duplicates, rig.counters.overlap, rig.counters.overlap_conflict),
                (1, 0, conflicts)
            );
            rig.v4(1, 16, true, &[fill; 16]);
            assert_eq!((rig.counters.overlap, rig.counters.overlap_conflict), (1, 2 * conflicts));
            assert_eq!(rig.defragmenter.datagrams(), 0);
        }
    }

    #[test]
    fn datagram_expires_after_30_or_60_seconds_and_frees_its_id() {
        for (version, seconds) in [(IpVersion::V4, 30), (IpVersion::V6, 60)] {
            let mut rig = Rig::new(Limits::default());
            assert_eq!(rig.add(version, 1, 0, true, &[1; 8]), None);
            rig.clock = rig.clock.after(std::time::Duration::from_secs(seconds));
            assert_eq!(rig.add(version, 1, 8, false, &[2; 8]), None);
            assert_eq!(rig.counters.timeouts, 1);
            let mut rig = Rig::new(Limits::default());
            assert_eq!(rig.add(version, 1, 0, true, &[1; 8]), None);
            rig.clock = rig.clock.after(std::time::Duration::from_millis(seconds * 1000 - 1));
            assert_eq!(rig.add(version, 1, 8, false, &[2; 8]), Some([[1; 8], [2; 8]].concat()));
        }
    }

    #[test]
    fn every_limit_is_enforced_and_counted() {
        let mut rig = Rig::new(Limits { datagrams: 4, ..Limits::default() });
        for id in 0..10 {
            rig.v4(id, 0, true, &[1; 8]);
        }
        assert_eq!((rig.counters.memcap_drops, rig.defragmenter.datagrams()), (6, 4));
        assert_eq!(rig.v4(9, 8, false, &[2; 8]).map(|datagram| datagram.len()), Some(16));
        let mut rig = Rig::new(Limits { fragment_bytes: 10_000, ..Limits::default() });
        for id in 0..100 {
            rig.v4(id, 0, true, &[1; 1000]);
        }
        assert!(rig.counters.memcap_drops > 80);
        rig.defragmenter.clear();
        rig.check();
        let mut rig = Rig::new(Limits { fragments_per_datagram: 3, ..Limits::default() });
        for offset in 0..5 {
            rig.v4(1, offset * 16, true, &[1; 8]);
        }
        assert_eq!((rig.counters.too_many_fragments, rig.defragmenter.datagrams()), (1, 1));
        let mut rig = Rig::new(Limits::default());
        rig.v4(1, 65_528, false, &[1; 100]);
        assert_eq!(rig.counters.too_large, 1);
        assert_eq!(rig.add(IpVersion::V6, 1, 0, true, &[1; 9]), None);
        assert_eq!(rig.counters.fragment_invalid, 1);
    }

    /// The longest datagram in the smallest fragments, backwards and forwards.
    #[test]
    fn longest_datagram_in_smallest_fragments_is_reassembled() {
        for backwards in [true, false] {
            let mut rig = Rig::new(Limits::default());
            let mut datagram = None;
            for at in 0..8_189 {
                let at = if backwards { 8_188 - at } else { at };
                datagram = rig.v4(1, at * 8, at < 8_188, &[at as u8; 8]);
            }
            assert_eq!(datagram.map(|datagram| datagram.len()), Some(65_512));
        }
    }
}
