//! The lanes: where loaded blocks meet the sensor's shards, on the spot or on threads of their own. One path for both:
//! a lane always runs its share of a load. Not the order of the output, which the desk restores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded, unbounded};

use crate::capture::block::Block;
use crate::decode::BlockExtras;
use crate::flow::{EventTime, SHARDS};
use crate::pipeline::channel::OutputSender;
use crate::pipeline::message::{LaneMessage, Payload};
use crate::record::Event;
use crate::segment::{Head, Segment};
use crate::sensor::Sensor;
use crate::signature::{CachedMatcher, Signatures};
use crate::stats::LaneStats;
use crate::sys;
use crate::time::Timestamp;

/// A segment to be handled: where its bytes stand in the load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SegmentRef {
    pub(crate) head: Head,
    /// The datagram that was put together from fragments and has its bytes; else they stand in the block.
    pub(crate) whole: Option<u32>,
    /// Offset there of the first byte of the TCP header, and behind the last byte.
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) shard: u8,
}

/// What is to be done with a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BatchKind {
    /// Handle the segments.
    #[default]
    Segments,
    /// Settle all that is open: the input is over.
    Finish,
}

/// A block with its segments listed for each lane.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) sequence: u64,
    pub(crate) job: BatchKind,
    pub(crate) block: Block,
    pub(crate) extras: BlockExtras,
    /// The segments, in the order of capture, and behind them places for more: they are written where they stand.
    pub(crate) segments: Vec<SegmentRef>,
    /// For each lane which of them are its own.
    pub(crate) work: Vec<Vec<u32>>,
    /// The clock at the end of the block.
    pub(crate) clock: Timestamp,
    pub(crate) signatures: Arc<Signatures>,
    /// Whether the lanes add their figures to what they say.
    pub(crate) census: bool,
    /// The packet at which a lane shall panic: only tests set it.
    pub(crate) panic_at: Option<u64>,
}

impl Batch {
    pub(crate) fn clear(&mut self, lanes: usize) {
        self.block.clear();
        self.extras.clear();
        self.work.resize_with(lanes, Vec::new);
        for work in &mut self.work {
            work.clear();
        }
        self.job = BatchKind::Segments;
        self.census = false;
    }

    fn segment<'a>(&'a self, work: &'a SegmentRef) -> Segment<'a> {
        let bytes = match work.whole {
            Some(whole) => &*self.extras.reassembled[whole as usize],
            None => &self.block.bytes,
        };
        Segment {
            head: &work.head,
            tcp: &bytes[work.start as usize..work.end as usize],
            encapsulation: &self.extras.encapsulations[work.head.encapsulation as usize],
        }
    }
}

/// One lane: whole shards.
#[derive(Debug)]
pub(crate) struct Lane {
    index: usize,
    /// Where each shard stands among those of this lane.
    places: [usize; SHARDS],
    sensors: Vec<Sensor>,
    search: CachedMatcher,
    /// The shard that is at work.
    current: usize,
    /// The shard that panicked; it is not asked again.
    broken: Option<usize>,
    /// All shards have handled what fell due up to here.
    reached: Timestamp,
}

/// How far shards may be apart in packet time. Rationale: what is settled can be written as soon as no shard has
/// anything older, and should be before there is much of it; asking all of them costs a microsecond.
const APART: Duration = Duration::from_millis(2);
/// Records that are worth writing before a load is through.
const BATCH: usize = 4096;

/// Before any packet.
const LONG_AGO: Timestamp = Timestamp::from_nanos(i64::MIN);

/// Who takes records before a load is through.
type Partial<'a> = &'a mut dyn FnMut(&mut Vec<Event>);

impl Lane {
    /// The lane `index` of `lanes`; `sensor` makes a shard.
    pub(crate) fn new(index: usize, lanes: usize, sensor: &mut impl FnMut() -> Sensor) -> Self {
        let sensors = (0..SHARDS).filter(|shard| shard % lanes == index).map(|_| sensor()).collect();
        let search = CachedMatcher::new(Arc::default());
        let places = std::array::from_fn(|shard| shard / lanes);
        Self { index, places, sensors, search, current: 0, broken: None, reached: LONG_AGO }
    }

    /// Runs this lane's share of a load.
    fn run(&mut self, load: &Batch, out: &mut Vec<Event>, partly: Partial<'_>) {
        self.search.use_signatures(&load.signatures);
        let mut too_far = self.reached.after(APART);
        for &at in &load.work[self.index] {
            let work = &load.segments[at as usize];
            if work.head.clock > too_far {
                self.catch_up(work.head.clock, out, partly);
                too_far = self.reached.after(APART);
            }
            self.current = self.places[usize::from(work.shard)];
            assert!(load.panic_at != Some(work.head.number), "planted at packet {}", work.head.number);
            self.sensors[self.current].feed(&load.segment(work), &mut self.search, out);
        }
        match load.job {
            BatchKind::Segments => self.catch_up(load.clock, out, partly),
            BatchKind::Finish => self.finish(load.clock, out, partly),
        }
    }

