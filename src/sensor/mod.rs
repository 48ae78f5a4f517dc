//! The sensor: flows, HTTP, signatures and outcomes combined into one function from segments to records. A [`Sensor`] is
//! one shard of the flows. It uses no thread and no clock but that of the segments.

mod alert_cap;
mod deadlines;
mod flow_id;
mod payload;
mod pending;
mod request_traits;
mod roles;
mod stream_adapter;
mod transactions;
mod xff;

use std::time::Duration;

use ipnet::IpNet;

pub use flow_id::flow_id;
pub use payload::PayloadCounters;
pub(crate) use payload::TLS_PORT;
pub use roles::Ports;

use crate::flow::{self, EventTime, FlowView, Flows, Interest, Reason};
use crate::http::{self, Carries};
use crate::record::Event;
use crate::segment::{Encapsulation, Head, Segment};
use crate::signature::CachedMatcher;
use crate::table::Slot;
use crate::time::Timestamp;
use alert_cap::FlowAlertCap;
use deadlines::{Deadline, PendingIndex};
use pending::PendingTransaction;
use roles::Role;
use stream_adapter::StreamAdapter;
use transactions::TransactionHandler;

/// Options of the sensor; the limits are those of one shard.
#[derive(Clone, Debug)]
pub struct Options {
    /// Options of TCP reassembly.
    pub flow: flow::Options,
    /// Limits of the HTTP parser.
    pub http: http::Limits,
    /// Server ports taken for HTTP.
    pub ports: Ports,
    /// How long an alert waits for the response; zero emits it at the request.
    pub outcome_timeout: Duration,
    /// Whether every request is recorded, not only probes.
    pub http_events: bool,
    /// Memory of pending requests, in bytes.
    pub held_memory: usize,
    /// Number of alerts of one flow after which only new ones are emitted: another signature or outcome, or `exposed`.
    pub alerts_per_flow: usize,
    /// Networks of proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flow: flow::Options::default(),
            http: http::Limits::default(),
            ports: Ports::default(),
            outcome_timeout: Duration::from_secs(10),
            http_events: false,
            held_memory: (64 << 20) / flow::SHARDS,
            alerts_per_flow: 1000,
            trusted_proxies: Vec::new(),
        }
    }
}

crate::counters! {
    /// Counters of the sensor.
    pub struct Counters {
        /// Flows in which a request or a response was found.
        http_flows: "http.flows",
        /// Requests that a signature matched.
        probes: "alert.probes",
        /// Requests that only a supporting signature matched.
        support: "alert.support",
        /// Requests held until their response is known.
        held: "alert.held",
        /// Held requests released as `unseen` because of the memory limit.
        held_limit: "alert.held_limit",
        /// Alerts suppressed as repeats within a flow that reached its cap.
        suppressed: "alert.suppressed",
        /// The same for supporting signatures, which never alert alone.
        support_suppressed: "alert.support_suppressed",
        /// Alerts that were repeated because a later response proved their outcome.
        late_answers: "alert.late_answers",
        /// Flows with data that ended.
        ended: "flow.ended",
        /// Ended flows of which only one direction was seen.
        one_sided: "flow.one_sided",
        /// Flows whose client and server were confused at first.
        role_corrected: "http.role_corrected",
    }
}

/// One shard of the sensor.
#[derive(Debug)]
pub struct Sensor {
    flows: Flows<FlowState>,
    shard: ShardState,
    /// No deadline is before this time.
    quiet_until: Timestamp,
    /// The shortest span for which a deadline is set.
    shortest: Duration,
    /// Deadlines before this time are handled as of this time.
    not_before: Timestamp,
    /// The time of the deadline being handled, and the records it led to.
    burst: (Timestamp, usize),
}

/// Records that the deadlines of one point in time may lead to; the rest is handled a little later. Rationale: a million
/// deadlines can expire at once, and their records are in memory before they are written.
const MAX_BURST: usize = 1024;
/// How much later.
const BURST_DELAY: Duration = Duration::from_millis(1);
/// A time before any packet.
const BEFORE_ALL: Timestamp = Timestamp::from_nanos(i64::MIN);

/// State shared by all flows of the shard.
#[derive(Debug)]
struct ShardState {
    options: Options,
    counters: Counters,
    http_counters: http::Counters,
    payload: PayloadCounters,
    pending: PendingIndex,
    /// Parsers of ended flows, reused by new ones.
    #[expect(clippy::vec_box, reason = "parsers move between flows without being copied")]
    spare_parsers: Vec<Box<http::Connection>>,
}

