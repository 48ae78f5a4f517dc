//! One flow: what a segment does to its two halves, and the handshake between them. Not the table of flows.

mod delivery;
mod fast_path;
mod handshake;

use super::deadline::{Due, Hole};
use super::half_stream::{HalfStream, SegmentPosition};
use super::time_wait::InitialSeqs;
use super::{ChecksumPolicy, Class, EventTime, FlowStats, FlowView, Listener, Reason, ShardContext};
use crate::segment::{Checksum, FlowKey, Segment, Side, TcpFlags};
use crate::table::Slot;
use crate::time::Timestamp;

/// A flow with what its listener keeps for it.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) facts: FlowStats,
    halves: [HalfStream; 2],
    pub(super) state: S,
    /// What was added to the shard's totals for this flow: waiting segments, all other memory on the heap.
    accounted: (u32, u32),
}

/// What a flow works with while it handles one segment or deadline.
pub(super) struct FlowContext<'a, L> {
    pub(super) shard: &'a mut ShardContext,
    pub(super) listener: &'a mut L,
    pub(super) slot: Slot,
    pub(super) key: &'a FlowKey,
    pub(super) at: EventTime,
}

impl<S: Default> Connection<S> {
    pub(super) fn new(start: Timestamp) -> Self {
        let facts = FlowStats {
            start,
            packets: [0; 2],
            bytes: [0; 2],
            client: None,
            conflict: false,
            closed: false,
            missing: [false; 2],
            simultaneous: false,
            over: false,
        };
        Self { facts, halves: Default::default(), state: S::default(), accounted: (0, 0) }
    }

