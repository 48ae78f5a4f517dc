//! Reassembles TCP flows: puts each direction in order as bytes or gaps, recognises duplicate packets and expires idle
//! flows. Does not interpret the bytes; a [`Listener`] does.
//!
//! The two directions are independent half streams, and in-order bytes are delivered at once, never held for the
//! peer's acknowledgment. RST, FIN and stray SYNs are hints. Segments that a receiver would drop are dropped before
//! they affect the state. Decisions follow a Linux receiver (RFC 9293, RFC 5961, RFC 7323) where the standards leave a
//! choice.

mod connection;
mod counters;
mod deadline;
mod delivered_ring;
mod duplicates;
mod half_stream;
mod listener;
mod options;
mod overlap;
mod queue;
mod time_wait;

pub use counters::Counters;
pub use listener::{Chunk, EventTime, FlowStats, FlowView, Interest, Listener, Reason};
pub use options::{ChecksumPolicy, Limits, Options, SHARDS, Timeouts};
pub use overlap::OverlapPolicy;

use std::time::Duration;

use connection::{Connection, FlowContext};
use deadline::{Deadlines, Due};
use delivered_ring::DeliveredRing;
use duplicates::Duplicates;
use time_wait::{Late, TimeWait};

use crate::segment::{FlowKey, Segment, TcpFlags};
use crate::table::{Hashed, Slot, SlotHint, Table};
use crate::time::Timestamp;

/// The classes of the table, in order of eviction. What a peer can open in numbers without having anything to say to
/// an HTTP server comes first, so that it displaces only its own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// No data, and the handshake is not complete: a sender that does not exist can open it.
    HalfOpen,
    /// Of [`Interest::Low`] or [`Interest::None`], after a reset or the end of both directions.
    UnwantedClosing,
    /// Of [`Interest::Low`] or [`Interest::None`].
    Unwanted,
    /// No data, but a complete handshake.
    Connected,
    /// After a reset or the end of both directions.
    Closing,
    /// Idle for the timeout of established flows, and kept because the listener waits for the peer.
    Waiting,
    /// With data.
    Established,
}

const CLASSES: [Class; 7] = [
    Class::HalfOpen,
    Class::UnwantedClosing,
    Class::Unwanted,
    Class::Connected,
    Class::Closing,
    Class::Waiting,
    Class::Established,
];

/// The table of flows.
type FlowTable<S> = Table<FlowKey, Connection<S>, { CLASSES.len() }>;

/// Entries in the cache of recent flows. Rationale: in a storm of 5,000 scans a second some 550 flows live at a time,
/// 35 in a shard, so that few displace each other; and 2 KiB a shard stay in the cache.
const RECENT: usize = 512;

/// Precision of the times of flows that are passed over. Rationale: a quarter of the work on each of their segments is to
/// move them to the end of their list, and the shortest timeout is ten times as long.
const PASSED_OVER_SPAN: Duration = Duration::from_millis(100);

/// The flows of one shard.
#[derive(Debug)]
pub struct Flows<S> {
    table: FlowTable<S>,
    /// Slots of the latest segments' flows, by the segments' `flow_hash`. Rationale: a lookup here costs half as much
    /// as hashing the key and searching the table, and few flows are active at the same time.
    recent: [SlotHint; RECENT],
    time_wait: TimeWait,
    shard: ShardContext,
}

/// The state that all flows of a shard share.
#[derive(Debug)]
struct ShardContext {
    options: Options,
    counters: Counters,
    duplicates: Duplicates,
    delivered: DeliveredRing,
    deadlines: Deadlines,
    /// Memory of queued segments, in bytes.
    queued_memory: usize,
    /// Other heap memory of flows and listeners, in bytes.
    heap_memory: usize,
}

impl<S: Default> Flows<S> {
    /// Creates an empty flow table; `keys` key the table's hash.
    #[must_use]
    pub fn new(options: Options, keys: [u64; 2]) -> Self {
        Self {
            table: Table::new(keys),
            recent: [SlotHint::default(); RECENT],
            time_wait: TimeWait::default(),
            shard: ShardContext {
                options,
                counters: Counters::default(),
                duplicates: Duplicates::default(),
                delivered: DeliveredRing::default(),
                deadlines: Deadlines::default(),
                queued_memory: 0,
                heap_memory: 0,
            },
        }
    }

