//! The screen: what context and suppress files say of a hit, put together. Not the limit and not the campaigns, which
//! get what passes here.

use crate::alerts::context::{self, ContextTracker, ContextVerdict};
use crate::alerts::suppress::{self, Suppressions, Treatment};
use crate::record::{Alert, PageView};
use crate::time::Timestamp;

/// What becomes of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is told.
    Told,
    /// It is not told, and counts in its campaign.
    Hidden,
    /// It is normal use: neither told nor counted in a campaign.
    Normal,
}

/// Asks the context and the suppress files.
#[derive(Debug)]
pub(crate) struct AlertFilter {
    context: ContextTracker,
    suppressions: Suppressions,
    /// Hide nothing for the files' sake, but say in the alerts what would be hidden.
    dry: bool,
    counters: suppress::Counters,
}

impl AlertFilter {
    pub(crate) fn new(context: ContextTracker, suppressions: Suppressions, dry: bool) -> Self {
        Self { context, suppressions, dry, counters: suppress::Counters::default() }
    }

    /// Notes a page.
    pub(crate) fn page(&mut self, page: PageView, settled: Timestamp) {
        self.context.page(page, settled);
    }

    /// What becomes of a hit. What the user knows to be normal use is not weighed: it says nothing of its source.
    pub(crate) fn decide(&mut self, alert: &mut Alert, settled: Timestamp) -> Decision {
        let found = self.suppressions.find(alert);
        if let Some((at, Treatment::Allow)) = found
            && !self.dry
        {
            self.suppressions.count(at);
            self.counters.allowed += 1;
            return Decision::Normal;
        }
        if self.context.evaluate(alert, settled) == ContextVerdict::Legitimate {
            return Decision::Normal;
        }
        // What is told of by its campaign alone leaves nothing to hide.
        let Some((at, _)) = found.filter(|_| !alert.signature.support && !alert.suppressed) else {
            return Decision::Told;
        };
        let entry = self.suppressions.count(at);
        if self.dry {
            alert.context.extend(entry.map(suppress::SuppressEntry::label));
            return Decision::Told;
        }
        self.counters.suppressed += 1;
        Decision::Hidden
    }

    /// Uses these suppressions from now on; entries that were there before keep their counts.
    pub(crate) fn replace_suppressions(&mut self, mut suppressions: Suppressions) {
        suppressions.carry_on(&self.suppressions);
        self.suppressions = suppressions;
    }

    /// Another capture begins: its clients and sources are others.
    pub(crate) fn forget(&mut self) {
        self.context.forget();
    }

    /// A line for each entry: how often it held, and why it is there.
    pub(crate) fn report(&self) -> Vec<String> {
        let verb = if self.dry { "would have hidden" } else { "hid" };
        let lines = self.suppressions.entries().map(|(entry, count)| {
            let times = if count == 1 { "1 alert".to_owned() } else { format!("{count} alerts") };
            format!("{}:{}: {} {verb} {times}: {}", entry.file, entry.line, entry.treatment.name(), entry.reason)
        });
        lines.collect()
    }

    pub(crate) fn counters(&self) -> (context::Counters, suppress::Counters) {
        (*self.context.counters(), self.counters)
    }
}
