//! A lane: runs the flow shards assigned to it over its share of each batch and sends the decided records to the output
//! stage (Suricata calls this a flow worker). The same code runs inline and on a thread; see [`super::lanes`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::batch::{Batch, BatchKind};
use super::channel::OutputSender;
use super::message::{LaneMessage, Payload};
use crate::flow::{EventTime, SHARDS};
use crate::record::Event;
use crate::sensor::Sensor;
use crate::signature::CachedMatcher;
use crate::stats::LaneStats;
use crate::time::Timestamp;

/// How far the shards may be apart in packet time. Rationale: a record can be written once no shard has anything older,
/// and should be before many have piled up; asking all shards costs a microsecond.
const MAX_SHARD_SKEW: Duration = Duration::from_millis(2);
/// Number of records that are sent before a batch is complete.
const PARTIAL_RECORDS: usize = 4096;
/// A time before any packet.
const BEFORE_ALL: Timestamp = Timestamp::from_nanos(i64::MIN);

/// Shards of the sensor, run together.
#[derive(Debug)]
pub(crate) struct Lane {
    index: usize,
    /// The position of each of the run's shards among those of this lane.
    positions: [usize; SHARDS],
    shards: Vec<Sensor>,
    matcher: CachedMatcher,
    output: OutputSender,
    /// Whether this is the only lane and runs inline: its records are in order by themselves and may be sent early.
    sole: bool,
    /// Position of the shard at work.
    current: usize,
    /// Position of a shard that panicked; it is not run again.
    panicked: Option<usize>,
    /// Every shard has handled all deadlines up to here.
    reached: Timestamp,
}

impl Lane {
    /// Creates the lane `index` of `lanes`; `shard` creates a shard.
    pub(crate) fn new(
        index: usize,
        lanes: usize,
        output: OutputSender,
        sole: bool,
        shard: &mut impl FnMut() -> Sensor,
    ) -> Self {
        Self {
            index,
            positions: std::array::from_fn(|shard| shard / lanes),
            shards: (0..SHARDS).filter(|shard| shard % lanes == index).map(|_| shard()).collect(),
            matcher: CachedMatcher::new(std::sync::Arc::default()),
            output,
            sole,
            current: 0,
            panicked: None,
            reached: BEFORE_ALL,
        }
    }

    /// Runs this lane's share of a batch and sends the result. A panic ends the share, not the lane: records decided
    /// before are sent with it. Returns false if the output stage is gone.
    pub(crate) fn process(&mut self, batch: &Batch) -> bool {
        let mut records = Vec::new();
        let ran = catch_unwind(AssertUnwindSafe(|| match self.panicked {
            None => self.run(batch, &mut records),
            Some(_) => self.drain_after_panic(batch, &mut records),
        }));
        let sequence = batch.sequence;
        if let Err(panic) = ran {
            self.panicked = Some(self.current);
            let text = format!("lane {}: {}", self.index, panic_message(&*panic));
            self.output.send(LaneMessage { sequence, payload: Payload::Panicked(text) });
        }
        let stats = batch.lane_stats.then(|| Box::new(self.stats()));
        self.output.send(LaneMessage { sequence, payload: Payload::Done { records, stats } })
    }

    fn run(&mut self, batch: &Batch, out: &mut Vec<Event>) {
        self.matcher.use_signatures(&batch.signatures);
        let mut limit = self.reached.after(MAX_SHARD_SKEW);
        for &at in &batch.shares[self.index] {
            let segment = &batch.segments[at as usize];
            if segment.head.clock > limit {
                self.advance(segment.head.clock, batch.sequence, out);
                limit = self.reached.after(MAX_SHARD_SKEW);
            }
            self.current = self.positions[usize::from(segment.shard)];
            assert!(batch.panic_at != Some(segment.head.number), "planted at packet {}", segment.head.number);
            self.shards[self.current].feed(&batch.segment(segment), &mut self.matcher, out);
        }
        match batch.kind {
            BatchKind::Segments => self.advance(batch.clock, batch.sequence, out),
            BatchKind::Finish => self.finish(batch, out),
        }
    }

    /// Handles the deadlines of all shards up to `clock`, one slice of time after the other.
    fn advance(&mut self, clock: Timestamp, sequence: u64, out: &mut Vec<Event>) {
        while self.shards.iter().any(|shard| shard.quiet_until() <= clock) {
            let due = self.shards.iter().map(Sensor::next_deadline).min().unwrap_or(clock);
            let until = due.after(MAX_SHARD_SKEW).min(clock);
            for (at, shard) in self.shards.iter_mut().enumerate() {
                self.current = at;
                shard.advance(until, &mut self.matcher, out);
            }
            self.flush_partial(sequence, out);
            if until == clock {
                break;
            }
        }
        self.reached = clock;
    }

    /// Finishes everything open in all intact shards, in rounds.
    fn finish(&mut self, batch: &Batch, out: &mut Vec<Event>) {
        let mut done = vec![false; self.shards.len()];
        for number in 0.. {
            for (at, shard) in self.shards.iter_mut().enumerate() {
                if !done[at] && Some(at) != self.panicked {
                    self.current = at;
                    done[at] = shard.finish(EventTime { clock: batch.clock, number }, &mut self.matcher, out);
                }
            }
            self.flush_partial(batch.sequence, out);
            if done.iter().enumerate().all(|(at, &done)| done || Some(at) == self.panicked) {
                break;
            }
        }
        // The clock may start anew.
        self.reached = BEFORE_ALL;
    }

    /// After a panic the run ends: the intact shards report what they hold.
    fn drain_after_panic(&mut self, batch: &Batch, out: &mut Vec<Event>) {
        if batch.kind == BatchKind::Finish {
            self.finish(batch, out);
        }
    }

    /// Sends records early where their order is already final.
    fn flush_partial(&self, sequence: u64, out: &mut Vec<Event>) {
        if self.sole && out.len() >= PARTIAL_RECORDS {
            self.output.send(LaneMessage { sequence, payload: Payload::Partial(std::mem::take(out)) });
        }
    }

    fn stats(&self) -> LaneStats {
        let mut stats = LaneStats::default();
        for shard in &self.shards {
            stats.merge(&LaneStats {
                flow: *shard.flow_counters(),
                http: *shard.http_counters(),
                sensor: *shard.counters(),
                payload: *shard.payload_counters(),
                usage: shard.usage(),
            });
        }
        stats
    }
}

/// Returns the text of a panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panic without a message")
}
