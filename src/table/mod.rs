//! The keyed, bounded table in which flows, fragments, sources and repeats stand: found by key, and ordered by
//! when they were last touched, in a few classes. Not a cache: it never evicts by itself; its owner asks for the
//! oldest entry of a class and removes it, so that nothing is lost without being looked at.

mod index;

pub use index::{Hashed, Index};

use siphasher::sip::SipHasher13;

/// What keys are hashed with.
pub use siphasher::sip::SipHasher13 as KeyedHasher;

use crate::time::Timestamp;

/// A key that a stranger may choose: hashed with SipHash-1-3 under keys that he does not know.
pub trait TableKey: Eq {
    /// The hash of this key.
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

/// What an allocation costs beside its bytes, for whoever counts memory: the heap keeps a block in its next size.
pub const ALLOCATION: usize = 16;

/// Where an entry stands. Valid until the entry is removed; a later entry in the same place has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    at: u32,
    generation: u32,
}

impl Slot {
    /// Where it is, for a hint.
    #[must_use]
    pub const fn place(self) -> SlotHint {
        SlotHint(self.at)
    }
}

/// Where an entry stood: a hint, for another may stand there now, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotHint(u32);

/// Entries are linked in `C` lists (classes), each from the least to the most recently touched.
///
/// Invariants: every live entry is in exactly one list and in the index; times in one list never decrease when the
/// owner's clock never does.
#[derive(Debug)]
pub struct Table<K, V, const C: usize> {
    hasher: SipHasher13,
    index: Index,
    contents: Vec<Vec<Option<(K, V)>>>,
    /// One for each content.
    links: Vec<Link>,
    free: Vec<u32>,
    lists: [List; C],
}

/// What is known of an entry beside its content.
///
/// Rationale: every touch writes to the neighbours' links too, so they stand close together, apart from the contents.
#[derive(Clone, Copy, Debug)]
struct Link {
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
/// Contents are allocated by the chunk and never move. Rationale: growth without copying the whole table, and little
/// waste in the 16 shards of a small capture.
const CHUNK: usize = 64;

impl<K: TableKey, V, const C: usize> Table<K, V, C> {
    /// An empty table whose hash is keyed by `keys`.
    #[must_use]
    pub fn new(keys: [u64; 2]) -> Self {
        Self {
            hasher: SipHasher13::new_with_keys(keys[0], keys[1]),
            index: Index::default(),
            contents: Vec::new(),
            links: Vec::new(),
            free: Vec::new(),
            lists: [List { first: NONE, last: NONE, len: 0 }; C],
        }
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Number of entries of one class.
    #[must_use]
    pub fn class_len(&self, class: usize) -> usize {
        self.lists[class].len
    }

    /// Bytes that one entry takes, without what it owns on the heap.
    #[must_use]
    pub const fn entry_size() -> usize {
        // Links grow by a quarter.
        size_of::<Option<(K, V)>>() + Index::ENTRY + size_of::<Link>() / 4 * 5
    }

    /// The hash of `key`, for [`Table::find_hashed`] and [`Table::insert_hashed`].
    #[must_use]
    pub fn hash(&self, key: &K) -> Hashed {
        Hashed::of(key.hash(&self.hasher))
    }

    /// The entry of `key`.
    #[must_use]
    pub fn find(&self, key: &K) -> Option<Slot> {
        self.find_hashed(key, self.hash(key))
    }

    /// The entry of `key`, which has this hash.
    #[must_use]
    pub fn find_hashed(&self, key: &K, hash: Hashed) -> Option<Slot> {
        let at = self.index.find(hash, |at| self.key_at(at) == Some(key))?;
        Some(Slot { at, generation: self.link_of(at).generation })
    }

    /// The entry of `key`, if it is at this place.
    #[inline]
    pub fn find_at(&mut self, SlotHint(at): SlotHint, key: &K) -> Option<(Slot, &mut V)> {
        let chunk = self.contents.get_mut(at as usize / CHUNK)?;
        let (known, value) = chunk.get_mut(at as usize % CHUNK)?.as_mut()?;
        let generation = self.links.get(at as usize)?.generation;
        (known == key).then_some((Slot { at, generation }, value))
    }

    /// Adds an entry, as the most recently touched of `class`. The key must not be in the table.
    pub fn insert(&mut self, key: K, value: V, class: usize, now: Timestamp) -> Slot {
        let hash = self.hash(&key);
        self.insert_hashed(key, hash, value, class, now)
    }

    /// The same of a key that has this hash.
    pub fn insert_hashed(&mut self, key: K, hash: Hashed, value: V, class: usize, now: Timestamp) -> Slot {
        let at = self.free.pop().unwrap_or_else(|| self.grow());
        *self.content_mut(at) = Some((key, value));
        let link = self.link_mut(at);
        link.hash = hash;
        let generation = link.generation;
        self.index.insert(hash, at);
        self.link(at, class, now);
        Slot { at, generation }
    }

    /// The key and value in a slot, if the entry is still there.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<(&K, &V)> {
        self.live(slot)?;
        self.content(slot.at).as_ref().map(|(key, value)| (key, value))
    }

