//! Statistics of a source's hits: counts, times, and short lists of names with their totals. Does not decide when hits
//! are a campaign; see [`super`].

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::outcome::Outcome;
use crate::record::{Alert, List, Transaction};
use crate::segment::Endpoint;
use crate::table::{ALLOCATION, KeyedHasher};
use crate::time::Timestamp;

/// Maximum number of names in a list.
const MAX_LISTED: usize = 20;
/// Maximum number of distinct names that are counted; there may be more. Rationale: five times the signatures of a long
/// sweep, and 8 KiB.
const MAX_COUNTED: usize = 1024;
/// Maximum length of a listed name, in bytes. Rationale: fits a browser's complete user agent, and enough of a target
/// to distinguish it from others.
const MAX_NAME: usize = 256;
/// Length of the header before the text of a listed name, in bytes.
const ENTRY_HEADER: usize = 11;

/// Position of a request in time; compared field by field, the first field is the most significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HitTime {
    pub(super) time: Timestamp,
    input: u32,
    frame: u64,
    tx_id: u32,
}

impl HitTime {
    /// Returns the position of a request decided at `decided_at`; a time stamp later than that is not trusted.
    pub(super) fn of(transaction: &Transaction, decided_at: Timestamp) -> Self {
        let Transaction { timestamp, input, frame, tx_id, .. } = *transaction;
        Self { time: timestamp.min(decided_at), input, frame, tx_id }
    }
}

/// Statistics of a set of hits.
#[derive(Debug)]
pub(super) struct HitStats {
    pub(super) hits: u64,
    /// Position of the first request.
    pub(super) begin: HitTime,
    /// Hash of the first request's field names.
    pub(super) field_order: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    /// Counts, indexed by [`Outcome`].
    outcomes: [u64; Outcome::WORST_FIRST.len()],
    lists: Lists,
}

/// The kind of names in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum ListKind {
    /// Slugs; unique per signature.
    Signatures,
    Families,
    /// Addresses and ports, encoded by [`pack`].
    Targets,
    Hosts,
    /// Targets of requests with outcome `exposed`.
    Exposed,
    Agents,
}

/// Number of [`ListKind`]s.
const LISTS: usize = 6;

impl HitStats {
    /// Returns empty statistics that begin with the hit at `begin`, which is still to be added.
    pub(super) fn new(begin: HitTime, field_order: u64) -> Self {
        Self {
            hits: 0,
            begin,
            field_order,
            first: begin.time,
            last: begin.time,
            outcomes: [0; Outcome::WORST_FIRST.len()],
            lists: Lists::default(),
        }
    }

    /// Adds the hit with this running number.
    pub(super) fn add(&mut self, number: u64, at: HitTime, alert: &Alert) {
        self.hits += 1;
        if at < self.begin {
            (self.begin, self.field_order) = (at, alert.traits.field_order);
        }
        self.first = self.first.min(at.time);
        self.last = self.last.max(at.time);
        self.outcomes[alert.outcome as usize] += 1;
        let (signature, Transaction { server, request, .. }) = (&*alert.signature, &*alert.transaction);
        let mut names = [None; LISTS];
        let server = pack(server);
        names[ListKind::Signatures as usize] = Some(signature.slug.as_bytes());
        names[ListKind::Families as usize] = Some(signature.family.as_bytes());
        names[ListKind::Targets as usize] = Some(&server[..]);
        names[ListKind::Hosts as usize] = request.host.as_deref();
        names[ListKind::Exposed as usize] = (alert.outcome == Outcome::Exposed).then_some(&request.target[..]);
        names[ListKind::Agents as usize] = request.user_agent.as_deref();
        self.lists.add_all(number, names);
    }

    /// Replaces the outcome `before` of a hit already counted with that of the alert.
    pub(super) fn worsen(&mut self, number: u64, before: Outcome, alert: &Alert) {
        // The hit may have been discarded in the meantime.
        let Some(remaining) = self.outcomes[before as usize].checked_sub(1) else { return };
        self.outcomes[before as usize] = remaining;
        self.outcomes[alert.outcome as usize] += 1;
        if alert.outcome == Outcome::Exposed {
            self.lists.add_all(number, only(ListKind::Exposed as usize, &alert.transaction.request.target));
        }
    }

    /// Merges several statistics, which are in the order of their first requests.
    pub(super) fn merge(several: Vec<Self>) -> Self {
        let mut several = several.into_iter();
        let Some(mut all) = several.next() else { unreachable!("a campaign has three signatures") };
        for other in several {
            all.hits += other.hits;
            all.first = all.first.min(other.first);
            all.last = all.last.max(other.last);
            all.outcomes.iter_mut().zip(other.outcomes).for_each(|(sum, count)| *sum += count);
            all.lists.merge(&other.lists);
        }
        all
    }

    /// Returns the number of distinct signatures.
    pub(super) fn signatures(&self) -> usize {
        self.lists.total(ListKind::Signatures)
    }