/// State of one flow.
#[derive(Debug, Default)]
struct FlowState {
    /// `None` until there is data: half-open flows must be cheap, because floods consist of them.
    http: Option<Box<http::Connection>>,
    role: Role,
    is_http: bool,
    /// What it carries, as far as known; kept when its parser is not.
    carries: Carries,
    interest: Interest,
    /// Payload in bytes that is not counted yet, because nothing is known of the flow.
    uncounted: u64,
    /// When a page view was emitted last.
    last_page: Option<Timestamp>,
    /// The client's last packet with data.
    latest: PacketRef,
    /// The encapsulation of that packet, if any.
    encapsulation: Option<Box<Encapsulation>>,
    /// Pending transactions, oldest first.
    #[expect(clippy::vec_box, reason = "most flows have one, and the few that have many lose them at the front")]
    pending: Vec<Box<PendingTransaction>>,
    /// Alerts emitted so far; most flows have none.
    alert_cap: FlowAlertCap,
}

/// A packet as records refer to it.
#[derive(Clone, Copy, Debug, Default)]
struct PacketRef {
    time: Timestamp,
    frame: u64,
    number: u64,
    input: u32,
}

impl Sensor {
    /// Creates a shard without flows. `keys` are the hash keys of its tables and must be unpredictable.
    #[must_use]
    pub fn new(options: Options, keys: [u64; 2]) -> Self {
        Self {
            flows: Flows::new(options.flow, keys),
            quiet_until: BEFORE_ALL,
            shortest: options.flow.shortest_span().min(options.outcome_timeout),
            not_before: BEFORE_ALL,
            burst: (Timestamp::ZERO, 0),
            shard: ShardState {
                options,
                counters: Counters::default(),
                http_counters: http::Counters::default(),
                payload: PayloadCounters::default(),
                pending: PendingIndex::default(),
                spare_parsers: Vec::new(),
            },
        }
    }

    /// Processes a segment and appends the events it decides, and those of earlier deadlines, to `out`. Never fails:
    /// hostile input is counted. `matcher` looks up requests and may differ between calls.
    pub fn feed(&mut self, segment: &Segment<'_>, matcher: &mut CachedMatcher, out: &mut Vec<Event>) {
        if segment.head.clock >= self.quiet_until {
            self.advance(segment.head.clock, matcher, out);
        }
        let mut adapter = StreamAdapter { shard: &mut self.shard, segment: Some(segment), matcher, out };
        if self.flows.feed(segment, &mut adapter) {
            return;
        }
        let at = EventTime { clock: segment.head.clock, number: segment.head.number };
        self.enforce_memory_limit(at, matcher, out);
    }

    /// Handles all deadlines up to `clock` in order.
    pub fn advance(&mut self, clock: Timestamp, matcher: &mut CachedMatcher, out: &mut Vec<Event>) {
        loop {
            let (flow, response) = (self.flows.next_deadline(), self.shard.pending.next_deadline());
            let time = flow.min(response).max(self.not_before);
            if time > clock || flow.min(response) == Timestamp::MAX {
                // Further deadlines are set from the clock on.
                self.quiet_until = time.min(clock.after(self.shortest));
                return;
            }
            let before = out.len();
            if response <= flow {
                self.response_timeout(time, matcher, out);
            } else {
                self.flows.fire(time, &mut StreamAdapter { shard: &mut self.shard, segment: None, matcher, out });
            }
            // Data that waited for missing bytes may hold many requests.
            self.enforce_memory_limit(EventTime { clock: time, number: 0 }, matcher, out);
            if self.burst.0 != time {
                self.burst = (time, 0);
            }
            self.burst.1 += out.len() - before;
            if self.burst.1 >= MAX_BURST {
                self.not_before = time.after(BURST_DELAY);
            }
        }
    }

