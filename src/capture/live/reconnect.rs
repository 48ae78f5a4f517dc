//! What the capture thread does when the interface goes down or away: it says so once, waits, and goes on.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::capture::bpf::cause;
use crate::capture::live::capture_thread::{Capture, wait};
use crate::capture::live::counters::{InterfaceEvent, Totals};
use crate::capture::live::{LiveError, open};
use crate::sys;

/// The first and the longest pause between two looks at an interface that is down or gone.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// Failed reads in a row, each on a fresh handle, after which the capture gives up.
const MAX_FAILURES: u32 = 20;

impl Capture {
    /// A read failed: the interface went down or away, or something else is wrong.
    pub(super) fn failed(&mut self, error: &pcap::Error) -> Result<(), String> {
        self.hand_on();
        if self.is_up() {
            // Down and up again before we looked. Twice in a row it is something else, and a new handle may help.
            self.failures += 1;
            if self.failures < 2 {
                return Ok(());
            }
            self.notice(InterfaceEvent::Failed);
            self.close();
            if self.failures > MAX_FAILURES {
                return Err(format!("the capture fails again and again: {}", cause(error)));
            }
            wait([self.shared.wake.as_fd()], PAUSES.1);
        }
        self.wait_for_interface()
    }

    /// Whether the opened interface is there and up. What is not a network interface always is.
    pub(super) fn is_up(&self) -> bool {
        self.is_special || sys::interface_is_up(&self.options.interface) == Some(true) && self.is_same()
    }

    /// Whether the interface of that name is still the one that was opened.
    fn is_same(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.index == sys::interface_index(&self.options.interface))
    }

    fn notice(&self, notice: InterfaceEvent) {
        self.shared.counters.notice(notice);
    }

    /// Lets go of the handle, with its last figures.
    fn close(&mut self) {
        self.figures_due = Instant::now();
        self.keep_figures();
        self.opened = None;
        self.totals = Totals::default();
    }

    /// Waits until the interface captures (again), or a stop.
    pub(super) fn wait_for_interface(&mut self) -> Result<(), String> {
        self.shared.counters.outages.fetch_add(1, Ordering::Relaxed);
        self.drain();
        let mut told = None;
        let mut pause = PAUSES.0;
        while !self.stopped() {
            let up = sys::interface_is_up(&self.options.interface);
            if self.opened.is_some() && !self.is_same() {
                self.close();
            }
            if up == Some(true) || self.is_special {
                if self.opened.is_some() || self.reopen()? {
                    self.notice(InterfaceEvent::Back);
                    return Ok(());
                }
            } else {
                let notice = if up.is_some() { InterfaceEvent::Down } else { InterfaceEvent::Gone };
                if told != Some(notice) {
                    self.notice(notice);
                    told = Some(notice);
                }
            }
            // Nothing is captured, so nothing older can come.
            self.drained = self.shared.clock.now();
            self.shared.clock.publish(self.drained);
            self.keep_figures();
            wait([self.shared.wake.as_fd()], pause);
            pause = (pause * 2).min(PAUSES.1);
        }
        Ok(())
    }

    /// Opens the interface again: whether that went well. The error says that waiting will not help.
    fn reopen(&mut self) -> Result<bool, String> {
        match open::open(&mut self.options) {
            Ok(None) | Err(LiveError::NoSuchInterface { .. } | LiveError::Other { .. }) => Ok(false),
            Ok(Some(opened)) => {
                self.opened = Some(opened);
                self.shared.counters.reopens.fetch_add(1, Ordering::Relaxed);
                self.figures_due = Instant::now();
                Ok(true)
            }
            Err(error) => Err(format!("it came back, but can't be opened again: {error}")),
        }
    }
}
