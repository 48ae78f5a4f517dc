//! Processes the segments of one flow: its two half streams and the handshake between them. Does not contain the table
//! of flows; see [`super::Flows`].

mod delivery;
mod fast_path;
mod handshake;
mod midstream;
mod passing;
mod refused;

use super::deadline::{Due, Hole};
use super::half_stream::{HalfStream, SegmentPosition};
use super::time_wait::InitialSeqs;
use super::{ChecksumPolicy, Class, EventTime, FlowStats, FlowView, Interest, Listener, Reason, ShardContext};
use crate::segment::{Checksum, FlowKey, Segment, Side, TcpFlags};
use crate::table::Slot;
use crate::time::Timestamp;

/// A flow with its listener's state.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) stats: FlowStats,
    halves: [HalfStream; 2],
    pub(super) state: S,
    /// Memory added to the shard's totals for this flow: queued segments, and all other heap memory.
    accounted: (u32, u32),
    /// Whether segments are passed over, because the listener expects nothing of them.
    passed_over: bool,
}

/// The context of one segment or deadline: the shard's state, the listener and the flow's identity.
pub(super) struct FlowContext<'a, L> {
    pub(super) shard: &'a mut ShardContext,
    pub(super) listener: &'a mut L,
    pub(super) slot: Slot,
    pub(super) key: &'a FlowKey,
    pub(super) at: EventTime,
}

impl<S: Default> Connection<S> {
    pub(super) fn new(start: Timestamp) -> Self {
        let stats = FlowStats {
            start,
            packets: [0; 2],
            bytes: [0; 2],
            client: None,
            conflict: false,
            closed: false,
            missing: [false; 2],
            late_start: None,
            simultaneous: false,
            terminated: false,
        };
        Self { stats, halves: Default::default(), state: S::default(), accounted: (0, 0), passed_over: false }
    }

