//! Handles an interface that goes down or is removed: the capture thread reports it once, waits, and then continues.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::capture::bpf::cause;
use crate::capture::live::capture_thread::{Capture, wait};
use crate::capture::live::counters::{InterfaceEvent, Totals};
use crate::capture::live::{LiveError, open};
use crate::sys;

/// Initial and maximum pause between two checks of an interface that is down or removed.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// Maximum number of consecutive failed reads, each on a new handle. The capture ends if there are more.
const MAX_FAILURES: u32 = 20;

impl Capture {
    /// Handles a failed read: the interface went down or was removed, or there is another error.
    ///
    /// # Errors
    /// If the reads keep failing, or if the interface can't be reopened and waiting does not help.
    pub(super) fn failed(&mut self, error: &pcap::Error) -> Result<(), String> {
        self.hand_on();
        if self.is_up() {
            // The interface may have gone down and up again before this check. Two failures in a row have another
            // cause, and a new handle may help.
            self.failures += 1;
            if self.failures < 2 {
                return Ok(());
            }
            self.notice(InterfaceEvent::Failed);
            self.close();
            if self.failures > MAX_FAILURES {
                return Err(format!("the capture fails repeatedly: {}", cause(error)));
            }
            wait([self.shared.wake.as_fd()], PAUSES.1);
        }
        self.wait_for_interface()
    }

    /// Reports whether the opened interface exists and is up. Always true if it is not a network interface.
    pub(super) fn is_up(&self) -> bool {
        self.is_special || sys::interface_is_up(&self.options.interface) == Some(true) && self.is_same()
    }

    /// Reports whether the interface of that name is still the one that was opened.
    fn is_same(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.index == sys::interface_index(&self.options.interface))
    }

    fn notice(&self, notice: InterfaceEvent) {
        self.shared.counters.notice(notice);
    }

    /// Closes the handle, after a last update of its statistics.
    fn close(&mut self) {
        self.figures_due = Instant::now();
        self.keep_figures();
        self.opened = None;
        self.totals = Totals::default();
    }

    /// Waits until the interface captures (again), or until a stop is requested.
    ///
    /// # Errors
    /// If the interface can't be reopened and waiting does not help.
    pub(super) fn wait_for_interface(&mut self) -> Result<(), String> {
        self.shared.counters.outages.fetch_add(1, Ordering::Relaxed);
        self.drain();
        let mut last_notice = None;
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
                if last_notice != Some(notice) {
                    self.notice(notice);
                    last_notice = Some(notice);
                }
            }
            // Nothing is being captured, so no older frame can follow.
            self.drained = self.shared.clock.now();
            self.shared.clock.publish(self.drained);
            self.keep_figures();
            wait([self.shared.wake.as_fd()], pause);
            pause = (pause * 2).min(PAUSES.1);
        }
        Ok(())
    }

    /// Reopens the interface. Returns whether that succeeded.
    ///
    /// # Errors
    /// If waiting does not help.
    fn reopen(&mut self) -> Result<bool, String> {
        match open::open(&mut self.options) {
            Ok(None) | Err(LiveError::NoSuchInterface { .. } | LiveError::Other { .. }) => Ok(false),
            Ok(Some(opened)) => {
                self.opened = Some(opened);
                self.shared.counters.reopens.fetch_add(1, Ordering::Relaxed);
                self.figures_due = Instant::now();
                Ok(true)
            }
            Err(error) => Err(format!("the interface returned, but cannot be reopened: {error}")),
        }
    }
}
