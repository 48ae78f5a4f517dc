//! The sensor: flows, HTTP, signatures and outcomes wired into one function from segments to records. A shard of the
//! whole; not a thread, and it knows no clock but that of the segments.

mod alert_cap;
mod deadlines;
mod flow_id;
mod pending;
mod request_traits;
mod roles;
mod stream_adapter;
mod transactions;
mod xff;

use std::time::Duration;

use ipnet::IpNet;

pub use flow_id::flow_id;
pub use roles::Ports;

use crate::flow::{self, EventTime, FlowView, Flows, Reason};
use crate::http;
use crate::record::Record;
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

/// What can be chosen; the limits are those of one shard.
#[derive(Clone, Debug)]
pub struct Options {
    /// The flow room's.
    pub flow: flow::Options,
    /// The http room's limits.
    pub http: http::Limits,
    /// Server ports taken for HTTP.
    pub ports: Ports,
    /// How long an alert waits for the answer; zero: not at all.
    pub outcome_timeout: Duration,
    /// Whether every request is told of, not only probes.
    pub http_events: bool,
    /// Memory of held requests, in bytes.
    pub held_memory: usize,
    /// Alerts of one flow after which only new ones are told of: another signature or outcome, or `exposed`.
    pub alerts_per_flow: usize,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
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
    /// What this room counts.
    pub struct Counters {
        /// Flows in which a request or an answer was found.
        http_flows: "http.flows",
        /// Requests that a signature matched.
        probes: "alert.probes",
        /// Requests that only a signature in support of others matched.
        support: "alert.support",
        /// Requests held for their answer.
        held: "alert.held",
        /// Held requests released as `unseen` for the limit on memory.
        held_limit: "alert.held_limit",
        /// Alerts that repeat earlier ones of a flow that had its share.
        suppressed: "alert.suppressed",
        /// The same of signatures in support of others, which are never told.
        support_suppressed: "alert.support_suppressed",
        /// Answers that came after `pending` and proved `exposed`.
        late_answers: "alert.late_answers",
        /// Flows with data that ended.
        ended: "flow.ended",
        /// Those of which only one direction was seen.
        one_sided: "flow.one_sided",
        /// Flows whose ends were taken for each other at first.
        role_corrected: "http.role_corrected",
    }
}

/// One shard of the sensor.
#[derive(Debug)]
pub struct Sensor {
    flows: Flows<FlowState>,
    core: SensorCore,
    /// No deadline is before this.
    quiet_until: Timestamp,
    /// The shortest span after which a deadline is set.
    shortest: Duration,
    /// No deadline is handled as if it were before this.
    not_before: Timestamp,
    /// Records that deadlines led to at one moment.
    burst: (Timestamp, usize),
}

/// Records that the deadlines of one moment may lead to; what else falls due then is handled a little later.
/// Rationale: a million deadlines can fall due at once, and a moment's records are in memory before they are written.
const BURST: usize = 1024;
const A_LITTLE: Duration = Duration::from_millis(1);

/// What all flows of the shard share.
#[derive(Debug)]
struct SensorCore {
    parsing: http::Counters,
    limits: http::Limits,
    /// Parsers of flows that ended, for those that begin.
    #[expect(clippy::vec_box, reason = "they go from flow to flow as they are")]
    spare: Vec<Box<http::Connection>>,
    bench: SensorBench,
}

/// Where requests are judged.
#[derive(Debug)]
struct SensorBench {
    options: Options,
    counters: Counters,
    waiting: PendingIndex,
}

/// What is kept for a flow.
#[derive(Debug, Default)]
struct FlowState {
    /// Absent until there are bytes: half-open flows are the cheapest to make, and the ones a flood is made of.
    http: Option<Box<http::Connection>>,
    role: Role,
    docket: HeldRequests,
}

