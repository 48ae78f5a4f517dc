//! What is known of a source's hits: counts, times, and short lists of names with how many there were in all. Not when
//! they are a campaign.

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::outcome::Outcome;
use crate::record::{Alert, List, Transaction};
use crate::segment::Endpoint;
use crate::table::{ALLOCATION, KeyedHasher};
use crate::time::Timestamp;

/// Names that a list holds.
const LISTED: usize = 20;
/// Distinct things that are counted; there may be more. Rationale: five times the signatures of a long sweep, and 8 KiB.
const COUNTED: usize = 1024;
/// Bytes of a name. Rationale: a whole user agent of a browser, and of a target what tells it from others.
const LONGEST: usize = 256;
/// What stands before the text of a listed name.
const HEAD: usize = 11;

/// When a request was asked: what is written first is most significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HitTime {
    pub(super) time: Timestamp,
    input: u32,
    frame: u64,
    tx_id: u32,
}

impl HitTime {
    /// Of a request that was settled at `settled`: no time stamp from the future is believed.
    pub(super) fn of(transaction: &Transaction, settled: Timestamp) -> Self {
        let Transaction { timestamp, input, frame, tx_id, .. } = *transaction;
        Self { time: timestamp.min(settled), input, frame, tx_id }
    }
}

/// What is known of some hits.
#[derive(Debug)]
pub(super) struct HitStats {
    pub(super) hits: u64,
    /// The first request, and the hash of its field names.
    pub(super) begin: HitTime,
    pub(super) field_order: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    /// By the number of the [`Outcome`].
    outcomes: [u64; Outcome::WORST_FIRST.len()],
    lists: Lists,
}

/// What names are listed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum ListKind {
    /// Slugs: each is one signature's alone.
    Signatures,
    Families,
    /// As [`packed`].
    Targets,
    Hosts,
    /// Targets of requests that gave something away.
    Exposed,
    Agents,
}

/// How many of [`ListKind`] there are.
const LISTS: usize = 6;

impl HitStats {
    /// Of the hit that was asked at `begin`, which is still to be added.
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
    pub(super) fn add(&mut self, number: u64, moment: HitTime, alert: &Alert) {
        self.hits += 1;
        if moment < self.begin {
            (self.begin, self.field_order) = (moment, alert.trace.field_order);
        }
        self.first = self.first.min(moment.time);
        self.last = self.last.max(moment.time);
        self.outcomes[alert.outcome as usize] += 1;
        let (signature, Transaction { server, request, .. }) = (&*alert.signature, &*alert.transaction);
        let mut names = [None; LISTS];
        let server = packed(server);
        names[ListKind::Signatures as usize] = Some(signature.slug.as_bytes());
        names[ListKind::Families as usize] = Some(signature.family.as_bytes());
        names[ListKind::Targets as usize] = Some(&server[..]);
        names[ListKind::Hosts as usize] = request.host.as_deref();
        names[ListKind::Exposed as usize] = (alert.outcome == Outcome::Exposed).then_some(&request.target[..]);
        names[ListKind::Agents as usize] = request.user_agent.as_deref();
        self.lists.note(number, names);
    }

    /// A hit that was counted as `before` turns out to be this.
    pub(super) fn worsen(&mut self, number: u64, before: Outcome, alert: &Alert) {
        // What was known of it may have been forgotten meanwhile.
        let Some(left) = self.outcomes[before as usize].checked_sub(1) else { return };
        self.outcomes[before as usize] = left;
        self.outcomes[alert.outcome as usize] += 1;
        if alert.outcome == Outcome::Exposed {
            self.lists.note(number, only(ListKind::Exposed as usize, &alert.transaction.request.target));
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
            all.lists.join(&part.lists);
        }
        all
    }

    /// Number of distinct signatures.
    pub(super) fn signatures(&self) -> usize {
        self.lists.total(ListKind::Signatures)
    }

    /// What is listed about something, as it is told.
    pub(super) fn list(&self, about: ListKind) -> List {
        self.lists.list(about, |name, out| match about {
            ListKind::Targets => unpack(name, out),
            _ => out.extend_from_slice(name),
        })
    }

