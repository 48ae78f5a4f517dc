//! Counters and events of a live capture: written by its thread, readable from any thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::capture::source::LiveCounters;

/// A change of the interface's state. Displays as one line without the interface's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceEvent {
    /// It is down; the capture waits for it.
    Down,
    /// It was removed; the capture waits for it.
    Gone,
    /// Reading failed for another reason; the interface is reopened.
    Failed,
    /// It captures again; packets in between were not seen.
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

/// Maximum number of pending events. Rationale: an interface that flaps must not fill the memory; the first events are
/// enough.
const MAX_EVENTS: usize = 64;

/// The counters as the capture thread writes them.
#[derive(Debug, Default)]
pub(super) struct SharedCounters {
    received: AtomicU64,
    kernel_drops: AtomicU64,
    interface_drops: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) own_drops: AtomicU64,
    pub(super) reopens: AtomicU64,
    pub(super) outages: AtomicU64,
    events: Mutex<VecDeque<InterfaceEvent>>,
}

impl SharedCounters {
    pub(super) fn read(&self) -> LiveCounters {
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

    pub(super) fn take_events(&self) -> Vec<InterfaceEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    pub(super) fn add_event(&self, event: InterfaceEvent) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() < MAX_EVENTS {
            events.push_back(event);
        }
    }
}

/// Extends libpcap's 32-bit totals of one opened interface to 64 bits.
///
/// Rationale: 2^32 frames pass in 72 minutes at a million a second.
#[derive(Debug, Default)]
pub(super) struct Totals {
    received: u32,
    dropped: u32,
    if_dropped: Option<u64>,
}

impl Totals {
    /// Adds the increase since the last call. `if_dropped` is the system's own total for the interface, not libpcap's,
    /// which is wrong unless it began at zero.
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

/// Returns the number of frames that an interface lost since it was created: frames missed and queue overruns, summed
/// as by libpcap (sysfs, `statistics/`). `None` where the system does not report it (`any`).
pub(super) fn interface_drops(interface: &str) -> Option<u64> {
    if interface.contains('/') {
        return None;
    }
    let value = |name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/statistics/{name}")).ok()?;
        text.trim().parse().ok()
    };
    Some(value("rx_missed_errors")?.saturating_add(value("rx_fifo_errors").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_exceed_32_bits() {
        let (counters, mut totals) = (SharedCounters::default(), Totals::default());
        totals.update(u32::MAX - 9, 5, Some(1000), &counters);
        totals.update(10, 5, Some(1003), &counters);
        let read = counters.read();
        assert_eq!(read.received, u64::from(u32::MAX - 9) + 20);
        assert_eq!((read.kernel_drops, read.interface_drops), (5, 3));
        // The interface was opened again: its totals begin at zero.
        let mut totals = Totals::default();
        totals.update(7, 0, None, &counters);
        assert_eq!(counters.read().received, u64::from(u32::MAX) + 11 + 7);
    }

    #[test]
    fn pending_events_are_bounded() {
        let counters = SharedCounters::default();
        (0..1000).for_each(|_| counters.add_event(InterfaceEvent::Down));
        assert_eq!(counters.take_events().len(), MAX_EVENTS);
    }
}
