//! The handshake: chooses a flow's initial sequence numbers, and detects when its addresses belong to a new connection.
//! Does not process the data that follows; see [`super`].

use super::{Connection, FlowContext};
use crate::flow::half_stream::HalfStream;
use crate::flow::{Listener, Reason};
use crate::segment::{Segment, Seq, Side, TcpFlags};

impl<S: Default> Connection<S> {
    /// Processes a SYN or SYN-ACK.
    pub(super) fn handshake<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        context: &mut FlowContext<'_, L>,
    ) {
        if segment.head.flags.has(TcpFlags::ACK) {
            context.shard.counters.syn_ack += 1;
            self.syn_ack(segment, context);
        } else {
            context.shard.counters.syn += 1;
            self.syn(segment, context);
        }
    }

    /// Handles a SYN. In a flow that has an initial sequence number it changes nothing until it is acknowledged.
    pub(super) fn syn<L>(&mut self, segment: &Segment<'_>, context: &mut FlowContext<'_, L>) {
        let (side, isn) = (segment.head.side, segment.head.seq);
        let half = &mut self.halves[side as usize];
        if !half.anchored {
            half.anchor(isn.advance(1));
            half.note_opening(segment);
            self.stats.simultaneous = self.stats.client == Some(side.other());
            self.stats.client = (!self.stats.simultaneous).then_some(side);
        } else if half.first_seq() != isn.advance(1) {
            context.shard.counters.candidates_dropped +=
                u64::from(half.add_candidate(isn, context.shard.options.limits.candidates));
            half.out_of_order().latest_syn = Some((isn, segment.head.time, segment.head.wire_len));
        } else if self.stats.client.is_none() && !self.stats.simultaneous {
            self.stats.client = Some(side);
        }
        if !segment.payload().is_empty() {
            self.halves[side as usize].store_syn_data(isn, segment.payload());
        }
    }

    /// Handles a SYN-ACK: chooses the SYN that it acknowledges, and begins the other direction.
    pub(super) fn syn_ack<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, context: &mut FlowContext<'_, L>) {
        let side = segment.head.side;
        let (ack, first) = (segment.head.ack, segment.head.seq.advance(1));
        let opener = &mut self.halves[side.other() as usize];
        let accepted = opener
            .out_of_order
            .as_ref()
            .and_then(|out_of_order| {
                out_of_order.syn_data.iter().find(|(isn, data)| isn.advance(1 + data.len() as u32) == ack)
            })
            .map(|(isn, _)| *isn);
        let acknowledged = accepted.map_or(ack, |isn| isn.advance(1));
        if !opener.anchored {
            opener.anchor(acknowledged);
        } else if opener.first_seq() != acknowledged {
            if !opener.is_candidate(acknowledged) && !self.stats.terminated {
                context.shard.counters.unmatched_syn_ack += 1;
                return;
            }
            self.accept_new_isn(side.other(), acknowledged, segment, context);
        }
        self.halves[side.other() as usize].isn_acknowledged = true;
        if !self.stats.simultaneous {
            self.stats.client = Some(side.other());
        }
        let half = &mut self.halves[side as usize];
        if !half.anchored {
            half.anchor(first);
            context.shard.counters.sessions += 1;
        } else if half.first_seq() != first {
            if half.is_untouched() && half.highest == 0 && !half.isn_acknowledged {
                // The client's next segment shows which SYN-ACK it accepted; until then the newer one is used.
                half.reanchor(first, context.shard.options.limits.candidates);
            } else {
                let dropped = half.add_candidate(segment.head.seq, context.shard.options.limits.candidates);
                context.shard.counters.candidates_dropped += u64::from(dropped);
            }
        }
        if half.is_untouched() {
            half.note_opening(segment);
        }
        self.deliver_syn_data(side.other(), accepted, context);
    }

    /// Delivers the data of the SYN that the server accepted, if any, and discards that of the others.
    pub(super) fn deliver_syn_data<L: Listener<State = S>>(
        &mut self,
        side: Side,
        accepted: Option<Seq>,
        context: &mut FlowContext<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        let Some(out_of_order) = half.out_of_order.as_mut().filter(|out_of_order| !out_of_order.syn_data.is_empty())
        else {
            return;
        };
        let stored = std::mem::take(&mut out_of_order.syn_data);
        half.free_if_idle();
        let Some((_, data)) = stored.into_iter().find(|(isn, _)| Some(*isn) == accepted) else { return };
        if half.next == 0 {
            context.shard.counters.fast_open += 1;
            self.deliver(side, &data, None, 0, context);
            self.drain(side, context);
        }
    }

    /// Without a SYN-ACK, infers from the next sequence or acknowledgment number whether the server accepted the SYN's
    /// data: `reached` is the stream offset that the number shows.
    pub(super) fn infer_syn_data<L: Listener<State = S>>(
        &mut self,
        side: Side,
        reached: Option<u64>,
        context: &mut FlowContext<'_, L>,
    ) {
        let half = &self.halves[side as usize];
        let Some(out_of_order) = half.out_of_order.as_ref().filter(|out_of_order| !out_of_order.syn_data.is_empty())
        else {
            return;
        };
        let isn = Seq(half.first_seq().0.wrapping_sub(1));
        let stored = out_of_order.syn_data.iter().find(|(stored, _)| *stored == isn);
        if let Some((_, data)) = stored.filter(|_| half.next == 0)
            && reached.is_some_and(|reached| reached >= data.len() as u64)
        {
            self.deliver_syn_data(side, Some(isn), context);
        }
    }

    /// Accepts a new initial sequence number on `side`: in the same connection if no data was seen yet, otherwise in a
    /// new one with the same addresses.
    pub(super) fn accept_new_isn<L: Listener<State = S>>(
        &mut self,
        side: Side,
        first: Seq,
        segment: &Segment<'_>,
        context: &mut FlowContext<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        let (syn_data, syn) = half.out_of_order.as_mut().map_or_else(Default::default, |out_of_order| {
            (std::mem::take(&mut out_of_order.syn_data), out_of_order.latest_syn.take())
        });
        if self.halves.iter().all(HalfStream::is_untouched) && !self.stats.closed {
            self.halves[side as usize].reanchor(first, context.shard.options.limits.candidates);
        } else {
            context.shard.counters.reused += u64::from(!self.stats.closed);
            let syn = syn.filter(|(isn, ..)| isn.advance(1) == first);
            let start = syn.map_or(segment.head.time, |(_, time, _)| time);
            self.restart(Reason::Reused, start, context);
            self.halves[side as usize].anchor(first);
            self.stats.client = Some(side);
            // The packets that opened it were counted for the previous connection.
            if let Some((.., wire_len)) = syn {
                self.count(side, wire_len);
            }
            self.count(segment.head.side, segment.head.wire_len);
        }
        if !syn_data.is_empty() {
            self.halves[side as usize].out_of_order().syn_data = syn_data;
        }
    }

    /// Chooses among several SYN-ACKs by the client's first acknowledgment.
    pub(super) fn choose_syn_ack(&mut self, segment: &Segment<'_>, limit: usize) {
        let other = &mut self.halves[segment.head.side.other() as usize];
        if !other.is_untouched() || other.highest > 0 {
            return;
        }
        if other.first_seq() == segment.head.ack {
            other.isn_acknowledged = other.anchored;
        } else if !other.isn_acknowledged && other.is_candidate(segment.head.ack) {
            other.reanchor(segment.head.ack, limit);
            other.isn_acknowledged = true;
        }
    }

    /// Handles data that continues an unanswered SYN while the other direction is not captured or the connection is
    /// over: a new connection whose handshake was captured in part.
    pub(super) fn follow_candidate<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        context: &mut FlowContext<'_, L>,
    ) {
        let side = segment.head.side;
        let half = &self.halves[side as usize];
        let seq = segment.head.seq;
        if segment.payload().is_empty() || !half.is_candidate(seq) || half.offset(seq) == half.next.cast_signed() {
            return;
        }
        let answerable = self.halves[side.other() as usize].seen && !self.stats.terminated;
        if half.is_untouched() && self.stats.client == Some(side.other()) && !self.stats.terminated {
            // The sequence number of the server's data shows which of several SYN-ACKs is valid.
            self.halves[side as usize].reanchor(seq, context.shard.options.limits.candidates);
        } else if (half.is_untouched() && !half.isn_acknowledged) || !answerable {
            self.accept_new_isn(side, seq, segment, context);
        }
    }
}