    /// Lets all shards handle what falls due up to `clock`, a slice of time after the other.
    fn catch_up(&mut self, clock: Timestamp, out: &mut Vec<Event>, partly: Partial<'_>) {
        while self.sensors.iter().any(|sensor| sensor.quiet_until() <= clock) {
            let due = self.sensors.iter().map(Sensor::next_deadline).min().unwrap_or(clock);
            let until = due.after(APART).min(clock);
            for (at, sensor) in self.sensors.iter_mut().enumerate() {
                self.current = at;
                sensor.advance(until, &mut self.search, out);
            }
            if out.len() >= BATCH {
                partly(out);
            }
            if until == clock {
                break;
            }
        }
        self.reached = clock;
    }

    /// Lets all sound shards settle what is open, round by round.
    fn finish(&mut self, clock: Timestamp, out: &mut Vec<Event>, partly: Partial<'_>) {
        let mut done = vec![false; self.sensors.len()];
        for round in 0.. {
            for (at, sensor) in self.sensors.iter_mut().enumerate() {
                if !done[at] && Some(at) != self.broken {
                    self.current = at;
                    done[at] = sensor.finish(EventTime { clock, number: round }, &mut self.search, out);
                }
            }
            if out.len() >= BATCH {
                partly(out);
            }
            if done.iter().enumerate().all(|(at, &done)| done || Some(at) == self.broken) {
                break;
            }
        }
        // The clock may start anew.
        self.reached = LONG_AGO;
    }

    /// After a panic: the run is over, and the shards that are sound say what they hold.
    fn wind_up(&mut self, load: &Batch, out: &mut Vec<Event>, partly: Partial<'_>) {
        if load.job == BatchKind::Finish {
            self.finish(load.clock, out, partly);
        }
    }

    pub(crate) fn census(&self) -> LaneStats {
        let mut census = LaneStats::default();
        for sensor in &self.sensors {
            census.merge(&LaneStats {
                flow: *sensor.flow_counters(),
                http: *sensor.http_counters(),
                sensor: *sensor.counters(),
                usage: sensor.usage(),
            });
        }
        census
    }

    /// Does this lane's share. A panic ends the share, not the lane: what was settled before is told, and the panic
    /// beside it.
    fn settled(&mut self, load: &Batch, partly: Partial<'_>) -> [Option<LaneMessage>; 2] {
        let mut records = Vec::new();
        let ran = catch_unwind(AssertUnwindSafe(|| match self.broken {
            None => self.run(load, &mut records, partly),
            Some(_) => self.wind_up(load, &mut records, partly),
        }));
        let census = load.census.then(|| Box::new(self.census()));
        let sequence = load.sequence;
        let broken = ran.err().map(|panic| {
            self.broken = Some(self.current);
            let what = format!("lane {}: {}", self.index, panic_message(&*panic));
            LaneMessage { sequence, part: Payload::Panicked(what) }
        });
        [broken, Some(LaneMessage { sequence, part: Payload::Done { records, census } })]
    }
}

/// A load that is lent to several lanes. Whoever lets go last sends it home, a panicking lane too.
#[derive(Debug)]
struct SharedBatch {
    load: Option<Batch>,
    home: Sender<Batch>,
}

impl Drop for SharedBatch {
    fn drop(&mut self) {
        if let Some(load) = self.load.take() {
            // Nobody waits for it any more when the run is over.
            let _ = self.home.send(load);
        }
    }
}

/// How lanes run.
#[derive(Debug)]
pub(crate) enum Lanes {
    /// On the spot.
    Inline {
        /// The only lane.
        lane: Box<Lane>,
        /// The only load.
        load: Option<Box<Batch>>,
    },
    /// On threads.
    WorkerPool(WorkerPool),
}

/// Lanes on threads.
#[derive(Debug)]
pub(crate) struct WorkerPool {
    inboxes: Vec<Sender<Arc<SharedBatch>>>,
    threads: Vec<JoinHandle<()>>,
    home: (Sender<Batch>, Receiver<Batch>),
    idle: Vec<Batch>,
    made: usize,
    /// Whether a full lane loses its share instead of holding everybody up.
    lossy: bool,
    to_desk: OutputSender,
}

/// Loads that may wait for one lane. Rationale: enough to ride out an uneven block, few enough to stay in the cache.
const QUEUED: usize = 3;
/// Live: how long a full lane is waited for before its share is lost. Rationale: a lane needs about a millisecond for a
/// block, so that bursts pass, and the ring holds far more than this; a lane that stays full slows the others by little.
const PATIENCE: Duration = Duration::from_millis(10);

impl Lanes {
    /// One lane on the spot.
    pub(crate) fn inline(mut sensor: impl FnMut() -> Sensor) -> Self {
        Self::Inline { lane: Box::new(Lane::new(0, 1, &mut sensor)), load: Some(Box::default()) }
    }

