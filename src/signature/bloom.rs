//! A first look: whether a hash may be one of many at all. Not what it is of: see [`super::table`] and [`super::words`].

/// A set of hashes that may say yes wrongly, never no: most paths end here, with one look at one word (a Bloom filter
/// blocked by words: Putze, Sanders, Singler 2007).
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct BloomFilter {
    words: Vec<u64>,
}

impl BloomFilter {
    /// So many bits for each hash: with 16 one stranger in some hundred passes, with 32 one in ten thousand.
    pub(super) fn of(hashes: impl Iterator<Item = u64> + Clone, bits: usize) -> Self {
        // Rationale: 1,024 bits are two cache lines.
        let bits = (hashes.clone().count() * bits).next_power_of_two().max(1024);
        let mut look = Self { words: vec![0; bits / 64] };
        for hash in hashes {
            let at = look.place(hash);
            look.words[at] |= Self::mark(hash);
        }
        look
    }

    pub(super) fn may_have(&self, hash: u64) -> bool {
        let mark = Self::mark(hash);
        self.words.get(self.place(hash)).is_some_and(|word| word & mark == mark)
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.words.capacity() * 8
    }

    /// The word of a hash; the length is a power of two, and an empty set has no word at all.
    const fn place(&self, hash: u64) -> usize {
        (hash >> 32) as usize & self.words.len().wrapping_sub(1)
    }

    /// Five bits of a word.
    const fn mark(hash: u64) -> u64 {
        1 << (hash & 63)
            | 1 << (hash >> 6 & 63)
            | 1 << (hash >> 12 & 63)
            | 1 << (hash >> 18 & 63)
            | 1 << (hash >> 24 & 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::perfect_hash::fold;

    #[test]
    fn the_first_look_lets_few_strangers_pass() {
        let hash = |number: u64| fold(number, 0x9b05_688c_2b3e_6c1f);
        let look = BloomFilter::of((0..10_000).map(hash), 16);
        assert!((0..10_000).all(|number| look.may_have(hash(number))));
        assert!((10_000..110_000).filter(|&number| look.may_have(hash(number))).count() < 3_000);
    }
}
