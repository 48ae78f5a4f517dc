//! A perfect hash: maps the 64-bit hash of a key to the key's number with one access to a pilot and one to a slot,
//! regardless of the number of keys. Does not hash or compare keys: see [`super::table`].
//!
//! Keys fall into buckets of four on average. Each bucket has a 16-bit pilot, found at build time, largest bucket
//! first, that maps all of the bucket's keys to free slots (CHD: Belazzougui, Botelho, Dietzfelbinger 2009; PTHash:
//! Pibiri, Trani 2021). A slot holds a 16-bit fingerprint of its key, so that only one unknown key in 65,536 is
//! compared.

/// Average number of keys in a bucket. Rationale: 2 bytes of pilot for 4 keys, and a million keys still build in a
/// second.
const BUCKET: usize = 4;

/// The number of an empty slot.
const EMPTY: u32 = u32::MAX;

/// Odd constants with well-mixed bits (the fractions of √2, √3 and √5).
const PILOT: u64 = 0x6a09_e667_f3bc_c909;
const SLOT: u64 = 0xbb67_ae85_84ca_a73b;
const SPREAD: u64 = 0x3c6e_f372_fe94_f82b;

/// Maps the hash of a key to its number.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct PerfectHash {
    /// One for each bucket.
    pilots: Vec<u16>,
    /// The fingerprint of the key in each slot, about 1.1 slots for each key. Apart from the numbers, so that a miss
    /// reads two bytes.
    fingerprints: Vec<u16>,
    /// The number of the key in each slot.
    numbers: Vec<u32>,
}

impl PerfectHash {
    /// Builds for distinct `hashes`; key `n` is the one with `hashes[n]`. `None` if two are equal, there are more than
    /// 2^31, or (never seen) a bucket has no pilot: the caller then hashes the keys with another seed.
    pub(super) fn build(hashes: &[u64]) -> Option<Self> {
        if hashes.is_empty() {
            return Some(Self::default());
        }
        if hashes.len() > 1 << 31 {
            return None;
        }
        let slots = hashes.len() + hashes.len() / 8 + 1;
        let mut built = Self {
            pilots: vec![0; hashes.len() / BUCKET + 1],
            fingerprints: vec![0; slots],
            numbers: vec![EMPTY; slots],
        };
        let (order, starts) = built.buckets(hashes);
        let mut by_size: Vec<u32> = (0..built.pilots.len() as u32).collect();
        let keys = |bucket: u32| -> &[u32] {
            let span = starts.get(bucket as usize..bucket as usize + 2).unwrap_or(&[0, 0]);
            order.get(span[0] as usize..span[1] as usize).unwrap_or_default()
        };
        by_size.sort_by_key(|&bucket| std::cmp::Reverse(keys(bucket).len()));
        let mut candidates = Vec::new();
        for bucket in by_size {
            built.place_bucket(bucket, keys(bucket), hashes, &mut candidates)?;
        }
        Some(built)
    }

    /// Returns the number of the key that may have this hash. Every key of the table is found; one in 65,536 other keys
    /// passes too, so the caller compares.
    pub(super) fn get(&self, hash: u64) -> Option<u32> {
        let pilot = *self.pilots.get(self.bucket(hash))?;
        let slot = self.slot(hash, pilot);
        if *self.fingerprints.get(slot)? != fingerprint(hash) {
            return None;
        }
        self.numbers.get(slot).copied().filter(|&number| number != EMPTY)
    }

    /// Returns the bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.pilots.capacity() * 2 + self.fingerprints.capacity() * 2 + self.numbers.capacity() * 4
    }

    /// Returns the keys' numbers sorted by bucket, and the index at which each bucket begins.
    fn buckets(&self, hashes: &[u64]) -> (Vec<u32>, Vec<u32>) {
        let mut starts = vec![0u32; self.pilots.len() + 1];
        for &hash in hashes {
            starts[self.bucket(hash) + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut order = vec![0u32; hashes.len()];
        for (number, &hash) in (0u32..).zip(hashes) {
            let at = &mut next[self.bucket(hash)];
            order[*at as usize] = number;
            *at += 1;
        }
        (order, starts)
    }

    /// Finds a bucket's pilot and fills its slots. `candidates` is scratch space.
    fn place_bucket(&mut self, bucket: u32, keys: &[u32], hashes: &[u64], candidates: &mut Vec<usize>) -> Option<()> {
        let hash_of = |&number: &u32| hashes[number as usize];
        let pilot = (0..=u16::MAX).find(|&pilot| {
            candidates.clear();
            keys.iter().all(|number| {
                let slot = self.slot(hash_of(number), pilot);
                let free = self.numbers[slot] == EMPTY && !candidates.contains(&slot);
                candidates.push(slot);
                free
            })
        })?;
        self.pilots[bucket as usize] = pilot;
        for number in keys {
            let slot = self.slot(hash_of(number), pilot);
            self.numbers[slot] = *number;
            self.fingerprints[slot] = fingerprint(hash_of(number));
        }
        Some(())
    }

    /// Returns the bucket of a hash: its high half, scaled (Lemire 2019).
    fn bucket(&self, hash: u64) -> usize {
        (((hash >> 32) * self.pilots.len() as u64) >> 32) as usize
    }

    /// Returns the slot that a pilot maps a hash to.
    fn slot(&self, hash: u64, pilot: u16) -> usize {
        let mixed = fold(hash ^ (u64::from(pilot) + 1).wrapping_mul(PILOT), SLOT);
        (((mixed >> 32) * self.fingerprints.len() as u64) >> 32) as usize
    }
}

/// Returns the fingerprint of a key: bits that do not select its bucket.
const fn fingerprint(hash: u64) -> u16 {
    hash as u16
}

/// Folds both halves of the 128-bit product: every bit of the result depends on every bit of both.
pub(super) const fn fold(a: u64, b: u64) -> u64 {
    let product = (a ^ SPREAD) as u128 * (b as u128);
    (product >> 64) as u64 ^ product as u64
}

/// Returns the hash of some bytes, with a seed and a constant that separates the uses.
pub(super) fn hash_bytes(seed: u64, domain: u64, bytes: &[u8]) -> u64 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let hash =
        chunks.iter().fold(seed ^ bytes.len() as u64, |hash, chunk| fold(hash ^ u64::from_le_bytes(*chunk), domain));
    fold(hash ^ at_most_seven(rest), domain)
}

/// Returns up to seven bytes as a number, which is unique among byte strings of the same length.
fn at_most_seven(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full-period generator (SplitMix64), so that no hash repeats.
    fn hashes(count: u64) -> Vec<u64> {
        let mix = |n: u64| {
            let z = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        (1..=count).map(|n| mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
    }

    #[test]
    fn finds_every_key_and_few_others() {
        for count in [0, 1, 2, 3, 7, 100, 1_000, 100_000] {
            let all = hashes(2 * count);
            let (keys, others) = all.split_at(count as usize);
            let table = PerfectHash::build(keys).unwrap();
            for (number, &hash) in keys.iter().enumerate() {
                assert_eq!(table.get(hash), Some(number as u32));
            }
            let passed = others.iter().filter(|&&hash| table.get(hash).is_some()).count() as u64;
            assert!(passed <= count / 10_000, "{passed} of {count}");
            assert!(table.memory() as u64 <= 8 * count + 64, "{} bytes for {count}", table.memory());
        }
    }

    #[test]
    fn equal_hashes_are_rejected() {
        assert!(PerfectHash::build(&[5, 6, 5]).is_none());
    }
}
