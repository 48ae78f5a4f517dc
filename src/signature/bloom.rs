//! Bloom filter that rejects most hashes before an exact lookup. Does not hash keys: see [`super::table`] and
//! [`super::words`].

/// A set of hashes with false positives and no false negatives: most paths end here, with a check of one 64-bit word (a
/// Bloom filter blocked by words: Putze, Sanders, Singler 2007).
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct BloomFilter {
    words: Vec<u64>,
}

impl BloomFilter {
    /// Builds a filter with `bits` bits per hash: 16 give one false positive in some hundred, 32 one in ten thousand.
    pub(super) fn of(hashes: impl Iterator<Item = u64> + Clone, bits: usize) -> Self {
        // Rationale: 1,024 bits are two cache lines.
        let bits = (hashes.clone().count() * bits).next_power_of_two().max(1024);
        let mut filter = Self { words: vec![0; bits / 64] };
        for hash in hashes {
            let at = filter.word(hash);
            filter.words[at] |= Self::mask(hash);
        }
        filter
    }

    /// Reports whether the set may contain a hash.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let mask = Self::mask(hash);
        self.words.get(self.word(hash)).is_some_and(|word| word & mask == mask)
    }

    /// Returns the bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.words.capacity() * 8
    }

    /// Returns the index of a hash's word. The length is a power of two; an empty set has no words, so the index is out
    /// of range.
    const fn word(&self, hash: u64) -> usize {
        (hash >> 32) as usize & self.words.len().wrapping_sub(1)
    }

    /// Returns a hash's five bits of its word.
    const fn mask(hash: u64) -> u64 {
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
    fn members_pass_and_few_others_do() {
        let hash = |number: u64| fold(number, 0x9b05_688c_2b3e_6c1f);
        let filter = BloomFilter::of((0..10_000).map(hash), 16);
        assert!((0..10_000).all(|number| filter.may_contain(hash(number))));
        assert!((10_000..110_000).filter(|&number| filter.may_contain(hash(number))).count() < 3_000);
    }
}
