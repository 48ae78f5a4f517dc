//! One flow: what a segment does to its two halves, and the handshake between them. Not the table of flows.

use super::deadline::{Due, Hole};
use super::half::{Half, Place};
use super::overlap::OverlapPolicy;
use super::{ChecksumPolicy, Chunk, Class, Facts, FlowView, Listener, Moment, Reason, Tools};
use crate::segment::{Checksum, Flags, FlowKey, Segment, Seq, Side};
use crate::table::Slot;
use crate::time::Timestamp;

/// A flow with what its listener keeps for it.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) facts: Facts,
    halves: [Half; 2],
    pub(super) state: S,
    /// What was added to the shard's totals for this flow: waiting segments, the listener's memory.
    accounted: (u32, u32),
    /// Both ends sent a SYN of their own: the handshake does not tell who is the client.
    simultaneous: bool,
    reset: bool,
}

/// What a flow works with while it handles one segment or deadline.
pub(super) struct Stage<'a, L> {
    pub(super) tools: &'a mut Tools,
    pub(super) listener: &'a mut L,
    pub(super) slot: Slot,
    pub(super) key: &'a FlowKey,
    pub(super) at: Moment,
}

impl<S: Default> Connection<S> {
    pub(super) fn new(start: Timestamp) -> Self {
        let facts = Facts { start, packets: [0; 2], bytes: [0; 2], client: None, conflict: false, closed: false };
        Self {
            facts,
            halves: Default::default(),
            state: S::default(),
            accounted: (0, 0),
            simultaneous: false,
            reset: false,
        }
    }