    /// The hash of an entry's key; that of no key where there is no entry.
    #[must_use]
    pub fn hash_of(&self, slot: Slot) -> Hashed {
        self.live(slot).map_or(Hashed::default(), |link| link.hash)
    }

    /// As [`Table::get`], with the value to be changed.
    #[must_use]
    pub fn get_mut(&mut self, slot: Slot) -> Option<(&K, &mut V)> {
        self.live(slot)?;
        self.content_mut(slot.at).as_mut().map(|(key, value)| (&*key, value))
    }

    /// Removes an entry and hands it out.
    pub fn remove(&mut self, slot: Slot) -> Option<(K, V)> {
        self.detach(slot)?.take()
    }

    /// Removes an entry and drops it where it stands: large entries are not moved for nothing.
    pub fn discard(&mut self, slot: Slot) {
        if let Some(content) = self.detach(slot) {
            *content = None;
        }
    }

    /// Takes an entry out of list and index; its content still stands in its place, for the caller to take away.
    fn detach(&mut self, slot: Slot) -> Option<&mut Option<(K, V)>> {
        let hash = self.live(slot)?.hash;
        self.unlink(slot.at);
        self.index.remove(hash, slot.at);
        self.free.push(slot.at);
        let link = self.link_mut(slot.at);
        link.generation = link.generation.wrapping_add(1);
        Some(self.content_mut(slot.at))
    }

    /// Makes an entry the most recently touched of `class`.
    pub fn touch(&mut self, slot: Slot, class: usize, now: Timestamp) {
        let Some(link) = self.links.get_mut(slot.at as usize).filter(|link| link.generation == slot.generation) else {
            return;
        };
        if usize::from(link.class) != class {
            self.unlink(slot.at);
            self.link(slot.at, class, now);
            return;
        }
        link.touched = now;
        let (previous, next) = (link.previous, link.next);
        if next == NONE {
            return;
        }
        // From within its list to the end, as once a packet.
        let list = &mut self.lists[class];
        (link.previous, link.next) = (list.last, NONE);
        let last = std::mem::replace(&mut list.last, slot.at);
        if previous == NONE {
            list.first = next;
        } else {
            self.links[previous as usize].next = next;
        }
        self.links[next as usize].previous = previous;
        self.links[last as usize].next = slot.at;
    }

    /// When an entry was touched last.
    #[must_use]
    pub fn touched(&self, slot: Slot) -> Option<Timestamp> {
        self.live(slot).map(|link| link.touched)
    }

    /// The least recently touched entry of a class, and when it was touched.
    #[must_use]
    pub fn oldest(&self, class: usize) -> Option<(Slot, Timestamp)> {
        let at = self.lists[class].first;
        (at != NONE).then(|| {
            let link = self.link_of(at);
            (Slot { at, generation: link.generation }, link.touched)
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

    /// What is known of the entry in a slot, if it is still there.
    fn live(&self, slot: Slot) -> Option<&Link> {
        self.links.get(slot.at as usize).filter(|link| link.generation == slot.generation)
    }

    fn link_of(&self, at: u32) -> &Link {
        &self.links[at as usize]
    }

    fn link_mut(&mut self, at: u32) -> &mut Link {
        &mut self.links[at as usize]
    }

    fn grow(&mut self) -> u32 {
        if self.contents.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.contents.push(Vec::with_capacity(CHUNK));
        }
        if self.links.len() == self.links.capacity() {
            self.links.reserve_exact((self.links.len() / 4).max(CHUNK));
        }
        // A chunk was pushed above if there was none with room.
        self.contents.last_mut().expect("a chunk with room").push(None);
        self.links.push(Link {
            touched: Timestamp::ZERO,
            hash: Hashed::default(),
            generation: 0,
            previous: NONE,
            next: NONE,
            class: 0,
        });
        u32::try_from(self.links.len() - 1).expect("limits keep tables far below 2^32 entries")
    }

    fn link(&mut self, at: u32, class: usize, now: Timestamp) {
        let last = self.lists[class].last;
        let link = self.link_mut(at);
        link.class = class as u8;
        link.touched = now;
        link.previous = last;
        link.next = NONE;
        if last == NONE {
            self.lists[class].first = at;
        } else {
            self.link_mut(last).next = at;
        }
        self.lists[class].last = at;
        self.lists[class].len += 1;
    }

    fn unlink(&mut self, at: u32) {
        let link = self.link_of(at);
        let (previous, next, class) = (link.previous, link.next, usize::from(link.class));
        if previous == NONE {
            self.lists[class].first = next;
        } else {
            self.link_mut(previous).next = next;
        }
        if next == NONE {
            self.lists[class].last = previous;
        } else {
            self.link_mut(next).previous = previous;
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

    /// Against a vector that is searched from the front, over many seeded steps.
    #[test]
    fn behaves_as_an_ordered_vector() {
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
