//! The alert pipeline: the stages that process each event between the sensor and the writer, one after the other over
//! one ordered stream: allow entries, context, suppress entries, campaigns, threshold. Does not order the events, which the output stage
//! does, and does not write.
//!
//! The result is a function of the stream and of the clock at its end. Deadlines at or before D are processed before
//! the first event decided at D or later, and no later event was decided before the clock. So nothing depends on where
//! a batch ends.

use crate::alerts::campaign::{self, Campaigns};
use crate::alerts::context;
use crate::alerts::filter::{AlertFilter, Decision};
use crate::alerts::suppress::{self, Suppressions};
use crate::alerts::threshold::{self, Threshold};
use crate::record::{Alert, Body, Event, Order, Record};
use crate::time::Timestamp;

/// Counters of the pipeline's stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Counters of the context evaluation.
    pub context: context::Counters,
    /// Counters of the suppress files.
    pub suppress: suppress::Counters,
    /// Counters of the threshold.
    pub threshold: threshold::Counters,
    /// Counters of the campaigns.
    pub campaign: campaign::Counters,
}

impl Counters {
    /// Calls `visit` with the published name and the value of every counter.
    pub fn each(&self, visit: &mut dyn FnMut(&'static str, u64)) {
        self.context.each(visit);
        self.suppress.each(visit);
        self.threshold.each(visit);
        self.campaign.each(visit);
    }

    /// Returns the number of alerts held back by suppress files and the threshold, without those that the context
    /// evaluation took for legitimate use.
    #[must_use]
    pub const fn suppressed(&self) -> u64 {
        self.suppress.suppressed + self.suppress.allowed + self.threshold.limited
    }
}

/// Options of the pipeline's stages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether the threshold stage merges repeated alerts.
    pub merge_repeats: bool,
    /// Options of the threshold.
    pub threshold: threshold::Options,
    /// Options of the campaigns.
    pub campaign: campaign::Options,
}

/// Receives the records to be written.
type Emit<'a> = &'a mut dyn FnMut(&Record);

/// Runs events through context, suppression, threshold and campaigns.
#[derive(Debug)]
pub(crate) struct AlertPipeline {
    filter: AlertFilter,
    threshold: Option<Threshold>,
    campaigns: Campaigns,
}

impl AlertPipeline {
    /// Returns a pipeline without state; `keys` are the hash keys of its tables.
    pub(crate) fn new(options: &Options, filter: AlertFilter, keys: [u64; 2]) -> Self {
        Self {
            filter,
            threshold: options.merge_repeats.then(|| Threshold::new(options.threshold, keys)),
            campaigns: Campaigns::new(options.campaign, keys),
        }
    }

    /// Processes the next event of the stream; `emit` receives the records to be written, in order.
    pub(crate) fn process(&mut self, event: Event, emit: Emit<'_>) {
        self.advance(event.order().decided_at, emit);
        match event {
            Event::PageView(order, page) => self.filter.page(page, order.decided_at),
            Event::Record(Record { order, body: Body::Alert(alert) }) => self.alert(order, alert, emit),
            Event::Record(record) => emit(&record),
        }
    }

    /// Processes the deadlines up to `clock`, the earliest first.
    pub(crate) fn advance(&mut self, clock: Timestamp, emit: Emit<'_>) {
        loop {
            let threshold = self.threshold.as_ref().map_or(Timestamp::MAX, Threshold::next_deadline);
            let campaign = self.campaigns.next_deadline();
            let due = threshold.min(campaign);
            if due > clock || due == Timestamp::MAX {
                return;
            }
            let record = match &mut self.threshold {
                Some(stage) if threshold == due => stage.fire(),
                _ => self.campaigns.fire(),
            };
            record.iter().for_each(&mut *emit);
        }
    }

    /// Emits everything that is held back, because the input ended or the clock restarts, and discards all state.
    pub(crate) fn finish(&mut self, emit: Emit<'_>) {
        self.filter.forget();
        while let Some(record) = self.threshold.as_mut().and_then(Threshold::finish) {
            emit(&record);
        }
        while let Some(record) = self.campaigns.finish() {
            emit(&record);
        }
    }

    /// Replaces the suppress entries from the next event on.
    pub(crate) fn replace_suppressions(&mut self, suppressions: Suppressions) {
        self.filter.replace_suppressions(suppressions);
    }

    /// Returns a line for each suppress entry: how often it applied, and its reason.
    pub(crate) fn suppress_report(&self) -> Vec<String> {
        self.filter.report()
    }

    /// Returns the counters of all stages.
    pub(crate) fn counters(&self) -> Counters {
        let (context, suppress) = self.filter.counters();
        Counters {
            context,
            suppress,
            threshold: self.threshold.as_ref().map(|threshold| *threshold.counters()).unwrap_or_default(),
            campaign: *self.campaigns.counters(),
        }
    }

    fn alert(&mut self, order: Order, mut alert: Box<Alert>, emit: Emit<'_>) {
        let decision = self.filter.decide(&mut alert, order.decided_at);
        if decision == Decision::Allow {
            return;
        }
        let silent = decision == Decision::Suppress || alert.signature.support || alert.suppressed;
        // Emitted or not, it counts in its campaign, whose record follows it.
        let campaign = self.campaigns.hit(order, &alert);
        if !silent {
            self.emit(order, alert, emit);
        }
        campaign.iter().for_each(emit);
    }

    /// Emits an alert, unless the threshold holds it back as a repeat.
    fn emit(&mut self, order: Order, alert: Box<Alert>, emit: Emit<'_>) {
        let mut evicted = Vec::new();
        let now = match &mut self.threshold {
            Some(threshold) => threshold.process(order, alert, &mut evicted),
            None => Some(alert),
        };
        evicted.iter().for_each(&mut *emit);
        if let Some(alert) = now {
            emit(&Record { order, body: Body::Alert(alert) });
        }
    }
}
