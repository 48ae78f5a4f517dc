//! Segments that a server drops for a wrong checksum, unless the capture changed them: payload edited for privacy, or
//! segments that the network card had not completed. They are kept until the server shows that it read the bytes, by
//! acknowledging and answering them, or until correct copies arrive. Checksums are verified in [`super`].

use super::{Connection, FlowContext};
use crate::flow::Listener;
use crate::flow::half_stream::{HalfStream, RefusedSegment, SegmentPosition};
use crate::flow::overlap::OverlapPolicy;
use crate::segment::{Segment, Seq, Side, TcpFlags};

/// Segments kept in one direction. Rationale: a request head of a few segments, or an upload of some offloaded ones.
const MAX_SEGMENTS: usize = 32;

impl<S: Default> Connection<S> {
    /// Keeps a segment with a wrong checksum whose bytes the server may have read.
    pub(super) fn keep_refused<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        context: &mut FlowContext<'_, L>,
    ) {
        let (head, payload) = (segment.head, segment.payload());
        let side = head.side;
        let half = &self.halves[side as usize];
        let placed = if half.anchored {
            let offset = half.offset(head.seq);
            matches!(half.position(offset, payload.len()), SegmentPosition::Next { .. } | SegmentPosition::Ahead)
        } else {
            half.expected() == Some(head.seq)
        };
        // Where fragments disagreed, the bytes need not be those that the server read.
        let unusable = payload.is_empty()
            || head.flags.has(TcpFlags::SYN | TcpFlags::RST)
            || head.signed
            || segment.encapsulation.fragmented;
        if unusable || !placed || half.ended || self.is_stale(segment) || self.is_doubtful(segment) {
            return;
        }
        let limits = context.shard.options.limits;
        let kept = half.out_of_order.as_ref().map_or(&[][..], |out_of_order| &out_of_order.refused);
        if kept.iter().any(|refused| refused.seq == head.seq && refused.bytes == payload) {
            return;
        }
        let full = kept.len() >= MAX_SEGMENTS
            || half.refused_memory() + payload.len() > limits.queued_per_half
            || self.queued_total(context) + payload.len() > limits.queued_memory;
        if full {
            context.shard.counters.segments_dropped += 1;
            return;
        }
        let refused = RefusedSegment {
            seq: head.seq,
            ack: head.ack,
            bytes: payload.to_vec(),
            cut: head.cut,
            wire_len: head.wire_len,
        };
        self.halves[side as usize].out_of_order().refused.push(refused);
        self.notify_waits(side, context);
    }

    /// Forgets the refused segments that share bytes with an acceptable one: the sender's own copy shows what it sent.
    pub(super) fn forget_refused(&mut self, segment: &Segment<'_>) {
        let (seq, len) = (segment.head.seq, segment.payload().len() as u32);
        if let Some(out_of_order) = &mut self.halves[segment.head.side as usize].out_of_order {
            out_of_order.refused.retain(|refused| {
                let (end, refused_end) = (seq.advance(len), refused.seq.advance(refused.bytes.len() as u32));
                end.distance_from(refused.seq) <= 0 || refused_end.distance_from(seq) <= 0
            });
        }
    }

    /// Delivers refused segments of the other direction as far as new data acknowledges them: the receiver has read and
    /// answered these bytes.
    pub(super) fn accept_answered<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        context: &mut FlowContext<'_, L>,
    ) {
        let (head, payload) = (segment.head, segment.payload());
        if payload.is_empty() {
            return;
        }
        self.forget_refused(segment);
        let [half, other] = [head.side, head.side.other()].map(|side| &self.halves[side as usize]);
        if other.out_of_order.as_ref().is_none_or(|out_of_order| out_of_order.refused.is_empty()) {
            return;
        }
        let end = half.offset(head.seq) + payload.len() as i64;
        if half.anchored && end <= half.next.cast_signed() {
            return;
        }
        for refused in self.halves[head.side.other() as usize].take_answered(head.ack) {
            self.accept_refused(head.side.other(), &refused, context);
        }
    }

    /// Delivers a refused segment; bytes of acceptable ones take precedence.
    fn accept_refused<L: Listener<State = S>>(
        &mut self,
        side: Side,
        refused: &RefusedSegment,
        context: &mut FlowContext<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        if !half.anchored {
            half.anchor(refused.seq);
            context.shard.counters.midstream += 1;
        }
        let offset = half.offset(refused.seq);
        let old = match half.position(offset, refused.bytes.len()) {
            SegmentPosition::Next { old } => old,
            SegmentPosition::Ahead => 0,
            _ => return,
        };
        let end = offset + refused.bytes.len() as i64 + i64::from(refused.cut);
        half.highest = half.highest.max(u64::try_from(end).unwrap_or(0));
        context.shard.counters.answered_checksum += 1;
        let new_segment = HalfStream::new_segment(offset, &refused.bytes, old, refused.cut, refused.ack, false);
        self.count(side, refused.wire_len);
        self.enqueue(side, new_segment, OverlapPolicy::First, context);
        self.drain(side, context);
    }
}

impl HalfStream {
    /// Removes and returns the refused segments before an acknowledgment number, in stream order; of one that extends
    /// beyond it the part before.
    fn take_answered(&mut self, ack: Seq) -> Vec<RefusedSegment> {
        let Some(out_of_order) = &mut self.out_of_order else { return Vec::new() };
        let (mut answered, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut out_of_order.refused)
            .into_iter()
            .partition(|refused| ack.distance_from(refused.seq) > 0);
        out_of_order.refused = rest;
        for refused in &mut answered {
            let len = usize::try_from(ack.distance_from(refused.seq)).unwrap_or(0);
            if len < refused.bytes.len() {
                refused.bytes.truncate(len);
                refused.cut = 0;
            }
        }
        answered.sort_by_key(|refused| refused.seq.distance_from(ack));
        answered
    }
}
