//! One direction of a flow: its position, its queued segments and the checks that a receiver makes. Does not handle the
//! handshake, which concerns both directions; see [`super::connection`].

use super::delivered_ring::RingRef;
use super::overlap::Extent;
use super::queue::{NewSegment, Queue};
use crate::segment::{Segment, Seq};
use crate::table::ALLOCATION;
use crate::time::Timestamp;

/// Bytes before and after the stream's position that a receiver could accept.
/// Rationale: the largest window that stacks scale to by default is 6 to 16 MiB (RFC 7323 allows 1 GiB).
const WINDOW: i64 = 16 << 20;

/// SYNs whose data is stored, at most. Rationale: as many as initial sequence numbers are kept by default.
const SYN_DATA: usize = 4;

/// One direction of a flow.
///
/// Stream offset 0 is the byte after the SYN, or the first byte seen. `next` is the offset of the first byte that was
/// not delivered, `next_seq` its sequence number.
#[derive(Debug, Default)]
pub(super) struct HalfStream {
    pub(super) next: u64,
    next_seq: Seq,
    /// Highest end of any byte seen.
    pub(super) highest: u64,
    /// Highest offset that the other direction acknowledged, at most `highest`.
    pub(super) acked: u64,
    timestamp: Option<u32>,
    pub(super) delivered: RingRef,
    pub(super) out_of_order: Option<Box<OutOfOrder>>,
    /// Whether the sequence number of offset 0 is known.
    pub(super) anchored: bool,
    /// Whether offset 0 may still move down: the direction was picked up in the middle, and everything is queued until
    /// its beginning is confirmed; see [`super::connection`].
    pub(super) provisional: bool,
    /// Whether the direction has not begun, and `next_seq` is the highest acknowledgment number of the other one.
    expects: bool,
    /// Whether a segment of this direction was seen.
    pub(super) seen: bool,
    /// Whether some segment had correct checksums.
    pub(super) checksum_proven: bool,
    /// Whether some segment had correct checksums in its IPv4 headers.
    pub(super) ip_checksum_proven: bool,
    /// Whether some segment was accepted in spite of a wrong checksum.
    pub(super) accepted_unproven: bool,
    /// Whether the other direction acknowledged the initial sequence number.
    pub(super) isn_acknowledged: bool,
    /// Whether the segment that began the direction had a timestamp option.
    pub(super) opened_with_timestamp: Option<bool>,
    /// Highest offset that the other direction acknowledged, unseen bytes and the FIN's number included.
    claimed: u64,
    /// Whether some accepted segment had no signature option.
    seen_unsigned: bool,
    /// Whether a FIN was seen, at any offset.
    pub(super) fin_seen: bool,
    /// Whether a FIN was reached in order: nothing follows.
    pub(super) ended: bool,
}

/// State that only a direction with out-of-order segments or an unusual handshake needs.
#[derive(Debug, Default)]
pub(super) struct OutOfOrder {
    pub(super) queue: Queue,
    /// Offset of a FIN that is ahead of the stream.
    pub(super) fin: Option<u64>,
    /// Offset of the urgent byte, which receivers read out of band (RFC 6093 section 2.2).
    urgent: Option<u64>,
    /// Other initial sequence numbers, from further SYNs.
    pub(super) candidates: Vec<Seq>,
    /// The latest other SYN: its initial sequence number, time and length on the wire.
    pub(super) latest_syn: Option<(Seq, Timestamp, u32)>,
    /// Segments with a wrong checksum, in order of arrival.
    pub(super) refused: Vec<RefusedSegment>,
    /// Initial sequence numbers and data of SYNs, until the SYN-ACK shows which was accepted (RFC 7413).
    pub(super) syn_data: Vec<(Seq, Vec<u8>)>,
    /// Time since when the first byte is missing.
    pub(super) hole_since: Timestamp,
    /// Whether a deadline is in its queue: for an unacknowledged hole, for an acknowledged hole.
    pub(super) armed: [bool; 2],
}

/// A segment that a receiver should drop for its checksum.
#[derive(Debug)]
pub(super) struct RefusedSegment {
    pub(super) seq: Seq,
    pub(super) ack: Seq,
    pub(super) bytes: Vec<u8>,
    pub(super) cut: u32,
    pub(super) wire_len: u32,
}

