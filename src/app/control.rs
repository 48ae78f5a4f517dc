//! What a run is asked from outside while it goes on: by signals, by the passing of time, and by its source. Not what the
//! pump does about it.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::alerts::filter::Renewal;
use crate::app::config::{Config, SignatureFiles};
use crate::app::load::{Reload, review};
use crate::app::wiring::OutputHandle;
use crate::capture::live;
use crate::capture::live::LiveSource;
use crate::capture::replay::Replay;
use crate::pipeline::dispatcher::{ControlRequest, Surroundings};
use crate::pipeline::message::{LaneMessage, OutputRequest};
use crate::signature::Signatures;
use crate::stats::{DispatcherStats, ReloadCounters};
use crate::sys::Signals;
use crate::sys::console::Console;

/// What a source says of itself besides packets.
pub(crate) trait SourceStatus {
    /// Adds its figures.
    fn record_stats(&self, figures: &mut DispatcherStats);
    /// What happened to it, to be told.
    fn take_events(&mut self) -> Vec<String>;
    /// Asks it to end; true when it has something left and says itself when it is at its end.
    fn stop(&mut self) -> bool;
}

impl SourceStatus for Replay {
    fn record_stats(&self, figures: &mut DispatcherStats) {
        figures.replay = self.counters;
    }

    fn take_events(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn stop(&mut self) -> bool {
        false
    }
}

impl SourceStatus for LiveSource {
    fn record_stats(&self, figures: &mut DispatcherStats) {
        let read = self.statistics().read();
        // The kernel's own figure is up to a second old.
        let received = read.received.max(read.delivered + read.kernel_drops);
        figures.capture = Some(live::Counters { received, ..read });
    }

    fn stop(&mut self) -> bool {
        self.stop_handle().stop();
        true
    }

    fn take_events(&mut self) -> Vec<String> {
        let interface = self.description().interface.clone();
        self.statistics().take_notices().iter().map(|notice| format!("{interface}: {notice}")).collect()
    }
}

/// Turns signals and the passing of time into what the pump is asked.
pub(crate) struct Controller {
    pub(crate) desk: Option<OutputHandle>,
    pub(crate) console: Console,
    signals: Signals,
    files: SignatureFiles,
    suppress: Vec<PathBuf>,
    /// Where the desk looks for other entries of suppress files.
    pub(crate) renewal: Renewal,
    reload: Option<Reload>,
    live: bool,
    stats_interval: Duration,
    next_stats: Instant,
    check: Duration,
    next_check: Instant,
    reloads: ReloadCounters,
    signatures: usize,
}

/// Rationale: often enough to warn in time, and a census costs nothing worth mentioning.
const CHECK: Duration = Duration::from_secs(30);

impl Controller {
    pub(crate) fn new(config: &Config, signals: Signals, console: Console, signatures: usize) -> Self {
        let now = Instant::now();
        let check = CHECK.min(config.silence / 2);
        Self {
            desk: None,
            console,
            signals,
            files: config.signatures.clone(),
            suppress: config.suppress.clone(),
            renewal: Renewal::default(),
            reload: None,
            live: config.is_live(),
            stats_interval: config.stats_interval,
            next_stats: now + config.stats_interval,
            check,
            next_check: now + check,
            reloads: ReloadCounters::default(),
            signatures,
        }
    }

    /// Signatures that were loaded since the last time, if they are any good.
    fn reloaded(&mut self) -> Option<Arc<Signatures>> {
        if self.signals.take_reload() {
            self.reload = Some(Reload::begin(self.files.clone(), self.suppress.clone()));
        }
        let result = self.reload.as_ref()?.result()?;
        self.reload = None;
        match result {
            Ok((signatures, suppressions)) => {
                self.reloads.reloads += 1;
                self.signatures = signatures.len();
                review(&suppressions, &signatures).iter().for_each(|line| self.console.info(line));
                *self.renewal.lock().unwrap_or_else(PoisonError::into_inner) = Some(suppressions);
                self.console.info(&format!("{} signatures loaded again", signatures.len()));
                Some(signatures)
            }
            Err(errors) => {
                self.reloads.refused_reloads += 1;
                errors.iter().for_each(|error| self.console.error(error));
                self.console.error("the signatures in use stay, and what is suppressed");
                None
            }
        }
    }
}

impl<S: SourceStatus> Surroundings<S> for Controller {
    fn asked(&mut self, source: &mut S) -> ControlRequest {
        source.take_events().iter().for_each(|line| self.console.error(line));
        let mut wish = OutputRequest {
            reopen: self.signals.take_hangup(),
            print: self.signals.take_statistics(),
            ..OutputRequest::default()
        };
        if self.live {
            let now = Instant::now();
            if now >= self.next_stats {
                wish.stats = true;
                self.next_stats = now + self.stats_interval;
            }
            if now >= self.next_check {
                wish.check = true;
                self.next_check = now + self.check;
            }
        }
        let stop = self.signals.stop().is_some() && !source.stop();
        let behind = self.desk.as_ref().is_some_and(OutputHandle::is_behind);
        ControlRequest { stop, behind, wish, signatures: self.reloaded() }
    }

    fn source_figures(&self, source: &S, figures: &mut DispatcherStats) {
        source.record_stats(figures);
        figures.reloads = self.reloads;
        figures.signatures = self.signatures;
    }

    fn deliver(&mut self, envelope: LaneMessage) -> bool {
        self.desk.as_mut().is_some_and(|desk| desk.receive(envelope))
    }
}
