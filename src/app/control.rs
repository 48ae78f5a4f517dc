//! Turns signals, timers and events of the packet source into requests for the dispatcher, and reloads signatures and
//! suppress files. The requests are carried out by [`crate::pipeline`] and [`crate::output`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::{Config, SignatureFiles};
use super::load::{Reload, review};
use crate::capture::source::PacketSource;
use crate::pipeline::dispatcher::ControlRequest;
use crate::pipeline::message::OutputRequest;
use crate::stats::ReloadCounters;
use crate::sys::Signals;
use crate::sys::console::Console;

/// Time between two checks of what the sensor sees, at most. Rationale: often enough to warn in time, at a negligible
/// cost.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Polled between two blocks.
pub(crate) struct Controller {
    console: Console,
    signals: Signals,
    signature_files: SignatureFiles,
    suppress_files: Vec<PathBuf>,
    /// A reload in progress.
    reload: Option<Reload>,
    reloads: ReloadCounters,
    live: bool,
    stats_timer: Timer,
    check_timer: Timer,
}

/// Fires at most once per interval.
struct Timer {
    interval: Duration,
    next: Instant,
}

impl Timer {
    fn new(interval: Duration) -> Self {
        Self { interval, next: Instant::now() + interval }
    }

    fn fires(&mut self, now: Instant) -> bool {
        let fires = now >= self.next;
        if fires {
            self.next = now + self.interval;
        }
        fires
    }
}

impl Controller {
    pub(crate) fn new(config: &Config, signals: Signals, console: Console) -> Self {
        Self {
            console,
            signals,
            signature_files: config.signatures.clone(),
            suppress_files: config.suppress.clone(),
            reload: None,
            reloads: ReloadCounters::default(),
            live: config.is_live(),
            stats_timer: Timer::new(config.stats_interval),
            check_timer: Timer::new(MAX_CHECK_INTERVAL.min(config.silence / 2)),
        }
    }

    /// Returns what is requested for the next block; `None` to stop the run.
    pub(crate) fn poll(&mut self, source: &mut impl PacketSource) -> Option<ControlRequest> {
        source.take_events().iter().for_each(|line| self.console.error(line));
        if self.signals.stop().is_some() && !source.stop() {
            return None;
        }
        let now = Instant::now();
        let output = OutputRequest {
            reopen: self.signals.take_hangup(),
            print: self.signals.take_statistics(),
            stats: self.live && self.stats_timer.fires(now),
            check: self.live && self.check_timer.fires(now),
            last: false,
        };
        let mut request = ControlRequest { output, ..ControlRequest::default() };
        self.poll_reload(&mut request);
        request.reloads = self.reloads;
        Some(request)
    }

    /// Starts a reload on SIGUSR2, and adds the result of a finished one to the request.
    fn poll_reload(&mut self, request: &mut ControlRequest) {
        if self.signals.take_reload() {
            self.reload = Some(Reload::begin(self.signature_files.clone(), self.suppress_files.clone()));
        }
        let Some(result) = self.reload.as_ref().and_then(Reload::result) else { return };
        self.reload = None;
        match result {
            Ok((signatures, suppressions)) => {
                self.reloads.reloads += 1;
                review(&suppressions, &signatures).iter().for_each(|line| self.console.info(line));
                self.console.info(&format!("{} signatures reloaded", signatures.len()));
                request.signatures = Some(Arc::clone(&signatures));
                request.suppressions = Some(Box::new(suppressions));
            }
            Err(errors) => {
                self.reloads.refused_reloads += 1;
                errors.iter().for_each(|error| self.console.error(&error.to_string()));
                self.console.error("the signatures and suppressions in use are kept");
            }
        }
    }
}
