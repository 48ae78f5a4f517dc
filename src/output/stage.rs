//! The desk: one ordered stream of records out of what the lanes settled, and what is wanted between two loads. Not what
//! becomes of a record, which the row decides and the pen writes; not a thread by itself, though live it has one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use crate::alerts::pipeline::AlertPipeline;
use crate::format;
use crate::output::writer::EventWriter;
use crate::pipeline::channel::OutputReceiver;
use crate::pipeline::message::{BatchEnd, LaneMessage, Payload};
use crate::record::{self, Body, Event, EventKind, Record};
use crate::stats::visibility::VisibilityMonitor;
use crate::stats::{LaneStats, RunStats};
use crate::time::Timestamp;

/// What is chosen for the desk.
#[derive(Debug)]
pub(crate) struct OutputOptions {
    pub(crate) lanes: usize,
    pub(crate) live: bool,
    /// Live: how long a link may be without an HTTP request before that is told.
    pub(crate) silence: Duration,
    pub(crate) stats: bool,
    pub(crate) counters_file: Option<PathBuf>,
}

/// A load of which not everything is here.
#[derive(Debug, Default)]
struct PendingBatch {
    records: Vec<Event>,
    census: LaneStats,
    settled: usize,
    notice: Option<BatchEnd>,
}

/// The desk.
#[derive(Debug)]
pub(crate) struct OutputStage {
    options: OutputOptions,
    pub(crate) row: AlertPipeline,
    pen: EventWriter,
    gathering: BTreeMap<u64, PendingBatch>,
    next: u64,
    pub(crate) figures: RunStats,
    pub(crate) fault: Option<String>,
    silence: VisibilityMonitor,
    /// Live: records that never came here because the desk was too far behind.
    lost: u64,
}

/// How long a stalled output is waited for before the desk looks into its inbox again.
const STALLED: Duration = Duration::from_millis(20);

impl OutputStage {
    pub(crate) fn new(options: OutputOptions, row: AlertPipeline, pen: EventWriter) -> Self {
        Self {
            options,
            row,
            pen,
            gathering: BTreeMap::new(),
            next: 0,
            figures: RunStats::default(),
            fault: None,
            silence: VisibilityMonitor::default(),
            lost: 0,
        }
    }

    /// Works through the inbox until the last envelope, or until nobody sends any more. Says whether it was the last.
    pub(crate) fn work(&mut self, letters: &OutputReceiver) -> bool {
        loop {
            let stalled = self.pen.output.is_stalled();
            match letters.next(stalled.then_some(Duration::ZERO)) {
                Ok(envelope) => {
                    let lost = letters.take_lost();
                    if self.lost == 0 && lost > 0 {
                        self.pen.console.error("records come faster than they can be written: some are lost");
                    }
                    self.lost += lost;
                    if self.receive(envelope) {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.pen.output.wait_for_room(STALLED);
                    self.pen.note(|output| output.flush());
                }
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Takes an envelope; what is complete is written. Says whether it was the last.
    pub(crate) fn receive(&mut self, envelope: LaneMessage) -> bool {
        if let Payload::Partial(mut records) = envelope.part {
            records.sort_unstable_by_key(Event::order);
            self.pass(records);
            return false;
        }
        let gathering = self.gathering.entry(envelope.sequence).or_default();
        match envelope.part {
            Payload::Partial(_) => {}
            Payload::Done { mut records, census } => {
                if gathering.records.is_empty() {
                    gathering.records = records;
                } else {
                    gathering.records.append(&mut records);
                }
                gathering.settled += 1;
                if let Some(census) = census {
                    gathering.census.merge(&census);
                }
            }
            Payload::BatchEnd(notice) => gathering.notice = Some(notice),
            // The lane goes on to say what it had, so nothing is missing from any load.
            Payload::Panicked(what) => {
                self.fault.get_or_insert(what);
                self.pen.flags.broken.store(true, Ordering::Relaxed);
            }
        }
        while let Some(entry) = self.gathering.first_entry() {
            let gathering = entry.get();
            if *entry.key() != self.next || gathering.settled < self.options.lanes || gathering.notice.is_none() {
                return false;
            }
            let gathering = entry.remove();
            self.next += 1;
            if self.settle(gathering) {
                return true;
            }
        }
        false
    }

    /// The last was not told, since something broke: writes what there is.
    pub(crate) fn abandon(&mut self) {
        for (_, gathering) in std::mem::take(&mut self.gathering) {
            self.settle(gathering);
        }
        self.row.finish(&mut |told| self.pen.write(told));
        let now = self.figures.pump.clock[1];
        self.pen.note(|output| output.close(now));
        self.count_output();
    }

    /// Writes a complete load and does what the pump wishes. Says whether it was the last.
    fn settle(&mut self, mut gathering: PendingBatch) -> bool {
        gathering.records.sort_unstable_by_key(Event::order);
        self.pass(gathering.records);
        let Some(BatchEnd { figures, wish, clock, finished }) = gathering.notice else { return false };
        self.row.advance(clock, &mut |told| self.pen.write(told));
        if finished {
            self.row.finish(&mut |told| self.pen.write(told));
        }
        if let Some(figures) = figures {
            self.figures.pump = *figures;
        }
        if wish.needs_census() {
            self.figures.lanes = gathering.census;
        }
        self.count_output();
        let now = self.figures.pump.clock[1];
        if wish.stats && self.options.stats {
            self.write_stats(now);
        }
        if (wish.stats || wish.print) && !wish.last {
            self.write_counters();
        }
        if wish.print {
            self.figures.summary().iter().for_each(|line| self.pen.console.info(line));
        }
        if wish.check {
            self.check_silence(now);
        }
        self.pen.note(|output| output.flush());
        if wish.reopen {
            self.pen.note(|output| output.reopen(now));
        }
        if wish.last {
            self.pen.note(|output| output.close(now));
            self.count_output();
            self.write_counters();
        }
        wish.last
    }

    /// Hands records, which are in order, down the row.
    fn pass(&mut self, records: Vec<Event>) {
        for record in records {
            self.row.process(record, &mut |told| self.pen.write(told));
        }
    }

    fn count_output(&mut self) {
        self.figures.desk = self.pen.figures;
        self.figures.desk.row = self.row.counters();
        self.figures.desk.output = self.pen.output.counters;
        self.figures.desk.output.dropped += self.lost;
    }

    fn write_stats(&mut self, now: Timestamp) {
        let order =
            record::Order { decided_at: now, decided_by: 0, request: 0, tx_id: 0, kind: EventKind::Stats, sid: 0 };
        let body = Body::Stats(Box::new(self.figures.stats()));
        self.pen.write(&Record { order, body });
    }

    fn write_counters(&mut self) {
        let Some(path) = &self.options.counters_file else { return };
        let mut pairs = Vec::new();
        self.figures.each(&mut |name, value| pairs.push((name, value)));
        if let Err(error) = std::fs::write(path, format::counters_line(&pairs)) {
            self.pen.console.error(&format!("{}: cannot be written: {error} (see --counters)", path.display()));
        }
    }

    /// Live: says once that nothing can be found in what is captured.
    fn check_silence(&mut self, now: Timestamp) {
        if self.options.live {
            let warnings = self.silence.check(now, self.options.silence, &self.figures);
            warnings.iter().for_each(|line| self.pen.console.info(line));
        }
    }
}
