//! Passes over the segments of a flow from which the listener expects nothing more: no reassembly, no checksum, nothing
//! queued. What may begin something else is not passed over: a handshake, data that continues an unanswered SYN, and a
//! segment at whose beginning the listener resumes.

use super::{Connection, FlowContext};
use crate::flow::{Class, Interest, Listener, Reason};
use crate::segment::{FlowKey, Segment, TcpFlags};

impl<S: Default> Connection<S> {
    /// Returns whether the flow is passed over, and nothing else may begin with this segment.
    #[inline]
    pub(in crate::flow) fn passes_over<L: Listener<State = S>>(&self, segment: &Segment<'_>) -> bool {
        self.passed_over
            && !segment.head.flags.has(TcpFlags::SYN)
            && !self.halves[segment.head.side as usize].has_candidates()
            && !L::resumes_at(segment.payload())
    }

    /// Passes over a segment and returns the flow's class. A reset or FIN counts at any position: nothing depends on
    /// when the entry is removed.
    #[inline]
    pub(in crate::flow) fn pass_over<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        key: &FlowKey,
        listener: &mut L,
    ) -> Class {
        listener.passed_over(key, &mut self.state, segment.payload().len());
        let flags = segment.head.flags;
        if flags.has(TcpFlags::FIN | TcpFlags::RST) {
            self.halves[segment.head.side as usize].fin_seen |= flags.has(TcpFlags::FIN);
            self.stats.terminated |= flags.has(TcpFlags::RST) || self.halves.iter().all(|half| half.fin_seen);
            self.stats.closed |= self.stats.terminated;
        }
        if self.stats.closed { Class::UnwantedClosing } else { Class::Unwanted }
    }

    /// Begins to pass over the flow's segments, if the listener expects nothing of them.
    #[inline(never)]
    pub(super) fn pass_over_if_unwanted<L: Listener<State = S>>(&mut self, context: &mut FlowContext<'_, L>) {
        if !self.passed_over && L::interest(&self.state) == Interest::None {
            self.passed_over = true;
            context.shard.counters.passed_over += 1;
            for half in &mut self.halves {
                half.clear_queued();
            }
        }
    }

    /// Handles an admitted segment without SYN that is not passed over: it may begin another connection, or the listener
    /// resumes at it. The bytes in between are unknown, as they are before the beginning of a capture. Returns whether
    /// the segment is to be processed.
    #[inline(never)]
    pub(super) fn resume<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        context: &mut FlowContext<'_, L>,
    ) -> bool {
        self.follow_candidate(segment, context);
        if self.passed_over && L::resumes_at(segment.payload()) {
            context.shard.counters.resumed += 1;
            self.restart(Reason::Reused, self.stats.start, context);
            self.count(segment.head.side, segment.head.wire_len);
        }
        if self.passed_over {
            self.pass_over(segment, context.key, context.listener);
        }
        !self.passed_over
    }
}
