//! Maps the hash of a key to the position of its entry. Does not store the entries; their owner compares the keys.

use hashbrown::HashTable;

/// The hash of a key, equal in all tables whose hashers have the same keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hashed(u32);

impl Hashed {
    /// Creates it from the 64 bits of a keyed hash.
    pub(super) const fn of(hash: u64) -> Self {
        Self((hash >> 32) as u32)
    }

    /// Creates it from arbitrary bits.
    #[cfg(test)]
    pub(crate) const fn of_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns the 64-bit hash for [`HashTable`], which uses bits from both ends.
    const fn spread(self) -> u64 {
        (self.0 as u64) << 32 | self.0 as u64
    }
}

/// Positions of entries by the hashes of their keys.
#[derive(Debug, Default)]
pub struct Index {
    positions: HashTable<IndexEntry>,
}

/// A position, with 32 bits of its key's hash: the index grows without access to the entries, and an entry is compared
/// only if those bits are equal.
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    at: u32,
    hash: Hashed,
}

impl Index {
    /// Memory of one position in bytes: with a control byte, at a load of at most 7/8, and of 7/16 just after growth.
    pub const ENTRY: usize = 2 * (size_of::<IndexEntry>() + 1);

    /// Returns the number of positions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Returns whether the index is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Returns the position of a key that has this hash; `same` reports whether the key at a position is the wanted
    /// one.
    #[must_use]
    pub fn find(&self, hash: Hashed, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.positions.find(hash.spread(), |entry| entry.hash == hash && same(entry.at)).map(|entry| entry.at)
    }

    /// Adds a position; its key must not be in the index.
    pub fn insert(&mut self, hash: Hashed, at: u32) {
        self.positions.insert_unique(hash.spread(), IndexEntry { at, hash }, |entry| entry.hash.spread());
    }

    /// Removes a position.
    pub fn remove(&mut self, hash: Hashed, at: u32) {
        if let Ok(found) = self.positions.find_entry(hash.spread(), |entry| entry.at == at) {
            found.remove();
        }
    }
}
