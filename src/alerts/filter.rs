//! The alert filter: the combined decision of context evaluation and suppress files on one hit. Does not merge repeats
//! and does not correlate campaigns; those stages process what passes the filter.

use crate::alerts::context::{self, ContextTracker, ContextVerdict};
use crate::alerts::suppress::{self, Suppressions, Treatment};
use crate::record::{Alert, PageView};
use crate::time::Timestamp;

/// The filter's decision on a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Write the alert.
    Emit,
    /// Do not write the alert, but count it in its campaign.
    Suppress,
    /// Legitimate use: neither written nor counted in a campaign.
    Allow,
}

/// Evaluates the context and the suppress files.
#[derive(Debug)]
pub(crate) struct AlertFilter {
    context: ContextTracker,
    suppressions: Suppressions,
    /// Whether matching entries only label the alerts instead of suppressing them.
    dry_run: bool,
    counters: suppress::Counters,
}

impl AlertFilter {
    pub(crate) fn new(context: ContextTracker, suppressions: Suppressions, dry_run: bool) -> Self {
        Self { context, suppressions, dry_run, counters: suppress::Counters::default() }
    }

    /// Records a page view.
    pub(crate) fn page(&mut self, page: PageView, at: Timestamp) {
        self.context.page(page, at);
    }

    /// Decides on a hit. A hit that an `allow` entry matches is not evaluated in context: it is no evidence about its
    /// source.
    pub(crate) fn decide(&mut self, alert: &mut Alert, at: Timestamp) -> Decision {
        let found = self.suppressions.find(alert);
        if let Some((index, Treatment::Allow)) = found
            && !self.dry_run
        {
            self.suppressions.count(index);
            self.counters.allowed += 1;
            return Decision::Allow;
        }
        if self.context.evaluate(alert, at) == ContextVerdict::Legitimate {
            return Decision::Allow;
        }
        // An alert that only its campaign reports leaves nothing to suppress.
        let Some((index, _)) = found.filter(|_| !alert.signature.support && !alert.suppressed) else {
            return Decision::Emit;
        };
        let entry = self.suppressions.count(index);
        if self.dry_run {
            alert.context.extend(entry.map(suppress::SuppressEntry::label));
            return Decision::Emit;
        }
        self.counters.suppressed += 1;
        Decision::Suppress
    }

    /// Replaces the suppress entries from the next hit on; entries that did not change keep their counts.
    pub(crate) fn replace_suppressions(&mut self, mut suppressions: Suppressions) {
        suppressions.inherit_counts(&self.suppressions);
        self.suppressions = suppressions;
    }

    /// Discards the context, because another capture begins: its clients and sources are different ones.
    pub(crate) fn forget(&mut self) {
        self.context.forget();
    }

    /// Returns one line per entry: how many alerts it matched, and its reason.
    pub(crate) fn report(&self) -> Vec<String> {
        let verb = if self.dry_run { "would apply to" } else { "applied to" };
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
