//! The handshake: which initial sequence numbers a flow takes, and when its addresses belong to a new connection. Not the
//! data that follows.

use super::{Connection, FlowContext};
use crate::flow::half_stream::HalfStream;
use crate::flow::{Listener, Reason};
use crate::segment::{Segment, Seq, Side, TcpFlags};

impl<S: Default> Connection<S> {
    pub(super) fn handshake<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut FlowContext<'_, L>) {
        if segment.head.flags.has(TcpFlags::ACK) {
            stage.shard.counters.syn_ack += 1;
            self.syn_ack(segment, stage);
        } else {
            stage.shard.counters.syn += 1;
            self.syn(segment, stage);
        }
    }

    /// A SYN offers an initial sequence number. In a flow that has one it changes nothing until it is answered.
    pub(super) fn syn<L>(&mut self, segment: &Segment<'_>, stage: &mut FlowContext<'_, L>) {
        let (side, isn) = (segment.head.side, segment.head.seq);
        let half = &mut self.halves[side as usize];
        if !half.known {
            half.anchor(isn.advance(1));
            half.note_opening(segment);
            self.facts.simultaneous = self.facts.client == Some(side.other());
            self.facts.client = (!self.facts.simultaneous).then_some(side);
        } else if half.first_seq() != isn.advance(1) {
            stage.shard.counters.candidates_dropped +=
                u64::from(half.offer(isn, stage.shard.options.limits.candidates));
            half.disorder().latest_offer = Some((isn, segment.head.time, segment.head.wire_len));
        } else if self.facts.client.is_none() && !self.facts.simultaneous {
            self.facts.client = Some(side);
        }
        if !segment.payload().is_empty() {
            self.halves[side as usize].keep_syn_data(isn, segment.payload());
        }
    }

    /// A SYN-ACK chooses among the SYNs it may answer, and begins the other direction.
    pub(super) fn syn_ack<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut FlowContext<'_, L>) {
        let side = segment.head.side;
        let (ack, first) = (segment.head.ack, segment.head.seq.advance(1));
        let asker = &mut self.halves[side.other() as usize];
        let taken = asker
            .disorder
            .as_ref()
            .and_then(|disorder| disorder.syn_data.iter().find(|(isn, data)| isn.advance(1 + data.len() as u32) == ack))
            .map(|(isn, _)| *isn);
        let answered = taken.map_or(ack, |isn| isn.advance(1));
        if !asker.known {
            asker.anchor(answered);
        } else if asker.first_seq() != answered {
            if !asker.was_offered(answered) && !self.facts.over {
                stage.shard.counters.unmatched_syn_ack += 1;
                return;
            }
            self.begin_anew(side.other(), answered, segment, stage);
        }
        self.halves[side.other() as usize].answered = true;
        if !self.facts.simultaneous {
            self.facts.client = Some(side.other());
        }
        let half = &mut self.halves[side as usize];
        if !half.known {
            half.anchor(first);
            stage.shard.counters.sessions += 1;
        } else if half.first_seq() != first {
            if half.is_untouched() && half.highest == 0 && !half.answered {
                // The client's next segment tells which answer it took; until then the newer one stands.
                half.anchor_elsewhere(first, stage.shard.options.limits.candidates);
            } else {
                let dropped = half.offer(segment.head.seq, stage.shard.options.limits.candidates);
                stage.shard.counters.candidates_dropped += u64::from(dropped);
            }
        }
        if half.is_untouched() {
            half.note_opening(segment);
        }
        self.settle_syn_data(side.other(), taken, stage);
    }

    /// Hands on the data of the SYN that the server took, if it took one's, and forgets the others.
    pub(super) fn settle_syn_data<L: Listener<State = S>>(
        &mut self,
        side: Side,
        taken: Option<Seq>,
        stage: &mut FlowContext<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        let Some(disorder) = half.disorder.as_mut().filter(|disorder| !disorder.syn_data.is_empty()) else { return };
        let kept = std::mem::take(&mut disorder.syn_data);
        half.tidy();
        let Some((_, data)) = kept.into_iter().find(|(isn, _)| Some(*isn) == taken) else { return };
        if half.next == 0 {
            stage.shard.counters.fast_open += 1;
            self.deliver(side, &data, None, 0, stage);
            self.drain(side, stage);
        }
    }

    /// Without a SYN-ACK to tell, the next sequence number or acknowledgment does: `reached` is where the stream is.
    pub(super) fn guess_syn_data<L: Listener<State = S>>(
        &mut self,
        side: Side,
        reached: Option<u64>,
        stage: &mut FlowContext<'_, L>,
    ) {
        let half = &self.halves[side as usize];
        let Some(disorder) = half.disorder.as_ref().filter(|disorder| !disorder.syn_data.is_empty()) else { return };
        let isn = Seq(half.first_seq().0.wrapping_sub(1));
        let kept = disorder.syn_data.iter().find(|(kept, _)| *kept == isn);
        if let Some((_, data)) = kept.filter(|_| half.next == 0)
            && reached.is_some_and(|reached| reached >= data.len() as u64)
        {
            self.settle_syn_data(side, Some(isn), stage);
        }
    }

    /// A new initial sequence number was accepted on `side`: the same connection if nothing was carried yet, else a new
    /// one with the same addresses.
    pub(super) fn begin_anew<L: Listener<State = S>>(
        &mut self,
        side: Side,
        first: Seq,
        segment: &Segment<'_>,
        stage: &mut FlowContext<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        let (syn_data, offer) = half.disorder.as_mut().map_or_else(Default::default, |disorder| {
            (std::mem::take(&mut disorder.syn_data), disorder.latest_offer.take())
        });
        if self.halves.iter().all(HalfStream::is_untouched) && !self.facts.closed {
            self.halves[side as usize].anchor_elsewhere(first, stage.shard.options.limits.candidates);
        } else {
            stage.shard.counters.reused += u64::from(!self.facts.closed);
            let offer = offer.filter(|(isn, ..)| isn.advance(1) == first);
            let start = offer.map_or(segment.head.time, |(_, time, _)| time);
            self.renew(Reason::Reused, start, stage);
            self.halves[side as usize].anchor(first);
            self.facts.client = Some(side);
            // The packets that opened it were counted for the one before.
            if let Some((.., wire_len)) = offer {
                self.count(side, wire_len);
            }
            self.count(segment.head.side, segment.head.wire_len);
        }
        if !syn_data.is_empty() {
            self.halves[side as usize].disorder().syn_data = syn_data;
        }
    }

    /// Of several SYN-ACKs the client's first acknowledgment tells which one it took.
    pub(super) fn choose_answer(&mut self, segment: &Segment<'_>, limit: usize) {
        let other = &mut self.halves[segment.head.side.other() as usize];
        if !other.is_untouched() || other.highest > 0 {
            return;
        }
        if other.first_seq() == segment.head.ack {
            other.answered = other.known;
        } else if !other.answered && other.was_offered(segment.head.ack) {
            other.anchor_elsewhere(segment.head.ack, limit);
            other.answered = true;
        }
    }

    /// Data that begins where an unanswered SYN would have it, while the other direction is not to be seen or the
    /// connection is over: a new connection whose handshake was captured in part.
    pub(super) fn follow_candidate<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        stage: &mut FlowContext<'_, L>,
    ) {
        let side = segment.head.side;
        let half = &self.halves[side as usize];
        let seq = segment.head.seq;
        if segment.payload().is_empty() || !half.was_offered(seq) || half.offset(seq) == half.next.cast_signed() {
            return;
        }
        let answerable = self.halves[side.other() as usize].seen && !self.facts.over;
        if half.is_untouched() && self.facts.client == Some(side.other()) && !self.facts.over {
            // The server's own bytes tell which of several SYN-ACKs was its.
            self.halves[side as usize].anchor_elsewhere(seq, stage.shard.options.limits.candidates);
        } else if (half.is_untouched() && !half.answered) || !answerable {
            self.begin_anew(side, seq, segment, stage);
        }
    }
}