    /// Returns one list as it appears in a record.
    pub(super) fn list(&self, kind: ListKind) -> List {
        self.lists.list(kind, |name, out| match kind {
            ListKind::Targets => unpack(name, out),
            _ => out.extend_from_slice(name),
        })
    }

    /// Iterates over the outcomes that occurred, worst first, and their counts.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let counted = |outcome: Outcome| (outcome, self.outcomes[outcome as usize]);
        Outcome::WORST_FIRST.into_iter().map(counted).filter(|&(_, count)| count > 0)
    }

    /// Returns the size of the heap allocations, in bytes.
    pub(super) fn heap(&self) -> usize {
        self.lists.heap()
    }
}

/// Distinct names of each [`ListKind`] in the order in which they were first seen. Names beyond the listed ones are
/// distinguished by a 64-bit hash: of two names with equal hashes only one is counted.
#[derive(Debug, Default)]
struct Lists {
    /// The listed names of all lists, concatenated: the list (1 byte), the number of the hit that added it (8), its
    /// length (2), its text. Rationale: most lists hold one or two names, and there are hundreds of thousands of lists;
    /// in one buffer they are one allocation, and one or two cache lines.
    entries: Vec<u8>,
    /// Number of listed names.
    listed: [u8; LISTS],
    /// Whether a listed name is truncated.
    cut: [bool; LISTS],
    /// Sorted hashes of the names beyond the listed ones; nearly all lists have none.
    others: Option<Box<[Vec<u64>; LISTS]>>,
}

impl Lists {
    /// Adds at most one name to each list; all lists are searched in one pass.
    fn add_all(&mut self, number: u64, names: [Option<&[u8]>; LISTS]) {
        let mut new_names = names.map(|name| name.map(truncated));
        for (list, _, listed) in self.entries() {
            if new_names[list] == Some(listed) {
                new_names[list] = None;
            }
        }
        if self.entries.is_empty() {
            self.entries.reserve_exact(new_names.iter().flatten().map(|name| ENTRY_HEADER + name.len()).sum());
        }
        for (list, (new, name)) in new_names.into_iter().zip(names).enumerate() {
            if let (Some(new), Some(name)) = (new, name) {
                self.add(list, number, new, new.len() < name.len());
            }
        }
    }

    /// Adds a name that is not listed.
    fn add(&mut self, list: usize, number: u64, name: &[u8], cut: bool) {
        if usize::from(self.listed[list]) >= MAX_LISTED {
            let others = &mut self.others.get_or_insert_default()[list];
            let hash = hash_of(name);
            if others.len() + MAX_LISTED < MAX_COUNTED
                && let Err(at) = others.binary_search(&hash)
            {
                others.insert(at, hash);
            }
            return;
        }
        // At most [`LISTS`] and [`MAX_NAME`].
        let (kind, len) = (list as u8, name.len() as u16);
        self.entries.push(kind);
        self.entries.extend_from_slice(&number.to_le_bytes());
        self.entries.extend_from_slice(&len.to_le_bytes());
        self.entries.extend_from_slice(name);
        self.listed[list] += 1;
        self.cut[list] |= cut;
    }

    /// Iterates over the listed names, each with its list and the number of the hit that added it.
    fn entries(&self) -> impl Iterator<Item = (usize, u64, &[u8])> {
        let mut rest = &self.entries[..];
        std::iter::from_fn(move || {
            let (&header, after) = rest.split_first_chunk::<ENTRY_HEADER>()?;
            let [list, number @ .., low, high] = header;
            let (name, after) = after.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
            rest = after;
            Some((usize::from(list), u64::from_le_bytes(number), name))
        })
    }

    /// Returns the hashes of the names beyond the listed ones.
    fn others(&self, list: usize) -> &[u64] {
        self.others.as_ref().map_or(&[], |others| &others[list])
    }

    /// Merges other lists into these, as if all names had been added here.
    fn merge(&mut self, others: &Self) {
        let own = std::mem::take(self);
        let mut all: Vec<_> = own.entries().chain(others.entries()).collect();
        all.sort_by_key(|&(_, number, _)| number);
        for (list, number, name) in all {
            self.add_all(number, only(list, name));
        }
        for list in 0..LISTS {
            self.cut[list] = own.cut[list] | others.cut[list];
            let mut hashes = [own.others(list), self.others(list), others.others(list)].concat();
            if hashes.is_empty() {
                continue;
            }
            let listed: Vec<u64> =
                self.entries().filter(|&(at, ..)| at == list).map(|(.., name)| hash_of(name)).collect();
            hashes.retain(|hash| !listed.contains(hash));
            hashes.sort_unstable();
            hashes.dedup();
            hashes.truncate(MAX_COUNTED - MAX_LISTED);
            self.others.get_or_insert_default()[list] = hashes;
        }
    }

