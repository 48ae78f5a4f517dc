//! Decodes fragments of a few datagrams.

use std::collections::HashMap;

use smsentry::decode::{BlockExtras, Decoder, Limits, Options};
use smsentry::packet::{Link, Packet};
use smsentry::time::Timestamp;

use super::packet::Choices;

/// A fragment: bytes `offset..offset + data.len()` of a datagram's payload.
struct Fragment {
    v6: bool,
    id: u8,
    offset: usize,
    more: bool,
    data: Vec<u8>,
}

impl Fragment {
    /// The IP packet, with a correct header checksum.
    fn packet(&self) -> Vec<u8> {
        let mut packet = Vec::new();
        if self.v6 {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend((self.data.len() as u16 + 8).to_be_bytes());
            packet.extend([44, 64]);
            packet.extend([[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]; 2].concat());
            let place = self.offset as u16 & !7 | u16::from(self.more);
            packet.extend([6, 0]);
            packet.extend(place.to_be_bytes());
            packet.extend([0, 0, 0, self.id]);
        } else {
            let place = (self.offset / 8) as u16 | u16::from(self.more) << 13;
            packet.extend([0x45, 0]);
            packet.extend((self.data.len() as u16 + 20).to_be_bytes());
            packet.extend([0, self.id]);
            packet.extend(place.to_be_bytes());
            packet.extend([64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
            let mut sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
            sum = (sum & 0xffff) + (sum >> 16);
            sum = (sum & 0xffff) + (sum >> 16);
            packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        }
        packet.extend(&self.data);
        packet
    }
}

/// The parts of a datagram that were sent: offsets and bytes.
type Pieces = Vec<(usize, Vec<u8>)>;

/// A byte of a datagram in a well-formed script.
fn content(id: u8, at: usize) -> u8 {
    match at {
        // A TCP header without options.
        12 => 0x50,
        _ => (at as u8).wrapping_mul(31).wrapping_add(id).wrapping_add((at >> 8) as u8),
    }
}

/// The input is a list of fragments. Checks that no datagram is reassembled that was not sent, byte for byte, and none
/// from two rounds of an id that are a timeout apart; that well-formed fragments without partial overlaps yield the
/// datagram as soon as the last one arrives; and that memory stays within the limit.
pub fn defrag(data: &[u8]) {
    let mut choices = Choices::new(data);
    let bits = choices.byte();
    let honest = bits & 1 == 0;
    let tiny = Limits { fragment_bytes: 1024, datagrams: 2, fragments_per_datagram: 4, ..Limits::default() };
    let limits = if bits & 2 != 0 { tiny } else { Limits::default() };
    let options = Options { limits, ..Options::default() };
    let mut decoder = Decoder::new(options, [3, 4]);
    let mut sent: HashMap<(bool, u8), Pieces> = HashMap::new();
    let mut honestly: HashMap<(bool, u8), Reference> = HashMap::new();
    let mut clock = Timestamp::ZERO;
    let mut number = 0;
    while !choices.is_empty() && number < 400 {
        number += 1;
        let Some(fragment) = choose(&mut choices, honest, &mut clock) else { continue };
        let key = (fragment.v6, fragment.id);
        sent.entry(key).or_default().push((fragment.offset, fragment.data.clone()));
        let packet = fragment.packet();
        let frame = Packet {
            number,
            frame: number,
            time: clock,
            link: Link::RawIp,
            wire_len: packet.len() as u32,
            bytes: &packet,
        };
        let mut extras = BlockExtras::default();
        let result = decoder.decode(&frame, clock, 0, &mut extras);
        assert!(decoder.defrag_memory() <= limits.fragment_bytes, "{} bytes", decoder.defrag_memory());
        assert!(extras.reassembled.len() <= 1);
        let whole = extras.reassembled.first();
        if let Some(whole) = whole {
            assert!(whole.len() <= 65_535);
            was_sent(whole, &sent[&key]);
        }
        if honest && bits & 2 == 0 {
            let expected = honestly.entry(key).or_insert_with(|| Reference::new(key.1)).add(&fragment, clock);
            if let Some(expected) = expected {
                let unfragmented = fragment.offset == 0 && !fragment.more;
                assert!(
                    unfragmented || whole.is_some_and(|whole| **whole == *expected),
                    "{key:?} is not put together: {result:?}"
                );
                assert!(result.is_ok());
            } else {
                assert!(whole.is_none(), "put together before it was whole");
            }
        }
    }
    decoder.clear();
    assert_eq!(decoder.defrag_memory(), 0);
}

/// Chooses the next fragment, or a pause.
fn choose(choices: &mut Choices<'_>, honest: bool, clock: &mut Timestamp) -> Option<Fragment> {
    let kind = choices.byte();
    if kind & 0x80 != 0 {
        *clock = clock.after(std::time::Duration::from_millis(u64::from(choices.half())));
        return None;
    }
    let (v6, id) = (kind & 1 != 0, (kind >> 1) & 3);
    let place = choices.half();
    if honest {
        // Five pieces at most, of the length that belongs to the id, large enough for a TCP header; the last one is
        // odd.
        let unit = 8 * (3 + usize::from(id) * 5);
        let pieces = 2 + usize::from(id);
        let piece = usize::from(place) % pieces;
        let more = piece + 1 < pieces;
        let len = if more { unit } else { unit - 3 };
        let data = (0..len).map(|at| content(id, piece * unit + at)).collect();
        return Some(Fragment { v6, id, offset: piece * unit, more, data });
    }
    let len = usize::from(choices.byte()) * if kind & 0x40 != 0 { 8 } else { 1 };
    let fill = choices.byte();
    let scale = if kind & 0x20 != 0 { 256 } else { 1 };
    let offset = (usize::from(place & 0x1fff) * 8 / scale) & !7;
    let mut data = vec![fill; len];
    let given = choices.bytes(len.min(4));
    data[..given.len()].copy_from_slice(given);
    Some(Fragment { v6, id, offset, more: place & 0x8000 != 0, data })
}

/// Checks that every byte of a datagram was sent at its offset.
fn was_sent(whole: &[u8], sent: &[(usize, Vec<u8>)]) {
    let mut explained = vec![false; whole.len()];
    for (offset, data) in sent {
        for (at, byte) in (*offset..).zip(data) {
            if let Some(explained) = explained.get_mut(at) {
                *explained |= whole[at] == *byte;
            }
        }
    }
    assert!(explained.iter().all(|&it| it), "a byte that was not sent at this offset");
}

/// The reference: reassembles well-formed fragments.
struct Reference {
    have: [bool; 8],
    pieces: usize,
    unit: usize,
    id: u8,
    since: Option<Timestamp>,
}

impl Reference {
    fn new(id: u8) -> Self {
        Self { have: [false; 8], pieces: 2 + usize::from(id), unit: 8 * (3 + usize::from(id) * 5), id, since: None }
    }

    /// Returns the datagram if this piece completes it.
    fn add(&mut self, fragment: &Fragment, clock: Timestamp) -> Option<Vec<u8>> {
        let timeout = std::time::Duration::from_secs(if fragment.v6 { 60 } else { 30 });
        if self.since.is_some_and(|since| since.after(timeout) <= clock) {
            self.have = [false; 8];
            self.since = None;
        }
        self.since = self.since.or(Some(clock));
        self.have[fragment.offset / self.unit] = true;
        if !self.have[..self.pieces].iter().all(|&have| have) {
            return None;
        }
        self.have = [false; 8];
        self.since = None;
        Some((0..self.pieces * self.unit - 3).map(|at| content(self.id, at)).collect())
    }
}
