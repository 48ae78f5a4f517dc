//! The figures of a live capture, kept by its thread and readable by all, and what there is to tell about its
//! interface.

use crate::capture::source::LiveCounters;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::capture::live;

/// Something that happened to the interface. Displays as one line without the interface's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceEvent {
    /// It is down and waited for.
    Down,
    /// It is gone and waited for.
    Gone,
    /// Reading failed for another reason; it is opened again.
    Failed,
    /// It captures again; packets in between were not seen.
    Back,
}

impl std::fmt::Display for InterfaceEvent {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Down => "the interface is down; waiting for it (ip link set … up)",
            Self::Gone => "the interface is gone; waiting for it to come back",
            Self::Failed => "the capture failed; opening the interface again",
            Self::Back => "the interface captures again; what passed in between was not seen",
        })
    }
}

/// Reads the figures of a capture. Cheap to clone, from any thread, also after the capture's end.
#[derive(Clone, Debug)]
pub struct Statistics(Arc<live::Shared>);

impl Statistics {
    pub(super) fn new(shared: Arc<live::Shared>) -> Self {
        Self(shared)
    }

    /// The figures: the kernel's at most a second old, or final after the end.
    #[must_use]
    pub fn read(&self) -> LiveCounters {
        self.0.counters.read()
    }

    /// What happened to the interface since this was last asked, oldest first.
    #[must_use]
    pub fn take_notices(&self) -> Vec<InterfaceEvent> {
        let mut notices = self.0.counters.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.drain(..).collect()
    }
}

/// Rationale: an interface that flaps while nobody asks must not fill the memory; the first ones say enough.
const NOTICES: usize = 64;

/// The figures as the capture thread writes them.
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
        if notices.len() < NOTICES {
            notices.push_back(notice);
        }
    }
}

/// libpcap's 32-bit totals of one opened interface, made into ever-growing 64-bit ones.
///
/// Rationale: 2^32 frames pass in 72 minutes at a million a second.
#[derive(Debug, Default)]
pub(super) struct Totals {
    received: u32,
    dropped: u32,
    if_dropped: Option<u64>,
}

impl Totals {
    /// Adds what came since the last call. `if_dropped` is the system's own total for the interface, not libpcap's,
    /// which is wrong after a start that was not at zero.
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

/// What an interface lost so far, since it was made: frames missed and queues overrun, as libpcap sums them too
/// (sysfs, `statistics/`). `None` where the system does not say (`any`).
pub(super) fn interface_drops(interface: &str) -> Option<u64> {
    if interface.contains('/') {
        return None;
    }
    let figure = |name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/statistics/{name}")).ok()?;
        text.trim().parse().ok()
    };
    Some(figure("rx_missed_errors")?.saturating_add(figure("rx_fifo_errors").unwrap_or(0)))
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
        // The interface was opened again: its totals begin at zero.
        let mut totals = Totals::default();
        totals.update(7, 0, None, &counters);
        assert_eq!(counters.read().received, u64::from(u32::MAX) + 11 + 7);
    }

    #[test]
    fn notices_are_bounded() {
        let counters = SharedCounters::default();
        (0..1000).for_each(|_| counters.notice(InterfaceEvent::Down));
        assert_eq!(counters.notices.lock().unwrap().len(), NOTICES);
    }
}
