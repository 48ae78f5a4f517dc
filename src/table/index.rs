//! From the hash of a key to where its entry stands. Not the entries: whoever keeps them compares the keys.

use hashbrown::HashTable;

/// The hash of a key, the same in all tables that are keyed alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hashed(u32);

impl Hashed {
    /// Of the 64 bits that a keyed hash gives.
    pub(super) const fn of(hash: u64) -> Self {
        Self((hash >> 32) as u32)
    }

    /// Of these bits, to be chosen freely.
    #[cfg(test)]
    pub(crate) const fn of_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The hash that the table works with: it takes its bits from both ends.
    const fn spread(self) -> u64 {
        (self.0 as u64) << 32 | self.0 as u64
    }
}

/// Places by the hashes of their keys.
#[derive(Debug, Default)]
pub struct Index {
    places: HashTable<IndexEntry>,
}

/// A place, with 32 bits of its key's hash: the index grows without looking at the entries, and an entry is looked at only
/// if those bits agree.
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    at: u32,
    hash: Hashed,
}

impl Index {
    /// Bytes that one place takes: with a control byte, at a load of 7/8 at most, 7/16 just after growth.
    pub const ENTRY: usize = 2 * (size_of::<IndexEntry>() + 1);

    /// Number of places.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The place of a key that has this hash; `same` says whether the key there is the one.
    #[must_use]
    pub fn find(&self, hash: Hashed, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.places.find(hash.spread(), |place| place.hash == hash && same(place.at)).map(|place| place.at)
    }

    /// Adds a place, of a key that is not there.
    pub fn insert(&mut self, hash: Hashed, at: u32) {
        self.places.insert_unique(hash.spread(), IndexEntry { at, hash }, |place| place.hash.spread());
    }

    /// Removes a place.
    pub fn remove(&mut self, hash: Hashed, at: u32) {
        if let Ok(found) = self.places.find_entry(hash.spread(), |place| place.at == at) {
            found.remove();
        }
    }
}
