//! Statistics of a live capture, updated by the capture thread and readable from any thread, and events of its
//! interface.

use crate::capture::source::LiveCounters;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::capture::live;

/// A state change of the interface. Displays as one line without the interface's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceEvent {
    /// The interface is down; the capture waits for it.
    Down,
    /// The interface was removed; the capture waits for it.
    Gone,
    /// Reading failed for another reason; the interface is reopened.
    Failed,
    /// The capture continues; packets in between were not seen.
    Back,
}

impl std::fmt::Display for InterfaceEvent {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Down => "the interface is down; waiting for it (ip link set … up)",
            Self::Gone => "the interface was removed; waiting for it to return",
            Self::Failed => "the capture failed; reopening the interface",
            Self::Back => "the interface captures again; packets in between were not seen",
        })
    }
}

/// Handle to the statistics of a capture. Cheap to clone; usable from any thread, also after the end of the capture.
#[derive(Clone, Debug)]
pub struct Statistics(Arc<live::Shared>);

impl Statistics {
    pub(super) fn new(shared: Arc<live::Shared>) -> Self {
        Self(shared)
    }

    /// Returns the statistics. The kernel's counters are at most one second old, and final after the end.
    #[must_use]
    pub fn read(&self) -> LiveCounters {
        self.0.counters.read()
    }

    /// Removes and returns the interface events since the last call, oldest first.
    #[must_use]
    pub fn take_notices(&self) -> Vec<InterfaceEvent> {
        let mut notices = self.0.counters.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.drain(..).collect()
    }
}

/// Maximum number of stored interface events.
///
/// Rationale: an interface that flaps while no caller takes the events must not exhaust memory; the first ones suffice.
const MAX_EVENTS: usize = 64;

/// Statistics and interface events that the capture thread writes.
#[derive(Debug, Default)]
pub(super) struct SharedCounters {
    received: AtomicU64,
    kernel_drops: AtomicU64,
    interface_drops: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) own_drops: AtomicU64,
    pub(super) reopens: AtomicU64,
    pub(super) outages: AtomicU64,
    notices: Mutex<VecDeque<InterfaceEvent>>,
}

impl SharedCounters {
    fn read(&self) -> LiveCounters {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LiveCounters {
            received: value(&self.received),
            kernel_drops: value(&self.kernel_drops),
            interface_drops: value(&self.interface_drops),
            delivered: value(&self.delivered),
            own_drops: value(&self.own_drops),
            reopens: value(&self.reopens),
            outages: value(&self.outages),
        }
    }

    pub(super) fn notice(&self, notice: InterfaceEvent) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() < MAX_EVENTS {
            notices.push_back(notice);
        }
    }
}

/// Extends libpcap's 32-bit totals of one opened interface to 64-bit totals that do not wrap.
///
/// Rationale: at a million frames per second, 2^32 frames pass in 72 minutes.
#[derive(Debug, Default)]
pub(super) struct Totals {
    received: u32,
    dropped: u32,
    if_dropped: Option<u64>,
}

impl Totals {
    /// Adds the increase since the last call. `if_dropped` is the system's own total for the interface, not libpcap's,
    /// which is wrong if the system's total was not zero at the start.
    pub(super) fn update(&mut self, received: u32, dropped: u32, if_dropped: Option<u64>, counters: &SharedCounters) {
        let add = |counter: &AtomicU64, more: u64| counter.fetch_add(more, Ordering::Relaxed);
        add(&counters.received, received.wrapping_sub(self.received).into());
        add(&counters.kernel_drops, dropped.wrapping_sub(self.dropped).into());
        if let (Some(now), Some(before)) = (if_dropped, self.if_dropped) {
            add(&counters.interface_drops, now.saturating_sub(before));
        }
        (self.received, self.dropped) = (received, dropped);
        self.if_dropped = if_dropped.or(self.if_dropped);
    }
}

/// Returns the number of frames an interface has dropped since it was created: missed frames plus queue overruns, the
/// same sum that libpcap uses (sysfs, `statistics/`). `None` where the system does not report it (`any`).
pub(super) fn interface_drops(interface: &str) -> Option<u64> {
    if interface.contains('/') {
        return None;
    }
    let statistic = |name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/statistics/{name}")).ok()?;
        text.trim().parse().ok()
    };
    Some(statistic("rx_missed_errors")?.saturating_add(statistic("rx_fifo_errors").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_grow_past_32_bits() {
        let (counters, mut totals) = (SharedCounters::default(), Totals::default());
        totals.update(u32::MAX - 9, 5, Some(1000), &counters);
        totals.update(10, 5, Some(1003), &counters);
        let read = counters.read();
        assert_eq!(read.received, u64::from(u32::MAX - 9) + 20);
        assert_eq!((read.kernel_drops, read.interface_drops), (5, 3));
        // The interface was reopened, so its totals start at zero.
        let mut totals = Totals::default();
        totals.update(7, 0, None, &counters);
        assert_eq!(counters.read().received, u64::from(u32::MAX) + 11 + 7);
    }

    #[test]
    fn stored_events_are_bounded() {
        let counters = SharedCounters::default();
        (0..1000).for_each(|_| counters.notice(InterfaceEvent::Down));
        assert_eq!(counters.notices.lock().unwrap().len(), MAX_EVENTS);
    }
}
