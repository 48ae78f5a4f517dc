//! Live capture of a network interface as a [`PacketSource`]: a separate thread captures through libpcap and exchanges
//! full blocks for empty ones. Does not decode, drop or report packets. If the caller is slow, packets stay in the
//! kernel's ring, whose drops are counted.
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

/// Number of blocks.
///
/// Rationale: enough to cover a scheduling pause of the caller at 1 Gbit/s; the ring covers longer ones.
const POOL_BLOCKS: usize = 8;
/// Maximum time that [`LiveSource::fill`] waits before it returns an empty block, so that deadlines expire on an idle
/// link.
const IDLE_WAIT: Duration = Duration::from_millis(250);

/// An open interface that is being captured.
///
/// Invariant: the number of blocks in `full`, in `empty` and with the capture thread is `POOL_BLOCKS`; `fill` exchanges
/// one for one.
#[derive(Debug)]
pub struct LiveSource {
    input: u32,
    interface: String,
    description: Description,
    full: Receiver<capture_thread::FilledBlock>,
    empty: Sender<Block>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), String>>>,
    /// Time by [`Shared::clock`] up to which time was reported to the caller: as elapsed time, or by frame timestamps.
    reported_until: Duration,
    frames: u64,
}

/// State shared between the capture thread and the handles.
#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    wake: EventFd,
    counters: counters::SharedCounters,
    clock: drain_clock::DrainClock,
}

/// Stops the capture from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<Shared>);

impl StopHandle {
    /// Requests the end of the capture. The frames that the kernel holds by now are still delivered, then `fill`
    /// returns [`FillStatus::End`]. This takes at most a tenth of a second on a link that is idle or down, and one
    /// second when the caller is far behind.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::SeqCst);
        self.0.wake.notify();
    }
}

impl LiveSource {
    /// Opens an interface and starts to capture. An interface that is down is not an error: the capture waits for it
    /// and reports an [`InterfaceEvent`]. The blocks carry `input`.
    ///
    /// # Errors
    /// If there is no such interface, the process lacks the privilege to capture, the filter does not fit the
    /// interface, or libpcap reports another error.
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
        let (full_sender, full) = bounded(POOL_BLOCKS);
        let (empty, empty_receiver) = bounded(POOL_BLOCKS);
        for _ in 0..POOL_BLOCKS {
            // The channel has capacity for the whole pool.
            let _ = empty.try_send(Block::default());
        }
        let interface = options.interface.clone();
        let capture = capture_thread::Capture::new(options, opened, Arc::clone(&shared), full_sender, empty_receiver);
        let thread = std::thread::Builder::new()
            .name(format!("capture {interface}"))
            .spawn(move || capture.run())
            .map_err(|error| LiveError::other(&interface, &format!("cannot start the capture thread: {error}")))?;
        let thread = Some(thread);
        Ok(Self {
            input,
            interface,
            description,
            full,
            empty,
            shared,
            thread,
            reported_until: Duration::ZERO,
            frames: 0,
        })
    }

    /// Returns the description of this capture for the start line.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Returns a handle to the statistics of this capture, usable from any thread, also after its end.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics::new(Arc::clone(&self.shared))
    }

    /// Returns a handle that stops the capture from any thread.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.shared))
    }

    /// Returns the next block, or the time up to which there is certainly none.
    fn next(&mut self) -> Result<Next, SourceError> {
        match self.full.recv_timeout(IDLE_WAIT) {
            Ok(full) => return Ok(Next::FilledBlock(full)),
            Err(RecvTimeoutError::Disconnected) => return self.ended().map(|()| Next::End),
            Err(RecvTimeoutError::Timeout) => {}
        }
        // The time is read before the queue: all frames captured before that time are then in the queue.
        let drained = self.shared.clock.drained();
        Ok(self.full.try_recv().map_or(Next::Nothing(drained), Next::FilledBlock))
    }

    /// Joins the capture thread, which has ended, and returns its outcome.
    fn ended(&mut self) -> Result<(), SourceError> {
        let cause = match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => return Ok(()),
            Some(Ok(Err(cause))) => cause,
            Some(Err(_)) => "the capture thread panicked".to_owned(),
        };
        let remedy = "restart when the cause is resolved";
        Err(SourceError { input: self.interface.clone(), frames: self.frames, offset: None, cause, remedy })
    }
}

/// Result of [`LiveSource::next`].
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
                // The queue is never full: a block was taken from it for each one returned. A thread that has ended
                // needs none.
                let _ = self.empty.try_send(full.block);
                newest = full.newest;
                (full.drained, FillStatus::More)
            }
            Next::Nothing(drained) => (drained, FillStatus::More),
            Next::End => (self.reported_until, FillStatus::End),
        };
        block.input = self.input;
        block.elapsed = now.saturating_sub(self.reported_until);
        // The timestamps of the frames cover the time up to the last one.
        self.reported_until = self.reported_until.max(now).max(newest);
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
        // The thread must not wait for an empty block or for queue capacity.
        self.full = crossbeam_channel::never();
        self.empty = bounded(0).0;
        if let Some(thread) = self.thread.take() {
            // The thread has already printed its panic, and there is no caller to report it to.
            let _ = thread.join();
        }
    }
}