    /// So many lanes on threads; they tell `to_desk` what they settled.
    pub(crate) fn threads(
        count: usize,
        lossy: bool,
        to_desk: OutputSender,
        mut sensor: impl FnMut() -> Sensor,
    ) -> std::io::Result<Self> {
        let mut inboxes = Vec::new();
        let mut threads = Vec::new();
        for index in 0..count {
            let (sender, inbox) = bounded(QUEUED);
            let lane = Lane::new(index, count, &mut sensor);
            let desk = to_desk.clone();
            let builder = std::thread::Builder::new().name(format!("lane-{index}"));
            threads.push(builder.spawn(move || work(lane, &inbox, &desk))?);
            inboxes.push(sender);
        }
        let home = unbounded();
        Ok(Self::WorkerPool(WorkerPool { inboxes, threads, home, idle: Vec::new(), made: 0, lossy, to_desk }))
    }

    /// Number of lanes.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Inline { .. } => 1,
            Self::WorkerPool(threads) => threads.inboxes.len(),
        }
    }

    /// An empty load; waits for one if all are out.
    pub(crate) fn empty(&mut self) -> Batch {
        let lanes = self.count();
        let mut load = match self {
            Self::Inline { load, .. } => *load.take().unwrap_or_default(),
            Self::WorkerPool(threads) => threads.empty(),
        };
        load.clear(lanes);
        load
    }

    /// Takes a load back that shall not be run.
    pub(crate) fn give_back(&mut self, load: Batch) {
        match self {
            Self::Inline { load: home, .. } => *home = Some(Box::new(load)),
            Self::WorkerPool(threads) => threads.idle.push(load),
        }
    }

    /// Runs a load. On the spot, `deliver` gets what is settled before the load is through. Returns what was settled on
    /// the spot, and how many segments were lost to full lanes.
    pub(crate) fn run(&mut self, load: Batch, deliver: &mut dyn FnMut(LaneMessage)) -> ([Option<LaneMessage>; 2], u64) {
        match self {
            Self::Inline { lane, load: home } => {
                let load = Box::new(load);
                let sequence = load.sequence;
                let envelopes = lane.settled(&load, &mut |records| {
                    deliver(LaneMessage { sequence, part: Payload::Partial(std::mem::take(records)) });
                });
                *home = Some(load);
                (envelopes, 0)
            }
            Self::WorkerPool(threads) => ([None, None], threads.run(load)),
        }
    }

    /// Ends the threads, after they did what they have.
    pub(crate) fn stop(self) {
        if let Self::WorkerPool(WorkerPool { inboxes, threads, .. }) = self {
            drop(inboxes);
            for thread in threads {
                // Panics were told by the lane itself.
                let _ = thread.join();
            }
        }
    }
}

impl WorkerPool {
    fn empty(&mut self) -> Batch {
        self.idle.extend(self.home.1.try_iter());
        // The newest is still in the cache.
        if let Some(load) = self.idle.pop() {
            return load;
        }
        if self.made < self.inboxes.len() * (QUEUED + 1) + 2 {
            self.made += 1;
            return Batch::default();
        }
        // Cannot fail: this end keeps a sender.
        self.home.1.recv().unwrap_or_default()
    }

    fn run(&mut self, load: Batch) -> u64 {
        let sequence = load.sequence;
        let shares: Vec<usize> = load.work.iter().map(Vec::len).collect();
        let essential = load.job == BatchKind::Finish || load.census;
        let lent = Arc::new(SharedBatch { load: Some(load), home: self.home.0.clone() });
        let mut lost = 0;
        for (inbox, share) in self.inboxes.iter().zip(shares) {
            if !self.lossy || essential {
                // A lane that is gone said why to the desk.
                let _ = inbox.send(Arc::clone(&lent));
            } else if let Err(SendTimeoutError::Timeout(_)) = inbox.send_timeout(Arc::clone(&lent), PATIENCE) {
                lost += share as u64;
                let part = Payload::Done { records: Vec::new(), census: None };
                self.to_desk.send(LaneMessage { sequence, part });
            }
        }
        lost
    }
}

/// What a lane's thread does.
fn work(mut lane: Lane, inbox: &Receiver<Arc<SharedBatch>>, desk: &OutputSender) {
    sys::mask_signals();
    for lent in inbox {
        let Some(load) = &lent.load else { continue };
        for envelope in lane.settled(load, &mut |_| ()).into_iter().flatten() {
            if !desk.send(envelope) {
                return;
            }
        }
    }
}

/// Lanes for a live run: one core is left for the thread that reads.
#[must_use]
pub fn spare_cores() -> usize {
    std::thread::available_parallelism().map_or(0, |cores| (cores.get() - 1).min(SHARDS))
}

/// The text of a panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panic without a message")
}
