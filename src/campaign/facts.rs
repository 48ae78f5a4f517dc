//! What is known of a source's hits: counts, times, and short lists of names with how many there were in all. Not when
//! they are a campaign.

use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::outcome::Outcome;
use crate::record::{Alert, List, Transaction};
use crate::segment::Endpoint;
use crate::table::KeyedHasher;
use crate::time::Timestamp;

/// Names that a list holds.
const LISTED: usize = 20;
/// Distinct things that are counted; there may be more. Rationale: five times the signatures of a long sweep, and 8 KiB.
const COUNTED: usize = 1024;
/// Bytes of a name. Rationale: a whole user agent of a browser, and of a target what tells it from others.
const LONGEST: usize = 256;
/// What stands before the text of a listed name.
const HEAD: usize = 10;
/// What an allocation costs beside its bytes.
const ALLOCATION: usize = 16;

/// When a request was asked: what is written first is most significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub(super) time: Timestamp,
    input: u32,
    frame: u64,
    tx_id: u32,
}

impl Moment {
    /// Of a request that was settled at `settled`: no time stamp from the future is believed.
    pub(super) fn of(transaction: &Transaction, settled: Timestamp) -> Self {
        let Transaction { timestamp, input, frame, tx_id, .. } = *transaction;
        Self { time: timestamp.min(settled), input, frame, tx_id }
    }
}

/// What is known of some hits.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) hits: u64,
    /// The first request, and the hash of its field names.
    pub(super) begin: Moment,
    pub(super) field_order: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    /// By the number of the [`Outcome`].
    outcomes: [u64; Outcome::WORST_FIRST.len()],
    /// Distinct signature ids, in order.
    sids: Vec<u32>,
    slugs: Names,
    pub(super) families: Names,
    /// As [`packed`].
    targets: Names,
    pub(super) hosts: Names,
    pub(super) exposed: Names,
    pub(super) agents: Names,
}

impl Facts {
    /// Of the hit that was asked at `begin`, which is still to be added.
    pub(super) fn new(begin: Moment, field_order: u64) -> Self {
        Self {
            hits: 0,
            begin,
            field_order,
            first: begin.time,
            last: begin.time,
            outcomes: [0; Outcome::WORST_FIRST.len()],
            sids: Vec::new(),
            slugs: Names::default(),
            families: Names::default(),
            targets: Names::default(),
            hosts: Names::default(),
            exposed: Names::default(),
            agents: Names::default(),
        }
    }

    /// Adds the hit with this running number.
    pub(super) fn add(&mut self, number: u64, moment: Moment, alert: &Alert) {
        self.hits += 1;
        if moment < self.begin {
            (self.begin, self.field_order) = (moment, alert.trace.field_order);
        }
        self.first = self.first.min(moment.time);
        self.last = self.last.max(moment.time);
        self.outcomes[alert.outcome as usize] += 1;
        let signature = &*alert.signature;
        if let Err(at) = self.sids.binary_search(&signature.id)
            && self.sids.len() < COUNTED
        {
            self.sids.reserve_exact(if self.sids.len() < 4 { 1 } else { self.sids.len() });
            self.sids.insert(at, signature.id);
            self.slugs.note(number, signature.slug.as_bytes());
        }
        self.families.note(number, signature.family.as_bytes());
        let Transaction { server, request, .. } = &alert.transaction;
        self.targets.note(number, &packed(server));
        let named = [(&mut self.hosts, &request.host), (&mut self.agents, &request.user_agent)];
        for (names, value) in named {
            value.iter().for_each(|value| names.note(number, value));
        }
        if alert.outcome == Outcome::Exposed {
            self.exposed.note(number, &request.target);
        }
    }

    /// A hit that was counted as `before` turns out to be this.
    pub(super) fn worsen(&mut self, number: u64, before: Outcome, alert: &Alert) {
        // What was known of it may have been forgotten meanwhile.
        let Some(left) = self.outcomes[before as usize].checked_sub(1) else { return };
        self.outcomes[before as usize] = left;
        self.outcomes[alert.outcome as usize] += 1;
        if alert.outcome == Outcome::Exposed {
            self.exposed.note(number, &alert.transaction.request.target);
        }
    }