impl OutOfOrder {
    fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.fin.is_none()
            && self.urgent.is_none()
            && self.candidates.is_empty()
            && self.refused.is_empty()
            && self.syn_data.is_empty()
            && self.armed == [false; 2]
    }
}

/// The position of a segment's payload relative to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentPosition {
    /// Too far away for any window.
    OutOfWindow,
    /// All of it was delivered before.
    Old,
    /// One byte just before the stream's position: a keep-alive probe (RFC 9293 section 3.8.4).
    KeepAlive,
    /// It continues the stream; the first `old` bytes were delivered before.
    Next { old: usize },
    /// Bytes before it are missing.
    Ahead,
}

impl HalfStream {
    /// Sets offset 0 to `first`, the sequence number of the first byte.
    pub(super) fn anchor(&mut self, first: Seq) {
        self.anchored = true;
        (self.provisional, self.expects) = (false, false);
        self.next = 0;
        self.next_seq = first;
        self.highest = 0;
        self.acked = 0;
        self.claimed = 0;
    }

    /// Moves offset 0 down by `by` bytes (up if negative) before any data was delivered; what is queued keeps its
    /// sequence numbers.
    pub(super) fn shift(&mut self, by: i64) {
        self.next_seq = Seq(self.next_seq.0.wrapping_sub(by as u32));
        let moved = |offset: u64| offset.saturating_add_signed(by);
        (self.highest, self.acked, self.claimed) = (moved(self.highest), moved(self.acked), moved(self.claimed));
        if let Some(out_of_order) = &mut self.out_of_order {
            out_of_order.queue.shift(by);
            out_of_order.fin = out_of_order.fin.map(moved);
            out_of_order.urgent = out_of_order.urgent.map(moved);
        }
    }

    /// Stores an acknowledgment number that the other direction sent before this one began.
    pub(super) fn expect(&mut self, ack: Seq) {
        if !self.expects || ack.distance_from(self.next_seq) > 0 {
            (self.expects, self.next_seq) = (true, ack);
        }
    }

    /// Returns the sequence number that the other direction expects, if this one has not begun and it is known.
    pub(super) fn expected(&self) -> Option<Seq> {
        self.expects.then_some(self.next_seq)
    }

    /// Moves offset 0 to another sequence number before any data was seen; the previous one remains a candidate.
    pub(super) fn reanchor(&mut self, first: Seq, limit: usize) {
        let before = self.first_seq();
        self.anchor(first);
        self.add_candidate(Seq(before.0.wrapping_sub(1)), limit);
        self.clear_timestamp();
    }

    /// Returns the sequence number of offset 0.
    pub(super) fn first_seq(&self) -> Seq {
        Seq(self.next_seq.0.wrapping_sub(self.next as u32))
    }

    /// Returns whether a segment with this sequence number continues the stream.
    pub(super) fn continues_at(&self, seq: Seq) -> bool {
        self.next_seq == seq && self.anchored && !self.ended
    }

    /// Returns the stream offset of a sequence number; negative before the beginning.
    pub(super) fn offset(&self, seq: Seq) -> i64 {
        self.next.cast_signed() + i64::from(seq.distance_from(self.next_seq))
    }

    /// Returns the stream offset of an acknowledgment number that the other direction sent.
    pub(super) fn acknowledged(&self, ack: Seq) -> Option<u64> {
        self.anchored.then(|| u64::try_from(self.offset(ack)).unwrap_or(0))
    }

    /// Returns whether nothing was delivered and nothing is queued.
    pub(super) fn is_untouched(&self) -> bool {
        self.next == 0 && self.out_of_order.as_ref().is_none_or(|out_of_order| out_of_order.queue.is_empty())
    }

    /// Returns the position of `len` bytes at a stream offset, relative to the stream.
    pub(super) fn position(&self, offset: i64, len: usize) -> SegmentPosition {
        let next = self.next.cast_signed();
        let end = offset + len as i64;
        if offset - next > WINDOW || next - end > WINDOW {
            SegmentPosition::OutOfWindow
        } else if len == 1 && end == next {
            SegmentPosition::KeepAlive
        } else if end <= next {
            SegmentPosition::Old
        } else if offset <= next {
            SegmentPosition::Next { old: (next - offset) as usize }
        } else {
            SegmentPosition::Ahead
        }
    }

