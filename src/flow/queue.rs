//! The queue of out-of-order segments: pieces that do not overlap, in stream order, each with the extent of its
//! segment. Does not keep the stream's position; see [`super::half_stream`].

use std::collections::BTreeMap;

use super::overlap::{Extent, OverlapPolicy};
use crate::segment::Seq;

/// A queued part of a segment.
#[derive(Debug)]
pub(super) struct Piece {
    data: Vec<u8>,
    /// Bytes at the front of `data` that were given to another piece.
    skip: usize,
    sent: Extent,
    /// The segment's acknowledgment number.
    pub(super) ack: Seq,
    /// Bytes behind the piece that the capture cut off.
    pub(super) cut: u32,
    /// Whether the segment acknowledges bytes that were not seen: a server may have refused it. Held until confirmed.
    pub(super) doubtful: bool,
}

impl Piece {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[self.skip..]
    }

    fn end(&self, start: u64) -> u64 {
        start + self.bytes().len() as u64
    }
}

/// The pieces of one direction.
///
/// Invariants: pieces do not overlap and are not empty; `bytes` is the sum of their allocations.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: BTreeMap<u64, Piece>,
    bytes: usize,
}

/// The result of inserting a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inserted {
    /// Whether it shared bytes with queued ones.
    pub(super) overlap: bool,
    /// Whether shared bytes differed.
    pub(super) conflict: bool,
}

/// A segment to be inserted into the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewSegment<'a> {
    /// Stream offset of the first byte in `bytes`.
    pub(super) start: u64,
    pub(super) bytes: &'a [u8],
    pub(super) sent: Extent,
    pub(super) ack: Seq,
    pub(super) cut: u32,
    pub(super) doubtful: bool,
}

/// Memory that a piece takes beside its bytes. Rationale: nodes of the map are little more than half full if pieces
/// come in order, forwards or backwards, and an allocation costs 16 bytes and rounding.
pub(super) const PIECE_OVERHEAD: usize = 2 * (size_of::<u64>() + size_of::<Piece>()) + 24;

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Returns the number of bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.pieces.len() * PIECE_OVERHEAD
    }

    /// Returns the offset of the first queued byte.
    pub(super) fn first(&self) -> Option<u64> {
        self.pieces.keys().next().copied()
    }

    /// Removes and returns the first piece if it is due: it starts at or before `next` and is not doubtful.
    pub(super) fn pop_due(&mut self, next: u64) -> Option<(u64, Piece)> {
        let entry = self.pieces.first_entry()?;
        if *entry.key() > next || entry.get().doubtful {
            return None;
        }
        let (start, piece) = entry.remove_entry();
        self.bytes -= piece.data.capacity();
        Some((start, piece))
    }

    /// Marks all pieces that end at or before `acked` as not doubtful.
    pub(super) fn confirm(&mut self, acked: u64) {
        for (&start, piece) in self.pieces.range_mut(..acked) {
            if piece.end(start) <= acked {
                piece.doubtful = false;
            }
        }
    }

    /// Returns the bytes of the first piece, and whether it is a whole segment.
    pub(super) fn first_bytes(&self) -> Option<(&[u8], bool)> {
        let piece = self.pieces.values().next()?;
        Some((piece.bytes(), piece.sent.end - piece.sent.start == piece.bytes().len() as i64))
    }

    /// Removes the first piece.
    pub(super) fn remove_first(&mut self) {
        if let Some((_, piece)) = self.pieces.pop_first() {
            self.bytes -= piece.data.capacity();
        }
    }

    /// Returns whether a piece ends at this offset.
    pub(super) fn has_end(&self, offset: u64) -> bool {
        self.pieces.range(..offset).next_back().is_some_and(|(&start, piece)| piece.end(start) == offset)
    }

    /// Moves all pieces by `by`, which must not move one below offset 0.
    pub(super) fn shift(&mut self, by: i64) {
        let moved = std::mem::take(&mut self.pieces).into_iter().map(|(start, mut piece)| {
            piece.sent = Extent { start: piece.sent.start + by, end: piece.sent.end + by };
            (start.saturating_add_signed(by), piece)
        });
        self.pieces = moved.collect();
    }

    /// Marks the first piece as not doubtful.
    pub(super) fn confirm_first(&mut self) {
        if let Some(mut first) = self.pieces.first_entry() {
            first.get_mut().doubtful = false;
        }
    }

    /// Inserts a segment; where it overlaps queued pieces `policy` decides, and confirmed bytes win over doubtful ones.
    pub(super) fn insert(&mut self, segment: NewSegment<'_>, policy: OverlapPolicy) -> Inserted {
        let mut result = Inserted::default();
        let end = segment.start + segment.bytes.len() as u64;
        let mut at = segment.start;
        // The piece that starts before the segment may reach into it.
        if let Some((&start, piece)) = self.pieces.range(..segment.start).next_back()
            && piece.end(start) > segment.start
        {
            self.resolve_overlap(start, &segment, policy, &mut at, &mut result);
        }
        while at < end {
            let Some((&start, _)) = self.pieces.range(at..end).next() else { break };
            self.insert_range(&segment, at, start);
            at = start;
            self.resolve_overlap(start, &segment, policy, &mut at, &mut result);
        }
        self.insert_range(&segment, at, end);
        result
    }

    /// Resolves the overlap of the segment with the piece at `start`; `at` moves behind the resolved bytes.
    fn resolve_overlap(
        &mut self,
        start: u64,
        segment: &NewSegment<'_>,
        policy: OverlapPolicy,
        at: &mut u64,
        result: &mut Inserted,
    ) {
        let Some(mut old) = self.pieces.remove(&start) else { return };
        self.bytes -= old.data.capacity();
        let segment_end = segment.start + segment.bytes.len() as u64;
        let (from, to) = (start.max(segment.start), old.end(start).min(segment_end));
        let new_bytes = bytes_between(segment, from, to);
        result.overlap = true;
        result.conflict |= old.bytes()[(from - start) as usize..(to - start) as usize] != *new_bytes;
        let newer_wins = match (segment.doubtful, old.doubtful) {
            (false, true) => true,
            (true, false) => false,
            _ => policy.newer_wins(segment.sent, old.sent),
        };
        if !newer_wins {
            self.insert_piece(start, old);
            *at = to;
            return;
        }
        // The older piece keeps its bytes before and behind the overlap.
        if to < old.end(start) {
            let data = old.bytes()[(to - start) as usize..].to_vec();
            let tail = Piece { data, skip: 0, ..old };
            self.insert_piece(to, tail);
            old.cut = 0;
        }
        if start < from {
            old.data.truncate(old.skip + (from - start) as usize);
            old.cut = 0;
            self.insert_piece(start, old);
        }
        self.insert_range(segment, from, to);
        *at = to;
    }

    /// Inserts the segment's bytes between two stream offsets.
    fn insert_range(&mut self, segment: &NewSegment<'_>, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let last = to == segment.start + segment.bytes.len() as u64;
        let piece = Piece {
            data: bytes_between(segment, from, to).to_vec(),
            skip: 0,
            sent: segment.sent,
            ack: segment.ack,
            cut: if last { segment.cut } else { 0 },
            doubtful: segment.doubtful,
        };
        self.insert_piece(from, piece);
    }

    fn insert_piece(&mut self, start: u64, piece: Piece) {
        self.bytes += piece.data.capacity();
        self.pieces.insert(start, piece);
    }
}

