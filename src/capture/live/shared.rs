//! State that the capture thread shares with the source, and the handles to it for other threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::capture::live::counters::{InterfaceEvent, SharedCounters};
use crate::capture::live::drain_clock::DrainClock;
use crate::capture::source::LiveCounters;
use crate::sys::EventFd;

/// The shared state.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stop: AtomicBool,
    /// Wakes the capture thread after `stop` is set.
    pub(super) wake: EventFd,
    pub(super) counters: SharedCounters,
    pub(super) clock: DrainClock,
}

impl Shared {
    /// # Errors
    /// When the process has no descriptor left.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            stop: AtomicBool::new(false),
            wake: EventFd::new()?,
            counters: SharedCounters::default(),
            clock: DrainClock::start(),
        })
    }
}

/// Reads the counters and events of a capture from any thread, also after its end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Statistics(pub(super) Arc<Shared>);

impl Statistics {
    /// Returns the counters. Those of the kernel are at most a second old, or final after the end.
    #[must_use]
    pub fn read(&self) -> LiveCounters {
        self.0.counters.read()
    }

    /// Returns the events since the last call, oldest first.
    #[must_use]
    pub fn take_events(&self) -> Vec<InterfaceEvent> {
        self.0.counters.take_events()
    }
}

/// Ends a capture from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StopHandle(pub(super) Arc<Shared>);

impl StopHandle {
    /// Asks the capture to end. Packets that the kernel holds by now still arrive, then `fill` returns
    /// [`FillStatus::End`](crate::capture::source::FillStatus::End): within a tenth of a second on a link that is idle
    /// or down, and within a second when the caller is far behind.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::SeqCst);
        self.0.wake.notify();
    }
}
