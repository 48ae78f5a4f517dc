//! Copies that a SPAN port makes of one and the same packet, as opposed to retransmissions: everything that the sender
//! wrote is equal, and they are at most a few milliseconds apart. MAC addresses, VLAN tags, TTL and tunnels may differ.

use std::time::Duration;

use crate::segment::{Segment, Side};
use crate::time::Timestamp;

/// Rationale: mirrored copies leave a switch within microseconds to a millisecond; the shortest retransmission timers
/// are far above 5 ms.
const WINDOW: Duration = Duration::from_millis(5);

/// Places for prints. Rationale: ten gigabits of full packets in 5 ms are some 4,000; a shard sees a sixteenth.
const PLACES: usize = 1024;

/// The prints of the latest segments, one a place.
///
/// The hash has fixed keys: an attacker who steers prints onto one place only keeps copies from being recognised, and
/// then they count as retransmissions.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// Empty until the first segment: most shards of a small capture see none.
    places: Vec<(u64, Timestamp)>,
}

impl Duplicates {
    /// Whether the same packet was seen just before. Remembers this one if not.
    pub(super) fn is_copy(&mut self, segment: &Segment<'_>) -> bool {
        if self.places.is_empty() {
            self.places = vec![(0, Timestamp::from_nanos(i64::MIN)); PLACES];
        }
        let print = print(segment);
        let place = &mut self.places[(print >> 32) as usize % PLACES];
        let time = segment.head.time;
        if place.0 == print && time.since(place.1).max(place.1.since(time)) <= WINDOW {
            return true;
        }
        *place = (print, time);
        false
    }
}

/// Odd constants without a pattern: the fractional parts of the square roots of the first primes, made odd.
const FACTORS: [u64; 9] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
    0xcbbb_9d5d_c105_9ed9,
];

/// All that the sender wrote, in 64 bits: a multilinear hash (Lemire & Kaser, "Strongly universal string hashing is
/// fast", 2014) with a last mix. The multiplications do not wait for each other, which matters once a packet.
fn print(segment: &Segment<'_>) -> u64 {
    let head = segment.head;
    let packed = head.key.packed();
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| packed[at + byte]));
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let words = [
        word(0),
        word(8),
        word(16),
        word(24),
        word(32),
        pair(head.seq.0, head.ack.0),
        pair(head.ip_id, head.ip_len),
        pair(u32::from(head.window) << 16 | u32::from(head.checksum), u32::from(head.flags.0)),
        u64::from(head.side == Side::High) << 16 | u64::from(packed[40]) << 8 | u64::from(packed[41]),
    ];
    let sum = words.into_iter().zip(FACTORS).fold(0_u64, |sum, (word, factor)| {
        let wide = u128::from(word ^ factor) * u128::from(factor.rotate_left(29) | 1);
        sum.wrapping_add(wide as u64 ^ (wide >> 64) as u64)
    });
    (sum ^ sum >> 29).wrapping_mul(FACTORS[0])
}
