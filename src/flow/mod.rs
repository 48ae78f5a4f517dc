//! TCP flows: each direction put in order as bytes or gaps, copies recognised, idle flows expired. Not what the bytes
//! mean: whoever wants to know is a [`Listener`].
//!
//! The two directions are independent halves, and in-order bytes are handed on at once, never held for the peer's
//! acknowledgment. RST, FIN and stray SYNs are hints. What a receiver would drop is dropped before it can do harm.
//! Decisions follow a Linux receiver (RFC 9293, RFC 5961, RFC 7323) where the standards leave room.

mod connection;
mod counters;
mod deadline;
mod delivered_ring;
mod duplicates;
mod half_stream;
mod options;
mod overlap;
mod queue;
mod time_wait;

pub use counters::Counters;
pub use options::{ChecksumPolicy, Limits, Options, SHARDS, Timeouts};
pub use overlap::OverlapPolicy;

use connection::{Connection, FlowContext};
use deadline::{Deadlines, Due};
use delivered_ring::DeliveredRing;
use duplicates::Duplicates;
use time_wait::{Late, TimeWait};

use crate::segment::{FlowKey, Segment, Side, TcpFlags};
use crate::table::{Hashed, Slot, SlotHint, Table};
use crate::time::Timestamp;

/// A part of one direction's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// Bytes in order.
    Data {
        /// The bytes.
        bytes: &'a [u8],
        /// Stream offset of the first one: 0 is the byte after the SYN, or the first one seen.
        offset: u64,
        /// Offset in the other direction's stream that the segment with these bytes acknowledged.
        acked: Option<u64>,
    },
    /// So many bytes were not captured.
    Gap {
        /// Their number.
        len: u64,
    },
}

/// When something happened: the clock, and the packet that caused it, or a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventTime {
    /// The clock at the packet, or the deadline that passed.
    pub clock: Timestamp,
    /// The packet's running number; 0 for a deadline.
    pub number: u64,
}

/// What is known of a flow besides its bytes. Arrays are indexed by [`Side`].
#[derive(Clone, Copy, Debug)]
pub struct FlowStats {
    /// Time of the first packet.
    pub start: Timestamp,
    /// Packets, copies by a SPAN port not counted.
    pub packets: [u64; 2],
    /// Bytes on the wire.
    pub bytes: [u64; 2],
    /// Who opened the connection, where a handshake says so.
    pub client: Option<Side>,
    /// Whether copies of the same bytes disagreed.
    pub conflict: bool,
    /// Whether a reset was seen where its direction stood, or a FIN in both directions.
    pub closed: bool,
    /// Whether more was sent than was captured, as far as FINs and acknowledgments tell.
    pub missing: [bool; 2],
    /// Both ends sent a SYN of their own: the handshake does not tell who is the client.
    simultaneous: bool,
    /// The connection is over beyond doubt: both directions ended, or a reset stood exactly where one ends.
    over: bool,
}

/// A flow as its listener sees it.
#[derive(Clone, Copy, Debug)]
pub struct FlowView<'a> {
    /// Where the flow stands; valid as long as it lives.
    pub slot: Slot,
    /// Its addresses.
    pub key: &'a FlowKey,
    /// What is known of it.
    pub stats: &'a FlowStats,
    /// When.
    pub at: EventTime,
}

/// Why a flow is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was idle, or lingered long enough after a reset.
    Timeout,
    /// Both directions ended in order.
    Ended,
    /// A new connection took its addresses.
    Reused,
    /// A limit was reached.
    Limit,
    /// The input ended or the sensor stops.
    Stop,
}

/// Who is told what the flows carry.
pub trait Listener {
    /// What it keeps for each flow.
    type State: Default;

