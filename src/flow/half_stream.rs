//! One direction of a flow: where its stream stands, what waits, and what a receiver would have refused. Not the
//! handshake, which concerns both directions: see [`super::connection`].

use super::delivered_ring::RingRef;
use super::overlap::Extent;
use super::queue::{NewSegment, Queue};
use crate::segment::{Segment, Seq};
use crate::table::ALLOCATION;
use crate::time::Timestamp;

/// Bytes before and behind the stream's position that a receiver could accept.
/// Rationale: the largest window that stacks scale to by default is 6 to 16 MiB (RFC 7323 allows 1 GiB).
const WINDOW: i64 = 16 << 20;

/// SYNs of which the data is kept. Rationale: as many initial sequence numbers as are remembered by default.
const SYN_DATA: usize = 4;

/// One direction.
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
    /// The stream's place among sequence numbers is known.
    pub(super) anchored: bool,
    /// A segment of this direction was seen.
    pub(super) seen: bool,
    /// Some segment had right checksums.
    pub(super) checksum_proven: bool,
    /// Some segment had right checksums in the IPv4 headers around it.
    pub(super) ip_checksum_proven: bool,
    /// Some segment was taken in spite of a wrong checksum.
    pub(super) accepted_unproven: bool,
    /// The other direction acknowledged its initial sequence number.
    pub(super) isn_acknowledged: bool,
    /// Whether the segment that began the direction had a timestamp option.
    pub(super) opened_with_timestamp: Option<bool>,
    /// Highest offset that the other direction claimed to have, unseen bytes and the FIN's number included.
    claimed: u64,
    /// Some accepted segment came without a signature option.
    seen_unsigned: bool,
    /// A FIN was seen, wherever it stood.
    pub(super) fin_seen: bool,
    /// A FIN was reached in order: nothing follows.
    pub(super) ended: bool,
}

/// What only a direction in out_of_order needs.
#[derive(Debug, Default)]
pub(super) struct OutOfOrder {
    pub(super) queue: Queue,
    /// Offset of a FIN that is ahead of the stream.
    pub(super) fin: Option<u64>,
    /// Offset of the urgent byte, which receivers read out of band (RFC 6093 section 2.2).
    urgent: Option<u64>,
    /// Other initial sequence numbers that SYNs offered.
    pub(super) candidates: Vec<Seq>,
    /// The latest other SYN: its initial sequence number, time and length on the wire.
    pub(super) latest_syn: Option<(Seq, Timestamp, u32)>,
    /// Initial sequence numbers and data of SYNs, until the answer says whose was taken (RFC 7413).
    pub(super) syn_data: Vec<(Seq, Vec<u8>)>,
    /// Since when the first byte is missing.
    pub(super) hole_since: Timestamp,
    /// Which deadlines are in their queues: unacknowledged hole, acknowledged hole.
    pub(super) armed: [bool; 2],
}

impl OutOfOrder {
    fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.fin.is_none()
            && self.urgent.is_none()
            && self.candidates.is_empty()
            && self.syn_data.is_empty()
            && self.armed == [false; 2]
    }
}

