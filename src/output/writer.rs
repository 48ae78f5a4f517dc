//! The pen: counts what is told and writes it in the chosen format, and tells what becomes of the output. Not the
//! choice of what is told, which the row makes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::format::{Format, LineContext};
use crate::logs::log::{LogError, LogSet};
use crate::pipeline::message::RunFlags;
use crate::record::{Body, Record};
use crate::stats::OutputStats;
use crate::sys::console::Console;

/// What writes for the desk.
#[derive(Debug)]
pub(crate) struct EventWriter {
    pub(crate) format: Format,
    pub(crate) context: LineContext,
    /// Whether alerts are written, and not only counted.
    pub(crate) alerts: bool,
    pub(crate) output: LogSet,
    pub(crate) console: Console,
    pub(crate) flags: Arc<RunFlags>,
    pub(crate) figures: OutputStats,
}

impl EventWriter {
    /// Counts a record and writes its line.
    pub(crate) fn write(&mut self, record: &Record) {
        match &record.body {
            Body::Alert(alert) => self.figures.count(alert),
            Body::Campaign(campaign) => self.figures.count_campaign(campaign),
            _ => {}
        }
        if !self.alerts && matches!(record.body, Body::Alert(_) | Body::Campaign(_)) {
            return;
        }
        let Some(log) = self.format.log(record) else { return };
        if !self.output.has_room(log) {
            return self.note(|output| output.drop_line(log));
        }
        self.format.write(record, &self.context, self.output.buffer(log));
        self.note(|output| output.line_added(log));
    }

    /// Does something with the output and tells what went wrong.
    pub(crate) fn note(&mut self, act: impl FnOnce(&mut LogSet) -> Option<LogError>) {
        match act(&mut self.output) {
            None => {}
            Some(LogError::Closed) => self.flags.closed.store(true, Ordering::Relaxed),
            Some(LogError::Failing(text)) => self.console.error(&text),
        }
    }
}