    /// The next part of one direction.
    fn chunk(&mut self, flow: &FlowView<'_>, state: &mut Self::State, side: Side, chunk: Chunk<'_>);
    /// A segment of one direction waits for what is missing before it; called before what it brings about.
    fn waits(&mut self, flow: &FlowView<'_>, state: &mut Self::State, side: Side);
    /// One direction ended in order.
    fn end(&mut self, flow: &FlowView<'_>, state: &mut Self::State, side: Side);
    /// The flow is gone; both directions are at their end.
    fn closed(&mut self, flow: &FlowView<'_>, state: &mut Self::State, reason: Reason);
    /// Heap memory of a state in bytes.
    fn memory(state: &Self::State) -> usize;
}

/// The classes of the table; each has its own timeout and is given up in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    New,
    Closing,
    Established,
}

const CLASSES: [Class; 3] = [Class::New, Class::Closing, Class::Established];

/// Places for the flows of the latest segments. Rationale: in a storm of 5,000 scans a second some 550 flows live at a time,
/// 35 in a shard, so that few take each other's place; and 2 KiB a shard stay in the cache.
const RECENT: usize = 512;

/// The flows of one shard.
#[derive(Debug)]
pub struct Flows<S> {
    table: Table<FlowKey, Connection<S>, 3>,
    /// Where the flows of the latest segments stand, by the segments' `flow_hash`. Rationale: a look here costs half of
    /// hashing the key and asking the table, and few flows speak at the same time.
    recent: [SlotHint; RECENT],
    time_wait: TimeWait,
    shard: ShardContext,
}

/// What all flows of a shard share.
#[derive(Debug)]
struct ShardContext {
    options: Options,
    counters: Counters,
    duplicates: Duplicates,
    delivered: DeliveredRing,
    deadlines: Deadlines,
    /// Memory of segments that wait.
    queued_memory: usize,
    /// Memory that flows and listeners keep on the heap.
    heap_memory: usize,
}

impl<S: Default> Flows<S> {
    /// No flows yet; `keys` key the table's hash.
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

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shard.counters
    }

    /// Number of flows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no flow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Memory of flows and of what listeners keep for them, in bytes, counted from entries.
    #[must_use]
    pub fn memory(&self) -> usize {
        let live = self.table.len() * Table::<FlowKey, Connection<S>, 3>::entry_size();
        live + self.shard.heap_memory + self.time_wait.memory()
    }

    /// Memory of segments that wait, in bytes.
    #[must_use]
    pub fn queued_memory(&self) -> usize {
        self.shard.queued_memory
    }

    /// The state of a flow, if it still lives.
    pub fn state(&mut self, slot: Slot) -> Option<(&FlowKey, &FlowStats, &mut S)> {
        let (key, connection) = self.table.get_mut(slot)?;
        Some((key, &connection.stats, &mut connection.state))
    }

    /// The earliest deadline of this room.
    #[must_use]
    pub fn next_deadline(&self) -> Timestamp {
        let expiry = CLASSES.iter().filter_map(|&class| Some(self.oldest(class)?.1)).min();
        expiry.unwrap_or(Timestamp::MAX).min(self.shard.deadlines.next())
    }

    /// Handles the earliest deadline, which has passed; not before a moment at which its time may be taken to be.
    pub fn fire<L: Listener<State = S>>(&mut self, not_before: Timestamp, listener: &mut L) {
        let expiry = CLASSES.iter().filter_map(|&class| self.oldest(class)).min_by_key(|&(_, deadline)| deadline);
        let hole = self.shard.deadlines.next();
        match expiry {
            Some((slot, deadline)) if deadline <= hole => {
                self.shard.counters.timeouts += 1;
                let at = EventTime { clock: deadline.max(not_before), number: 0 };
                self.close(slot, at, Reason::Timeout, listener);
            }
            _ => {
                if let Some(due) = self.shard.deadlines.pop() {
                    self.hole_deadline(Due { deadline: due.deadline.max(not_before), ..due }, listener);
                }
            }
        }
    }

    /// Gives up the flow that [`Flows::finish`] would give up first. Says whether there was one.
    pub fn finish_one<L: Listener<State = S>>(&mut self, at: EventTime, reason: Reason, listener: &mut L) -> bool {
        let oldest = CLASSES.iter().find_map(|&class| self.table.oldest(class as usize));
        oldest.map(|(slot, _)| self.close(slot, at, reason, listener)).is_some()
    }

    /// Takes a segment. Deadlines up to its clock must have been fired.
    pub fn feed<L: Listener<State = S>>(&mut self, segment: &Segment<'_>, listener: &mut L) {
        let key = segment.head.key;
        let now = segment.head.clock;
        let at = EventTime { clock: now, number: segment.head.number };
        let recent = (segment.head.flow_hash >> 48) as usize % RECENT;
        let found = self.table.find_at(self.recent[recent], &key);
        let (slot, connection) = match found {
            Some(found) => found,
            None => {
                let hash = self.table.hash(&key);
                let known = self.table.find_hashed(&key, hash);
                let Some(slot) = known.or_else(|| self.open(segment, hash, at, listener)) else { return };
                self.recent[recent] = slot.place();
                let Some((_, connection)) = self.table.get_mut(slot) else { return };
                (slot, connection)
            }
        };
        let mut context = FlowContext { shard: &mut self.shard, listener, slot, key: &key, at };
        let was_in_order = connection.is_in_order();
        let class = connection.segment(segment, &mut context);
        // A third of all segments: nobody kept anything of it.
        let nothing_new = segment.is_bare_acknowledgment() && was_in_order && connection.is_in_order();
        if !nothing_new {
            connection.account(&mut self.shard, L::memory(&connection.state));
        }
        let initial_seqs = connection.initial_seqs();
        self.table.touch(slot, class as usize, now);
        if nothing_new {
            return;
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
    }

    /// A flow for a segment of an unknown one, unless nothing can come of it.
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
        // No server opens anything for it, so it neither begins a flow nor makes one that ended forgotten.
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
        Some(self.table.insert_hashed(head.key, hash, Connection::new(head.time), Class::New as usize, head.clock))
    }

    /// Gives up all flows, in the order of their last touch.
    pub fn finish<L: Listener<State = S>>(&mut self, at: EventTime, reason: Reason, listener: &mut L) {
        while self.finish_one(at, reason, listener) {}
        // The clock may start anew, and what follows is another capture.
        self.time_wait.clear();
        self.shard.deadlines = Deadlines::default();
        self.shard.duplicates = Duplicates::default();
    }

    /// Whether the flows are more, or take more memory, than they may.
    #[inline]
    fn exceeds_limits(&self) -> bool {
        let limits = &self.shard.options.limits;
        self.table.len() > limits.flows.max(1) || self.memory() > limits.flow_memory
    }

    fn oldest(&self, class: Class) -> Option<(Slot, Timestamp)> {
        let (slot, touched) = self.table.oldest(class as usize)?;
        let timeouts = &self.shard.options.timeouts;
        let timeout = match class {
            Class::New => timeouts.new,
            Class::Closing => timeouts.closing,
            Class::Established => timeouts.established,
        };
        Some((slot, touched.after(timeout)))
    }

    /// Gives up flows until the limits are kept, with one more if none is to stay: half-open ones first, established
    /// ones last. What a flow that keep alone may hold has limits of its own.
    fn enforce_limits<L: Listener<State = S>>(&mut self, keep: Option<Slot>, at: EventTime, listener: &mut L) {
        let limits = self.shard.options.limits;
        let flows = limits.flows.max(1) - usize::from(keep.is_none());
        while self.table.len() > flows || self.memory() > limits.flow_memory {
            // The one that keep was touched last: where it is the oldest of its class it is the only one.
            let Some((class, slot)) = CLASSES.iter().find_map(|&class| {
                let (slot, _) = self.table.oldest(class as usize)?;
                (Some(slot) != keep).then_some((class, slot))
            }) else {
                return;
            };
            let counters = &mut self.shard.counters;
            match class {
                Class::New => counters.evicted_half_open += 1,
                Class::Closing => counters.evicted_closing += 1,
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
    use crate::segment::{Encapsulation, Endpoint, Head, Seq};

    /// Hears nothing.
    struct NoListener;

    impl Listener for NoListener {
        type State = ();
        fn chunk(&mut self, _: &FlowView<'_>, (): &mut (), _: Side, _: Chunk<'_>) {}
        fn waits(&mut self, _: &FlowView<'_>, (): &mut (), _: Side) {}
        fn end(&mut self, _: &FlowView<'_>, (): &mut (), _: Side) {}
        fn closed(&mut self, _: &FlowView<'_>, (): &mut (), _: Reason) {}
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

    /// However often addresses are used again, with bytes missing each time, and however many flows come and go.
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
                let answer = Head {
                    side: syn.side.other(),
                    flags: TcpFlags(TcpFlags::SYN | TcpFlags::ACK),
                    seq: Seq(round),
                    ack: syn.seq.advance(1),
                    ..head(round as u16 % ports, number + 1)
                };
                let ahead =
                    Head { seq: syn.seq.advance(9), ack: Seq(round + 1), ..head(round as u16 % ports, number + 2) };
                for (head, tcp) in [(syn, &[0; 20][..]), (answer, &[0; 20]), (ahead, &[0; 21])] {
                    let encapsulation = &Encapsulation::default();
                    flows.feed(&Segment { head: &head, tcp, encapsulation }, &mut NoListener);
                }
            }
            assert!(flows.shard.deadlines.len() <= 1024, "{}", flows.shard.deadlines.len());
            assert_eq!(flows.len(), usize::from(ports.min(16)));
        }
    }
}
