//! Delivers payload to the listener, queues or discards it, and gives up holes. Does not decide whether a segment is
//! acceptable; see [`super`].

use super::{Connection, FlowContext};
use crate::flow::deadline::Hole;
use crate::flow::half_stream::{HalfStream, SegmentPosition};
use crate::flow::overlap::OverlapPolicy;
use crate::flow::queue::{self, NewSegment};
use crate::flow::{Chunk, FlowView, Listener};
use crate::segment::{Segment, Side};
use crate::time::Timestamp;

impl<S: Default> Connection<S> {
    /// Delivers, queues or discards payload, by its position in the stream.
    pub(super) fn payload<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        offset: i64,
        position: SegmentPosition,
        doubtful: bool,
        context: &mut FlowContext<'_, L>,
    ) {
        let (head, payload) = (segment.head, segment.payload());
        let side = head.side;
        let acked = self.halves[side.other() as usize].acknowledged(head.ack);
        let counters = &mut context.shard.counters;
        let half = &mut self.halves[side as usize];
        let old = match position {
            SegmentPosition::OutOfWindow => return,
            SegmentPosition::KeepAlive => {
                counters.keep_alives += 1;
                return;
            }
            SegmentPosition::Old => payload.len(),
            SegmentPosition::Next { old } => old,
            SegmentPosition::Ahead => {
                counters.out_of_order += 1;
                0
            }
        };
        if old > 0 {
            counters.retransmissions += 1;
            // Bytes before the stream's beginning were never seen.
            let unknown = usize::try_from(-offset).unwrap_or(0).min(old);
            let start = u64::try_from(offset).unwrap_or(0);
            if context.shard.delivered.conflicts(half.delivered, start, &payload[unknown..old]) {
                context.shard.counters.overlap_conflict += 1;
                self.stats.conflict = true;
            }
        }
        let half = &mut self.halves[side as usize];
        let end = u64::try_from(offset + payload.len() as i64).unwrap_or(0) + u64::from(head.cut);
        match position {
            SegmentPosition::Next { old } if half.queue().is_none() && !doubtful && !half.provisional => {
                self.deliver(side, &payload[old..], acked, head.cut, context);
            }
            SegmentPosition::Next { .. } | SegmentPosition::Ahead => {
                half.highest = half.highest.max(end);
                context.shard.counters.doubtful += u64::from(doubtful);
                let new_segment = HalfStream::new_segment(offset, payload, old, head.cut, head.ack, doubtful);
                if position != SegmentPosition::Ahead || self.can_queue(side, payload.len(), context) {
                    let policy = context.shard.options.overlap;
                    self.enqueue(side, new_segment, policy, context);
                }
            }
            _ => {}
        }
    }

    /// Inserts a segment into the queue of its direction.
    pub(super) fn enqueue<L: Listener<State = S>>(
        &mut self,
        side: Side,
        new_segment: NewSegment<'_>,
        policy: OverlapPolicy,
        context: &mut FlowContext<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        // Freeing queue space may have advanced the stream.
        let behind = usize::try_from(half.next.saturating_sub(new_segment.start)).unwrap_or(usize::MAX);
        if behind >= new_segment.bytes.len() {
            return;
        }
        let new_segment =
            NewSegment { start: new_segment.start + behind as u64, bytes: &new_segment.bytes[behind..], ..new_segment };
        let first = half.queue().is_none();
        let out_of_order = half.out_of_order();
        if first {
            out_of_order.hole_since = context.at.clock;
        }
        let inserted = out_of_order.queue.insert(new_segment, policy);
        self.notify_waits(side, context);
        context.shard.counters.overlap += u64::from(inserted.overlap);
        context.shard.counters.overlap_conflict += u64::from(inserted.conflict);
        self.stats.conflict |= inserted.conflict;
        self.arm(side, context);
    }

    /// Returns the memory of queued segments in the whole shard, with what this flow queued since it was last counted.
    pub(super) fn queued_total<L>(&self, context: &FlowContext<'_, L>) -> usize {
        context.shard.queued_memory - self.accounted.0 as usize
            + self.halves[0].queued_memory()
            + self.halves[1].queued_memory()
    }

    /// Notifies the listener that the segment being handled waits.
    pub(super) fn notify_waits<L: Listener<State = S>>(&mut self, side: Side, context: &mut FlowContext<'_, L>) {
        let view = FlowView { slot: context.slot, key: context.key, stats: &self.stats, at: context.at };
        context.listener.waits(&view, &mut self.state, side);
    }

    /// Returns whether one more segment may be queued in this direction. At a limit, holes that can no longer be filled
    /// are given up.
    pub(super) fn can_queue<L: Listener<State = S>>(
        &mut self,
        side: Side,
        len: usize,
        context: &mut FlowContext<'_, L>,
    ) -> bool {
        let limits = context.shard.options.limits;
        if self.queued_total(context) + len > limits.queued_memory {
            context.shard.counters.memcap_drops += 1;
            return false;
        }
        loop {
            let half = &self.halves[side as usize];
            let Some(queue) = half.queue() else { return true };
            if queue.len() < limits.segments_per_half && queue.bytes() + len <= limits.queued_per_half {
                return true;
            }
            let since = half.out_of_order.as_ref().map_or(Timestamp::ZERO, |out_of_order| out_of_order.hole_since);
            let unfillable = queue.first() <= Some(half.acked)
                || since.after(Hole::Open.timeout()) <= context.at.clock
                || !self.halves[side.other() as usize].seen;
            if !unfillable {
                context.shard.counters.segments_dropped += 1;
                return false;
            }
            self.skip_hole(side, context);
        }
    }

    /// Sets the deadlines that the first hole of a direction needs.
    pub(super) fn arm<L>(&mut self, side: Side, context: &mut FlowContext<'_, L>) {
        let half = &mut self.halves[side as usize];
        if half.queue().is_none() {
            return;
        }
        // The beginning can only be late in the capture, as acknowledged bytes can.
        let late = half.provisional || half.misses_acknowledged_bytes();
        let open = !half.provisional;
        let armed = &mut half.out_of_order().armed;
        for (hole, wanted) in [(Hole::Open, open), (Hole::Acknowledged, late)] {
            if wanted && !armed[hole as usize] {
                armed[hole as usize] = true;
                context.shard.deadlines.push(hole, context.at.clock, context.slot, side);
            }
        }
    }

    /// Gives up the bytes missing before the first queued piece, and delivers that piece and all that follow it in
    /// order.
    pub(super) fn skip_hole<L: Listener<State = S>>(&mut self, side: Side, context: &mut FlowContext<'_, L>) {
        if self.halves[side as usize].provisional {
            return self.confirm_start(side, context);
        }
        let half = &mut self.halves[side as usize];
        let Some(first) = half.queue().and_then(queue::Queue::first) else { return };
        half.out_of_order().queue.confirm_first();
        if first > half.next {
            let len = first - half.next;
            self.gap(side, len, context);
        }
        self.drain(side, context);
    }

    /// Delivers the queued pieces that are due, and ends the direction if its FIN is reached.
    pub(super) fn drain<L: Listener<State = S>>(&mut self, side: Side, context: &mut FlowContext<'_, L>) {
        if self.halves[side as usize].provisional {
            return;
        }
        loop {
            let half = &mut self.halves[side as usize];
            let next = half.next;
            let Some(out_of_order) = half.out_of_order.as_mut() else { return };
            let Some((start, piece)) = out_of_order.queue.pop_due(next) else { break };
            out_of_order.hole_since = context.at.clock;
            let old = usize::try_from(next - start).unwrap_or(usize::MAX);
            if let Some(bytes) = piece.bytes().get(old..).filter(|bytes| !bytes.is_empty()) {
                let acked = self.halves[side.other() as usize].acknowledged(piece.ack);
                self.deliver(side, bytes, acked, piece.cut, context);
            }
        }
        let half = &mut self.halves[side as usize];
        let next = half.next;
        let out_of_order = half.out_of_order();
        if let Some(fin) = out_of_order.fin.filter(|&fin| fin <= next) {
            out_of_order.fin = None;
            if fin == next {
                // Bytes queued behind the FIN are not part of the stream.
                context.shard.counters.after_fin += u64::from(!out_of_order.queue.is_empty());
                out_of_order.queue = queue::Queue::default();
                self.finish(side, context);
            }
        }
        self.halves[side as usize].free_if_idle();
    }

    /// Ends a direction: its FIN was reached in order.
    pub(super) fn finish<L: Listener<State = S>>(&mut self, side: Side, context: &mut FlowContext<'_, L>) {
        self.halves[side as usize].ended = true;
        self.stats.terminated |= self.halves.iter().all(|half| half.ended);
        self.stats.closed |= self.stats.terminated;
        let view = FlowView { slot: context.slot, key: context.key, stats: &self.stats, at: context.at };
        context.listener.end(&view, &mut self.state, side);
    }

    /// Delivers bytes at the stream's position, without an urgent one, and the gap that the capture cut off behind
    /// them.
    pub(super) fn deliver<L: Listener<State = S>>(
        &mut self,
        side: Side,
        bytes: &[u8],
        acked: Option<u64>,
        cut: u32,
        context: &mut FlowContext<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        let offset = half.next;
        if self.stats.client.is_none_or(|client| client == side) {
            context.shard.delivered.push(&mut half.delivered, offset, bytes);
        }
        let urgent = half.take_urgent(bytes.len());
        half.advance(bytes.len() as u64);
        let view = FlowView { slot: context.slot, key: context.key, stats: &self.stats, at: context.at };
        let mut chunk = |bytes: &[u8], offset| {
            if !bytes.is_empty() {
                context.listener.chunk(&view, &mut self.state, side, Chunk::Data { bytes, offset, acked });
            }
        };
        if let Some(at) = urgent {
            context.shard.counters.urgent += 1;
            chunk(&bytes[..at], offset);
            chunk(&bytes[at + 1..], offset + at as u64 + 1);
        } else {
            chunk(bytes, offset);
        }
        if cut > 0 {
            self.gap(side, u64::from(cut), context);
        }
    }

    /// Reports a gap at the stream's position.
    pub(super) fn gap<L: Listener<State = S>>(&mut self, side: Side, len: u64, context: &mut FlowContext<'_, L>) {
        context.shard.counters.gaps += 1;
        context.shard.counters.gap_bytes += len;
        self.halves[side as usize].advance(len);
        let view = FlowView { slot: context.slot, key: context.key, stats: &self.stats, at: context.at };
        context.listener.chunk(&view, &mut self.state, side, Chunk::Gap { len });
    }
}