    /// Handles a segment of this flow; says which class the flow is in now.
    pub(super) fn segment<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) -> Class {
        if self.admit(segment, stage) {
            let flags = segment.head.flags;
            if flags.has(Flags::RST) {
                stage.tools.counters.rst += 1;
                self.reset = true;
                self.facts.closed = true;
            } else if flags.has(Flags::SYN) {
                self.handshake(segment, stage);
            } else {
                self.data(segment, stage);
            }
        }
        self.class()
    }

    /// Updates the shard's totals for what this flow holds now.
    pub(super) fn account(&mut self, tools: &mut Tools, kept: usize) {
        let queued = self.halves[0].queued_memory() + self.halves[1].queued_memory();
        let clamp = |memory: usize| u32::try_from(memory).unwrap_or(u32::MAX);
        let now = (clamp(queued), clamp(kept));
        tools.queued = tools.queued - self.accounted.0 as usize + now.0 as usize;
        tools.kept = tools.kept - self.accounted.1 as usize + now.1 as usize;
        self.accounted = now;
    }

    /// Hands on what waits, with gaps, and ends both directions.
    pub(super) fn close<L: Listener<State = S>>(&mut self, reason: Reason, stage: &mut Stage<'_, L>) {
        for side in [Side::Low, Side::High] {
            while self.halves[side as usize].queue().is_some() {
                self.skip_hole(side, stage);
            }
        }
        let state = std::mem::take(&mut self.state);
        let view = FlowView { slot: stage.slot, key: stage.key, facts: &self.facts, at: stage.at };
        stage.listener.closed(view, state, reason);
    }

    /// Handles a deadline of a hole in one direction.
    pub(super) fn hole_due<L: Listener<State = S>>(&mut self, due: Due, stage: &mut Stage<'_, L>) {
        let side = due.side;
        self.halves[side as usize].disorder().armed[due.hole as usize] = false;
        if let Some(queue) = self.halves[side as usize].queue() {
            let half = &self.halves[side as usize];
            let first = queue.first().unwrap_or(half.next);
            let since = half.disorder.as_ref().map_or(Timestamp::ZERO, |disorder| disorder.hole_since);
            let ripe = since.after(due.hole.span()) <= due.deadline;
            match due.hole {
                Hole::Open if ripe => self.skip_hole(side, stage),
                Hole::Acknowledged if ripe && first <= half.acked.max(half.next) => self.skip_hole(side, stage),
                _ => {}
            }
            self.arm(side, stage);
        }
        self.halves[side as usize].tidy();
    }

    fn class(&self) -> Class {
        if self.facts.closed {
            Class::Closing
        } else if self.halves.iter().all(Half::is_untouched) {
            Class::New
        } else {
            Class::Established
        }
    }

    /// Whether a receiver would look at the segment at all, and it is no copy; counts the packet if so.
    fn admit<L>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) -> bool {
        let counters = &mut stage.tools.counters;
        let (side, flags) = (segment.head.side, segment.head.flags);
        let opening = flags.has(Flags::SYN);
        let half = &mut self.halves[side as usize];
        if opening && flags.has(Flags::FIN | Flags::RST) || !flags.has(Flags::SYN | Flags::ACK | Flags::RST) {
            counters.invalid_flags += 1;
            return false;
        }
        let to_server = self.facts.client.is_none_or(|client| client == side);
        if to_server && stage.tools.options.checksums != ChecksumPolicy::None {
            match segment.checksum() {
                Checksum::Valid => {
                    if !half.proven && opening && half.seen {
                        // What came before was believed for want of a better one.
                        *half = Half::default();
                    }
                    half.proven = true;
                }
                Checksum::Offloaded => counters.offloaded_checksum += 1,
                Checksum::Unknown => {}
                Checksum::Invalid if half.proven || stage.tools.options.checksums == ChecksumPolicy::All => {
                    counters.bad_checksum += 1;
                    return false;
                }
                Checksum::Invalid => counters.unproven_checksum += 1,
            }
        }
        if !stage.tools.options.keep_duplicates && stage.tools.duplicates.is_copy(segment) {
            counters.duplicates += 1;
            return false;
        }
        self.facts.packets[side as usize] += 1;
        self.facts.bytes[side as usize] += u64::from(segment.head.wire_len);
        half.seen = true;
        if half.is_wrongly_signed(segment) {
            counters.wrongly_signed += 1;
            return false;
        }
        true
    }

    fn handshake<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) {
        if segment.head.flags.has(Flags::ACK) {
            stage.tools.counters.syn_ack += 1;
            self.syn_ack(segment, stage);
        } else {
            stage.tools.counters.syn += 1;
            self.syn(segment, stage);
        }
    }

    /// A SYN offers an initial sequence number. In a flow that has one it changes nothing until it is answered.
    fn syn<L>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) {
        let (side, isn) = (segment.head.side, segment.head.seq);
        let half = &mut self.halves[side as usize];
        if !half.known {
            half.anchor(isn.advance(1));
            half.note_timestamp(segment);
            self.simultaneous = self.facts.client == Some(side.other());
            self.facts.client = (!self.simultaneous).then_some(side);
        } else if half.first_seq() != isn.advance(1) {
            stage.tools.counters.candidates_dropped += u64::from(half.offer(isn));
        } else if self.facts.client.is_none() && !self.simultaneous {
            self.facts.client = Some(side);
        }
        let half = &mut self.halves[side as usize];
        if !segment.payload().is_empty() && half.is_untouched() {
            let data = &mut half.disorder().syn_data;
            if data.as_ref().is_none_or(|(kept, _)| *kept != isn) {
                *data = Some((isn, segment.payload().to_vec()));
            }
        }
    }

    /// A SYN-ACK chooses among the SYNs it may answer, and begins the other direction.
    fn syn_ack<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) {
        let side = segment.head.side;
        let (ack, first) = (segment.head.ack, segment.head.seq.advance(1));
        let asker = &mut self.halves[side.other() as usize];
        let taken = asker
            .disorder
            .as_ref()
            .and_then(|disorder| disorder.syn_data.as_ref())
            .filter(|(isn, data)| isn.advance(1 + data.len() as u32) == ack && !data.is_empty())
            .map(|(isn, _)| *isn);
        let answered = taken.map_or(ack, |isn| isn.advance(1));
        if !asker.known {
            asker.anchor(answered);
        } else if asker.first_seq() != answered {
            if !asker.was_offered(answered) {
                stage.tools.counters.unmatched_syn_ack += 1;
                return;
            }
            self.begin_anew(side.other(), answered, segment.head.time, stage);
        }
        if !self.simultaneous {
            self.facts.client = Some(side.other());
        }
        let half = &mut self.halves[side as usize];
        if !half.known {
            half.anchor(first);
            stage.tools.counters.sessions += 1;
        } else if half.first_seq() != first {
            if half.is_untouched() && half.highest == 0 {
                // The client's next segment tells which answer it took; until then the newer one stands.
                let before = half.first_seq();
                half.anchor(first);
                half.offer(Seq(before.0.wrapping_sub(1)));
            } else {
                half.offer(segment.head.seq);
            }
        }
        half.note_timestamp(segment);
        self.settle_syn_data(side.other(), taken.is_some(), stage);
    }

    /// Hands on the data of a SYN if the server took it, and forgets it.
    fn settle_syn_data<L: Listener<State = S>>(&mut self, side: Side, taken: bool, stage: &mut Stage<'_, L>) {
        let half = &mut self.halves[side as usize];
        let Some((_, data)) = half.disorder.as_mut().and_then(|disorder| disorder.syn_data.take()) else { return };
        half.tidy();
        if taken && half.is_untouched() {
            stage.tools.counters.fast_open += 1;
            self.deliver(side, &data, None, 0, stage);
            self.drain(side, stage);
        }
    }

    /// A new initial sequence number was accepted on `side`: the same connection if nothing was carried yet, else a new
    /// one with the same addresses.
    fn begin_anew<L: Listener<State = S>>(
        &mut self,
        side: Side,
        first: Seq,
        time: Timestamp,
        stage: &mut Stage<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        let syn_data = half.disorder.as_mut().and_then(|disorder| disorder.syn_data.take());
        if self.halves.iter().all(Half::is_untouched) && !self.facts.closed {
            let half = &mut self.halves[side as usize];
            let before = half.first_seq();
            half.anchor(first);
            half.offer(Seq(before.0.wrapping_sub(1)));
            half.forget_timestamp();
        } else {
            stage.tools.counters.reused += u64::from(!self.facts.closed);
            stage.tools.counters.flows += 1;
            self.close(Reason::Reused, stage);
            let proven = [0, 1].map(|at| self.halves[at].proven);
            let accounted = self.accounted;
            *self = Self::new(time);
            self.accounted = accounted;
            for (half, proven) in self.halves.iter_mut().zip(proven) {
                half.proven = proven;
                half.seen = true;
            }
            self.halves[side as usize].anchor(first);
            self.facts.client = Some(side);
        }
        if let Some(data) = syn_data {
            self.halves[side as usize].disorder().syn_data = Some(data);
        }
    }

    fn data<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) {
        let (head, payload) = (segment.head, segment.payload());
        let side = head.side;
        self.follow_candidate(segment, stage);
        let half = &mut self.halves[side as usize];
        if half.known && half.is_stale(segment) {
            stage.tools.counters.stale += 1;
            return;
        }
        if !half.known {
            if payload.is_empty() {
                return self.acknowledge(segment, stage);
            }
            half.anchor(head.seq);
            stage.tools.counters.midstream += 1;
        }
        let offset = half.offset(head.seq);
        let place = half.place(offset, payload.len());
        if place == Place::OutOfWindow {
            stage.tools.counters.out_of_window += 1;
            return;
        }
        half.note_timestamp(segment);
        self.acknowledge(segment, stage);
        let half = &mut self.halves[side as usize];
        let end = offset + payload.len() as i64 + i64::from(head.cut);
        if half.ended {
            stage.tools.counters.after_fin += u64::from(end > half.next.cast_signed());
            return;
        }
        if head.flags.has(Flags::URG) && head.urgent > 0 {
            half.set_urgent(offset + i64::from(head.urgent) - 1);
        }
        if !payload.is_empty() {
            self.payload(segment, offset, place, stage);
        }
        let half = &mut self.halves[side as usize];
        if head.flags.has(Flags::FIN) && end >= half.next.cast_signed() {
            if end == half.next.cast_signed() && half.disorder.is_none() {
                return self.finish(side, stage);
            }
            half.disorder().fin = u64::try_from(end).ok();
        }
        self.drain(side, stage);
    }

    /// Data that begins where an unanswered SYN would have it, while the other direction is not to be seen or the
    /// connection is over: a new connection whose handshake was captured in part.
    fn follow_candidate<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) {
        let side = segment.head.side;
        let half = &self.halves[side as usize];
        let seq = segment.head.seq;
        if segment.payload().is_empty() || !half.was_offered(seq) || half.offset(seq) == half.next.cast_signed() {
            return;
        }
        let answerable = self.halves[side.other() as usize].seen && !self.facts.closed;
        if half.is_untouched() || !answerable {
            self.begin_anew(side, seq, segment.head.time, stage);
        }
    }

    /// What the acknowledgment number says about the other direction.
    fn acknowledge<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) {
        let other = segment.head.side.other();
        let half = &mut self.halves[other as usize];
        let Some(acked) = half.acknowledged(segment.head.ack) else { return };
        if acked.min(half.highest) <= half.acked {
            return;
        }
        half.acked = acked.min(half.highest);
        if half.queue().is_none() {
            return;
        }
        let acked = half.acked;
        half.disorder().queue.confirm(acked);
        self.drain(other, stage);
        // An answer shows that the receiver has what the capture lacks; a bare acknowledgment may only be early.
        let answers = !segment.payload().is_empty();
        while answers && self.halves[other as usize].queue().is_some_and(|queue| queue.first() <= Some(acked)) {
            self.skip_hole(other, stage);
        }
        self.arm(other, stage);
    }

    /// Puts payload in its place: on, into the queue, or away.
    fn payload<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        offset: i64,
        place: Place,
        stage: &mut Stage<'_, L>,
    ) {
        let (head, payload) = (segment.head, segment.payload());
        let side = head.side;
        let other = &self.halves[side.other() as usize];
        let acked = other.acknowledged(head.ack);
        // One more than the highest byte is the FIN's own number.
        let doubtful = other.seen && acked.is_some_and(|acked| acked > other.highest + 1);
        let counters = &mut stage.tools.counters;
        let half = &mut self.halves[side as usize];
        let old = match place {
            Place::OutOfWindow => return,
            Place::KeepAlive => {
                counters.keep_alives += 1;
                return;
            }
            Place::Old => payload.len(),
            Place::Next { old } => old,
            Place::Ahead => {
                counters.out_of_order += 1;
                0
            }
        };
        if old > 0 {
            counters.retransmissions += 1;
            // Bytes before the beginning were never seen.
            let unknown = usize::try_from(-offset).unwrap_or(0).min(old);
            let start = u64::try_from(offset).unwrap_or(0);
            if stage.tools.history.contradicts(half.newest, start, &payload[unknown..old]) {
                stage.tools.counters.overlap_conflict += 1;
                self.facts.conflict = true;
            }
        }
        let half = &mut self.halves[side as usize];
        let end = u64::try_from(offset + payload.len() as i64).unwrap_or(0) + u64::from(head.cut);
        match place {
            Place::Next { old } if half.queue().is_none() && !doubtful => {
                self.deliver(side, &payload[old..], acked, head.cut, stage);
            }
            Place::Next { .. } | Place::Ahead => {
                half.highest = half.highest.max(end);
                stage.tools.counters.doubtful += u64::from(doubtful);
                let arrival = Half::arrival(offset, payload, old, head.cut, acked, doubtful);
                if place != Place::Ahead || self.has_room(side, payload.len(), stage) {
                    let policy = stage.tools.options.overlap;
                    self.enqueue(side, arrival, policy, stage);
                }
            }
            _ => {}
        }
    }

    fn enqueue<L: Listener<State = S>>(
        &mut self,
        side: Side,
        arrival: super::queue::Arrival<'_>,
        policy: OverlapPolicy,
        stage: &mut Stage<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        // Making room may have moved the stream on.
        let behind = usize::try_from(half.next.saturating_sub(arrival.start)).unwrap_or(usize::MAX);
        if behind >= arrival.bytes.len() {
            return;
        }
        let arrival =
            super::queue::Arrival { start: arrival.start + behind as u64, bytes: &arrival.bytes[behind..], ..arrival };
        let first = half.queue().is_none();
        let disorder = half.disorder();
        if first {
            disorder.hole_since = stage.at.clock;
        }
        let inserted = disorder.queue.insert(arrival, policy);
        stage.tools.counters.overlap += u64::from(inserted.overlap);
        stage.tools.counters.overlap_conflict += u64::from(inserted.conflict);
        self.facts.conflict |= inserted.conflict;
        self.arm(side, stage);
    }

    /// Whether one more segment may wait in this direction. Where a limit is reached, holes that can't be filled any
    /// more are given up.
    fn has_room<L: Listener<State = S>>(&mut self, side: Side, len: usize, stage: &mut Stage<'_, L>) -> bool {
        let limits = stage.tools.options.limits;
        let total = stage.tools.queued - self.accounted.0 as usize
            + self.halves[0].queued_memory()
            + self.halves[1].queued_memory();
        if total + len > limits.queued_memory {
            stage.tools.counters.memcap_drops += 1;
            return false;
        }
        loop {
            let half = &self.halves[side as usize];
            let Some(queue) = half.queue() else { return true };
            if queue.len() < limits.segments_per_half && queue.memory() + len <= limits.queued_per_half {
                return true;
            }
            let since = half.disorder.as_ref().map_or(Timestamp::ZERO, |disorder| disorder.hole_since);
            let hopeless = queue.first() <= Some(half.acked)
                || since.after(Hole::Open.span()) <= stage.at.clock
                || !self.halves[side.other() as usize].seen;
            if !hopeless {
                stage.tools.counters.segments_dropped += 1;
                return false;
            }
            self.skip_hole(side, stage);
        }
    }

    /// Sets the deadlines that the first hole of a direction calls for.
    fn arm<L>(&mut self, side: Side, stage: &mut Stage<'_, L>) {
        let half = &mut self.halves[side as usize];
        let Some(first) = half.queue().and_then(super::queue::Queue::first) else { return };
        let acknowledged = first <= half.acked.max(half.next);
        let armed = &mut half.disorder().armed;
        for (hole, wanted) in [(Hole::Open, true), (Hole::Acknowledged, acknowledged)] {
            if wanted && !armed[hole as usize] {
                armed[hole as usize] = true;
                stage.tools.deadlines.push(hole, stage.at.clock, stage.slot, side);
            }
        }
    }

    /// Gives up what is missing before the first waiting piece, and hands that on with all that follows it.
    fn skip_hole<L: Listener<State = S>>(&mut self, side: Side, stage: &mut Stage<'_, L>) {
        let half = &mut self.halves[side as usize];
        let Some(first) = half.queue().and_then(super::queue::Queue::first) else { return };
        half.disorder().queue.confirm_first();
        if first > half.next {
            let len = first - half.next;
            self.gap(side, len, stage);
        }
        self.drain(side, stage);
    }

    /// Hands on what is due, and the end of the direction if that is reached.
    fn drain<L: Listener<State = S>>(&mut self, side: Side, stage: &mut Stage<'_, L>) {
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
        if disorder.fin.is_some_and(|fin| fin <= next) {
            let reached = disorder.fin.take() == Some(next) && disorder.queue.is_empty();
            if reached {
                self.finish(side, stage);
            }
        }
        self.halves[side as usize].tidy();
    }

    /// A FIN was reached in order.
    fn finish<L: Listener<State = S>>(&mut self, side: Side, stage: &mut Stage<'_, L>) {
        self.halves[side as usize].ended = true;
        self.facts.closed |= self.halves.iter().all(|half| half.ended);
        let view = FlowView { slot: stage.slot, key: stage.key, facts: &self.facts, at: stage.at };
        stage.listener.end(view, &mut self.state, side);
    }

    /// Hands on bytes at the stream's position, without an urgent one, and the gap that the capture cut behind them.
    fn deliver<L: Listener<State = S>>(
        &mut self,
        side: Side,
        bytes: &[u8],
        acked: Option<u64>,
        cut: u32,
        stage: &mut Stage<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        let offset = half.next;
        if self.facts.client.is_none_or(|client| client == side) {
            stage.tools.history.remember(&mut half.newest, offset, bytes);
        }
        let urgent = half.take_urgent(bytes.len());
        half.advance(bytes.len() as u64);
        let view = FlowView { slot: stage.slot, key: stage.key, facts: &self.facts, at: stage.at };
        let mut chunk = |bytes: &[u8], offset| {
            if !bytes.is_empty() {
                stage.listener.chunk(view, &mut self.state, side, Chunk::Data { bytes, offset, acked });
            }
        };
        if let Some(at) = urgent {
            stage.tools.counters.urgent += 1;
            chunk(&bytes[..at], offset);
            chunk(&bytes[at + 1..], offset + at as u64 + 1);
        } else {
            chunk(bytes, offset);
        }
        if cut > 0 {
            self.gap(side, u64::from(cut), stage);
        }
    }

    fn gap<L: Listener<State = S>>(&mut self, side: Side, len: u64, stage: &mut Stage<'_, L>) {
        stage.tools.counters.gaps += 1;
        stage.tools.counters.gap_bytes += len;
        self.halves[side as usize].advance(len);
        let view = FlowView { slot: stage.slot, key: stage.key, facts: &self.facts, at: stage.at };
        stage.listener.chunk(view, &mut self.state, side, Chunk::Gap { len });
    }
}
