//! One flow: what a segment does to its two halves, and the handshake between them. Not the table of flows.

use super::deadline::{Due, Hole};
use super::ended::Beginnings;
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
    /// What was added to the shard's totals for this flow: waiting segments, all other memory on the heap.
    accounted: (u32, u32),
    /// Both ends sent a SYN of their own: the handshake does not tell who is the client.
    simultaneous: bool,
    /// The connection is over beyond doubt: both directions ended, or a reset stood exactly where one ends.
    over: bool,
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
        let facts = Facts {
            start,
            packets: [0; 2],
            bytes: [0; 2],
            client: None,
            conflict: false,
            closed: false,
            missing: [false; 2],
        };
        Self {
            facts,
            halves: Default::default(),
            state: S::default(),
            accounted: (0, 0),
            simultaneous: false,
            over: false,
        }
    }

    /// Handles a segment of this flow; says which class the flow is in now.
    pub(super) fn segment<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) -> Class {
        if self.admit(segment, stage) {
            let flags = segment.head.flags;
            if flags.has(Flags::RST) {
                stage.tools.counters.rst += 1;
                self.reset(segment);
            } else if flags.has(Flags::SYN) {
                self.handshake(segment, stage);
            } else {
                self.data(segment, stage);
            }
        }
        self.class()
    }

    /// A reset is a hint, and none at all unless it stands where its direction does (RFC 5961 section 3.2).
    fn reset(&mut self, segment: &Segment<'_>) {
        let half = &self.halves[segment.head.side as usize];
        let offset = u64::try_from(half.offset(segment.head.seq)).ok();
        // The stream's own end, or that of what waits behind a loss; a direction that never spoke refuses a SYN.
        let end = half.highest + u64::from(half.ended);
        if !half.known || offset == Some(half.next) || offset == Some(end) {
            self.facts.closed = true;
            self.over = true;
        }
    }

    /// Where the streams began, once both ended in order: nothing can follow that would be handed on.
    pub(super) fn epitaph(&self) -> Option<Beginnings> {
        let [low, high] = &self.halves;
        (low.ended && high.ended).then(|| Beginnings([low.first_seq(), high.first_seq()]))
    }

    /// Updates the shard's totals for what this flow holds now; `kept` is the listener's part.
    pub(super) fn account(&mut self, tools: &mut Tools, kept: usize) {
        let queued = self.halves[0].queued_memory() + self.halves[1].queued_memory();
        let kept = kept + self.halves[0].kept_memory() + self.halves[1].kept_memory();
        let clamp = |memory: usize| u32::try_from(memory).unwrap_or(u32::MAX);
        let now = (clamp(queued), clamp(kept));
        tools.queued = tools.queued - self.accounted.0 as usize + now.0 as usize;
        tools.kept = tools.kept - self.accounted.1 as usize + now.1 as usize;
        self.accounted = now;
    }

    /// Takes this flow out of the shard's totals: it is no more.
    pub(super) fn release(&self, tools: &mut Tools) {
        tools.queued -= self.accounted.0 as usize;
        tools.kept -= self.accounted.1 as usize;
    }

    /// Hands on what waits, with gaps, and ends both directions.
    pub(super) fn close<L: Listener<State = S>>(&mut self, reason: Reason, stage: &mut Stage<'_, L>) {
        for side in [Side::Low, Side::High] {
            while self.halves[side as usize].queue().is_some() {
                self.skip_hole(side, stage);
            }
            let half = &self.halves[side as usize];
            let missing = half.missing();
            if missing > 0 {
                self.gap(side, missing, stage);
            }
            self.halves[side as usize].forget_waiting();
        }
        let view = FlowView { slot: stage.slot, key: stage.key, facts: &self.facts, at: stage.at };
        stage.listener.closed(view, &mut self.state, reason);
    }

    /// Handles a deadline of a hole in one direction.
    pub(super) fn hole_due<L: Listener<State = S>>(&mut self, due: Due, stage: &mut Stage<'_, L>) {
        let side = due.side;
        self.halves[side as usize].disorder().armed[due.hole as usize] = false;
        if self.halves[side as usize].queue().is_some() {
            let half = &self.halves[side as usize];
            let since = half.disorder.as_ref().map_or(Timestamp::ZERO, |disorder| disorder.hole_since);
            let ripe = since.after(due.hole.span()) <= due.deadline;
            match due.hole {
                Hole::Open if ripe => self.skip_hole(side, stage),
                Hole::Acknowledged if ripe && half.lacks_acknowledged() => self.skip_hole(side, stage),
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
    fn admit<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) -> bool {
        let counters = &mut stage.tools.counters;
        let (side, flags) = (segment.head.side, segment.head.flags);
        let opening = flags.has(Flags::SYN);
        let half = &mut self.halves[side as usize];
        if opening && flags.has(Flags::FIN | Flags::RST) || !flags.has(Flags::SYN | Flags::ACK | Flags::RST) {
            counters.invalid_flags += 1;
            return false;
        }
        if stage.tools.options.checksums != ChecksumPolicy::None {
            let to_server = self.facts.client.is_none_or(|client| client == side);
            let verdict = judge_checksums(segment, to_server);
            let strict = stage.tools.options.checksums == ChecksumPolicy::All;
            match verdict {
                Verdict::BadHeader if half.header_proven || strict => {
                    counters.bad_checksum += 1;
                    return false;
                }
                Verdict::Bad if half.proven || strict => {
                    counters.bad_checksum += 1;
                    return false;
                }
                Verdict::BadHeader | Verdict::Bad => counters.unproven_checksum += 1,
                Verdict::Offloaded => counters.offloaded_checksum += 1,
                Verdict::Good | Verdict::Unknown => {}
            }
            if verdict == Verdict::Good && !half.proven && opening && half.seen && half.doubted {
                // What came before was believed for want of a better one.
                self.start_again(segment, stage);
            }
            let half = &mut self.halves[side as usize];
            half.header_proven |= verdict != Verdict::BadHeader;
            half.proven |= verdict == Verdict::Good;
            half.doubted |= matches!(verdict, Verdict::BadHeader | Verdict::Bad);
        }
        let counters = &mut stage.tools.counters;
        let half = &mut self.halves[side as usize];
        if !stage.tools.options.keep_duplicates && stage.tools.duplicates.is_copy(stage.slot, segment) {
            counters.duplicates += 1;
            return false;
        }
        half.seen = true;
        let wrongly_signed = half.is_wrongly_signed(segment);
        counters.wrongly_signed += u64::from(wrongly_signed);
        self.count(side, segment.head.wire_len);
        !wrongly_signed
    }

    /// The first right SYN after segments that were believed without proof: what those carried is closed, and the
    /// direction begins with this one.
    fn start_again<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) {
        let side = segment.head.side as usize;
        if self.halves.iter().all(Half::is_untouched) {
            let armed = self.halves[side].armed();
            self.halves[side] = Half::default();
            self.halves[side].arm_as(armed);
        } else {
            self.renew(Reason::Reused, segment.head.time, stage);
            self.halves[side].seen = false;
        }
    }

    /// Closes the connection and puts a new one with the same addresses in its place.
    fn renew<L: Listener<State = S>>(&mut self, reason: Reason, start: Timestamp, stage: &mut Stage<'_, L>) {
        stage.tools.counters.flows += 1;
        self.close(reason, stage);
        let renewed = Self { accounted: self.accounted, ..Self::new(start) };
        let before = std::mem::replace(self, renewed);
        for (half, before) in self.halves.iter_mut().zip(&before.halves) {
            half.proven = before.proven;
            half.header_proven = before.header_proven;
            half.seen = before.seen;
            // Their entries are still in the queues of deadlines.
            half.arm_as(before.armed());
        }
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
            half.note_opening(segment);
            self.simultaneous = self.facts.client == Some(side.other());
            self.facts.client = (!self.simultaneous).then_some(side);
        } else if half.first_seq() != isn.advance(1) {
            stage.tools.counters.candidates_dropped +=
                u64::from(half.offer(isn, stage.tools.options.limits.candidates));
            half.disorder().latest_offer = Some((isn, segment.head.time, segment.head.wire_len));
        } else if self.facts.client.is_none() && !self.simultaneous {
            self.facts.client = Some(side);
        }
        if !segment.payload().is_empty() {
            self.halves[side as usize].keep_syn_data(isn, segment.payload());
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
            .and_then(|disorder| disorder.syn_data.iter().find(|(isn, data)| isn.advance(1 + data.len() as u32) == ack))
            .map(|(isn, _)| *isn);
        let answered = taken.map_or(ack, |isn| isn.advance(1));
        if !asker.known {
            asker.anchor(answered);
        } else if asker.first_seq() != answered {
            if !asker.was_offered(answered) && !self.over {
                stage.tools.counters.unmatched_syn_ack += 1;
                return;
            }
            self.begin_anew(side.other(), answered, segment, stage);
        }
        self.halves[side.other() as usize].answered = true;
        if !self.simultaneous {
            self.facts.client = Some(side.other());
        }
        let half = &mut self.halves[side as usize];
        if !half.known {
            half.anchor(first);
            stage.tools.counters.sessions += 1;
        } else if half.first_seq() != first {
            if half.is_untouched() && half.highest == 0 && !half.answered {
                // The client's next segment tells which answer it took; until then the newer one stands.
                half.anchor_elsewhere(first, stage.tools.options.limits.candidates);
            } else {
                let dropped = half.offer(segment.head.seq, stage.tools.options.limits.candidates);
                stage.tools.counters.candidates_dropped += u64::from(dropped);
            }
        }
        if half.is_untouched() {
            half.note_opening(segment);
        }
        self.settle_syn_data(side.other(), taken, stage);
    }

    /// Hands on the data of the SYN that the server took, if it took one's, and forgets the others.
    fn settle_syn_data<L: Listener<State = S>>(&mut self, side: Side, taken: Option<Seq>, stage: &mut Stage<'_, L>) {
        let half = &mut self.halves[side as usize];
        let Some(disorder) = half.disorder.as_mut().filter(|disorder| !disorder.syn_data.is_empty()) else { return };
        let kept = std::mem::take(&mut disorder.syn_data);
        half.tidy();
        let Some((_, data)) = kept.into_iter().find(|(isn, _)| Some(*isn) == taken) else { return };
        if half.next == 0 {
            stage.tools.counters.fast_open += 1;
            self.deliver(side, &data, None, 0, stage);
            self.drain(side, stage);
        }
    }

    /// Without a SYN-ACK to tell, the next sequence number or acknowledgment does: `reached` is where the stream is.
    fn guess_syn_data<L: Listener<State = S>>(&mut self, side: Side, reached: Option<u64>, stage: &mut Stage<'_, L>) {
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
    fn begin_anew<L: Listener<State = S>>(
        &mut self,
        side: Side,
        first: Seq,
        segment: &Segment<'_>,
        stage: &mut Stage<'_, L>,
    ) {
        let half = &mut self.halves[side as usize];
        let (syn_data, offer) = half.disorder.as_mut().map_or_else(Default::default, |disorder| {
            (std::mem::take(&mut disorder.syn_data), disorder.latest_offer.take())
        });
        if self.halves.iter().all(Half::is_untouched) && !self.facts.closed {
            self.halves[side as usize].anchor_elsewhere(first, stage.tools.options.limits.candidates);
        } else {
            stage.tools.counters.reused += u64::from(!self.facts.closed);
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

    fn count(&mut self, side: Side, wire_len: u32) {
        self.facts.packets[side as usize] += 1;
        self.facts.bytes[side as usize] += u64::from(wire_len);
    }

    fn data<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) {
        let (head, payload) = (segment.head, segment.payload());
        let side = head.side;
        self.follow_candidate(segment, stage);
        if self.is_stale(segment) {
            stage.tools.counters.stale += 1;
            return;
        }
        let half = &mut self.halves[side as usize];
        if !half.known {
            if payload.is_empty() {
                return self.acknowledge(segment, stage);
            }
            half.anchor(head.seq);
            half.note_opening(segment);
            stage.tools.counters.midstream += 1;
        }
        let reached = u64::try_from(half.offset(head.seq)).ok();
        self.guess_syn_data(side, reached, stage);
        let half = &mut self.halves[side as usize];
        let offset = half.offset(head.seq);
        let place = half.place(offset, payload.len());
        if place == Place::OutOfWindow {
            stage.tools.counters.out_of_window += 1;
            return;
        }
        self.choose_answer(segment, stage.tools.options.limits.candidates);
        let doubtful = self.is_doubtful(segment);
        let half = &mut self.halves[side as usize];
        let end = offset + payload.len() as i64 + i64::from(head.cut);
        if !doubtful && end >= half.next.cast_signed() {
            half.note_timestamp(segment);
        }
        self.acknowledge(segment, stage);
        let half = &mut self.halves[side as usize];
        if half.ended {
            stage.tools.counters.after_fin += u64::from(!payload.is_empty() && end > half.next.cast_signed());
            return;
        }
        if !doubtful && head.flags.has(Flags::URG) && head.urgent > 0 {
            half.set_urgent(offset + i64::from(head.urgent) - 1);
        }
        half.fin_seen |= head.flags.has(Flags::FIN);
        self.facts.closed |= self.halves.iter().all(|half| half.fin_seen);
        if !payload.is_empty() {
            self.payload(segment, offset, place, doubtful, stage);
        }
        let half = &mut self.halves[side as usize];
        if !doubtful && head.flags.has(Flags::FIN) && end >= half.next.cast_signed() {
            if end == half.next.cast_signed() && half.disorder.is_none() {
                self.finish(side, stage);
            } else {
                half.disorder().fin = u64::try_from(end).ok();
            }
        }
        self.drain(side, stage);
        self.facts.missing = [0, 1].map(|at| self.halves[at].missing() > 0);
    }

    /// Whether a receiver would take the segment for an old one by its timestamp option (PAWS, RFC 7323 section 5.3).
    /// Both sides must have agreed to use the option: otherwise receivers do not look at it.
    fn is_stale(&self, segment: &Segment<'_>) -> bool {
        let side = segment.head.side;
        let (half, other) = (&self.halves[side as usize], &self.halves[side.other() as usize]);
        half.known && half.is_stale(segment) && other.stamped != Some(false)
    }

    /// Whether the acknowledgment number is one that a receiver refuses together with the segment: it acknowledges what
    /// nobody was seen to send, or is older than any window (RFC 5961 section 5.2). The capture may lack what was
    /// acknowledged, so such a segment waits until somebody confirms it.
    fn is_doubtful(&self, segment: &Segment<'_>) -> bool {
        /// Rationale: receivers go by the largest window they were offered; one that is not scaled is the smallest.
        const OLDEST: i64 = 65_535;
        let other = &self.halves[segment.head.side.other() as usize];
        if !other.seen || !other.known {
            return false;
        }
        let acked = other.offset(segment.head.ack);
        // One more than the highest byte is the FIN's own number.
        acked > other.highest.cast_signed() + 1 || acked + OLDEST < other.acked.cast_signed()
    }

    /// Of several SYN-ACKs the client's first acknowledgment tells which one it took.
    fn choose_answer(&mut self, segment: &Segment<'_>, limit: usize) {
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
    fn follow_candidate<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) {
        let side = segment.head.side;
        let half = &self.halves[side as usize];
        let seq = segment.head.seq;
        if segment.payload().is_empty() || !half.was_offered(seq) || half.offset(seq) == half.next.cast_signed() {
            return;
        }
        let answerable = self.halves[side.other() as usize].seen && !self.over;
        if half.is_untouched() && self.facts.client == Some(side.other()) && !self.over {
            // The server's own bytes tell which of several SYN-ACKs was its.
            self.halves[side as usize].anchor_elsewhere(seq, stage.tools.options.limits.candidates);
        } else if (half.is_untouched() && !half.answered) || !answerable {
            self.begin_anew(side, seq, segment, stage);
        }
    }

    /// What the acknowledgment number says about the other direction.
    fn acknowledge<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut Stage<'_, L>) {
        let other = segment.head.side.other();
        let half = &mut self.halves[other as usize];
        let Some(claimed) = half.acknowledged(segment.head.ack) else { return };
        self.guess_syn_data(other, Some(claimed), stage);
        let half = &mut self.halves[other as usize];
        let payload = segment.payload();
        if payload.is_empty() {
            half.note_claim(claimed);
        }
        let acked = claimed.min(half.highest);
        let news = acked > half.acked;
        half.acked = half.acked.max(acked);
        if half.queue().is_none() {
            return;
        }
        if news {
            half.disorder().queue.confirm(acked);
            self.drain(other, stage);
        }
        // An answer shows that the receiver has what the capture lacks; a bare acknowledgment may only be early.
        let answers = !payload.is_empty();
        while answers && self.halves[other as usize].lacks_acknowledged() {
            self.skip_hole(other, stage);
        }
        if news {
            self.arm(other, stage);
        }
    }

    /// Puts payload in its place: on, into the queue, or away.
    fn payload<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        offset: i64,
        place: Place,
        doubtful: bool,
        stage: &mut Stage<'_, L>,
    ) {
        let (head, payload) = (segment.head, segment.payload());
        let side = head.side;
        let acked = self.halves[side.other() as usize].acknowledged(head.ack);
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
        let view = FlowView { slot: stage.slot, key: stage.key, facts: &self.facts, at: stage.at };
        stage.listener.waits(view, &mut self.state, side);
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
            if queue.len() < limits.segments_per_half && queue.bytes() + len <= limits.queued_per_half {
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
        if half.queue().is_none() {
            return;
        }
        let acknowledged = half.lacks_acknowledged();
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
        if let Some(fin) = disorder.fin.filter(|&fin| fin <= next) {
            disorder.fin = None;
            if fin == next {
                // What waits behind it is no part of the stream.
                stage.tools.counters.after_fin += u64::from(!disorder.queue.is_empty());
                disorder.queue = super::queue::Queue::default();
                self.finish(side, stage);
            }
        }
        self.halves[side as usize].tidy();
    }

    /// A FIN was reached in order.
    fn finish<L: Listener<State = S>>(&mut self, side: Side, stage: &mut Stage<'_, L>) {
        self.halves[side as usize].ended = true;
        self.over |= self.halves.iter().all(|half| half.ended);
        self.facts.closed |= self.over;
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

/// What the checksums of a segment say that matter in its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Offloaded,
    Unknown,
    /// TCP's is wrong.
    Bad,
    /// That of an IPv4 header around it is wrong.
    BadHeader,
}

/// IPv4 headers are verified in both directions, TCP's checksum towards the server: a server drops what is wrong, and
/// what its own host sent was often recorded before the network card filled it in.
fn judge_checksums(segment: &Segment<'_>, to_server: bool) -> Verdict {
    if segment.encapsulation.ip_checksum_wrong {
        return Verdict::BadHeader;
    }
    if !to_server {
        return Verdict::Unknown;
    }
    match segment.checksum() {
        Checksum::Valid => Verdict::Good,
        Checksum::Offloaded => Verdict::Offloaded,
        Checksum::Unknown => Verdict::Unknown,
        Checksum::Invalid => Verdict::Bad,
    }
}
