//! The fast path for simple segments, which are the majority: in-order segments of a connection with nothing queued.
//! Has the same effect as [`Connection::data`], and decides no doubtful case.

use super::{Connection, FlowContext};
use crate::flow::Listener;
use crate::segment::{Segment, Side, TcpFlags};

impl<S: Default> Connection<S> {
    /// Processes the segment if it is a simple one; returns whether it was.
    pub(super) fn next_in_order<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        context: &mut FlowContext<'_, L>,
    ) -> bool {
        let head = segment.head;
        let in_order = self.is_in_order();
        let [low, high] = &mut self.halves;
        let (half, other) = if head.side == Side::Low { (low, high) } else { (high, low) };
        let simple = in_order
            && head.flags.0 & !TcpFlags::PSH == TcpFlags::ACK
            && head.cut == 0
            && half.continues_at(head.seq)
            && other.anchored
            // Before that, an acknowledgment may choose between handshakes.
            && other.highest > 0
            && !half.is_stale(segment);
        // Only bytes that were seen, and at least as many as before.
        let acked = if simple { u64::try_from(other.offset(head.ack)).ok() } else { None };
        let Some(acked) = acked.filter(|acked| (other.acked..=other.highest).contains(acked)) else { return false };
        half.note_timestamp(segment);
        other.acked = acked;
        let payload = segment.payload();
        // The missing bytes of a direction change with its own bytes and with the other's acknowledgments.
        let changed = if payload.is_empty() {
            other.note_claimed(acked);
            head.side.other()
        } else {
            self.deliver(head.side, payload, Some(acked), 0, context);
            head.side
        };
        self.stats.missing[changed as usize] = self.halves[changed as usize].missing() > 0;
        true
    }
}
