//! A table for flows, fragments, sources and repeated alerts: entries are found by a keyed hash and ordered by the time
//! they were last touched, in a few classes. Does not evict by itself: its owner takes the oldest entry of a class and
//! removes it, so no entry is lost without being processed.

mod index;

pub use index::{Hashed, Index};

use std::time::Duration;

use siphasher::sip::SipHasher13;

/// The hasher for keys.
pub use siphasher::sip::SipHasher13 as KeyedHasher;

use crate::time::Timestamp;

/// A key that an attacker may choose: hashed with SipHash-1-3 under keys unknown to the attacker.
pub trait TableKey: Eq {
    /// Returns the hash of this key.
    fn hash(&self, hasher: &SipHasher13) -> u64;
}

impl TableKey for crate::segment::FlowKey {
    fn hash(&self, hasher: &SipHasher13) -> u64 {
        match self.packed_v4() {
            Some(short) => hasher.hash(&short),
            None => hasher.hash(&self.packed()),
        }
    }
}

/// Overhead of a heap allocation in bytes, for memory accounting: the allocator rounds a block up to its next size.
pub const ALLOCATION: usize = 16;

/// The position of an entry. Valid until the entry is removed; a later entry at the same position has another slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    at: u32,
    generation: u32,
}

impl Slot {
    /// Returns the position as a hint.
    #[must_use]
    pub const fn hint(self) -> SlotHint {
        SlotHint(self.at)
    }
}

/// The position where an entry was. Only a hint: the position may now hold another entry, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotHint(u32);

/// A hash table whose entries are linked in `C` lists (classes), each from the least to the most recently touched.
///
/// Invariants: every live entry is in exactly one list and in the index; times in one list never decrease when the
/// owner's clock never does.
#[derive(Debug)]
pub struct Table<K, V, const C: usize> {
    hasher: SipHasher13,
    index: Index,
    contents: Vec<Vec<Option<(K, V)>>>,
    /// One for each element of `contents`.
    nodes: Vec<Node>,
    free: Vec<u32>,
    lists: [List; C],
}

/// The list node of an entry: everything but its key and value.
///
/// Rationale: every touch writes to the neighbours' nodes too, so nodes are stored close together, apart from the
/// contents.
#[derive(Clone, Copy, Debug)]
struct Node {
    touched: Timestamp,
    hash: Hashed,
    generation: u32,
    previous: u32,
    next: u32,
    class: u8,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    len: usize,
}

const NONE: u32 = u32::MAX;
/// Entries per allocation of `contents`; entries never move. Rationale: growth without copying the whole table, and
/// little waste in the 16 shards of a small capture.
const CHUNK: usize = 64;

impl<K: TableKey, V, const C: usize> Table<K, V, C> {
    /// Creates an empty table whose hash is keyed by `keys`.
    #[must_use]
    pub fn new(keys: [u64; 2]) -> Self {
        Self {
            hasher: SipHasher13::new_with_keys(keys[0], keys[1]),
            index: Index::default(),
            contents: Vec::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            lists: [List { first: NONE, last: NONE, len: 0 }; C],
        }
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Returns the number of entries in one class.
    #[must_use]
    pub fn class_len(&self, class: usize) -> usize {
        self.lists[class].len
    }

    /// Returns the memory of one entry in bytes, without its own heap allocations.
    #[must_use]
    pub const fn entry_size() -> usize {
        // `nodes` grows by a quarter.
        size_of::<Option<(K, V)>>() + Index::ENTRY + size_of::<Node>() / 4 * 5
    }

    /// Returns the hash of `key`, for [`Table::find_hashed`] and [`Table::insert_hashed`].
    #[must_use]
    pub fn hash(&self, key: &K) -> Hashed {
        Hashed::of(key.hash(&self.hasher))
    }

    /// Returns the slot of `key`.
    #[must_use]
    pub fn find(&self, key: &K) -> Option<Slot> {
        self.find_hashed(key, self.hash(key))
    }

    /// Like [`Table::find`], with the hash of `key` already computed.
    #[must_use]
    pub fn find_hashed(&self, key: &K, hash: Hashed) -> Option<Slot> {
        let at = self.index.find(hash, |at| self.key_at(at) == Some(key))?;
        Some(Slot { at, generation: self.node(at).generation })
    }

    /// Returns the slot and value of `key` if its entry is at this position.
    #[inline]
    pub fn find_at(&mut self, SlotHint(at): SlotHint, key: &K) -> Option<(Slot, &mut V)> {
        let chunk = self.contents.get_mut(at as usize / CHUNK)?;
        let (stored, value) = chunk.get_mut(at as usize % CHUNK)?.as_mut()?;
        let generation = self.nodes.get(at as usize)?.generation;
        (stored == key).then_some((Slot { at, generation }, value))
    }

    /// Adds an entry as the most recently touched of `class`. The key must not be in the table.
    pub fn insert(&mut self, key: K, value: V, class: usize, now: Timestamp) -> Slot {
        let hash = self.hash(&key);
        self.insert_hashed(key, hash, value, class, now)
    }

    /// Like [`Table::insert`], with the hash of `key` already computed.
    pub fn insert_hashed(&mut self, key: K, hash: Hashed, value: V, class: usize, now: Timestamp) -> Slot {
        let at = self.free.pop().unwrap_or_else(|| self.grow());
        *self.content_mut(at) = Some((key, value));
        let node = self.node_mut(at);
        node.hash = hash;
        let generation = node.generation;
        self.index.insert(hash, at);
        self.link(at, class, now);
        Slot { at, generation }
    }

    /// Returns the key and value of an entry, if it still exists.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<(&K, &V)> {
        self.live(slot)?;
        self.content(slot.at).as_ref().map(|(key, value)| (key, value))
    }