    /// Handles a segment of this flow; says which class the flow is in now.
    pub(super) fn segment<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        stage: &mut FlowContext<'_, L>,
    ) -> Class {
        if self.admit(segment, stage) {
            let flags = segment.head.flags;
            if flags.has(TcpFlags::RST) {
                stage.shard.counters.rst += 1;
                self.reset(segment);
            } else if flags.has(TcpFlags::SYN) {
                self.handshake(segment, stage);
            } else if !self.next_in_order(segment, stage) {
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
            self.facts.over = true;
        }
    }

    /// Where the streams began, once both ended in order: nothing can follow that would be handed on.
    pub(super) fn initial_seqs(&self) -> Option<InitialSeqs> {
        let [low, high] = &self.halves;
        (low.ended && high.ended).then(|| InitialSeqs([low.first_seq(), high.first_seq()]))
    }

    /// Whether nothing waits, and nothing else needs memory beside the flow.
    pub(super) fn is_in_order(&self) -> bool {
        self.halves.iter().all(|half| half.disorder.is_none())
    }

    /// Updates the shard's totals for what this flow holds now; `kept` is the listener's part.
    pub(super) fn account(&mut self, shard: &mut ShardContext, kept: usize) {
        let queued = self.halves[0].queued_memory() + self.halves[1].queued_memory();
        let kept = kept + self.halves[0].kept_memory() + self.halves[1].kept_memory();
        let clamp = |memory: usize| u32::try_from(memory).unwrap_or(u32::MAX);
        let now = (clamp(queued), clamp(kept));
        shard.queued = shard.queued - self.accounted.0 as usize + now.0 as usize;
        shard.kept = shard.kept - self.accounted.1 as usize + now.1 as usize;
        self.accounted = now;
    }

    /// Takes this flow out of the shard's totals: it is no more.
    pub(super) fn release(&self, shard: &mut ShardContext) {
        shard.queued -= self.accounted.0 as usize;
        shard.kept -= self.accounted.1 as usize;
    }

    /// Hands on what waits, with gaps, and ends both directions.
    pub(super) fn close<L: Listener<State = S>>(&mut self, reason: Reason, stage: &mut FlowContext<'_, L>) {
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
        stage.listener.closed(&view, &mut self.state, reason);
    }

    /// Handles a deadline of a hole in one direction.
    pub(super) fn hole_due<L: Listener<State = S>>(&mut self, due: Due, stage: &mut FlowContext<'_, L>) {
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
        } else if self.halves.iter().all(HalfStream::is_untouched) {
            Class::New
        } else {
            Class::Established
        }
    }

    /// Whether a receiver would look at the segment at all, and it is no copy; counts the packet if so.
    fn admit<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut FlowContext<'_, L>) -> bool {
        let counters = &mut stage.shard.counters;
        let (side, flags) = (segment.head.side, segment.head.flags);
        let opening = flags.has(TcpFlags::SYN);
        let half = &mut self.halves[side as usize];
        if is_nonsense(flags) {
            counters.invalid_flags += 1;
            return false;
        }
        if stage.shard.options.checksums != ChecksumPolicy::None {
            let to_server = self.facts.client.is_none_or(|client| client == side);
            let verdict = judge_checksums(segment, to_server);
            let strict = stage.shard.options.checksums == ChecksumPolicy::All;
            match verdict {
                Admission::BadHeader if half.header_proven || strict => {
                    counters.bad_checksum += 1;
                    return false;
                }
                Admission::Bad if half.proven || strict => {
                    counters.bad_checksum += 1;
                    return false;
                }
                Admission::BadHeader | Admission::Bad => counters.unproven_checksum += 1,
                Admission::Offloaded => counters.offloaded_checksum += 1,
                Admission::Good | Admission::Unknown => {}
            }
            if verdict == Admission::Good && !half.proven && opening && half.seen && half.doubted {
                // What came before was believed for want of a better one.
                self.start_again(segment, stage);
            }
            let half = &mut self.halves[side as usize];
            half.header_proven |= verdict != Admission::BadHeader;
            half.proven |= verdict == Admission::Good;
            half.doubted |= matches!(verdict, Admission::BadHeader | Admission::Bad);
        }
        let counters = &mut stage.shard.counters;
        let half = &mut self.halves[side as usize];
        if !stage.shard.options.keep_duplicates && stage.shard.duplicates.is_copy(stage.slot, segment) {
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
    fn start_again<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut FlowContext<'_, L>) {
        let side = segment.head.side as usize;
        if self.halves.iter().all(HalfStream::is_untouched) {
            let armed = self.halves[side].armed();
            self.halves[side] = HalfStream::default();
            self.halves[side].arm_as(armed);
        } else {
            self.renew(Reason::Reused, segment.head.time, stage);
            self.halves[side].seen = false;
        }
    }

    /// Closes the connection and puts a new one with the same addresses in its place.
    fn renew<L: Listener<State = S>>(&mut self, reason: Reason, start: Timestamp, stage: &mut FlowContext<'_, L>) {
        stage.shard.counters.flows += 1;
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

    fn count(&mut self, side: Side, wire_len: u32) {
        self.facts.packets[side as usize] += 1;
        self.facts.bytes[side as usize] += u64::from(wire_len);
    }

    fn data<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut FlowContext<'_, L>) {
        let (head, payload) = (segment.head, segment.payload());
        let side = head.side;
        self.follow_candidate(segment, stage);
        if self.is_stale(segment) {
            stage.shard.counters.stale += 1;
            return;
        }
        let half = &mut self.halves[side as usize];
        if !half.known {
            if payload.is_empty() {
                return self.acknowledge(segment, stage);
            }
            half.anchor(head.seq);
            half.note_opening(segment);
            stage.shard.counters.midstream += 1;
        }
        let reached = u64::try_from(half.offset(head.seq)).ok();
        self.guess_syn_data(side, reached, stage);
        let half = &mut self.halves[side as usize];
        let offset = half.offset(head.seq);
        let place = half.place(offset, payload.len());
        if place == SegmentPosition::OutOfWindow {
            stage.shard.counters.out_of_window += 1;
            return;
        }
        self.choose_answer(segment, stage.shard.options.limits.candidates);
        let doubtful = self.is_doubtful(segment);
        let half = &mut self.halves[side as usize];
        let end = offset + payload.len() as i64 + i64::from(head.cut);
        if !doubtful && end >= half.next.cast_signed() {
            half.note_timestamp(segment);
        }
        self.acknowledge(segment, stage);
        let half = &mut self.halves[side as usize];
        if half.ended {
            stage.shard.counters.after_fin += u64::from(!payload.is_empty() && end > half.next.cast_signed());
            return;
        }
        if !doubtful && head.flags.has(TcpFlags::URG) && head.urgent > 0 {
            half.set_urgent(offset + i64::from(head.urgent) - 1);
        }
        half.fin_seen |= head.flags.has(TcpFlags::FIN);
        self.facts.closed |= self.halves.iter().all(|half| half.fin_seen);
        if !payload.is_empty() {
            self.payload(segment, offset, place, doubtful, stage);
        }
        let half = &mut self.halves[side as usize];
        if !doubtful && head.flags.has(TcpFlags::FIN) && end >= half.next.cast_signed() {
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

    /// What the acknowledgment number says about the other direction.
    fn acknowledge<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, stage: &mut FlowContext<'_, L>) {
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
}

/// What the checksums of a segment say that matter in its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    Good,
    Offloaded,
    Unknown,
    /// TCP's is wrong.
    Bad,
    /// That of an IPv4 header around it is wrong.
    BadHeader,
}

/// Whether no end would look at a segment with these flags: a SYN that ends at once, or nothing that a segment of a
/// connection must have (RFC 9293 section 3.10.7; Linux drops both).
pub(super) const fn is_nonsense(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::SYN) && flags.has(TcpFlags::FIN | TcpFlags::RST)
        || !flags.has(TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST)
}

/// IPv4 headers are verified in both directions, TCP's checksum towards the server: a server drops what is wrong, and
/// what its own host sent was often recorded before the network card filled it in.
fn judge_checksums(segment: &Segment<'_>, to_server: bool) -> Admission {
    if segment.encapsulation.ip_checksum_wrong {
        return Admission::BadHeader;
    }
    if !to_server {
        return Admission::Unknown;
    }
    match segment.checksum() {
        Checksum::Valid => Admission::Good,
        Checksum::Offloaded => Admission::Offloaded,
        Checksum::Unknown => Admission::Unknown,
        Checksum::Invalid => Admission::Bad,
    }
}