    /// What is known of several together; they are in the order of their first requests.
    pub(super) fn join(parts: Vec<Self>) -> Self {
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else { unreachable!("a campaign has three signatures") };
        for part in parts {
            all.hits += part.hits;
            all.first = all.first.min(part.first);
            all.last = all.last.max(part.last);
            all.outcomes.iter_mut().zip(part.outcomes).for_each(|(sum, count)| *sum += count);
            all.sids.extend(part.sids);
            for (mine, theirs) in [
                (&mut all.slugs, part.slugs),
                (&mut all.families, part.families),
                (&mut all.targets, part.targets),
                (&mut all.hosts, part.hosts),
                (&mut all.exposed, part.exposed),
                (&mut all.agents, part.agents),
            ] {
                mine.join(theirs);
            }
        }
        all.sids.sort_unstable();
        all
    }

    /// Number of distinct signatures.
    pub(super) fn signatures(&self) -> usize {
        self.sids.len()
    }

    /// The signatures' slugs.
    pub(super) fn slugs(&self) -> List {
        List { total: self.sids.len() as u64, ..self.slugs.list() }
    }

    /// The servers that were asked.
    pub(super) fn targets(&self) -> List {
        let packed = self.targets.list();
        List { items: packed.items.iter().map(|server| unpacked(server).into_bytes()).collect(), ..packed }
    }

    /// Outcomes that there were, worst first, and how often.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let counted = |outcome: Outcome| (outcome, self.outcomes[outcome as usize]);
        Outcome::WORST_FIRST.into_iter().map(counted).filter(|&(_, count)| count > 0)
    }

    /// Reads something of every cache line but those of names and ids.
    pub(super) fn glance(&self) {
        black_box((self.hits, self.outcomes, self.names().map(|names| names.listed)));
    }

    /// Reads something of every cache line of names and ids.
    pub(super) fn glance_at_names(&self) {
        /// Bytes that a processor fetches at once.
        const CACHE_LINE: usize = 64;
        black_box(self.sids.first().copied());
        for byte in self.names().into_iter().flat_map(|names| names.entries.iter().step_by(CACHE_LINE)) {
            black_box(*byte);
        }
    }

    /// Memory outside, in bytes.
    pub(super) fn heap(&self) -> usize {
        let sids = self.sids.capacity() * size_of::<u32>() + ALLOCATION;
        sids + self.names().map(Names::heap).iter().sum::<usize>()
    }

    fn names(&self) -> [&Names; 6] {
        [&self.slugs, &self.families, &self.targets, &self.hosts, &self.exposed, &self.agents]
    }
}

/// Distinct names in the order of first sight. Those that are not listed are told apart by a hash of 64 bits: who makes two
/// names with the same one has one of them fewer counted.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The first ones, one after the other: the number of the hit that brought it (8 bytes), its length (2), its text.
    /// Rationale: most lists hold a name or two, and there are hundred thousands of lists.
    entries: Vec<u8>,
    listed: usize,
    /// Hashes of the others, in order.
    others: Vec<u64>,
    /// Whether a listed name is longer than what is kept of it.
    cut: bool,
}

impl Names {
    fn note(&mut self, number: u64, name: &[u8]) {
        let kept = name.get(..LONGEST).unwrap_or(name);
        if self.is_listed(kept) {
            return;
        }
        if self.listed < LISTED {
            self.list_one(number, kept);
            self.cut |= kept.len() < name.len();
        } else if self.others.len() + LISTED < COUNTED
            && let hash = hash_of(kept)
            && let Err(at) = self.others.binary_search(&hash)
        {
            self.others.insert(at, hash);
        }
    }

    fn is_listed(&self, name: &[u8]) -> bool {
        self.names().any(|(_, listed)| listed == name)
    }

    fn list_one(&mut self, number: u64, name: &[u8]) {
        // At most [`LONGEST`].
        let len = name.len() as u16;
        if self.entries.is_empty() {
            self.entries.reserve_exact(HEAD + name.len());
        }
        self.entries.extend_from_slice(&number.to_le_bytes());
        self.entries.extend_from_slice(&len.to_le_bytes());
        self.entries.extend_from_slice(name);
        self.listed += 1;
    }

