//! Copies that a SPAN port makes of one and the same packet, as opposed to retransmissions: everything that the sender
//! wrote is equal, and they are at most a few milliseconds apart. MAC addresses, VLAN tags, TTL and tunnels may differ.

use crate::segment::{Segment, Side};

/// In microseconds. Rationale: mirrored copies leave a switch within microseconds to a millisecond; the shortest
/// retransmission timers are far above 5 ms.
const WINDOW: u32 = 5000;

/// Places for prints. Rationale: ten gigabits of full packets in 5 ms are some 4,000; a shard sees a sixteenth. More
/// places would not stay in the cache.
const PLACES: usize = 256;

/// The prints of the latest segments, one a place.
///
/// The hash has fixed keys: an attacker who steers prints onto one place only keeps copies from being recognised, and
/// then they count as retransmissions.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// Empty until the first segment: most shards of a small capture see none.
    places: Vec<Place>,
}

/// A print and when it was made, in microseconds modulo 2^32.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    print: u32,
    micros: u32,
}

impl Duplicates {
    /// Whether the same packet was seen just before. Remembers this one if not.
    pub(super) fn is_copy(&mut self, segment: &Segment<'_>) -> bool {
        let micros = segment.head.time.micros() as u32;
        if self.places.is_empty() {
            // Nothing that was seen just before.
            self.places = vec![Place { print: 0, micros: micros.wrapping_add(1 << 31) }; PLACES];
        }
        let hash = hash(segment);
        let print = hash as u32;
        let place = &mut self.places[(hash >> 32) as usize % PLACES];
        let distance = micros.wrapping_sub(place.micros).cast_signed().unsigned_abs();
        if place.print == print && distance <= WINDOW {
            return true;
        }
        *place = Place { print, micros };
        false
    }
}

/// Constants without a pattern: the fractional parts of the square roots of the first primes, made odd.
const FACTORS: [u64; 3] = [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b];

/// All that the sender wrote, in 64 bits; the addresses by the flow's hash and by the checksum, which covers them.
fn hash(segment: &Segment<'_>) -> u64 {
    let head = segment.head;
    let [one, two, three] = FACTORS;
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let side = u32::from(head.side == Side::High) << 8;
    let numbers = pair(head.seq.0, head.ack.0).wrapping_mul(one);
    let packet = pair(head.ip_id, head.ip_len).wrapping_mul(two);
    let rest = pair(u32::from(head.window) << 16 | u32::from(head.checksum), side | u32::from(head.flags.0));
    let sum = head.flow_hash ^ numbers.wrapping_add(packet).wrapping_add(rest.wrapping_mul(three));
    (sum ^ sum >> 32).wrapping_mul(one)
}
