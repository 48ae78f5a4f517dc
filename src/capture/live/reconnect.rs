//! Reconnects when the interface goes down or disappears: emits one event, waits, and continues the capture.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::capture::bpf::cause;
use crate::capture::live::capture_thread::{Capture, wait};
use crate::capture::live::counters::{InterfaceEvent, Totals};
use crate::capture::live::error::{CaptureError, LiveError};
use crate::capture::live::open;
use crate::sys;

/// The first and the longest pause between two checks of an interface that is down or gone.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// Number of consecutive failed reads, each with a fresh handle, after which the capture ends.
const MAX_FAILURES: u32 = 20;

impl Capture {
    /// Handles a failed read: the interface is down or gone, or there is another error.
    pub(super) fn failed(&mut self, error: &pcap::Error) -> Result<(), CaptureError> {
        self.deliver();
        if self.is_up() {
            // The interface may have been down for a moment. After a second failure it is something else, and a new
            // handle may help.
            self.failures += 1;
            if self.failures < 2 {
                return Ok(());
            }
            self.emit(InterfaceEvent::Failed);
            self.close();
            if self.failures > MAX_FAILURES {
                return Err(CaptureError::Read(cause(error)));
            }
            wait([self.shared.wake.as_fd()], PAUSES.1);
        }
        self.wait_for_interface()
    }

    /// Returns whether the opened interface exists and is up; always true for a device that is not a network interface.
    pub(super) fn is_up(&self) -> bool {
        self.is_special || sys::interface_is_up(&self.options.interface) == Some(true) && self.is_same()
    }

    /// Returns whether the interface of that name is still the one that was opened.
    fn is_same(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.index == sys::interface_index(&self.options.interface))
    }

    fn emit(&self, event: InterfaceEvent) {
        self.shared.counters.add_event(event);
    }

    /// Closes the handle after a last update of the counters.
    fn close(&mut self) {
        self.counters_due = Instant::now();
        self.update_counters();
        self.opened = None;
        self.totals = Totals::default();
    }

    /// Waits until the interface captures (again), or until the capture is stopped.
    pub(super) fn wait_for_interface(&mut self) -> Result<(), CaptureError> {
        self.shared.counters.outages.fetch_add(1, Ordering::Relaxed);
        self.drain();
        let mut emitted = None;
        let mut pause = PAUSES.0;
        while !self.stopped() {
            let up = sys::interface_is_up(&self.options.interface);
            if self.opened.is_some() && !self.is_same() {
                self.close();
            }
            if up == Some(true) || self.is_special {
                if self.opened.is_some() || self.reopen()? {
                    self.emit(InterfaceEvent::Back);
                    return Ok(());
                }
            } else {
                let event = if up.is_some() { InterfaceEvent::Down } else { InterfaceEvent::Gone };
                if emitted != Some(event) {
                    self.emit(event);
                    emitted = Some(event);
                }
            }
            // Nothing is captured, so no older packet can follow.
            self.drained = self.shared.clock.now();
            self.shared.clock.publish(self.drained);
            self.update_counters();
            wait([self.shared.wake.as_fd()], pause);
            pause = (pause * 2).min(PAUSES.1);
        }
        Ok(())
    }

    /// Opens the interface again. Returns whether that succeeded; after an error, waiting does not help.
    fn reopen(&mut self) -> Result<bool, CaptureError> {
        match open::open(&mut self.options) {
            Ok(None) | Err(LiveError::NoSuchInterface { .. } | LiveError::Other { .. }) => Ok(false),
            Ok(Some(opened)) => {
                self.opened = Some(opened);
                self.shared.counters.reopens.fetch_add(1, Ordering::Relaxed);
                self.counters_due = Instant::now();
                Ok(true)
            }
            Err(error) => Err(CaptureError::Reopen(error)),
        }
    }
}