    /// Processes a segment of this flow and returns the flow's class afterwards.
    pub(super) fn segment<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        context: &mut FlowContext<'_, L>,
    ) -> Class {
        if self.admit(segment, context) {
            let flags = segment.head.flags;
            if self.passed_over && !flags.has(TcpFlags::SYN) && !self.resume(segment, context) {
                return self.class::<L>();
            }
            if flags.has(TcpFlags::RST) {
                context.shard.counters.rst += 1;
                self.reset(segment);
            } else if flags.has(TcpFlags::SYN) {
                self.handshake(segment, context);
            } else if !self.next_in_order(segment, context) {
                self.data(segment, context);
            }
        }
        if L::interest(&self.state) != Interest::High {
            self.pass_over_if_unwanted(context);
        }
        self.class::<L>()
    }

    /// Handles a reset: a hint, and ignored unless it is at its direction's position (RFC 5961 section 3.2).
    fn reset(&mut self, segment: &Segment<'_>) {
        let half = &self.halves[segment.head.side as usize];
        let offset = u64::try_from(half.offset(segment.head.seq)).ok();
        // The end of the stream, or of the bytes queued behind a loss; a direction that sent nothing refuses a SYN.
        let end = half.highest + u64::from(half.ended);
        if !half.anchored || offset == Some(half.next) || offset == Some(end) {
            self.stats.closed = true;
            self.stats.terminated = true;
        }
    }

    /// Returns the first sequence numbers once both directions ended in order: no later segment can be delivered.
    pub(super) fn initial_seqs(&self) -> Option<InitialSeqs> {
        let [low, high] = &self.halves;
        (low.ended && high.ended).then(|| InitialSeqs([low.first_seq(), high.first_seq()]))
    }

    /// Returns whether no segment is queued and the flow needs no heap memory of its own.
    pub(super) fn is_in_order(&self) -> bool {
        self.halves.iter().all(|half| half.out_of_order.is_none())
    }

    /// Updates the shard's totals with this flow's current memory; `listener` is the memory of the listener's state.
    pub(super) fn account(&mut self, shard: &mut ShardContext, listener: usize) {
        let queued = self.halves[0].queued_memory() + self.halves[1].queued_memory();
        let heap = listener + self.halves[0].heap_memory() + self.halves[1].heap_memory();
        let clamp = |memory: usize| u32::try_from(memory).unwrap_or(u32::MAX);
        let now = (clamp(queued), clamp(heap));
        shard.queued_memory = shard.queued_memory - self.accounted.0 as usize + now.0 as usize;
        shard.heap_memory = shard.heap_memory - self.accounted.1 as usize + now.1 as usize;
        self.accounted = now;
    }

    /// Subtracts this flow from the shard's totals, when it is removed.
    pub(super) fn release(&self, shard: &mut ShardContext) {
        shard.queued_memory -= self.accounted.0 as usize;
        shard.heap_memory -= self.accounted.1 as usize;
    }

    /// Delivers queued bytes, with gaps, and ends both directions.
    pub(super) fn close<L: Listener<State = S>>(&mut self, reason: Reason, context: &mut FlowContext<'_, L>) {
        // Where segments were passed over, the position is unknown, and nothing is missed.
        let followed = if self.passed_over { &[][..] } else { &[Side::Low, Side::High] };
        for &side in followed {
            while self.halves[side as usize].queue().is_some() {
                self.skip_hole(side, context);
            }
            let half = &self.halves[side as usize];
            let missing = half.missing();
            if missing > 0 {
                self.gap(side, missing, context);
            }
            self.halves[side as usize].clear_queued();
        }
        let view = FlowView { slot: context.slot, key: context.key, stats: &self.stats, at: context.at };
        context.listener.closed(&view, &mut self.state, reason);
    }

    /// Handles the deadline of a hole in one direction.
    pub(super) fn hole_deadline<L: Listener<State = S>>(&mut self, due: Due, context: &mut FlowContext<'_, L>) {
        let side = due.side;
        self.halves[side as usize].out_of_order().armed[due.hole as usize] = false;
        if self.halves[side as usize].queue().is_some() {
            let half = &self.halves[side as usize];
            let since = half.out_of_order.as_ref().map_or(Timestamp::ZERO, |out_of_order| out_of_order.hole_since);
            let expired = since.after(due.hole.timeout()) <= due.deadline;
            match due.hole {
                _ if half.provisional && expired => self.confirm_start(side, context),
                Hole::Open if expired => self.skip_hole(side, context),
                Hole::Acknowledged if expired && half.misses_acknowledged_bytes() => self.skip_hole(side, context),
                _ => {}
            }
            self.arm(side, context);
        }
        self.halves[side as usize].free_if_idle();
    }

    fn class<L: Listener<State = S>>(&self) -> Class {
        // A peer that is not seen can open a stream whose beginning nobody confirms; its bytes are not known yet.
        let has_data = |half: &HalfStream| !half.is_untouched() && !half.provisional;
        let wanted = L::interest(&self.state) == Interest::High && self.halves.iter().any(has_data);
        match (self.stats.closed, wanted) {
            (false, true) => Class::Established,
            (true, true) => Class::Closing,
            (true, false) => Class::UnwantedClosing,
            (false, false) if !self.halves.iter().all(HalfStream::is_untouched) => Class::Unwanted,
            (false, false) if self.halves.iter().all(|half| half.isn_acknowledged) => Class::Connected,
            (false, false) => Class::HalfOpen,
        }
    }

    /// Returns whether a receiver would process the segment and it is no duplicate; counts the packet if so.
    fn admit<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, context: &mut FlowContext<'_, L>) -> bool {
        let counters = &mut context.shard.counters;
        let (side, flags) = (segment.head.side, segment.head.flags);
        let opening = flags.has(TcpFlags::SYN);
        let half = &mut self.halves[side as usize];
        if has_invalid_flags(flags) {
            counters.invalid_flags += 1;
            return false;
        }
        if context.shard.options.checksums != ChecksumPolicy::None {
            let to_server = self.stats.client.is_none_or(|client| client == side);
            let result = verify_checksums(segment, to_server);
            let strict = context.shard.options.checksums == ChecksumPolicy::All;
            match result {
                ChecksumResult::BadHeader | ChecksumResult::Bad
                    if strict || half.is_proven(result == ChecksumResult::BadHeader) =>
                {
                    counters.bad_checksum += 1;
                    if to_server && !strict {
                        self.keep_refused(segment, context);
                    }
                    return false;
                }
                ChecksumResult::BadHeader | ChecksumResult::Bad => counters.unproven_checksum += 1,
                ChecksumResult::Offloaded => counters.offloaded_checksum += 1,
                ChecksumResult::Good | ChecksumResult::Unknown => {}
            }
            if result == ChecksumResult::Good && !half.checksum_proven && opening && half.seen && half.accepted_unproven
            {
                // Earlier segments were accepted only because none with a correct checksum was known.
                self.restart_unverified(segment, context);
            }
            let half = &mut self.halves[side as usize];
            half.ip_checksum_proven |= result != ChecksumResult::BadHeader;
            half.checksum_proven |= result == ChecksumResult::Good;
            half.accepted_unproven |= matches!(result, ChecksumResult::BadHeader | ChecksumResult::Bad);
        }
        let counters = &mut context.shard.counters;
        let half = &mut self.halves[side as usize];
        if !context.shard.options.keep_duplicates && context.shard.duplicates.is_duplicate(context.slot, segment) {
            counters.duplicates += 1;
            return false;
        }
        half.seen = true;
        let wrongly_signed = half.is_wrongly_signed(segment);
        counters.signature_drops += u64::from(wrongly_signed);
        self.count(side, segment.head.wire_len);
        !wrongly_signed
    }

    /// Handles the first SYN with a correct checksum after segments that were accepted without one: closes what those
    /// carried, and begins the direction with this SYN.
    fn restart_unverified<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, context: &mut FlowContext<'_, L>) {
        let side = segment.head.side as usize;
        if self.halves.iter().all(HalfStream::is_untouched) {
            let armed = self.halves[side].armed();
            self.halves[side] = HalfStream::default();
            self.halves[side].set_armed(armed);
        } else {
            self.restart(Reason::Reused, segment.head.time, context);
            self.halves[side].seen = false;
        }
    }

    /// Closes the connection and replaces it by a new one with the same addresses.
    fn restart<L: Listener<State = S>>(&mut self, reason: Reason, start: Timestamp, context: &mut FlowContext<'_, L>) {
        context.shard.counters.flows += 1;
        self.close(reason, context);
        let restarted = Self { accounted: self.accounted, ..Self::new(start) };
        let before = std::mem::replace(self, restarted);
        for (half, before) in self.halves.iter_mut().zip(&before.halves) {
            half.checksum_proven = before.checksum_proven;
            half.ip_checksum_proven = before.ip_checksum_proven;
            half.seen = before.seen;
            // The entries of the old connection are still in the deadline queues.
            half.set_armed(before.armed());
        }
    }

    /// Counts a packet of this flow.
    fn count(&mut self, side: Side, wire_len: u32) {
        self.stats.packets[side as usize] += 1;
        self.stats.bytes[side as usize] += u64::from(wire_len);
    }

    /// Processes a segment without SYN or RST that is not handled by the fast path.
    fn data<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, context: &mut FlowContext<'_, L>) {
        let (head, payload) = (segment.head, segment.payload());
        let side = head.side;
        self.follow_candidate(segment, context);
        if self.is_stale(segment) {
            context.shard.counters.paws_drops += 1;
            return;
        }
        self.accept_answered(segment, context);
        if !self.begin(segment, context) {
            return self.acknowledge(segment, context);
        }
        let half = &mut self.halves[side as usize];
        let reached = u64::try_from(half.offset(head.seq)).ok();
        self.infer_syn_data(side, reached, context);
        let half = &mut self.halves[side as usize];
        let offset = half.offset(head.seq);
        let position = half.position(offset, payload.len());
        if position == SegmentPosition::OutOfWindow {
            context.shard.counters.out_of_window += 1;
            return;
        }
        self.choose_syn_ack(segment, context.shard.options.limits.candidates);
        let doubtful = self.is_doubtful(segment);
        let half = &mut self.halves[side as usize];
        let end = offset + payload.len() as i64 + i64::from(head.cut);
        if !doubtful && end >= half.next.cast_signed() {
            half.note_timestamp(segment);
        }
        self.acknowledge(segment, context);
        let half = &mut self.halves[side as usize];
        if half.ended {
            context.shard.counters.after_fin += u64::from(!payload.is_empty() && end > half.next.cast_signed());
            return;
        }
        if !doubtful && head.flags.has(TcpFlags::URG) && head.urgent > 0 {
            half.set_urgent(offset + i64::from(head.urgent) - 1);
        }
        half.fin_seen |= head.flags.has(TcpFlags::FIN);
        self.stats.closed |= self.halves.iter().all(|half| half.fin_seen);
        if !payload.is_empty() {
            self.payload(segment, offset, position, doubtful, context);
        }
        let half = &mut self.halves[side as usize];
        if !doubtful && head.flags.has(TcpFlags::FIN) && end >= half.next.cast_signed() {
            if end == half.next.cast_signed() && half.out_of_order.is_none() {
                self.finish(side, context);
            } else {
                half.out_of_order().fin = u64::try_from(end).ok();
            }
        }
        self.drain(side, context);
        self.stats.missing = [0, 1].map(|at| self.halves[at].missing() > 0);
    }

    /// Returns whether a receiver would discard the segment as old by its timestamp option (PAWS, RFC 7323 section
    /// 5.3). Both sides must have agreed to use the option; otherwise receivers ignore it.
    fn is_stale(&self, segment: &Segment<'_>) -> bool {
        let side = segment.head.side;
        let (half, other) = (&self.halves[side as usize], &self.halves[side.other() as usize]);
        half.anchored && half.is_stale(segment) && other.opened_with_timestamp != Some(false)
    }

    /// Returns whether a receiver would refuse the segment for its acknowledgment number: it acknowledges bytes that
    /// were not seen, or is older than any window (RFC 5961 section 5.2). The capture may lack the acknowledged bytes,
    /// so such a segment is queued until the other direction confirms it.
    fn is_doubtful(&self, segment: &Segment<'_>) -> bool {
        /// Rationale: receivers use the largest window they were offered; the smallest is one without scaling.
        const OLDEST: i64 = 65_535;
        let other = &self.halves[segment.head.side.other() as usize];
        if !other.seen || !other.anchored {
            return false;
        }
        let acked = other.offset(segment.head.ack);
        // One more than the highest byte is the FIN's own number.
        acked > other.highest.cast_signed() + 1 || acked + OLDEST < other.acked.cast_signed()
    }

    /// Applies the acknowledgment number to the other direction.
    fn acknowledge<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, context: &mut FlowContext<'_, L>) {
        let other = segment.head.side.other();
        let half = &mut self.halves[other as usize];
        if half.provisional && half.offset(segment.head.ack) >= 0 {
            self.confirm_start(other, context);
        }
        let half = &mut self.halves[other as usize];
        let Some(claimed) = half.acknowledged(segment.head.ack) else { return half.expect(segment.head.ack) };
        self.infer_syn_data(other, Some(claimed), context);
        let half = &mut self.halves[other as usize];
        let payload = segment.payload();
        if payload.is_empty() {
            half.note_claimed(claimed);
        }
        let acked = claimed.min(half.highest);
        let advanced = acked > half.acked;
        half.acked = half.acked.max(acked);
        if half.queue().is_none() {
            return;
        }
        if advanced {
            half.out_of_order().queue.confirm(acked);
            self.drain(other, context);
        }
        // A segment with data shows that the receiver has what the capture lacks; a bare acknowledgment may be early.
        let with_data = !payload.is_empty();
        while with_data && self.halves[other as usize].misses_acknowledged_bytes() {
            self.skip_hole(other, context);
        }
        if advanced {
            self.arm(other, context);
        }
    }
}

