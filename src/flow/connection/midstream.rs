//! The beginning of a direction whose handshake was not captured. The first segment seen need not be the first one sent:
//! it is queued until the other direction acknowledges it, the next segment continues it, or half a second has passed.
//! Does not handle directions with a handshake; see [`super::handshake`].

use super::{Connection, FlowContext};
use crate::flow::Listener;
use crate::segment::{Segment, Side};

/// Bytes by which the beginning may move down.
/// Rationale: a recorder reorders a few segments; what is further away is an older part of the stream.
const MAX_REORDER: i64 = 64 << 10;
/// Segments queued before the beginning is confirmed. Rationale: the same, and each move touches all of them.
const MAX_SEGMENTS: usize = 8;

impl<S: Default> Connection<S> {
    /// Begins a direction with its first segment if it has not begun, and revises the beginning as long as it is
    /// provisional. Returns whether the segment's payload has a position in the stream.
    pub(super) fn begin<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        context: &mut FlowContext<'_, L>,
    ) -> bool {
        let (head, payload) = (segment.head, segment.payload());
        let half = &mut self.halves[head.side as usize];
        if half.anchored {
            if half.provisional && !payload.is_empty() {
                self.revise_start(segment, context);
            }
            return true;
        }
        let other = head.side.other() as usize;
        // What the receiver acknowledged before this segment shows whether something precedes it.
        let expected = half.expected().map(|expected| expected.distance_from(head.seq));
        if payload.len() == 1 && head.cut == 0 && expected == Some(1) {
            context.shard.counters.keep_alives += 1;
            return false;
        }
        if payload.is_empty() {
            return false;
        }
        // Before that, what the other direction's data acknowledged had no position.
        if expected.is_some_and(|expected| expected >= payload.len() as i32) && self.halves[other].next > 0 {
            self.stats.late_start = Some(head.side);
        }
        let half = &mut self.halves[head.side as usize];
        half.anchor(head.seq);
        half.note_opening(segment);
        context.shard.counters.midstream += 1;
        let confirmed = expected.is_some_and(|expected| expected >= 0);
        let provisional = !confirmed && self.can_queue(head.side, payload.len(), context);
        self.halves[head.side as usize].provisional = provisional;
        true
    }

    /// Moves a provisional beginning down to a segment before it; confirms it if the segment continues what is queued.
    fn revise_start<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, context: &mut FlowContext<'_, L>) {
        let (side, payload) = (segment.head.side, segment.payload());
        let half = &self.halves[side as usize];
        let offset = half.offset(segment.head.seq);
        let Some(queue) = half.queue() else { return };
        let full = queue.len() >= MAX_SEGMENTS;
        // While the other direction is not known, what it acknowledges has no position, so its messages have no order.
        let continued = self.halves[side.other() as usize].anchored
            && u64::try_from(offset).is_ok_and(|offset| offset > 0 && queue.has_end(offset));
        if continued || full || !self.can_queue(side, payload.len(), context) {
            return self.confirm_start(side, context);
        }
        let keep_alive = offset == -1 && is_keep_alive(payload);
        if (-MAX_REORDER..0).contains(&offset) && !keep_alive {
            let half = &mut self.halves[side as usize];
            half.shift(-offset);
            half.note_opening(segment);
        }
    }

    /// Confirms a provisional beginning, and delivers what is queued from there on.
    pub(super) fn confirm_start<L: Listener<State = S>>(&mut self, side: Side, context: &mut FlowContext<'_, L>) {
        let half = &mut self.halves[side as usize];
        half.provisional = false;
        if half
            .queue()
            .and_then(|queue| queue.first_bytes())
            .is_some_and(|(bytes, whole)| whole && is_keep_alive(bytes))
        {
            context.shard.counters.keep_alives += 1;
            half.out_of_order().queue.remove_first();
            half.shift(-1);
        }
        self.drain(side, context);
        self.arm(side, context);
    }
}

/// Returns whether the first payload of a direction is the octet of a keep-alive probe, which precedes the next byte of
/// the stream and is not part of it (RFC 9293 section 3.8.4).
///
/// Rationale: a first segment with one byte of data looks the same. But messages begin with a letter (RFC 9112 section
/// 2.1), and a dropped byte that is none does not change them.
fn is_keep_alive(payload: &[u8]) -> bool {
    matches!(payload, [octet] if !octet.is_ascii_alphabetic())
}