/// What is known and open of a flow's requests.
#[derive(Debug, Default)]
struct HeldRequests {
    is_http: bool,
    /// When a page was told of last.
    paged: Option<Timestamp>,
    /// The last packet of the client that carried bytes.
    latest: Option<PacketRef>,
    /// How that packet was wrapped, unless plainly.
    wrapping: Option<Box<Encapsulation>>,
    /// Requests that are held, oldest first.
    #[expect(clippy::vec_box, reason = "most flows hold one, and the few that hold many lose them at the front")]
    held: Vec<Box<PendingTransaction>>,
    /// What was told of already; most flows have no alerts.
    alert_cap: FlowAlertCap,
}

/// A packet, as far as records name it.
#[derive(Clone, Copy, Debug, Default)]
struct PacketRef {
    time: Timestamp,
    frame: u64,
    number: u64,
    input: u32,
}

impl Sensor {
    /// A shard without flows; `keys` key its tables and are not to be guessed by anybody.
    #[must_use]
    pub fn new(options: Options, keys: [u64; 2]) -> Self {
        Self {
            flows: Flows::new(options.flow, keys),
            quiet_until: Timestamp::from_nanos(i64::MIN),
            shortest: options.flow.shortest_span().min(options.outcome_timeout),
            not_before: Timestamp::from_nanos(i64::MIN),
            burst: (Timestamp::ZERO, 0),
            core: SensorCore {
                parsing: http::Counters::default(),
                limits: options.http,
                spare: Vec::new(),
                bench: SensorBench { options, counters: Counters::default(), waiting: PendingIndex::default() },
            },
        }
    }

    /// Takes a segment; what is settled by it or before it is added to `out`. Never fails: hostile input is counted.
    /// `search` may be another one each time: it is what requests are looked up with.
    pub fn feed(&mut self, segment: &Segment<'_>, search: &mut CachedMatcher, out: &mut Vec<Record>) {
        if segment.head.clock >= self.quiet_until {
            self.advance(segment.head.clock, search, out);
        }
        let mut adapter = StreamAdapter { core: &mut self.core, segment: Some(segment), search, out };
        self.flows.feed(segment, &mut adapter);
        self.enforce_memory_limit(EventTime { clock: segment.head.clock, number: segment.head.number }, search, out);
    }

    /// Settles everything whose deadline is not after `clock`, in the order of the deadlines.
    pub fn advance(&mut self, clock: Timestamp, search: &mut CachedMatcher, out: &mut Vec<Record>) {
        loop {
            let (flow, answer) = (self.flows.next_deadline(), self.core.bench.waiting.next_deadline());
            let moment = flow.min(answer).max(self.not_before);
            if moment > clock || flow.min(answer) == Timestamp::MAX {
                // What is set from now on is set from the clock.
                self.quiet_until = moment.min(clock.after(self.shortest));
                return;
            }
            let before = out.len();
            if answer <= flow {
                self.timeout(moment, search, out);
            } else {
                self.flows.fire(moment, &mut StreamAdapter { core: &mut self.core, segment: None, search, out });
            }
            // What waited for missing bytes may be many requests.
            self.enforce_memory_limit(EventTime { clock: moment, number: 0 }, search, out);
            if self.burst.0 != moment {
                self.burst = (moment, 0);
            }
            self.burst.1 += out.len() - before;
            if self.burst.1 >= BURST {
                self.not_before = moment.after(A_LITTLE);
            }
        }
    }

    /// The earliest moment at which something falls due.
    #[must_use]
    pub fn next_deadline(&self) -> Timestamp {
        self.flows.next_deadline().min(self.core.bench.waiting.next_deadline()).max(self.not_before)
    }

    /// A moment before which nothing falls due; cheaper than [`Sensor::next_deadline`], and not after it.
    #[must_use]
    pub fn quiet_until(&self) -> Timestamp {
        self.quiet_until
    }