/// Where a segment's payload stands relative to the stream.
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
    /// Puts offset 0 at `first`, the sequence number of the first byte.
    pub(super) fn anchor(&mut self, first: Seq) {
        self.anchored = true;
        self.next = 0;
        self.next_seq = first;
        self.highest = 0;
        self.acked = 0;
        self.claimed = 0;
    }

    /// Puts offset 0 elsewhere before anything was carried; the former place stays possible.
    pub(super) fn reanchor(&mut self, first: Seq, limit: usize) {
        let before = self.first_seq();
        self.anchor(first);
        self.add_candidate(Seq(before.0.wrapping_sub(1)), limit);
        self.clear_timestamp();
    }

    /// The sequence number of offset 0.
    pub(super) fn first_seq(&self) -> Seq {
        Seq(self.next_seq.0.wrapping_sub(self.next as u32))
    }

    /// Whether a segment with this sequence number stands where the stream goes on.
    pub(super) fn continues_at(&self, seq: Seq) -> bool {
        self.next_seq == seq && self.anchored && !self.ended
    }

    /// The stream offset of a sequence number; negative before the beginning.
    pub(super) fn offset(&self, seq: Seq) -> i64 {
        self.next.cast_signed() + i64::from(seq.distance_from(self.next_seq))
    }

    /// The stream offset that an acknowledgment number of the other direction stands for.
    pub(super) fn acknowledged(&self, ack: Seq) -> Option<u64> {
        self.anchored.then(|| u64::try_from(self.offset(ack)).unwrap_or(0))
    }

    /// Whether nothing was delivered and nothing waits.
    pub(super) fn is_untouched(&self) -> bool {
        self.next == 0 && self.out_of_order.as_ref().is_none_or(|out_of_order| out_of_order.queue.is_empty())
    }

    pub(super) fn position(&self, offset: i64, len: usize) -> SegmentPosition {
        let next = self.next.cast_signed();
        let end = offset + len as i64;
        if offset - next > WINDOW || next - end > WINDOW {
            SegmentPosition::OutOfWindow
        } else if len == 1 && end == next && next > 0 {
            SegmentPosition::KeepAlive
        } else if end <= next {
            SegmentPosition::Old
        } else if offset <= next {
            SegmentPosition::Next { old: (next - offset) as usize }
        } else {
            SegmentPosition::Ahead
        }
    }

    /// Moves the stream's position.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.next += bytes;
        self.next_seq = self.next_seq.advance(bytes as u32);
        self.highest = self.highest.max(self.next);
    }

    /// Whether the timestamp option is older than the last one accepted in order.
    pub(super) fn is_stale(&self, segment: &Segment<'_>) -> bool {
        match (self.timestamp, segment.head.timestamp_value) {
            // Some stacks open with zero and count from elsewhere; Linux does not look at such a value.
            (Some(last), Some(value)) if last != 0 => {
                self.opened_with_timestamp != Some(false) && value.wrapping_sub(last).cast_signed() < 0
            }
            _ => false,
        }
    }

    /// Remembers the timestamp option of a segment that a receiver accepts and that is not ahead of the stream. One
    /// that is refused must not count: it could make all that follow look old.
    pub(super) fn note_timestamp(&mut self, segment: &Segment<'_>) {
        if let Some(value) = segment.head.timestamp_value
            && self.offset(segment.head.seq) <= self.next.cast_signed()
        {
            self.timestamp = Some(value);
        }
    }

    /// Remembers the timestamp option of the segment that begins the direction, or that there is none.
    pub(super) fn note_opening(&mut self, segment: &Segment<'_>) {
        self.opened_with_timestamp = Some(segment.head.timestamp_value.is_some());
        self.timestamp = segment.head.timestamp_value;
    }

    /// Forgets the timestamp: a new connection has a new clock.
    pub(super) fn clear_timestamp(&mut self) {
        self.timestamp = None;
        self.opened_with_timestamp = None;
    }

    /// The other direction says that it has everything up to this offset.
    pub(super) fn note_claimed(&mut self, offset: u64) {
        if offset <= self.next.saturating_add(WINDOW as u64) {
            self.claimed = self.claimed.max(offset);
        }
    }

    /// Bytes behind the stream's position that were sent and not captured, as far as a FIN or the other direction's
    /// acknowledgments tell.
    pub(super) fn missing(&self) -> u64 {
        let fin = self.out_of_order.as_ref().and_then(|out_of_order| out_of_order.fin);
        // The last number may be the FIN's own.
        let claimed = if self.ended { 0 } else { self.claimed.saturating_sub(1) };
        fin.unwrap_or(claimed).saturating_sub(self.next)
    }

    /// Frees what waits; deadlines that are in their queues stay known.
    pub(super) fn clear_queued(&mut self) {
        let armed = self.armed();
        self.out_of_order = None;
        self.set_armed(armed);
    }

    /// Which deadlines are in their queues.
    pub(super) fn armed(&self) -> [bool; 2] {
        self.out_of_order.as_ref().map_or([false; 2], |out_of_order| out_of_order.armed)
    }

    /// Takes over which deadlines are in their queues.
    pub(super) fn set_armed(&mut self, armed: [bool; 2]) {
        if armed != [false; 2] {
            self.out_of_order().armed = armed;
        }
    }

    /// Keeps the data of a SYN; of several with the same initial sequence number the first.
    pub(super) fn store_syn_data(&mut self, isn: Seq, data: &[u8]) {
        let kept = &mut self.out_of_order().syn_data;
        if kept.len() < SYN_DATA && !kept.iter().any(|(other, _)| *other == isn) {
            kept.push((isn, data.to_vec()));
        }
    }

    /// Whether the segment carries a signature (RFC 2385, RFC 5925) that the connection never agreed on.
    pub(super) fn is_wrongly_signed(&mut self, segment: &Segment<'_>) -> bool {
        if !segment.head.signed {
            self.seen_unsigned = true;
        }
        segment.head.signed && self.seen_unsigned
    }

    pub(super) fn out_of_order(&mut self) -> &mut OutOfOrder {
        self.out_of_order.get_or_insert_default()
    }

    /// Frees the out_of_order's memory when there is none left.
    pub(super) fn free_if_idle(&mut self) {
        if self.out_of_order.as_ref().is_some_and(|out_of_order| out_of_order.is_idle()) {
            self.out_of_order = None;
        }
    }

    pub(super) fn queue(&self) -> Option<&Queue> {
        self.out_of_order.as_ref().map(|out_of_order| &out_of_order.queue).filter(|queue| !queue.is_empty())
    }

    /// Whether bytes are missing that the receiver has acknowledged: they can only come late. A segment that waits for
    /// confirmation misses nothing.
    pub(super) fn misses_acknowledged_bytes(&self) -> bool {
        self.queue().and_then(Queue::first).is_some_and(|first| first > self.next && first <= self.acked)
    }

    /// Memory of waiting bytes.
    pub(super) fn queued_memory(&self) -> usize {
        self.queue().map_or(0, Queue::memory)
    }

    /// Memory of what else waits on the heap.
    pub(super) fn heap_memory(&self) -> usize {
        self.out_of_order.as_ref().map_or(0, |out_of_order| {
            let syn_data: usize = out_of_order.syn_data.iter().map(|(_, data)| data.capacity()).sum();
            let entries = out_of_order.syn_data.capacity() * size_of::<(Seq, Vec<u8>)>();
            let allocations = ALLOCATION * (1 + usize::from(entries > 0) + out_of_order.syn_data.len());
            size_of::<OutOfOrder>() + out_of_order.candidates.capacity() * size_of::<Seq>() + entries + syn_data + allocations
        })
    }

    pub(super) fn set_urgent(&mut self, offset: i64) {
        if let Ok(offset) = u64::try_from(offset)
            && offset >= self.next
        {
            // A pointer moves forward only (as in Linux).
            let urgent = &mut self.out_of_order().urgent;
            *urgent = Some(urgent.map_or(offset, |known| known.max(offset)));
        }
    }

    /// Where in the next `len` bytes the urgent byte stands, if it does; forgets it once it was passed.
    pub(super) fn take_urgent(&mut self, len: usize) -> Option<usize> {
        let out_of_order = self.out_of_order.as_mut()?;
        let urgent = out_of_order.urgent?;
        if urgent >= self.next.saturating_add(len as u64) {
            return None;
        }
        out_of_order.urgent = None;
        usize::try_from(urgent.checked_sub(self.next)?).ok()
    }

    /// Offers another initial sequence number. Says whether an older one was dropped for it.
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

    /// Whether a SYN offered the initial sequence number before `first`.
    pub(super) fn is_candidate(&self, first: Seq) -> bool {
        self.out_of_order.as_ref().is_some_and(|out_of_order| out_of_order.candidates.iter().any(|isn| isn.advance(1) == first))
    }

    /// The segment as an arrival for the queue; `skip` bytes at its front are not wanted.
    pub(super) fn new_segment<'a>(
        offset: i64,
        payload: &'a [u8],
        skip: usize,
        cut: u32,
        acked: Option<u64>,
        doubtful: bool,
    ) -> NewSegment<'a> {
        let sent = Extent { start: offset, end: offset + payload.len() as i64 };
        let start = u64::try_from(offset + skip as i64).unwrap_or(0);
        NewSegment { start, bytes: &payload[skip..], sent, acked, cut, doubtful }
    }
}
