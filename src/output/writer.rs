//! The event writer: counts records, formats them and appends the lines to their log. Write errors are reported on the
//! console. Which records exist is decided by [`crate::alerts`], which are written by `--events` and the
//! format.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::new_inputs::NewInputs;
use crate::format::{Format, LineContext};
use crate::logs::log::{LogError, LogSet};
use crate::pipeline::message::RunFlags;
use crate::record::{Body, Record};
use crate::stats::OutputStats;
use crate::sys::console::Console;

/// Formats records and appends them to the logs.
#[derive(Debug)]
pub(crate) struct EventWriter {
    pub(crate) format: Format,
    pub(crate) context: LineContext,
    /// Whether alerts are written; otherwise they are only counted.
    pub(crate) alerts: bool,
    pub(crate) logs: LogSet,
    pub(crate) console: Console,
    pub(crate) flags: Arc<RunFlags>,
    pub(crate) stats: OutputStats,
    /// Names of inputs that are begun during the run.
    pub(crate) new_inputs: Arc<NewInputs>,
}

impl EventWriter {
    /// Counts a record and appends its line.
    pub(crate) fn write(&mut self, record: &Record) {
        match &record.body {
            Body::Alert(alert) => self.stats.count(alert),
            Body::Campaign(campaign) => self.stats.count_campaign(campaign),
            _ => {}
        }
        if !self.alerts && matches!(record.body, Body::Alert(_) | Body::Campaign(_)) {
            return;
        }
        let Some(log) = self.format.log(record) else { return };
        self.new_inputs.take_into(&mut self.context.inputs);
        if !self.logs.has_capacity(log) {
            return self.with_logs(|logs| logs.drop_line(log));
        }
        self.format.write(record, &self.context, self.logs.buffer(log));
        self.with_logs(|logs| logs.line_added(log));
    }

    /// Runs `act` on the logs and reports an error.
    pub(crate) fn with_logs(&mut self, act: impl FnOnce(&mut LogSet) -> Option<LogError>) {
        match act(&mut self.logs) {
            None => {}
            Some(LogError::Closed) => self.flags.output_closed.store(true, Ordering::Relaxed),
            Some(error) => self.console.error(&error.to_string()),
        }
    }
}