    /// Outcomes that there were, worst first, and how often.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let counted = |outcome: Outcome| (outcome, self.outcomes[outcome as usize]);
        Outcome::WORST_FIRST.into_iter().map(counted).filter(|&(_, count)| count > 0)
    }

    /// Memory outside, in bytes.
    pub(super) fn heap(&self) -> usize {
        self.lists.heap()
    }
}

/// Distinct names in the order of first sight, about several things. Those that are not listed are told apart by a hash of
/// 64 bits: who makes two names with the same one has one of them fewer counted.
#[derive(Debug, Default)]
struct Lists {
    /// The first names of all lists, one after the other: the list (1 byte), the number of the hit that brought it (8), its
    /// length (2), its text. Rationale: most lists hold a name or two, and there are hundred thousands of lists; in one
    /// piece they are one allocation, and one or two places of the processor's cache.
    entries: Vec<u8>,
    /// How many names are listed.
    listed: [u8; LISTS],
    /// Whether a listed name is longer than what is kept of it.
    cut: [bool; LISTS],
    /// Hashes of the others, in order; nearly all lists have none.
    others: Option<Box<[Vec<u64>; LISTS]>>,
}

impl Lists {
    /// Notes a name for each list for which there is one; all are looked for in one pass.
    fn note(&mut self, number: u64, names: [Option<&[u8]>; LISTS]) {
        let mut news = names.map(|name| name.map(kept));
        for (list, _, listed) in self.entries() {
            if news[list] == Some(listed) {
                news[list] = None;
            }
        }
        if self.entries.is_empty() {
            self.entries.reserve_exact(news.iter().flatten().map(|name| HEAD + name.len()).sum());
        }
        for (list, (new, name)) in news.into_iter().zip(names).enumerate() {
            if let (Some(new), Some(name)) = (new, name) {
                self.add(list, number, new, new.len() < name.len());
            }
        }
    }

    /// Adds a name that is not listed.
    fn add(&mut self, list: usize, number: u64, name: &[u8], cut: bool) {
        if usize::from(self.listed[list]) >= LISTED {
            let others = &mut self.others.get_or_insert_default()[list];
            let hash = hash_of(name);
            if others.len() + LISTED < COUNTED
                && let Err(at) = others.binary_search(&hash)
            {
                others.insert(at, hash);
            }
            return;
        }
        // At most [`LISTS`] and [`LONGEST`].
        let (about, len) = (list as u8, name.len() as u16);
        self.entries.push(about);
        self.entries.extend_from_slice(&number.to_le_bytes());
        self.entries.extend_from_slice(&len.to_le_bytes());
        self.entries.extend_from_slice(name);
        self.listed[list] += 1;
        self.cut[list] |= cut;
    }

    /// The listed names, each with its list and the number of the hit that brought it.
    fn entries(&self) -> impl Iterator<Item = (usize, u64, &[u8])> {
        let mut rest = &self.entries[..];
        std::iter::from_fn(move || {
            let (&head, after) = rest.split_first_chunk::<HEAD>()?;
            let [list, number @ .., low, high] = head;
            let (name, after) = after.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
            rest = after;
            Some((usize::from(list), u64::from_le_bytes(number), name))
        })
    }

    /// The hashes of names that are not listed.
    fn others(&self, list: usize) -> &[u64] {
        self.others.as_ref().map_or(&[], |others| &others[list])
    }

    /// Makes of both what they would be if all had been noted here.
    fn join(&mut self, others: &Self) {
        let mine = std::mem::take(self);
        let mut all: Vec<_> = mine.entries().chain(others.entries()).collect();
        all.sort_by_key(|&(_, number, _)| number);
        for (list, number, name) in all {
            self.note(number, only(list, name));
        }
        for list in 0..LISTS {
            self.cut[list] = mine.cut[list] | others.cut[list];
            let both = [mine.others(list), self.others(list), others.others(list)].concat();
            if both.is_empty() {
                continue;
            }
            let listed: Vec<u64> =
                self.entries().filter(|&(at, ..)| at == list).map(|(.., name)| hash_of(name)).collect();
            let mut hashes = both;
            hashes.retain(|hash| !listed.contains(hash));
            hashes.sort_unstable();
            hashes.dedup();
            hashes.truncate(COUNTED - LISTED);
            self.others.get_or_insert_default()[list] = hashes;
        }
    }