    /// Returns the hash of an entry's key, or the default hash if the entry no longer exists.
    #[must_use]
    pub fn hash_of(&self, slot: Slot) -> Hashed {
        self.live(slot).map_or(Hashed::default(), |node| node.hash)
    }

    /// Like [`Table::get`], with a mutable value.
    #[must_use]
    pub fn get_mut(&mut self, slot: Slot) -> Option<(&K, &mut V)> {
        self.live(slot)?;
        self.content_mut(slot.at).as_mut().map(|(key, value)| (&*key, value))
    }

    /// Removes an entry and returns it.
    pub fn remove(&mut self, slot: Slot) -> Option<(K, V)> {
        self.detach(slot)?.take()
    }

    /// Removes an entry and drops it in place, without moving a large entry.
    pub fn discard(&mut self, slot: Slot) {
        if let Some(content) = self.detach(slot) {
            *content = None;
        }
    }

    /// Removes an entry from its list and the index. Its content stays in place, for the caller to remove.
    fn detach(&mut self, slot: Slot) -> Option<&mut Option<(K, V)>> {
        let hash = self.live(slot)?.hash;
        self.unlink(slot.at);
        self.index.remove(hash, slot.at);
        self.free.push(slot.at);
        let node = self.node_mut(slot.at);
        node.generation = node.generation.wrapping_add(1);
        Some(self.content_mut(slot.at))
    }

    /// Makes an entry the most recently touched of `class`.
    pub fn touch(&mut self, slot: Slot, class: usize, now: Timestamp) {
        let Some(node) = self.nodes.get_mut(slot.at as usize).filter(|node| node.generation == slot.generation) else {
            return;
        };
        if usize::from(node.class) != class {
            self.unlink(slot.at);
            self.link(slot.at, class, now);
            return;
        }
        node.touched = now;
        let (previous, next) = (node.previous, node.next);
        if next == NONE {
            return;
        }
        // The common case, once per packet: from the middle of its list to the end.
        let list = &mut self.lists[class];
        (node.previous, node.next) = (list.last, NONE);
        let last = std::mem::replace(&mut list.last, slot.at);
        if previous == NONE {
            list.first = next;
        } else {
            self.nodes[previous as usize].next = next;
        }
        self.nodes[next as usize].previous = previous;
        self.nodes[last as usize].next = slot.at;
    }

    /// Like [`Table::touch`], but not if the entry was touched in that class less than `span` ago: its place in the list
    /// may then be that much too early.
    #[inline]
    pub fn touch_rarely(&mut self, slot: Slot, class: usize, now: Timestamp, span: Duration) {
        let recent = |node: &Node| usize::from(node.class) == class && now < node.touched.after(span);
        if !self.live(slot).is_some_and(recent) {
            self.touch(slot, class, now);
        }
    }

    /// Returns the time when an entry was last touched.
    #[must_use]
    pub fn touched(&self, slot: Slot) -> Option<Timestamp> {
        self.live(slot).map(|node| node.touched)
    }

    /// Returns the class of an entry.
    #[must_use]
    pub fn class(&self, slot: Slot) -> Option<usize> {
        self.live(slot).map(|node| usize::from(node.class))
    }

