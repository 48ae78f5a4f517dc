//! Payload on its way to the listener: on, into the queue, or away; and what becomes of holes. Not what makes a segment
//! believable.

use super::{Connection, FlowContext};
use crate::flow::deadline::Hole;
use crate::flow::half_stream::{HalfStream, SegmentPosition};
use crate::flow::overlap::OverlapPolicy;
use crate::flow::queue::{self, NewSegment};
use crate::flow::{Chunk, FlowView, Listener};
use crate::segment::{Segment, Side};
use crate::time::Timestamp;

impl<S: Default> Connection<S> {
    /// Puts payload in its place: on, into the queue, or away.
    pub(super) fn payload<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        offset: i64,
        place: SegmentPosition,
        doubtful: bool,
        stage: &mut FlowContext<'_, L>,
    ) {
        let (head, payload) = (segment.head, segment.payload());
        let side = head.side;
        let acked = self.halves[side.other() as usize].acknowledged(head.ack);
        let counters = &mut stage.shard.counters;
        let half = &mut self.halves[side as usize];
        let old = match place {
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
            // Bytes before the beginning were never seen.
            let unknown = usize::try_from(-offset).unwrap_or(0).min(old);
            let start = u64::try_from(offset).unwrap_or(0);
            if stage.shard.history.contradicts(half.newest, start, &payload[unknown..old]) {
                stage.shard.counters.overlap_conflict += 1;
                self.facts.conflict = true;
            }
        }
        let half = &mut self.halves[side as usize];
        let end = u64::try_from(offset + payload.len() as i64).unwrap_or(0) + u64::from(head.cut);
        match place {
            SegmentPosition::Next { old } if half.queue().is_none() && !doubtful => {
                self.deliver(side, &payload[old..], acked, head.cut, stage);
            }
            SegmentPosition::Next { .. } | SegmentPosition::Ahead => {
                half.highest = half.highest.max(end);
                stage.shard.counters.doubtful += u64::from(doubtful);
                let arrival = HalfStream::arrival(offset, payload, old, head.cut, acked, doubtful);
                if place != SegmentPosition::Ahead || self.has_room(side, payload.len(), stage) {
                    let policy = stage.shard.options.overlap;
                    self.enqueue(side, arrival, policy, stage);
                }
            }
            _ => {}
        }
    }

    pub(super) fn enqueue<L: Listener<State = S>>(
        &mut self,
        side: Side,
        arrival: NewSegment<'_>,
        policy: OverlapPolicy,
        stage: &mut FlowContext<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        // Making room may have moved the stream on.
        let behind = usize::try_from(half.next.saturating_sub(arrival.start)).unwrap_or(usize::MAX);
        if behind >= arrival.bytes.len() {
            return;
        }
        let arrival = NewSegment { start: arrival.start + behind as u64, bytes: &arrival.bytes[behind..], ..arrival };
        let first = half.queue().is_none();
        let disorder = half.disorder();
        if first {
            disorder.hole_since = stage.at.clock;
        }
        let inserted = disorder.queue.insert(arrival, policy);
        let view = FlowView { slot: stage.slot, key: stage.key, facts: &self.facts, at: stage.at };
        stage.listener.waits(&view, &mut self.state, side);
        stage.shard.counters.overlap += u64::from(inserted.overlap);
        stage.shard.counters.overlap_conflict += u64::from(inserted.conflict);
        self.facts.conflict |= inserted.conflict;
        self.arm(side, stage);
    }

    /// Whether one more segment may wait in this direction. Where a limit is reached, holes that can't be filled any
    /// more are given up.
    pub(super) fn has_room<L: Listener<State = S>>(
        &mut self,
        side: Side,
        len: usize,
        stage: &mut FlowContext<'_, L>,
    ) -> bool {
        let limits = stage.shard.options.limits;
        let total = stage.shard.queued - self.accounted.0 as usize
            + self.halves[0].queued_memory()
            + self.halves[1].queued_memory();
        if total + len > limits.queued_memory {
            stage.shard.counters.memcap_drops += 1;
            return false;
        }
        loop {
            let half = &self.halves[side as usize];
            let Some(queue) = half.queue() else { return true };
            if queue.len() < limits.segments_per_half && queue.bytes() + len <= limits.queued_per_half {
                return true;
            }
            let since = half.disorder.as_ref().map_or(Timestamp::ZERO, |disorder| disorder.hole_since);
            let hopeless = queue.first() <= Some(half.acked)
                || since.after(Hole::Open.span()) <= stage.at.clock
                || !self.halves[side.other() as usize].seen;
            if !hopeless {
                stage.shard.counters.segments_dropped += 1;
                return false;
            }
            self.skip_hole(side, stage);
        }
    }

    /// Sets the deadlines that the first hole of a direction calls for.
    pub(super) fn arm<L>(&mut self, side: Side, stage: &mut FlowContext<'_, L>) {
        let half = &mut self.halves[side as usize];
        if half.queue().is_none() {
            return;
        }
        let acknowledged = half.lacks_acknowledged();
        let armed = &mut half.disorder().armed;
        for (hole, wanted) in [(Hole::Open, true), (Hole::Acknowledged, acknowledged)] {
            if wanted && !armed[hole as usize] {
                armed[hole as usize] = true;
                stage.shard.deadlines.push(hole, stage.at.clock, stage.slot, side);
            }
        }
    }

    /// Gives up what is missing before the first waiting piece, and hands that on with all that follows it.
    pub(super) fn skip_hole<L: Listener<State = S>>(&mut self, side: Side, stage: &mut FlowContext<'_, L>) {
        let half = &mut self.halves[side as usize];
        let Some(first) = half.queue().and_then(queue::Queue::first) else { return };
        half.disorder().queue.confirm_first();
        if first > half.next {
            let len = first - half.next;
            self.gap(side, len, stage);
        }
        self.drain(side, stage);
    }

    /// Hands on what is due, and the end of the direction if that is reached.
    pub(super) fn drain<L: Listener<State = S>>(&mut self, side: Side, stage: &mut FlowContext<'_, L>) {
        loop {
            let half = &mut self.halves[side as usize];
            let next = half.next;
            let Some(disorder) = half.disorder.as_mut() else { return };
            let Some((start, piece)) = disorder.queue.pop_due(next) else { break };
            disorder.hole_since = stage.at.clock;
            let old = usize::try_from(next - start).unwrap_or(usize::MAX);
            if let Some(bytes) = piece.bytes().get(old..).filter(|bytes| !bytes.is_empty()) {
                self.deliver(side, bytes, piece.acked, piece.cut, stage);
            }
        }
        let half = &mut self.halves[side as usize];
        let next = half.next;
        let disorder = half.disorder();
        if let Some(fin) = disorder.fin.filter(|&fin| fin <= next) {
            disorder.fin = None;
            if fin == next {
                // What waits behind it is no part of the stream.
                stage.shard.counters.after_fin += u64::from(!disorder.queue.is_empty());
                disorder.queue = queue::Queue::default();
                self.finish(side, stage);
            }
        }
        self.halves[side as usize].tidy();
    }

    /// A FIN was reached in order.
    pub(super) fn finish<L: Listener<State = S>>(&mut self, side: Side, stage: &mut FlowContext<'_, L>) {
        self.halves[side as usize].ended = true;
        self.facts.over |= self.halves.iter().all(|half| half.ended);
        self.facts.closed |= self.facts.over;
        let view = FlowView { slot: stage.slot, key: stage.key, facts: &self.facts, at: stage.at };
        stage.listener.end(&view, &mut self.state, side);
    }

    /// Hands on bytes at the stream's position, without an urgent one, and the gap that the capture cut behind them.
    pub(super) fn deliver<L: Listener<State = S>>(
        &mut self,
        side: Side,
        bytes: &[u8],
        acked: Option<u64>,
        cut: u32,
        stage: &mut FlowContext<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        let offset = half.next;
        if self.facts.client.is_none_or(|client| client == side) {
            stage.shard.history.remember(&mut half.newest, offset, bytes);
        }
        let urgent = half.take_urgent(bytes.len());
        half.advance(bytes.len() as u64);
        let view = FlowView { slot: stage.slot, key: stage.key, facts: &self.facts, at: stage.at };
        let mut chunk = |bytes: &[u8], offset| {
            if !bytes.is_empty() {
                stage.listener.chunk(&view, &mut self.state, side, Chunk::Data { bytes, offset, acked });
            }
        };
        if let Some(at) = urgent {
            stage.shard.counters.urgent += 1;
            chunk(&bytes[..at], offset);
            chunk(&bytes[at + 1..], offset + at as u64 + 1);
        } else {
            chunk(bytes, offset);
        }
        if cut > 0 {
            self.gap(side, u64::from(cut), stage);
        }
    }

    pub(super) fn gap<L: Listener<State = S>>(&mut self, side: Side, len: u64, stage: &mut FlowContext<'_, L>) {
        stage.shard.counters.gaps += 1;
        stage.shard.counters.gap_bytes += len;
        self.halves[side as usize].advance(len);
        let view = FlowView { slot: stage.slot, key: stage.key, facts: &self.facts, at: stage.at };
        stage.listener.chunk(&view, &mut self.state, side, Chunk::Gap { len });
    }
}