    /// Returns the number of distinct names in a list.
    fn total(&self, kind: ListKind) -> usize {
        let list = kind as usize;
        usize::from(self.listed[list]) + self.others(list).len()
    }

    /// Returns a list as it appears in a record; `write` formats each name.
    fn list(&self, kind: ListKind, write: impl Fn(&[u8], &mut Vec<u8>)) -> List {
        let index = kind as usize;
        let mut list = List::with_capacity(self.listed[index].into());
        (list.total, list.cut) = (self.total(kind) as u64, self.cut[index]);
        let names = self.entries().filter(|&(of, ..)| of == index);
        names.for_each(|(.., name)| list.push(|text| write(name, text)));
        list
    }

    fn heap(&self) -> usize {
        let others = self.others.as_ref().map_or(0, |others| {
            let hashes = others.iter().map(|hashes| hashes.capacity() * size_of::<u64>() + ALLOCATION);
            size_of_val(&**others) + ALLOCATION + hashes.sum::<usize>()
        });
        self.entries.capacity() + ALLOCATION + others
    }
}

/// Returns a name for one list, and none for the others.
fn only(list: usize, name: &[u8]) -> [Option<&[u8]>; LISTS] {
    let mut names = [None; LISTS];
    names[list] = Some(name);
    names
}

/// Returns the part of a name that a list stores.
fn truncated(name: &[u8]) -> &[u8] {
    name.get(..MAX_NAME).unwrap_or(name)
}

/// Returns the hash that distinguishes a name from others; it never leaves the process.
fn hash_of(name: &[u8]) -> u64 {
    KeyedHasher::new().hash(name)
}

/// Encodes an address and port as bytes. They are formatted when a record is made: most never are.
fn pack(server: &Endpoint) -> [u8; 18] {
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

/// Formats an address and port encoded by [`pack`].
fn unpack(bytes: &[u8], out: &mut Vec<u8>) {
    let (Some(&address), Some(&port)) = (bytes.first_chunk::<16>(), bytes.last_chunk()) else { return };
    let ip = Ipv6Addr::from(address).to_canonical();
    write!(out, "{}", SocketAddr::new(ip, u16::from_be_bytes(port))).expect("a Vec takes every byte");
}

/// Computes 64-bit FNV-1a: published, without a key, and widely available.
/// Source: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
pub(super) fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_matches_published_vectors() {
        assert_eq!(fnv(*b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv(*b"foobar"), 0x8594_4171_f739_67e8);
    }

    fn add(lists: &mut Lists, kind: ListKind, number: u64, name: &[u8]) {
        lists.add_all(number, only(kind as usize, name));
    }

    fn list(lists: &Lists, kind: ListKind) -> List {
        lists.list(kind, |name, out| out.extend_from_slice(name))
    }

    #[test]
    fn lists_are_bounded_distinct_and_in_order() {
        let mut lists = Lists::default();
        for round in 0..5000_u64 {
            add(&mut lists, ListKind::Hosts, round, format!("{}", round % 3000).as_bytes());
            add(&mut lists, ListKind::Agents, round, format!("{}", round % 2).as_bytes());
        }
        let hosts = list(&lists, ListKind::Hosts);
        assert_eq!((hosts.len(), hosts.total, hosts.cut), (MAX_LISTED, MAX_COUNTED as u64, false));
        assert!(hosts.items().enumerate().all(|(at, item)| *item == *at.to_string().as_bytes()));
        assert!(list(&lists, ListKind::Agents).items().eq([b"0", b"1"]), "lists are independent");
        assert_eq!(list(&lists, ListKind::Families), List::default());
        assert!(lists.heap() < 12_000, "{}", lists.heap());
        for kind in [ListKind::Agents, ListKind::Hosts] {
            add(&mut lists, kind, 9, &[b'x'; 3000]);
        }
        let agents = list(&lists, ListKind::Agents);
        let last = agents.items().last().map(<[u8]>::len);
        assert_eq!((last, agents.total, agents.cut), (Some(MAX_NAME), 3, true));
        assert!(!list(&lists, ListKind::Hosts).cut, "the long name is beyond the listed ones");
    }

    /// Adds names alternately to two sets of lists, and all of them to a third.
    #[test]
    fn merged_lists_equal_one_list_of_all_names() {
        for step in [1, 2, 7] {
            let (mut parts, mut all) = ([Lists::default(), Lists::default()], Lists::default());
            for round in 0..200_u64 {
                let name = (round * step % 61).to_string().into_bytes();
                let kind = if round % 5 == 0 { ListKind::Agents } else { ListKind::Hosts };
                add(&mut parts[(round % 3 % 2) as usize], kind, round, &name);
                add(&mut all, kind, round, &name);
            }
            let [mut one, other] = parts;
            one.merge(&other);
            for kind in [ListKind::Agents, ListKind::Hosts] {
                assert_eq!(list(&one, kind), list(&all, kind), "{step}");
            }
        }
    }
}
