//! The event writer: counts records, formats them and appends the lines to their log. Write errors are reported on the
//! console. Which records exist is decided by [`crate::alerts`], which are written by `--events` and the
//! format.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::new_inputs::NewInputs;
use crate::decode::{Unread, UnreadKind};
use crate::format::{Format, InputName, LineContext};
use crate::logs::log::{LogError, LogSet};
use crate::pipeline::message::RunFlags;
use crate::record::{Body, Record};
use crate::stats::OutputStats;
use crate::stats::unread_frames::first_frame;
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
    /// Says that frames of a kind are not read. Link types are said even on a quiet console, because usually nothing of
    /// such an input is read.
    pub(crate) fn report_unread(&self, unread: &Unread) {
        let name = match usize::try_from(unread.input).ok().and_then(|at| self.context.inputs.get(at)) {
            Some(InputName::File(path)) => path.display().to_string(),
            Some(InputName::Interface(name)) => name.clone(),
            None => format!("input {}", unread.input),
        };
        let line = first_frame(&name, unread);
        match unread.kind {
            UnreadKind::LinkType(_) => self.console.error(&line),
            _ => self.console.info(&line),
        }
    }

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
