//! The output stage: merges the lanes' messages into one stream ordered by [`record::Order`], runs it through the alert
//! pipeline and the event writer, and carries out requests between batches. Runs on its own thread unless replay uses
//! `--lanes 0`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use super::writer::EventWriter;
use crate::alerts::pipeline::AlertPipeline;
use crate::alerts::suppress::Suppressions;
use crate::format;
use crate::pipeline::channel::OutputReceiver;
use crate::pipeline::message::{BatchEnd, LaneMessage, OutputRequest, Payload};
use crate::record::{self, Body, Event, EventKind, Record};
use crate::stats::visibility::VisibilityMonitor;
use crate::stats::{LaneStats, RunStats};
use crate::time::Timestamp;

/// Options of the output stage.
#[derive(Debug)]
pub(crate) struct OutputOptions {
    /// Number of lanes, each of which sends one [`Payload::Done`] per batch.
    pub(crate) lanes: usize,
    pub(crate) live: bool,
    /// Live: how long a link may be without an HTTP request before a warning.
    pub(crate) max_http_silence: Duration,
    /// Whether stats records are written.
    pub(crate) stats: bool,
    pub(crate) counters_file: Option<PathBuf>,
}

/// A batch of which messages are missing.
#[derive(Debug, Default)]
struct PendingBatch {
    events: Vec<Event>,
    stats: LaneStats,
    /// Lanes that are done.
    done: usize,
    suppressions: Option<Box<Suppressions>>,
    end: Option<BatchEnd>,
}

/// Orders, processes and writes the records of a run.
#[derive(Debug)]
pub(crate) struct OutputStage {
    options: OutputOptions,
    alerts: AlertPipeline,
    writer: EventWriter,
    pending: BTreeMap<u64, PendingBatch>,
    /// Sequence number of the next batch to complete.
    next: u64,
    stats: RunStats,
    /// The first panic of a lane.
    panic: Option<String>,
    visibility: VisibilityMonitor,
    /// Live: records that were dropped by the channel because this stage was too far behind.
    lost: u64,
    /// Whether the last batch was written.
    complete: bool,
}

/// What a stage leaves at the end of a run.
#[derive(Debug, Default)]
pub(crate) struct OutputSummary {
    pub(crate) stats: RunStats,
    /// A line for each suppress entry: how often it applied.
    pub(crate) suppress_report: Vec<String>,
    /// The first panic of a lane.
    pub(crate) panic: Option<String>,
}

/// How long to wait for a stalled log before the channel is checked again.
const STALLED_LOG_WAIT: Duration = Duration::from_millis(20);

impl OutputStage {
    pub(crate) fn new(options: OutputOptions, alerts: AlertPipeline, writer: EventWriter) -> Self {
        Self {
            options,
            alerts,
            writer,
            pending: BTreeMap::new(),
            next: 0,
            stats: RunStats::default(),
            panic: None,
            visibility: VisibilityMonitor::default(),
            lost: 0,
            complete: false,
        }
    }

