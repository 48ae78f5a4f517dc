//! Detects duplicates that a SPAN port makes of one packet, as opposed to retransmissions: all fields that the sender
//! wrote are equal, and the two are at most a few milliseconds apart. MAC addresses, VLAN tags, TTL and tunnels may
//! differ.

use crate::segment::{Segment, Side};
use crate::table::Slot;

/// Largest time between duplicates, in ticks of 1,024 ns: 5 ms. Rationale: mirrored copies leave a switch within
/// microseconds to a millisecond; the shortest retransmission timers are far above 5 ms.
const MAX_DISTANCE: u32 = 4883;

/// Packets kept. Rationale: ten gigabits of full packets in 5 ms are some 4,000; a shard sees a sixteenth. More entries
/// would not stay in the cache.
const ENTRIES: usize = 256;

/// The latest packets, in a direct-mapped cache.
///
/// An attacker may choose which entry a packet takes: then duplicates are not detected, and count as retransmissions.
/// An attacker must not be able to make a packet a duplicate, or a packet that servers ignore could hide the one behind
/// it; so all fields are compared, not a hash of them.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// Empty until the first segment: most shards of a small capture see none.
    packets: Vec<SeenPacket>,
    /// Eight bits of each packet's hash. Rationale: they stay in the first-level cache, where the packets do not; an
    /// entry whose tag differs is overwritten without being read.
    tags: Vec<u8>,
}

/// The fields written by the sender that distinguish packets; the time, in ticks modulo 2^32; and the flow.
#[derive(Clone, Copy, Debug)]
struct SeenPacket {
    flow: Slot,
    sender_fields: [u64; 3],
    ticks: u32,
}

impl Duplicates {
    /// Returns whether the same packet of this flow was seen just before. Stores this one if not.
    pub(super) fn is_duplicate(&mut self, flow: Slot, segment: &Segment<'_>) -> bool {
        let packet =
            SeenPacket { flow, sender_fields: sender_fields(segment), ticks: (segment.head.time.nanos() >> 10) as u32 };
        if self.packets.is_empty() {
            self.packets = vec![SeenPacket::empty(flow); ENTRIES];
            self.tags = vec![0; ENTRIES];
        }
        let (index, tag) = index_and_tag(segment.head.flow_hash, packet.sender_fields);
        if self.tags[index] == tag && self.packets[index].is_same(&packet) {
            return true;
        }
        self.tags[index] = tag;
        // Field by field: a copy of the whole struct would be read back just after it was assembled, which stalls.
        let SeenPacket { flow, sender_fields, ticks } = &mut self.packets[index];
        (*flow, *sender_fields, *ticks) = (packet.flow, packet.sender_fields, packet.ticks);
        false
    }
}

impl SeenPacket {
    /// Returns an empty entry, which equals no packet: flags have no bits above the eighth and sides are two.
    const fn empty(flow: Slot) -> Self {
        Self { flow, sender_fields: [u64::MAX; 3], ticks: 0 }
    }

    fn is_same(&self, other: &Self) -> bool {
        let distance = self.ticks.wrapping_sub(other.ticks).cast_signed().unsigned_abs();
        self.sender_fields == other.sender_fields && self.flow == other.flow && distance <= MAX_DISTANCE
    }
}

fn sender_fields(segment: &Segment<'_>) -> [u64; 3] {
    let head = segment.head;
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let side = u32::from(head.side == Side::High) << 8;
    let window = u32::from(head.window) << 16 | u32::from(head.checksum);
    [pair(head.seq.0, head.ack.0), pair(head.ip_id, head.ip_len), pair(window, side | u32::from(head.flags.0))]
}

/// Returns the index of a packet's entry, and its tag.
fn index_and_tag(flow_hash: u64, sender_fields: [u64; 3]) -> (usize, u8) {
    /// Constants without a pattern: the fractional parts of the square roots of the first primes, made odd.
    const FACTORS: [u64; 3] = [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b];
    let products = sender_fields.into_iter().zip(FACTORS).map(|(word, factor)| word.wrapping_mul(factor));
    let sum = flow_hash ^ products.fold(0, u64::wrapping_add);
    let hash = (sum ^ sum >> 32).wrapping_mul(FACTORS[0]);
    ((hash >> 32) as usize % ENTRIES, (hash >> 56) as u8)
}
