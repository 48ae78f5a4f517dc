//! A perfect hash: from a 64-bit hash of a key to the key's number, with one look at a pilot and one at a slot,
//! however many keys there are. Not the hashing of keys, and not their comparison: see [`super::table`].
//!
//! Keys fall into buckets of four on average. Each bucket has a 16-bit pilot, found at build time, largest bucket
//! first, that sends all of the bucket's keys to free slots (CHD: Belazzougui, Botelho, Dietzfelbinger 2009; PTHash:
//! Pibiri, Trani 2021). A slot holds a 16-bit print of its key, so that a stranger costs a comparison once in 65,536.

/// Keys a bucket has on average. Rationale: 2 bytes of pilot for 4 keys, and a million keys still build in a second.
const BUCKET: usize = 4;

/// The number of an empty slot.
const EMPTY: u32 = u32::MAX;

/// Odd constants with well-mixed bits (the fractions of √2, √3 and √5).
const PILOT: u64 = 0x6a09_e667_f3bc_c909;
const PLACE: u64 = 0xbb67_ae85_84ca_a73b;
const SPREAD: u64 = 0x3c6e_f372_fe94_f82b;

/// From the hash of a key to its number.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct PerfectHash {
    /// One for each bucket.
    pilots: Vec<u16>,
    /// About 1.1 for each key; print and number apart, so that a miss touches two bytes.
    prints: Vec<u16>,
    /// The number of the key in each slot.
    numbers: Vec<u32>,
}

impl PerfectHash {
    /// Builds for distinct `hashes`; key `n` is the one with `hashes[n]`. `None` if two are equal, there are more than
    /// 2^31, or (never seen) a bucket has no pilot: then hash the keys with another seed.
    pub(super) fn build(hashes: &[u64]) -> Option<Self> {
        if hashes.is_empty() {
            return Some(Self::default());
        }
        if hashes.len() > 1 << 31 {
            return None;
        }
        let slots = hashes.len() + hashes.len() / 8 + 1;
        let mut built =
            Self { pilots: vec![0; hashes.len() / BUCKET + 1], prints: vec![0; slots], numbers: vec![EMPTY; slots] };
        let (order, starts) = built.buckets(hashes);
        let mut by_size: Vec<u32> = (0..built.pilots.len() as u32).collect();
        let keys = |bucket: u32| -> &[u32] {
            let span = starts.get(bucket as usize..bucket as usize + 2).unwrap_or(&[0, 0]);
            order.get(span[0] as usize..span[1] as usize).unwrap_or_default()
        };
        by_size.sort_by_key(|&bucket| std::cmp::Reverse(keys(bucket).len()));
        let mut places = Vec::new();
        for bucket in by_size {
            built.settle(bucket, keys(bucket), hashes, &mut places)?;
        }
        Some(built)
    }

    /// The number of the key that may have this hash. A key that was built in is always found; another passes once in
    /// 65,536, so the caller compares.
    pub(super) fn get(&self, hash: u64) -> Option<u32> {
        let pilot = *self.pilots.get(self.bucket(hash))?;
        let place = self.place(hash, pilot);
        if *self.prints.get(place)? != print(hash) {
            return None;
        }
        self.numbers.get(place).copied().filter(|&number| number != EMPTY)
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.pilots.capacity() * 2 + self.prints.capacity() * 2 + self.numbers.capacity() * 4
    }

    /// The keys' numbers sorted by bucket, and where each bucket begins.
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
            let slot = &mut next[self.bucket(hash)];
            order[*slot as usize] = number;
            *slot += 1;
        }
        (order, starts)
    }

    /// Finds the bucket's pilot and takes its slots.
    fn settle(&mut self, bucket: u32, keys: &[u32], hashes: &[u64], places: &mut Vec<usize>) -> Option<()> {
        let hash_of = |&number: &u32| hashes[number as usize];
        let pilot = (0..=u16::MAX).find(|&pilot| {
            places.clear();
            keys.iter().all(|number| {
                let place = self.place(hash_of(number), pilot);
                let free = self.numbers[place] == EMPTY && !places.contains(&place);
                places.push(place);
                free
            })
        })?;
        self.pilots[bucket as usize] = pilot;
        for number in keys {
            let place = self.place(hash_of(number), pilot);
            self.numbers[place] = *number;
            self.prints[place] = print(hash_of(number));
        }
        Some(())
    }

    /// The bucket of a hash: its high half, scaled (Lemire 2019).
    fn bucket(&self, hash: u64) -> usize {
        (((hash >> 32) * self.pilots.len() as u64) >> 32) as usize
    }

    /// The slot that a pilot sends a hash to.
    fn place(&self, hash: u64, pilot: u16) -> usize {
        let mixed = fold(hash ^ (u64::from(pilot) + 1).wrapping_mul(PILOT), PLACE);
        (((mixed >> 32) * self.prints.len() as u64) >> 32) as usize
    }
}

/// The print of a key: bits that its bucket does not use.
const fn print(hash: u64) -> u16 {
    hash as u16
}

/// Both halves of the 128-bit product, folded: every bit of the result depends on every bit of both.
pub(super) const fn fold(a: u64, b: u64) -> u64 {
    let product = (a ^ SPREAD) as u128 * (b as u128);
    (product >> 64) as u64 ^ product as u64
}

/// The hash of some bytes, with a seed and a constant that tells one use from another.
pub(super) fn hash_bytes(seed: u64, by: u64, bytes: &[u8]) -> u64 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let whole =
        chunks.iter().fold(seed ^ bytes.len() as u64, |hash, chunk| fold(hash ^ u64::from_le_bytes(*chunk), by));
    fold(whole ^ at_most_seven(rest), by)
}

/// Up to seven bytes as a number; different ones for different bytes, if there are equally many.
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
    fn finds_every_key_and_hardly_a_stranger() {
        for count in [0, 1, 2, 3, 7, 100, 1_000, 100_000] {
            let all = hashes(2 * count);
            let (keys, strangers) = all.split_at(count as usize);
            let table = PerfectHash::build(keys).unwrap();
            for (number, &hash) in keys.iter().enumerate() {
                assert_eq!(table.get(hash), Some(number as u32));
            }
            let passed = strangers.iter().filter(|&&hash| table.get(hash).is_some()).count() as u64;
            assert!(passed <= count / 10_000, "{passed} of {count}");
            assert!(table.memory() as u64 <= 8 * count + 64, "{} bytes for {count}", table.memory());
        }
    }

    #[test]
    fn refuses_equal_hashes() {
        assert!(PerfectHash::build(&[5, 6, 5]).is_none());
    }
}