    /// Returns the counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shard.counters
    }

    /// Returns the number of flows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether there is no flow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Returns the memory of flows and of their listeners' states in bytes, computed from the entries.
    #[must_use]
    pub fn memory(&self) -> usize {
        let live = self.table.len() * FlowTable::<S>::entry_size();
        live + self.shard.heap_memory + self.time_wait.memory()
    }

    /// Returns the memory of queued segments in bytes.
    #[must_use]
    pub fn queued_memory(&self) -> usize {
        self.shard.queued_memory
    }

    /// Returns the key, statistics and state of a flow, if it still lives.
    pub fn state(&mut self, slot: Slot) -> Option<(&FlowKey, &FlowStats, &mut S)> {
        let (key, connection) = self.table.get_mut(slot)?;
        Some((key, &connection.stats, &mut connection.state))
    }

    /// Returns the earliest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Timestamp {
        let expiry = CLASSES.iter().filter_map(|&class| Some(self.oldest(class)?.1)).min();
        expiry.unwrap_or(Timestamp::MAX).min(self.shard.deadlines.next())
    }

    /// Handles the earliest deadline, which must have passed. The time of the event is the deadline or `not_before`,
    /// whichever is later.
    pub fn fire<L: Listener<State = S>>(&mut self, not_before: Timestamp, listener: &mut L) {
        let expiry = CLASSES.iter().filter_map(|&class| self.oldest(class)).min_by_key(|&(_, deadline)| deadline);
        let hole = self.shard.deadlines.next();
        match expiry {
            Some((slot, deadline)) if deadline <= hole => {
                let at = EventTime { clock: deadline.max(not_before), number: 0 };
                if self.keeps_waiting::<L>(slot) {
                    self.table.touch(slot, Class::Waiting as usize, at.clock);
                } else {
                    self.shard.counters.timeouts += 1;
                    self.close(slot, at, Reason::Timeout, listener);
                }
            }
            _ => {
                if let Some(due) = self.shard.deadlines.pop() {
                    self.hole_deadline(Due { deadline: due.deadline.max(not_before), ..due }, listener);
                }
            }
        }
    }

    /// Closes the flow that [`Flows::finish`] would close first. Returns whether there was one.
    pub fn finish_one<L: Listener<State = S>>(&mut self, at: EventTime, reason: Reason, listener: &mut L) -> bool {
        let oldest = CLASSES.iter().find_map(|&class| self.table.oldest(class as usize));
        oldest.map(|(slot, _)| self.close(slot, at, reason, listener)).is_some()
    }

    /// Processes a segment. Deadlines up to its clock must have been fired. Returns whether it was passed over.
    pub fn feed<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, listener: &mut L) -> bool {
        let key = segment.head.key;
        let now = segment.head.clock;
        let at = EventTime { clock: now, number: segment.head.number };
        let recent = (segment.head.flow_hash >> 48) as usize % RECENT;
        let found = self.table.find_at(self.recent[recent], &key);
        let (slot, connection) = match found {
            Some(found) => found,
            None => {
                let hash = self.table.hash(&key);
                let existing = self.table.find_hashed(&key, hash);
                let Some(slot) = existing.or_else(|| self.open(segment, hash, at, listener)) else { return false };
                self.recent[recent] = slot.hint();
                let Some((_, connection)) = self.table.get_mut(slot) else { return false };
                (slot, connection)
            }
        };
        if connection.passes_over::<L>(segment) {
            let class = connection.pass_over(segment, &key, listener);
            self.table.touch_rarely(slot, class as usize, now, PASSED_OVER_SPAN);
            return true;
        }
        let mut context = FlowContext { shard: &mut self.shard, listener, slot, key: &key, at };
        let was_in_order = connection.is_in_order();
        let class = connection.segment(segment, &mut context);
        // A third of all segments: no memory total can change.
        let memory_unchanged = segment.is_pure_ack() && was_in_order && connection.is_in_order();
        if !memory_unchanged {
            connection.account(&mut self.shard, L::memory(&connection.state));
        }
        let initial_seqs = connection.initial_seqs();
        self.table.touch(slot, class as usize, now);
        if memory_unchanged {
            return false;
        }
        if let Some(initial_seqs) = initial_seqs {
            let hash = self.table.hash_of(slot);
            self.close(slot, at, Reason::Ended, listener);
            let Options { timeouts, limits, .. } = self.shard.options;
            let early = self.time_wait.insert(key, hash, initial_seqs, now, timeouts.closing, limits.flows);
            self.shard.counters.ended_forgotten += u64::from(early);
        }
        if self.exceeds_limits() {
            self.enforce_limits(Some(slot), at, listener);
        }
        let table = &self.table;
        self.shard.deadlines.prune(self.shard.options.limits.flows, |slot| table.get(slot).is_some());
        false
    }

    /// Creates a flow for a segment that belongs to none, unless the segment cannot start one.
    #[inline(never)]
    fn open<L: Listener<State = S>>(
        &mut self,
        segment: &Segment<'_>,
        hash: Hashed,
        at: EventTime,
        listener: &mut L,
    ) -> Option<Slot> {
        let head = segment.head;
        let counters = &mut self.shard.counters;
        if segment.payload().is_empty() && !head.flags.has(TcpFlags::SYN) {
            counters.stray += 1;
            return None;
        }
        // No server accepts such a segment: it neither starts a flow nor removes a TIME-WAIT entry.
        if connection::has_invalid_flags(head.flags) {
            counters.invalid_flags += 1;
            return None;
        }
        if self.time_wait.lookup(segment, hash, self.shard.options.timeouts.closing) == Late::Stale {
            counters.belated += 1;
            return None;
        }
        self.enforce_limits(None, at, listener);
        self.shard.counters.flows += 1;
        Some(self.table.insert_hashed(head.key, hash, Connection::new(head.time), Class::HalfOpen as usize, head.clock))
    }

    /// Closes all flows, class by class in order of eviction, each class in the order of its flows' last segments.
    pub fn finish<L: Listener<State = S>>(&mut self, at: EventTime, reason: Reason, listener: &mut L) {
        while self.finish_one(at, reason, listener) {}
        // The clock may restart, and the next packets belong to another capture.
        self.time_wait.clear();
        self.shard.deadlines = Deadlines::default();
        self.shard.duplicates = Duplicates::default();
    }

    /// Returns whether there are more flows, or they take more memory, than the limits allow.
    #[inline]
    fn exceeds_limits(&self) -> bool {
        let limits = &self.shard.options.limits;
        self.table.len() > limits.flows.max(1) || self.memory() > limits.flow_memory
    }

    /// Returns whether an idle flow is kept longer, because its listener waits for a peer that may still send.
    fn keeps_waiting<L: Listener<State = S>>(&self, slot: Slot) -> bool {
        let Timeouts { established, waiting, .. } = self.shard.options.timeouts;
        waiting > established
            && self.table.class(slot) == Some(Class::Established as usize)
            && self.table.get(slot).is_some_and(|(_, connection)| {
                connection.stats.packets.iter().all(|&packets| packets > 0) && L::waits_for_peer(&connection.state)
            })
    }

    /// Returns the flow of a class that was touched longest ago, and when it expires.
    fn oldest(&self, class: Class) -> Option<(Slot, Timestamp)> {
        let (slot, touched) = self.table.oldest(class as usize)?;
        let timeouts = &self.shard.options.timeouts;
        let timeout = match class {
            Class::HalfOpen | Class::Connected => timeouts.new,
            Class::UnwantedClosing | Class::Closing => timeouts.closing,
            // Touched when the timeout of established flows passed.
            Class::Waiting => timeouts.waiting.saturating_sub(timeouts.established),
            Class::Unwanted | Class::Established => timeouts.established,
        };
        Some((slot, touched.after(timeout)))
    }

    /// Closes flows until the limits are met, class by class; `keep` is not closed, and
    /// without it there is space for one more flow. The memory that a single remaining flow may hold has limits of its
    /// own.
    fn enforce_limits<L: Listener<State = S>>(&mut self, keep: Option<Slot>, at: EventTime, listener: &mut L) {
        let limits = self.shard.options.limits;
        let flows = limits.flows.max(1) - usize::from(keep.is_none());
        while self.table.len() > flows || self.memory() > limits.flow_memory {
            // The flow to keep was touched last: if it is the oldest of its class, it is the only one.
            let Some((class, slot)) = CLASSES.iter().find_map(|&class| {
                let (slot, _) = self.table.oldest(class as usize)?;
                (Some(slot) != keep).then_some((class, slot))
            }) else {
                return;
            };
            let counters = &mut self.shard.counters;
            match class {
                Class::HalfOpen | Class::Connected => counters.evicted_half_open += 1,
                Class::Unwanted => counters.evicted_unwanted += 1,
                Class::UnwantedClosing | Class::Closing => counters.evicted_closing += 1,
                Class::Waiting => counters.evicted_waiting += 1,
                Class::Established => counters.evicted_established += 1,
            }
            self.close(slot, at, Reason::Limit, listener);
        }
    }

    fn close<L: Listener<State = S>>(&mut self, slot: Slot, at: EventTime, reason: Reason, listener: &mut L) {
        let Some((&key, connection)) = self.table.get_mut(slot) else { return };
        let mut context = FlowContext { shard: &mut self.shard, listener, slot, key: &key, at };
        connection.close(reason, &mut context);
        connection.release(&mut self.shard);
        self.table.discard(slot);
    }

    fn hole_deadline<L: Listener<State = S>>(&mut self, due: Due, listener: &mut L) {
        let at = EventTime { clock: due.deadline, number: 0 };
        let Some((&key, connection)) = self.table.get_mut(due.slot) else { return };
        let mut context = FlowContext { shard: &mut self.shard, listener, slot: due.slot, key: &key, at };
        connection.hole_deadline(due, &mut context);
        connection.account(&mut self.shard, L::memory(&connection.state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Encapsulation, Endpoint, Head, Seq, Side};

    /// Ignores all events.
    struct NoListener;

    impl Listener for NoListener {
        type State = ();
        fn chunk(&mut self, _: &FlowView<'_>, (): &mut (), _: Side, _: Chunk<'_>) {}
        fn waits(&mut self, _: &FlowView<'_>, (): &mut (), _: Side) {}
        fn end(&mut self, _: &FlowView<'_>, (): &mut (), _: Side) {}
        fn closed(&mut self, _: &FlowView<'_>, (): &mut (), _: Reason) {}
        fn waits_for_peer((): &()) -> bool {
            false
        }
        fn memory((): &()) -> usize {
            0
        }
    }

    fn head(port: u16, number: u64) -> Head {
        let end = |last, port| Endpoint { ip: std::net::IpAddr::from([192, 0, 2, last]), port };
        let (key, side) = FlowKey::new(end(1, port), end(2, 80));
        Head {
            number,
            frame: number,
            time: Timestamp::from_nanos(number as i64 * 1000),
            clock: Timestamp::from_nanos(number as i64 * 1000),
            input: 0,
            wire_len: 60,
            key,
            flow_hash: 0,
            side,
            seq: Seq(0),
            ack: Seq(0),
            flags: TcpFlags(TcpFlags::ACK),
            header_len: 20,
            window: 1000,
            urgent: 0,
            checksum: 0,
            ip_id: number as u32,
            ip_len: 41,
            cut: 0,
            timestamp_value: None,
            signed: false,
            encapsulation: 0,
        }
    }

    /// Reuses addresses with bytes missing each time, and creates and closes many flows.
    #[test]
    fn deadline_queues_stay_bounded() {
        for ports in [1, u16::MAX] {
            let limits = Limits { flows: 16, ..Limits::default() };
            let options = Options { checksums: ChecksumPolicy::None, limits, ..Options::default() };
            let mut flows: Flows<()> = Flows::new(options, [1, 2]);
            let mut number = 0;
            for round in 0..5000_u32 {
                number += 3;
                let syn = Head {
                    flags: TcpFlags(TcpFlags::SYN),
                    seq: Seq(round << 20),
                    ..head(round as u16 % ports, number)
                };
                let syn_ack = Head {
                    side: syn.side.other(),
                    flags: TcpFlags(TcpFlags::SYN | TcpFlags::ACK),
                    seq: Seq(round),
                    ack: syn.seq.advance(1),
                    ..head(round as u16 % ports, number + 1)
                };
                let ahead =
                    Head { seq: syn.seq.advance(9), ack: Seq(round + 1), ..head(round as u16 % ports, number + 2) };
                for (head, tcp) in [(syn, &[0; 20][..]), (syn_ack, &[0; 20]), (ahead, &[0; 21])] {
                    let encapsulation = &Encapsulation::default();
                    flows.feed(&Segment { head: &head, tcp, encapsulation }, &mut NoListener);
                }
            }
            assert!(flows.shard.deadlines.len() <= 1024, "{}", flows.shard.deadlines.len());
            assert_eq!(flows.len(), usize::from(ports.min(16)));
        }
    }
}