fn bytes_between<'a>(segment: &NewSegment<'a>, from: u64, to: u64) -> &'a [u8] {
    &segment.bytes[(from - segment.start) as usize..(to - segment.start) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with a map from offset to byte, for every policy.
    #[test]
    fn agrees_with_a_byte_map() {
        let mut random: u64 = 7;
        let mut roll = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        for round in 0..2000 {
            let policy = OverlapPolicy::NAMES[round % 6].1;
            let mut queue = Queue::default();
            let mut model: BTreeMap<u64, (u8, Extent)> = BTreeMap::new();
            for _ in 0..12 {
                let (start, len) = (roll(40), 1 + roll(20));
                let bytes: Vec<u8> = (0..len).map(|_| roll(3) as u8).collect();
                let sent = Extent { start: start as i64, end: (start + len) as i64 };
                let segment = NewSegment { start, bytes: &bytes, sent, ack: Seq(0), cut: 0, doubtful: false };
                let inserted = queue.insert(segment, policy);
                let (mut overlap, mut conflict) = (false, false);
                for (at, &byte) in (start..).zip(&bytes) {
                    if let Some(&(old, older)) = model.get(&at) {
                        overlap = true;
                        conflict |= old != byte;
                        if !policy.newer_wins(sent, older) {
                            continue;
                        }
                    }
                    model.insert(at, (byte, sent));
                }
                assert_eq!((inserted.overlap, inserted.conflict), (overlap, conflict));
            }
            let mut found = BTreeMap::new();
            while let Some((start, piece)) = queue.pop_due(u64::MAX) {
                found.extend((start..).zip(piece.bytes().iter().copied()));
            }
            assert_eq!(found, model.into_iter().map(|(at, (byte, _))| (at, byte)).collect());
            assert_eq!(queue.memory(), 0);
        }
    }
}
