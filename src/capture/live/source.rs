//! A network interface as a [`PacketSource`]: a thread of its own captures through libpcap and swaps full blocks for empty
//! ones. Nothing is decoded, dropped or told to anyone here; a caller who is slow leaves packets to the kernel's ring,
//! whose losses are counted.
//!
//! ```text
//! kernel ring ─► capture thread ─► full blocks ─► LiveSource::fill ─► caller
//!                      ▲                                │
//!                      └───────── empty blocks ◄────────┘      (a fixed number)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::capture::block::Block;
use crate::capture::source::{FillStatus, LiveCounters, PacketSource, SourceError, SourceStats};
use crate::sys::EventFd;

mod capture_thread;
mod counters;
mod description;
mod drain_clock;
mod error;
mod interfaces;
mod offloads;
mod open;
mod options;
mod reconnect;

pub use counters::{InterfaceEvent, Statistics};
pub use description::Description;
pub use error::LiveError;
pub use interfaces::{Interface, list_interfaces};
pub use offloads::Offloads;
pub use options::{LiveOptions, MAX_RING_MIB};

/// Rationale: enough to ride out a scheduling pause of the caller at 1 Gbit/s; longer ones are the ring's part.
const POOL: usize = 8;
/// How long [`LiveSource::fill`] waits before it hands on an empty block, so that deadlines fall due on an idle link.
const IDLE: Duration = Duration::from_millis(250);

/// An open interface.
///
/// Invariant: the blocks in `full`, in `empty` and with the capture thread are `POOL`; `fill` swaps one for one.
#[derive(Debug)]
pub struct LiveSource {
    input: u32,
    interface: String,
    description: Description,
    full: Receiver<capture_thread::FilledBlock>,
    empty: Sender<Block>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), String>>>,
    /// Up to when time was handed on, by [`Shared::clock`]: as passed, or with the frames' own stamps.
    told: Duration,
    frames: u64,
}

/// What the capture thread and the others both see.
#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    wake: EventFd,
    counters: counters::SharedCounters,
    clock: drain_clock::DrainClock,
}

/// Ends the capture from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<Shared>);

impl StopHandle {
    /// Asks the capture to end. What the kernel holds by now still arrives, then `fill` says [`FillStatus::End`]; all of
    /// it within a tenth of a second on a link that is idle or down, and a second when the caller is far behind.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::SeqCst);
        self.0.wake.notify();
    }
}

impl LiveSource {
    /// Opens an interface and starts to capture. An interface that is down is no error: it is waited for, and a
    /// [`InterfaceEvent`] says so. Its blocks carry `input`.
    ///
    /// # Errors
    /// When there is no such interface, the process may not capture, the filter does not fit the interface, or libpcap
    /// gives another reason.
    pub fn open(options: LiveOptions, input: u32) -> Result<Self, LiveError> {
        let mut options = options;
        options.interface = interfaces::resolve(&options.interface)?;
        options.ring_mib = options.ring_mib.clamp(1, MAX_RING_MIB);
        if !(1..=LiveOptions::MAX_SNAPLEN).contains(&options.snaplen) {
            options.snaplen = LiveOptions::MAX_SNAPLEN;
        }
        let opened = open::open(&mut options)?;
        let description = Description::of(&options, opened.as_ref());
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            wake: EventFd::new().map_err(|error| LiveError::other(&options.interface, &error.to_string()))?,
            counters: counters::SharedCounters::default(),
            clock: drain_clock::DrainClock::start(),
        });
        let (full_sender, full) = bounded(POOL);
        let (empty, empty_receiver) = bounded(POOL);
        for _ in 0..POOL {
            // The channel has room for the whole pool.
            let _ = empty.try_send(Block::default());
        }
        let interface = options.interface.clone();
        let capture = capture_thread::Capture::new(options, opened, Arc::clone(&shared), full_sender, empty_receiver);
        let thread = std::thread::Builder::new()
            .name(format!("capture {interface}"))
            .spawn(move || capture.run())
            .map_err(|error| LiveError::other(&interface, &format!("no thread for the capture: {error}")))?;
        let thread = Some(thread);
        Ok(Self { input, interface, description, full, empty, shared, thread, told: Duration::ZERO, frames: 0 })
    }

    /// What the start line says of this capture.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The figures of this capture; readable from any thread, also after its end.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics::new(Arc::clone(&self.shared))
    }

    /// Ends the capture from any thread.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.shared))
    }

    /// The next block, or the time up to which there certainly is none.
    fn next(&mut self) -> Result<Next, SourceError> {
        match self.full.recv_timeout(IDLE) {
            Ok(full) => return Ok(Next::FilledBlock(full)),
            Err(RecvTimeoutError::Disconnected) => return self.ended().map(|()| Next::End),
            Err(RecvTimeoutError::Timeout) => {}
        }
        // First the time, then the queue: whatever was captured before that time is in the queue by now.
        let drained = self.shared.clock.drained();
        Ok(self.full.try_recv().map_or(Next::Nothing(drained), Next::FilledBlock))
    }

    /// The capture thread has ended: why.
    fn ended(&mut self) -> Result<(), SourceError> {
        let cause = match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => return Ok(()),
            Some(Ok(Err(cause))) => cause,
            Some(Err(_)) => "the capture thread panicked".to_owned(),
        };
        let remedy = "start again when the cause is gone";
        Err(SourceError { input: self.interface.clone(), frames: self.frames, offset: None, cause, remedy })
    }
}

/// What [`LiveSource::next`] found.
enum Next {
    FilledBlock(capture_thread::FilledBlock),
    Nothing(Duration),
    End,
}

impl PacketSource for LiveSource {
    /// Waits at most 250 ms. The block may be empty; its `elapsed` is then the time that passed without a packet.
    fn fill(&mut self, block: &mut Block) -> Result<FillStatus, SourceError> {
        let mut newest = Duration::ZERO;
        let (now, status) = match self.next()? {
            Next::FilledBlock(mut full) => {
                std::mem::swap(block, &mut full.block);
                full.block.clear();
                // Never full: a block left it for each that comes back. A thread that has ended needs none.
                let _ = self.empty.try_send(full.block);
                newest = full.newest;
                (full.drained, FillStatus::More)
            }
            Next::Nothing(drained) => (drained, FillStatus::More),
            Next::End => (self.told, FillStatus::End),
        };
        block.input = self.input;
        block.elapsed = now.saturating_sub(self.told);
        // The frames themselves tell of the time up to the last of them.
        self.told = self.told.max(now).max(newest);
        self.frames += block.packets.len() as u64;
        Ok(status)
    }

    fn stats(&self) -> SourceStats {
        let read = self.statistics().read();
        // The kernel's own counter is up to a second old.
        let received = read.received.max(read.delivered + read.kernel_drops);
        SourceStats { live: Some(LiveCounters { received, ..read }), ..SourceStats::default() }
    }

    fn take_events(&mut self) -> Vec<String> {
        self.statistics().take_notices().iter().map(|event| format!("{}: {event}", self.interface)).collect()
    }

    fn stop(&mut self) -> bool {
        self.stop_handle().stop();
        true
    }
}

impl Drop for LiveSource {
    fn drop(&mut self) {
        StopHandle(Arc::clone(&self.shared)).stop();
        // So that the thread does not wait for room.
        self.full = crossbeam_channel::never();
        self.empty = bounded(0).0;
        if let Some(thread) = self.thread.take() {
            // A panic was printed by its thread; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}
