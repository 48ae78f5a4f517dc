//! The row: what becomes of each record on its way to the pen. A function after the other over one ordered stream:
//! context, suppress, limit, campaign. Not the order itself, which the desk restores; not the writing.
//!
//! What happens here is a function of the stream and of the clock at its end. What falls due at D happens before the
//! first record that was settled at D or later; nothing that comes later was settled before the clock. So nothing
//! depends on where a load ends.

use crate::alerts::campaign::{self, Campaigns};
use crate::alerts::context;
use crate::alerts::filter::{AlertFilter, Decision};
use crate::alerts::suppress::{self, Suppressions};
use crate::alerts::threshold::{self, Threshold};
use crate::record::{Alert, Body, Order, Record};
use crate::time::Timestamp;

/// What the row's stages count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The context's.
    pub context: context::Counters,
    /// The suppress files'.
    pub suppress: suppress::Counters,
    /// The limit's.
    pub limit: threshold::Counters,
    /// The campaigns'.
    pub campaign: campaign::Counters,
}

impl Counters {
    /// Calls `visit` with the published name and the value of every counter.
    pub fn each(&self, visit: &mut dyn FnMut(&'static str, u64)) {
        self.context.each(visit);
        self.suppress.each(visit);
        self.limit.each(visit);
        self.campaign.each(visit);
    }

    /// Alerts that were kept back though they are not legitimate by themselves.
    #[must_use]
    pub const fn silenced(&self) -> u64 {
        self.suppress.suppressed + self.suppress.allowed + self.limit.limited
    }
}

/// What can be chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether repeats are told of together.
    pub limited: bool,
    /// The limit's.
    pub limit: threshold::Options,
    /// The campaigns'.
    pub campaign: campaign::Options,
}

/// Where what is told goes.
type Emit<'a> = &'a mut dyn FnMut(&Record);

/// The row.
#[derive(Debug)]
pub(crate) struct AlertPipeline {
    filter: AlertFilter,
    limit: Option<Threshold>,
    campaigns: Campaigns,
}

impl AlertPipeline {
    /// `keys` key its tables.
    pub(crate) fn new(options: &Options, filter: AlertFilter, keys: [u64; 2]) -> Self {
        Self {
            filter,
            limit: options.limited.then(|| Threshold::new(options.limit, keys)),
            campaigns: Campaigns::new(options.campaign, keys),
        }
    }

    /// Takes the next record of the stream; `emit` gets what is to be written, in order.
    pub(crate) fn process(&mut self, record: Record, emit: Emit<'_>) {
        self.advance(record.order.settled, emit);
        let Record { order, body } = record;
        match body {
            Body::Alert(alert) => self.alert(order, alert, emit),
            Body::PageView(page) => self.filter.page(page, order.settled),
            body => emit(&Record { order, body }),
        }
    }

    /// Does what falls due up to `clock`, the earliest first.
    pub(crate) fn advance(&mut self, clock: Timestamp, emit: Emit<'_>) {
        loop {
            let limit = self.limit.as_ref().map_or(Timestamp::MAX, Threshold::next_deadline);
            let campaign = self.campaigns.next_deadline();
            let due = limit.min(campaign);
            if due > clock || due == Timestamp::MAX {
                return;
            }
            let told = match &mut self.limit {
                Some(stage) if limit == due => stage.fire(),
                _ => self.campaigns.fire(),
            };
            told.iter().for_each(&mut *emit);
        }
    }

    /// Tells what is still kept, because the input ended or the clock starts anew, and forgets everything.
    pub(crate) fn finish(&mut self, emit: Emit<'_>) {
        self.filter.forget();
        while let Some(record) = self.limit.as_mut().and_then(Threshold::finish) {
            emit(&record);
        }
        while let Some(record) = self.campaigns.finish() {
            emit(&record);
        }
    }

    /// Uses these suppressions from the next record on.
    pub(crate) fn replace_suppressions(&mut self, suppressions: Suppressions) {
        self.filter.replace_suppressions(suppressions);
    }

    /// Returns a line for each suppress entry: how often it applied, and its reason.
    pub(crate) fn suppress_report(&self) -> Vec<String> {
        self.filter.report()
    }

    /// All counters of the row.
    pub(crate) fn counters(&self) -> Counters {
        let (context, suppress) = self.filter.counters();
        Counters {
            context,
            suppress,
            limit: self.limit.as_ref().map(|limit| *limit.counters()).unwrap_or_default(),
            campaign: *self.campaigns.counters(),
        }
    }

    fn alert(&mut self, order: Order, mut alert: Box<Alert>, emit: Emit<'_>) {
        let decision = self.filter.decide(&mut alert, order.settled);
        if decision == Decision::Normal {
            return;
        }
        let silent = decision == Decision::Hidden || alert.signature.support || alert.suppressed;
        // Whatever becomes of it, it counts in its campaign, which is told of after it.
        let campaign = self.campaigns.hit(order, &alert);
        if !silent {
            self.emit(order, alert, emit);
        }
        campaign.iter().for_each(emit);
    }

    /// Tells an alert, unless it is a repeat that is told of later.
    fn emit(&mut self, order: Order, alert: Box<Alert>, emit: Emit<'_>) {
        let mut before = Vec::new();
        let now = match &mut self.limit {
            Some(limit) => limit.take(order, alert, &mut before),
            None => Some(alert),
        };
        before.iter().for_each(&mut *emit);
        if let Some(alert) = now {
            emit(&Record { order, body: Body::Alert(alert) });
        }
    }
}