/// The result of checksum verification, as far as it matters in the segment's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChecksumResult {
    Good,
    Offloaded,
    Unknown,
    /// The TCP checksum is wrong.
    Bad,
    /// The checksum of an enclosing IPv4 header is wrong.
    BadHeader,
}

/// Returns whether no receiver accepts a segment with these flags: a SYN with FIN or RST, or none of SYN, ACK and RST
/// (RFC 9293 section 3.10.7; Linux drops both).
pub(super) const fn has_invalid_flags(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::SYN) && flags.has(TcpFlags::FIN | TcpFlags::RST)
        || !flags.has(TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST)
}

/// Verifies IPv4 header checksums in both directions, and the TCP checksum towards the server: a server drops segments
/// with a wrong one, and its own host's segments were often captured before the network card filled the checksum in.
fn verify_checksums(segment: &Segment<'_>, to_server: bool) -> ChecksumResult {
    if segment.encapsulation.ip_checksum_wrong {
        return ChecksumResult::BadHeader;
    }
    if !to_server {
        return ChecksumResult::Unknown;
    }
    match segment.checksum() {
        Checksum::Valid => ChecksumResult::Good,
        Checksum::Offloaded => ChecksumResult::Offloaded,
        Checksum::Unknown => ChecksumResult::Unknown,
        Checksum::Invalid => ChecksumResult::Bad,
    }
}
