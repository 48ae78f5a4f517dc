//! Copies that a SPAN port makes of one and the same packet, as opposed to retransmissions: everything that the sender
//! wrote is equal, and they are at most a few milliseconds apart. MAC addresses, VLAN tags, TTL and tunnels may differ.

use std::time::Duration;

use siphasher::sip::SipHasher13;

use crate::segment::{Segment, Side};
use crate::time::Timestamp;

/// Rationale: mirrored copies leave a switch within microseconds to a millisecond; the shortest retransmission timers
/// are far above 5 ms.
const WINDOW: Duration = Duration::from_millis(5);

/// Places for prints. Rationale: ten gigabits of full packets in 5 ms are some 4,000; a shard sees a sixteenth.
const PLACES: usize = 1024;

/// The prints of the latest segments, one a place.
///
/// The hash has a fixed key: an attacker who steers prints onto one place only keeps copies from being recognised, and
/// then they count as retransmissions.
#[derive(Debug)]
pub(super) struct Duplicates {
    places: Vec<(u64, Timestamp)>,
}

impl Duplicates {
    pub(super) fn new() -> Self {
        Self { places: vec![(0, Timestamp::from_nanos(i64::MIN)); PLACES] }
    }

    /// Whether the same packet was seen just before. Remembers this one if not.
    pub(super) fn is_copy(&mut self, segment: &Segment<'_>) -> bool {
        let print = print(segment);
        let place = &mut self.places[print as usize % PLACES];
        let time = segment.head.time;
        if place.0 == print && time.since(place.1).max(place.1.since(time)) <= WINDOW {
            return true;
        }
        *place = (print, time);
        false
    }
}

fn print(segment: &Segment<'_>) -> u64 {
    let head = segment.head;
    let mut bytes = [0; 42 + 23];
    bytes[..42].copy_from_slice(&head.key.packed());
    bytes[42..46].copy_from_slice(&head.seq.0.to_be_bytes());
    bytes[46..50].copy_from_slice(&head.ack.0.to_be_bytes());
    bytes[50..54].copy_from_slice(&head.ip_id.to_be_bytes());
    bytes[54..58].copy_from_slice(&head.ip_len.to_be_bytes());
    bytes[58..60].copy_from_slice(&head.window.to_be_bytes());
    bytes[60..62].copy_from_slice(&head.checksum.to_be_bytes());
    bytes[62] = head.flags.0;
    bytes[63] = u8::from(head.side == Side::High);
    SipHasher13::new_with_keys(0x736d_7365_6e74_7279, 0x6475_706c_6963_6174).hash(&bytes)
}