    /// The listed names, each with the number of the hit that brought it.
    fn names(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = &self.entries[..];
        std::iter::from_fn(move || {
            let (&number, after) = rest.split_first_chunk()?;
            let (&len, after) = after.split_first_chunk()?;
            let (name, after) = after.split_at_checked(usize::from(u16::from_le_bytes(len)))?;
            rest = after;
            Some((u64::from_le_bytes(number), name))
        })
    }

    fn join(&mut self, others: Self) {
        let mine = std::mem::take(self);
        let mut all: Vec<_> = mine.names().chain(others.names()).collect();
        all.sort_by_key(|&(number, _)| number);
        self.cut = mine.cut | others.cut;
        self.others = [&mine.others[..], &others.others[..]].concat();
        for (number, name) in all {
            if self.is_listed(name) {
                continue;
            }
            if self.listed < LISTED {
                self.list_one(number, name);
            } else {
                self.others.push(hash_of(name));
            }
        }
        let listed: Vec<u64> = self.names().map(|(_, name)| hash_of(name)).collect();
        let mut hashes = std::mem::take(&mut self.others);
        hashes.retain(|hash| !listed.contains(hash));
        hashes.sort_unstable();
        hashes.dedup();
        hashes.truncate(COUNTED - LISTED);
        self.others = hashes;
    }

    /// As it is told.
    pub(super) fn list(&self) -> List {
        List {
            items: self.names().map(|(_, name)| name.to_vec()).collect(),
            total: (self.listed + self.others.len()) as u64,
            cut: self.cut,
        }
    }

    fn heap(&self) -> usize {
        let used = [self.entries.capacity(), self.others.capacity() * size_of::<u64>()];
        used.into_iter().filter(|&bytes| bytes > 0).map(|bytes| bytes + ALLOCATION).sum()
    }
}

/// A hash that tells a name from others; nobody sees it.
fn hash_of(name: &[u8]) -> u64 {
    KeyedHasher::new().hash(name)
}

/// An address and port as bytes, to be written out when they are told: most never are.
fn packed(server: &Endpoint) -> [u8; 18] {
    let address = match server.ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 18];
    let (first, last) = bytes.split_at_mut(16);
    first.copy_from_slice(&address.octets());
    last.copy_from_slice(&server.port.to_be_bytes());
    bytes
}

/// What [`packed`] made bytes of, as it is told.
fn unpacked(bytes: &[u8]) -> String {
    let (Some(&address), Some(&port)) = (bytes.first_chunk::<16>(), bytes.last_chunk()) else { return String::new() };
    let ip = Ipv6Addr::from(address).to_canonical();
    SocketAddr::new(ip, u16::from_be_bytes(port)).to_string()
}

/// FNV-1a with 64 bits: published, without a key, and in everybody's library.
/// Source: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
pub(super) fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv(*b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv(*b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn names_are_bounded_distinct_and_in_order() {
        let mut names = Names::default();
        for turn in 0..5000_u64 {
            names.note(turn, format!("{}", turn % 3000).as_bytes());
        }
        let list = names.list();
        assert_eq!((list.items.len(), list.total, list.cut), (LISTED, COUNTED as u64, false));
        assert!(list.items.iter().enumerate().all(|(at, item)| *item == at.to_string().into_bytes()));
        assert!(names.heap() < 12_000, "{}", names.heap());
        // Without the last one, `19`.
        names.listed -= 1;
        names.entries.truncate(names.entries.len() - HEAD - 2);
        names.note(9, &[b'x'; 3000]);
        assert_eq!((names.list().items[LISTED - 1].len(), names.list().cut), (LONGEST, true));
    }

    /// Names that came by turns to two lists, against one that had them all.
    #[test]
    fn joined_lists_are_as_if_they_had_always_been_one() {
        for step in [1, 2, 7] {
            let (mut parts, mut whole) = ([Names::default(), Names::default()], Names::default());
            for turn in 0..200_u64 {
                let name = (turn * step % 61).to_string().into_bytes();
                parts[(turn % 3 % 2) as usize].note(turn, &name);
                whole.note(turn, &name);
            }
            let [mut one, other] = parts;
            one.join(other);
            assert_eq!(one.list(), whole.list(), "{step}");
        }
    }
}