    /// Returns the time of the next deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Timestamp {
        self.flows.next_deadline().min(self.shard.pending.next_deadline()).max(self.not_before)
    }

    /// Returns a time before which there is no deadline; cheaper than [`Sensor::next_deadline`], and not after it.
    #[must_use]
    pub fn quiet_until(&self) -> Timestamp {
        self.quiet_until
    }

    /// Finishes what is open, because the input ended or the sensor stops, a part at a time. Returns whether all is
    /// finished.
    pub fn finish(&mut self, at: EventTime, matcher: &mut CachedMatcher, out: &mut Vec<Event>) -> bool {
        let before = out.len();
        let adapter = &mut StreamAdapter { shard: &mut self.shard, segment: None, matcher, out };
        while self.flows.finish_one(at, Reason::Stop, adapter) {
            if adapter.out.len() - before >= MAX_BURST {
                return false;
            }
        }
        self.flows.finish(at, Reason::Stop, adapter);
        self.shard.pending = PendingIndex::default();
        // The clock may start anew.
        self.quiet_until = BEFORE_ALL;
        self.not_before = BEFORE_ALL;
        self.burst = (Timestamp::ZERO, 0);
        true
    }

    /// Returns the counters of TCP reassembly.
    #[must_use]
    pub fn flow_counters(&self) -> &flow::Counters {
        self.flows.counters()
    }

    /// Returns the counters of the HTTP parsers.
    #[must_use]
    pub fn http_counters(&self) -> &http::Counters {
        &self.shard.http_counters
    }

    /// Returns the payload counters.
    #[must_use]
    pub fn payload_counters(&self) -> &PayloadCounters {
        &self.shard.payload
    }

    /// Returns the sensor's own counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shard.counters
    }

    /// Returns the number of flows, their memory, that of queued segments, and that of pending requests, in bytes.
    #[must_use]
    pub fn usage(&self) -> [usize; 4] {
        [self.flows.len(), self.flows.memory(), self.flows.queued_memory(), self.shard.pending.memory()]
    }

    /// Handles the next outcome timeout.
    fn response_timeout(&mut self, time: Timestamp, matcher: &mut CachedMatcher, out: &mut Vec<Event>) {
        let Some(Deadline { slot, tx_id, .. }) = self.shard.pending.pop() else { return };
        let at = EventTime { clock: time, number: 0 };
        self.with_transactions(slot, at, matcher, out, |transactions| transactions.timeout(tx_id));
    }

    /// Releases the oldest pending requests while they take too much memory.
    #[inline]
    fn enforce_memory_limit(&mut self, at: EventTime, matcher: &mut CachedMatcher, out: &mut Vec<Event>) {
        if self.shard.pending.is_over(self.shard.options.held_memory) {
            self.release_oldest(at, matcher, out);
        }
    }

    #[inline(never)]
    fn release_oldest(&mut self, at: EventTime, matcher: &mut CachedMatcher, out: &mut Vec<Event>) {
        while self.shard.pending.memory() > self.shard.options.held_memory {
            let Some((slot, tx_id)) = self.shard.pending.oldest() else { return };
            self.with_transactions(slot, at, matcher, out, |transactions| transactions.release(tx_id));
        }
        let flows = &mut self.flows;
        self.shard.pending.compact(|slot, tx_id| {
            flows.state(slot).is_some_and(|(.., state)| state.pending.iter().any(|pending| pending.tx_id() == tx_id))
        });
    }

    /// Runs `act` on the transactions of a flow, if it is still there.
    fn with_transactions(
        &mut self,
        slot: Slot,
        at: EventTime,
        matcher: &mut CachedMatcher,
        out: &mut Vec<Event>,
        act: impl FnOnce(&mut TransactionHandler<'_>),
    ) {
        let Some((key, stats, state)) = self.flows.state(slot) else { return };
        let flow = FlowView { slot, key, stats, at };
        if let Some((mut handler, ..)) = self.shard.transactions(state, &flow, None, matcher, out) {
            act(&mut handler);
        }
    }
}

impl ShardState {
    /// Returns the handler of a flow's transactions, and what its HTTP parser needs beside it; `None` while the client is
    /// unknown.
    fn transactions<'a>(
        &'a mut self,
        state: &'a mut FlowState,
        flow: &'a FlowView<'a>,
        segment: Option<&'a Segment<'a>>,
        matcher: &'a mut CachedMatcher,
        out: &'a mut Vec<Event>,
    ) -> Option<(TransactionHandler<'a>, &'a http::Limits, &'a mut http::Counters)> {
        let client = state.role.client()?;
        let Self { options, counters, http_counters, pending: index, .. } = self;
        let options = &*options;
        let handler = TransactionHandler { options, counters, index, matcher, state, flow, client, segment, out };
        Some((handler, &options.http, http_counters))
    }
}

impl PacketRef {
    fn of(head: &Head) -> Self {
        Self { time: head.time, frame: head.frame, number: head.number, input: head.input }
    }
}

impl FlowState {
    /// Records the client's last packet with data.
    fn note_packet(&mut self, segment: &Segment<'_>) {
        self.latest = PacketRef::of(segment.head);
        if segment.head.encapsulation == 0 {
            self.encapsulation = None;
        } else if self.encapsulation.as_deref() != Some(segment.encapsulation) {
            self.encapsulation = Some(Box::new(*segment.encapsulation));
        }
    }
}