    /// How many names there were.
    fn total(&self, about: ListKind) -> usize {
        let list = about as usize;
        usize::from(self.listed[list]) + self.others(list).len()
    }

    /// As it is told: each name as `write` writes it.
    fn list(&self, about: ListKind, write: impl Fn(&[u8], &mut Vec<u8>)) -> List {
        let at = about as usize;
        let mut list = List::with_room(self.listed[at].into());
        (list.total, list.cut) = (self.total(about) as u64, self.cut[at]);
        let names = self.entries().filter(|&(of, ..)| of == at);
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

/// One name, for one list.
fn only(list: usize, name: &[u8]) -> [Option<&[u8]>; LISTS] {
    let mut names = [None; LISTS];
    names[list] = Some(name);
    names
}

/// What is kept of a name.
fn kept(name: &[u8]) -> &[u8] {
    name.get(..LONGEST).unwrap_or(name)
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

/// Writes what [`packed`] made bytes of as it is told.
fn unpack(bytes: &[u8], out: &mut Vec<u8>) {
    let (Some(&address), Some(&port)) = (bytes.first_chunk::<16>(), bytes.last_chunk()) else { return };
    let ip = Ipv6Addr::from(address).to_canonical();
    write!(out, "{}", SocketAddr::new(ip, u16::from_be_bytes(port))).expect("a Vec takes every byte");
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

    fn note(lists: &mut Lists, about: ListKind, number: u64, name: &[u8]) {
        lists.note(number, only(about as usize, name));
    }

    fn told(lists: &Lists, about: ListKind) -> List {
        lists.list(about, |name, out| out.extend_from_slice(name))
    }

    #[test]
    fn names_are_bounded_distinct_and_in_order() {
        let mut lists = Lists::default();
        for turn in 0..5000_u64 {
            note(&mut lists, ListKind::Hosts, turn, format!("{}", turn % 3000).as_bytes());
            note(&mut lists, ListKind::Agents, turn, format!("{}", turn % 2).as_bytes());
        }
        let hosts = told(&lists, ListKind::Hosts);
        assert_eq!((hosts.len(), hosts.total, hosts.cut), (LISTED, COUNTED as u64, false));
        assert!(hosts.items().enumerate().all(|(at, item)| *item == *at.to_string().as_bytes()));
        assert!(told(&lists, ListKind::Agents).items().eq([b"0", b"1"]), "what one holds is not in the other");
        assert_eq!(told(&lists, ListKind::Families), List::default());
        assert!(lists.heap() < 12_000, "{}", lists.heap());
        for about in [ListKind::Agents, ListKind::Hosts] {
            note(&mut lists, about, 9, &[b'x'; 3000]);
        }
        let agents = told(&lists, ListKind::Agents);
        let last = agents.items().last().map(<[u8]>::len);
        assert_eq!((last, agents.total, agents.cut), (Some(LONGEST), 3, true));
        assert!(!told(&lists, ListKind::Hosts).cut, "it is not listed");
    }

    /// Names that came by turns to two sets of lists, against one that had them all.
    #[test]
    fn joined_lists_are_as_if_they_had_always_been_one() {
        for step in [1, 2, 7] {
            let (mut parts, mut whole) = ([Lists::default(), Lists::default()], Lists::default());
            for turn in 0..200_u64 {
                let name = (turn * step % 61).to_string().into_bytes();
                let about = if turn % 5 == 0 { ListKind::Agents } else { ListKind::Hosts };
                note(&mut parts[(turn % 3 % 2) as usize], about, turn, &name);
                note(&mut whole, about, turn, &name);
            }
            let [mut one, other] = parts;
            one.join(&other);
            for about in [ListKind::Agents, ListKind::Hosts] {
                assert_eq!(told(&one, about), told(&whole, about), "{step}");
            }
        }
    }
}