    /// Advances the stream's position.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.next += bytes;
        self.next_seq = self.next_seq.advance(bytes as u32);
        self.highest = self.highest.max(self.next);
    }

    /// Returns whether the timestamp option is older than the last one accepted in order.
    pub(super) fn is_stale(&self, segment: &Segment<'_>) -> bool {
        match (self.timestamp, segment.head.timestamp_value) {
            // Some stacks open with zero and count from elsewhere; Linux ignores such a value.
            // A segment before the first one seen may have an older value.
            (Some(last), Some(value)) if last != 0 && !self.provisional => {
                self.opened_with_timestamp != Some(false) && value.wrapping_sub(last).cast_signed() < 0
            }
            _ => false,
        }
    }

    /// Stores the timestamp option of a segment that a receiver accepts and that is not ahead of the stream. That of a
    /// refused segment must not count: it could make all later segments look old.
    pub(super) fn note_timestamp(&mut self, segment: &Segment<'_>) {
        if let Some(value) = segment.head.timestamp_value
            && self.offset(segment.head.seq) <= self.next.cast_signed()
        {
            self.timestamp = Some(value);
        }
    }

    /// Stores the timestamp option of the segment that begins the direction, or its absence.
    pub(super) fn note_opening(&mut self, segment: &Segment<'_>) {
        self.opened_with_timestamp = Some(segment.head.timestamp_value.is_some());
        self.timestamp = segment.head.timestamp_value;
    }

    /// Clears the timestamp: a new connection has a new timestamp clock.
    pub(super) fn clear_timestamp(&mut self) {
        self.timestamp = None;
        self.opened_with_timestamp = None;
    }

    /// Stores that the other direction acknowledged everything up to this offset.
    pub(super) fn note_claimed(&mut self, offset: u64) {
        if offset <= self.next.saturating_add(WINDOW as u64) {
            self.claimed = self.claimed.max(offset);
        }
    }

    /// Returns the number of bytes after the stream's position that were sent and not captured, as far as a FIN or the
    /// other direction's acknowledgments show.
    pub(super) fn missing(&self) -> u64 {
        let fin = self.out_of_order.as_ref().and_then(|out_of_order| out_of_order.fin);
        // The last number may be the FIN's own.
        let claimed = if self.ended { 0 } else { self.claimed.saturating_sub(1) };
        fin.unwrap_or(claimed).saturating_sub(self.next)
    }

    /// Frees the out-of-order state, but keeps which deadlines are in their queues.
    pub(super) fn clear_queued(&mut self) {
        let armed = self.armed();
        self.out_of_order = None;
        self.set_armed(armed);
    }

    /// Returns which deadlines are in their queues.
    pub(super) fn armed(&self) -> [bool; 2] {
        self.out_of_order.as_ref().map_or([false; 2], |out_of_order| out_of_order.armed)
    }

    /// Sets which deadlines are in their queues.
    pub(super) fn set_armed(&mut self, armed: [bool; 2]) {
        if armed != [false; 2] {
            self.out_of_order().armed = armed;
        }
    }

    /// Stores the data of a SYN; of several with the same initial sequence number the first.
    pub(super) fn store_syn_data(&mut self, isn: Seq, data: &[u8]) {
        let stored = &mut self.out_of_order().syn_data;
        if stored.len() < SYN_DATA && !stored.iter().any(|(other, _)| *other == isn) {
            stored.push((isn, data.to_vec()));
        }
    }

    /// Returns whether some segment had correct checksums: in its IPv4 headers if `header`, else its own.
    pub(super) fn is_proven(&self, header: bool) -> bool {
        if header { self.ip_checksum_proven } else { self.checksum_proven }
    }

    /// Returns whether the segment carries a signature (RFC 2385, RFC 5925) that the connection never agreed on.
    pub(super) fn is_wrongly_signed(&mut self, segment: &Segment<'_>) -> bool {
        if !segment.head.signed {
            self.seen_unsigned = true;
        }
        segment.head.signed && self.seen_unsigned
    }

    /// Returns the out-of-order state; creates it if there is none.
    pub(super) fn out_of_order(&mut self) -> &mut OutOfOrder {
        self.out_of_order.get_or_insert_default()
    }

    /// Frees the out-of-order state if it is idle.
    pub(super) fn free_if_idle(&mut self) {
        if self.out_of_order.as_ref().is_some_and(|out_of_order| out_of_order.is_idle()) {
            self.out_of_order = None;
        }
    }

    /// Returns the queue, if it is not empty.
    pub(super) fn queue(&self) -> Option<&Queue> {
        self.out_of_order.as_ref().map(|out_of_order| &out_of_order.queue).filter(|queue| !queue.is_empty())
    }

    /// Returns whether bytes are missing that the receiver has acknowledged: they can only arrive late. A segment that
    /// is queued for confirmation misses nothing.
    pub(super) fn misses_acknowledged_bytes(&self) -> bool {
        self.queue().and_then(Queue::first).is_some_and(|first| first > self.next && first <= self.acked)
    }

    /// Returns the memory of queued bytes.
    pub(super) fn queued_memory(&self) -> usize {
        self.queue().map_or(0, Queue::memory) + self.refused_memory()
    }

    /// Returns the memory of segments with a wrong checksum.
    pub(super) fn refused_memory(&self) -> usize {
        self.out_of_order.as_ref().map_or(0, |out_of_order| {
            let bytes: usize = out_of_order.refused.iter().map(|refused| refused.bytes.capacity() + ALLOCATION).sum();
            bytes + out_of_order.refused.capacity() * size_of::<RefusedSegment>()
        })
    }

    /// Returns the other heap memory of this direction.
    pub(super) fn heap_memory(&self) -> usize {
        self.out_of_order.as_ref().map_or(0, |out_of_order| {
            let syn_data: usize = out_of_order.syn_data.iter().map(|(_, data)| data.capacity()).sum();
            let entries = out_of_order.syn_data.capacity() * size_of::<(Seq, Vec<u8>)>();
            let allocations = ALLOCATION * (1 + usize::from(entries > 0) + out_of_order.syn_data.len());
            size_of::<OutOfOrder>()
                + out_of_order.candidates.capacity() * size_of::<Seq>()
                + entries
                + syn_data
                + allocations
        })
    }

    /// Sets the stream offset of the urgent byte, unless it was passed.
    pub(super) fn set_urgent(&mut self, offset: i64) {
        if let Ok(offset) = u64::try_from(offset)
            && offset >= self.next
        {
            // The pointer only moves forward (as in Linux).
            let urgent = &mut self.out_of_order().urgent;
            *urgent = Some(urgent.map_or(offset, |previous| previous.max(offset)));
        }
    }

    /// Returns the index of the urgent byte in the next `len` bytes, if it is there; clears it once it was passed.
    pub(super) fn take_urgent(&mut self, len: usize) -> Option<usize> {
        let out_of_order = self.out_of_order.as_mut()?;
        let urgent = out_of_order.urgent?;
        if urgent >= self.next.saturating_add(len as u64) {
            return None;
        }
        out_of_order.urgent = None;
        usize::try_from(urgent.checked_sub(self.next)?).ok()
    }

    /// Adds a candidate initial sequence number. Returns whether an older one was dropped for it.
    pub(super) fn add_candidate(&mut self, isn: Seq, limit: usize) -> bool {
        let candidates = &mut self.out_of_order().candidates;
        if candidates.contains(&isn) {
            return false;
        }
        let full = candidates.len() >= limit.max(1);
        if full {
            candidates.remove(0);
        }
        candidates.push(isn);
        full
    }

    /// Returns whether there are candidate initial sequence numbers.
    pub(super) fn has_candidates(&self) -> bool {
        self.out_of_order.as_ref().is_some_and(|out_of_order| !out_of_order.candidates.is_empty())
    }

    /// Returns whether the initial sequence number before `first` is a candidate.
    pub(super) fn is_candidate(&self, first: Seq) -> bool {
        self.out_of_order
            .as_ref()
            .is_some_and(|out_of_order| out_of_order.candidates.iter().any(|isn| isn.advance(1) == first))
    }

    /// Makes a segment for the queue, without the first `skip` bytes.
    pub(super) fn new_segment<'a>(
        offset: i64,
        payload: &'a [u8],
        skip: usize,
        cut: u32,
        ack: Seq,
        doubtful: bool,
    ) -> NewSegment<'a> {
        let sent = Extent { start: offset, end: offset + payload.len() as i64 };
        let start = u64::try_from(offset + skip as i64).unwrap_or(0);
        NewSegment { start, bytes: &payload[skip..], sent, ack, cut, doubtful }
    }
}