    /// Handles messages until the last batch is written or all senders are gone.
    pub(crate) fn run(&mut self, receiver: &OutputReceiver) {
        while !self.complete {
            let stalled = self.writer.logs.is_stalled();
            match receiver.next(stalled.then_some(Duration::ZERO)) {
                Ok(message) => {
                    let lost = receiver.take_lost();
                    if self.lost == 0 && lost > 0 {
                        self.writer.console.error("records arrive faster than they can be written: some are lost");
                    }
                    self.lost += lost;
                    self.receive(message);
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.writer.logs.wait_writable(STALLED_LOG_WAIT);
                    self.writer.with_logs(|logs| logs.flush());
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    /// Handles one message and writes every batch it completes. Returns whether further messages are expected.
    pub(crate) fn receive(&mut self, message: LaneMessage) -> bool {
        let LaneMessage { sequence, payload } = message;
        if let Payload::Partial(records) = payload {
            self.emit(records);
            return true;
        }
        let pending = self.pending.entry(sequence).or_default();
        match payload {
            Payload::Partial(_) => {}
            Payload::Done { mut records, stats } => {
                if pending.events.is_empty() {
                    pending.events = records;
                } else {
                    pending.events.append(&mut records);
                }
                pending.done += 1;
                if let Some(stats) = stats {
                    pending.stats.merge(&stats);
                }
            }
            Payload::Suppressions(suppressions) if sequence == self.next => {
                self.alerts.replace_suppressions(*suppressions);
            }
            Payload::Suppressions(suppressions) => pending.suppressions = Some(suppressions),
            Payload::BatchEnd(end) => pending.end = Some(end),
            // The lane still sends what it had, so no batch misses a message.
            Payload::Panicked(text) => {
                self.panic.get_or_insert(text);
                self.writer.flags.panicked.store(true, Ordering::Relaxed);
            }
        }
        self.complete_batches();
        !self.complete
    }

    fn complete_batches(&mut self) {
        while let Some(mut entry) = self.pending.first_entry().filter(|entry| *entry.key() == self.next) {
            if let Some(suppressions) = entry.get_mut().suppressions.take() {
                self.alerts.replace_suppressions(*suppressions);
            }
            if self.complete || entry.get().done < self.options.lanes || entry.get().end.is_none() {
                return;
            }
            let batch = entry.remove();
            self.next += 1;
            self.complete_batch(batch);
        }
    }

    /// Ends the stage: after a panic, or when all senders are gone, whatever is pending is written. Returns what remains.
    pub(crate) fn end(&mut self) -> OutputSummary {
        if !std::mem::replace(&mut self.complete, true) {
            self.flush_incomplete();
        }
        OutputSummary {
            stats: std::mem::take(&mut self.stats),
            suppress_report: self.alerts.suppress_report(),
            panic: self.panic.take(),
        }
    }

    fn flush_incomplete(&mut self) {
        for (_, batch) in std::mem::take(&mut self.pending) {
            self.complete_batch(batch);
        }
        self.alerts.finish(&mut |record| self.writer.write(record));
        let now = self.now();
        self.writer.with_logs(|logs| logs.close(now));
        self.update_output_stats();
    }

    /// Writes a complete batch and carries out its request.
    fn complete_batch(&mut self, batch: PendingBatch) {
        self.emit(batch.events);
        let Some(BatchEnd { stats, request, clock, finished, new_unread }) = batch.end else { return };
        new_unread.iter().for_each(|unread| self.writer.report_unread(unread));
        self.alerts.advance(clock, &mut |record| self.writer.write(record));
        if finished {
            self.alerts.finish(&mut |record| self.writer.write(record));
        }
        if let Some(stats) = stats {
            self.stats.dispatcher = *stats;
        }
        if request.needs_lane_stats() {
            self.stats.lanes = batch.stats;
        }
        self.update_output_stats();
        self.carry_out(request);
        self.complete = request.last;
    }

    fn carry_out(&mut self, request: OutputRequest) {
        let now = self.now();
        if request.stats && self.options.stats {
            self.write_stats(now);
        }
        if (request.stats || request.print) && !request.last {
            self.write_counters();
        }
        if request.print {
            self.stats.summary().iter().for_each(|line| self.writer.console.info(line));
        }
        if request.check && self.options.live {
            let warnings = self.visibility.check(now, self.options.max_http_silence, &self.stats);
            warnings.iter().for_each(|line| self.writer.console.info(line));
        }
        self.writer.with_logs(|logs| logs.flush());
        if request.reopen {
            self.writer.with_logs(|logs| logs.reopen(now));
        }
        if request.last {
            self.writer.with_logs(|logs| logs.close(now));
            self.update_output_stats();
            self.write_counters();
        }
    }

    /// Sorts events and runs them through the alert pipeline to the writer.
    fn emit(&mut self, mut events: Vec<Event>) {
        events.sort_unstable_by_key(Event::order);
        for event in events {
            self.alerts.process(event, &mut |record| self.writer.write(record));
        }
    }

    fn now(&self) -> Timestamp {
        self.stats.dispatcher.clock[1]
    }

    fn update_output_stats(&mut self) {
        self.stats.output = self.writer.stats;
        self.stats.output.alert_pipeline = self.alerts.counters();
        self.stats.output.logs = self.writer.logs.counters;
        self.stats.output.logs.dropped += self.lost;
    }

    fn write_stats(&mut self, now: Timestamp) {
        let kind = EventKind::Stats;
        let order = record::Order { decided_at: now, decided_by: 0, request: 0, tx_id: 0, kind, sid: 0 };
        let body = Body::Stats(Box::new(self.stats.stats()));
        self.writer.write(&Record { order, body });
    }

    fn write_counters(&mut self) {
        let Some(path) = &self.options.counters_file else { return };
        let mut pairs: Vec<(Cow<'static, str>, u64)> = Vec::new();
        self.stats.each(&mut |name, value| pairs.push((name.into(), value)));
        self.stats.each_unread(&mut |name, value| pairs.push((name.into(), value)));
        if let Err(error) = std::fs::write(path, format::counters_line(pairs)) {
            self.writer.console.error(&format!("{}: cannot write: {error} (see --counters)", path.display()));
        }
    }
}
