//! The pen: counts what is told and writes it in the chosen format, and tells what becomes of the output. Not the
//! choice of what is told, which the row makes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::format::{Context, Format};
use crate::logs::log::{Output, Trouble};
use crate::pipeline::message::Flags;
use crate::record::{Body, Record};
use crate::stats::DeskFigures;
use crate::sys::console::Voice;

/// What writes for the desk.
#[derive(Debug)]
pub(crate) struct Pen {
    pub(crate) format: Format,
    pub(crate) context: Context,
    /// Whether alerts are written, and not only counted.
    pub(crate) alerts: bool,
    pub(crate) output: Output,
    pub(crate) voice: Voice,
    pub(crate) flags: Arc<Flags>,
    pub(crate) figures: DeskFigures,
}

impl Pen {
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
            return self.note(|output| output.lose_line(log));
        }
        self.format.write(record, &self.context, self.output.buffer(log));
        self.note(|output| output.line_added(log));
    }

    /// Does something with the output and tells what went wrong.
    pub(crate) fn note(&mut self, act: impl FnOnce(&mut Output) -> Option<Trouble>) {
        match act(&mut self.output) {
            None => {}
            Some(Trouble::Closed) => self.flags.closed.store(true, Ordering::Relaxed),
            Some(Trouble::Failing(text)) => self.voice.complain(&text),
        }
    }
}