    /// Settles what is open, because the input ended or the sensor stops: a part at a time. Says whether that was all.
    pub fn finish(&mut self, at: EventTime, search: &mut CachedMatcher, out: &mut Vec<Record>) -> bool {
        let before = out.len();
        let adapter = &mut StreamAdapter { core: &mut self.core, segment: None, search, out };
        while self.flows.finish_one(at, Reason::Stop, adapter) {
            if adapter.out.len() - before >= BURST {
                return false;
            }
        }
        self.flows.finish(at, Reason::Stop, adapter);
        self.core.bench.waiting = PendingIndex::default();
        // The clock may start anew.
        self.quiet_until = Timestamp::from_nanos(i64::MIN);
        self.not_before = Timestamp::from_nanos(i64::MIN);
        self.burst = (Timestamp::ZERO, 0);
        true
    }

    /// What the flow room counted.
    #[must_use]
    pub fn flow_counters(&self) -> &flow::Counters {
        self.flows.counters()
    }

    /// What the http room counted.
    #[must_use]
    pub fn http_counters(&self) -> &http::Counters {
        &self.core.parsing
    }

    /// What this room counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.core.bench.counters
    }

    /// Flows alive; their memory and that of waiting segments in bytes; held requests' memory in bytes.
    #[must_use]
    pub fn usage(&self) -> [usize; 4] {
        [self.flows.len(), self.flows.memory(), self.flows.queued_memory(), self.core.bench.waiting.memory()]
    }

    /// An alert's time is up.
    fn timeout(&mut self, moment: Timestamp, search: &mut CachedMatcher, out: &mut Vec<Record>) {
        let Some(Deadline { slot, tx_id, .. }) = self.core.bench.waiting.pop() else { return };
        self.hearing(slot, EventTime { clock: moment, number: 0 }, search, out, |hearing| hearing.time_is_up(tx_id));
    }

    /// Releases the oldest held requests while they take too much memory.
    #[inline]
    fn enforce_memory_limit(&mut self, at: EventTime, search: &mut CachedMatcher, out: &mut Vec<Record>) {
        let SensorBench { waiting, options, .. } = &self.core.bench;
        if waiting.is_over(options.held_memory) {
            self.release_oldest(at, search, out);
        }
    }

    #[inline(never)]
    fn release_oldest(&mut self, at: EventTime, search: &mut CachedMatcher, out: &mut Vec<Record>) {
        while self.core.bench.waiting.memory() > self.core.bench.options.held_memory {
            let Some((slot, tx_id)) = self.core.bench.waiting.oldest() else { return };
            self.hearing(slot, at, search, out, |hearing| hearing.release(tx_id));
        }
        let flows = &mut self.flows;
        self.core.bench.waiting.forget_unless(|slot, tx_id| {
            flows.state(slot).is_some_and(|(.., talk)| talk.docket.held.iter().any(|held| held.tx_id() == tx_id))
        });
    }

    /// Opens the docket of a flow that still lives.
    fn hearing(
        &mut self,
        slot: Slot,
        at: EventTime,
        search: &mut CachedMatcher,
        out: &mut Vec<Record>,
        act: impl FnOnce(&mut TransactionHandler<'_>),
    ) {
        let Some((key, facts, talk)) = self.flows.state(slot) else { return };
        let Some(client) = talk.role.client() else { return };
        let flow = FlowView { slot, key, stats: facts, at };
        let bench = &mut self.core.bench;
        act(&mut TransactionHandler {
            bench,
            search,
            docket: &mut talk.docket,
            flow: &flow,
            client,
            segment: None,
            out,
        });
    }
}

impl PacketRef {
    fn of(head: &Head) -> Self {
        Self { time: head.time, frame: head.frame, number: head.number, input: head.input }
    }
}

impl HeldRequests {
    fn note_packet(&mut self, segment: &Segment<'_>) {
        self.latest = Some(PacketRef::of(segment.head));
        if segment.head.encapsulation == 0 {
            self.wrapping = None;
        } else if self.wrapping.as_deref() != Some(segment.encapsulation) {
            self.wrapping = Some(Box::new(*segment.encapsulation));
        }
    }
}