    /// Returns the least recently touched entry of a class and the time when it was touched.
    #[must_use]
    pub fn oldest(&self, class: usize) -> Option<(Slot, Timestamp)> {
        let at = self.lists[class].first;
        (at != NONE).then(|| {
            let node = self.node(at);
            (Slot { at, generation: node.generation }, node.touched)
        })
    }

    fn key_at(&self, at: u32) -> Option<&K> {
        self.content(at).as_ref().map(|(key, _)| key)
    }

    fn content(&self, at: u32) -> &Option<(K, V)> {
        &self.contents[at as usize / CHUNK][at as usize % CHUNK]
    }

    fn content_mut(&mut self, at: u32) -> &mut Option<(K, V)> {
        &mut self.contents[at as usize / CHUNK][at as usize % CHUNK]
    }

    /// Returns the node of an entry, if the entry still exists.
    fn live(&self, slot: Slot) -> Option<&Node> {
        self.nodes.get(slot.at as usize).filter(|node| node.generation == slot.generation)
    }

    fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    /// Adds an empty position and returns it.
    fn grow(&mut self) -> u32 {
        if self.contents.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.contents.push(Vec::with_capacity(CHUNK));
        }
        if self.nodes.len() == self.nodes.capacity() {
            self.nodes.reserve_exact((self.nodes.len() / 4).max(CHUNK));
        }
        // A chunk was pushed above if none had space.
        self.contents.last_mut().expect("a chunk with space").push(None);
        self.nodes.push(Node {
            touched: Timestamp::ZERO,
            hash: Hashed::default(),
            generation: 0,
            previous: NONE,
            next: NONE,
            class: 0,
        });
        u32::try_from(self.nodes.len() - 1).expect("limits keep tables far below 2^32 entries")
    }

    /// Appends a node to the list of `class`.
    fn link(&mut self, at: u32, class: usize, now: Timestamp) {
        let last = self.lists[class].last;
        let node = self.node_mut(at);
        node.class = class as u8;
        node.touched = now;
        node.previous = last;
        node.next = NONE;
        if last == NONE {
            self.lists[class].first = at;
        } else {
            self.node_mut(last).next = at;
        }
        self.lists[class].last = at;
        self.lists[class].len += 1;
    }

    /// Removes a node from its list.
    fn unlink(&mut self, at: u32) {
        let node = self.node(at);
        let (previous, next, class) = (node.previous, node.next, usize::from(node.class));
        if previous == NONE {
            self.lists[class].first = next;
        } else {
            self.node_mut(previous).next = next;
        }
        if next == NONE {
            self.lists[class].last = previous;
        } else {
            self.node_mut(next).previous = previous;
        }
        self.lists[class].len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl TableKey for u32 {
        fn hash(&self, hasher: &SipHasher13) -> u64 {
            hasher.hash(&self.to_be_bytes())
        }
    }

    /// Compares with a vector that is searched from the front, over many seeded steps.
    #[test]
    fn behaves_like_an_ordered_vector() {
        let mut table: Table<u32, u32, 2> = Table::new([1, 2]);
        let mut model: Vec<(u32, u32, usize)> = Vec::new();
        let mut random: u32 = 1;
        for step in 0..20_000_u32 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (key, class) = ((random >> 8) % 300, (random >> 20) as usize % 2);
            let now = Timestamp::from_nanos(i64::from(step));
            match (table.find(&key), (random >> 24) % 3) {
                (None, _) => {
                    table.insert(key, step, class, now);
                    model.push((key, step, class));
                }
                (Some(slot), 0) => {
                    assert_eq!(table.remove(slot).map(|(k, _)| k), Some(key));
                    assert!(table.get(slot).is_none());
                    model.retain(|&(k, ..)| k != key);
                }
                (Some(slot), _) => {
                    table.touch(slot, class, now);
                    let at = model.iter().position(|&(k, ..)| k == key).unwrap();
                    let (_, value, _) = model.remove(at);
                    model.push((key, value, class));
                }
            }
            assert_eq!(table.len(), model.len());
            for class in 0..2 {
                let expected = model.iter().find(|&&(.., c)| c == class).map(|&(k, v, _)| (k, v));
                let found = table.oldest(class).and_then(|(slot, _)| table.get(slot)).map(|(&k, &v)| (k, v));
                assert_eq!(found, expected);
                assert_eq!(table.class_len(class), model.iter().filter(|&&(.., c)| c == class).count());
            }
        }
    }
}
