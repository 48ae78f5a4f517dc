//! An open interface as a [`PacketSource`]: starts the capture thread, and delivers its blocks.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::capture::block::Block;
use crate::capture::live::capture_thread::{Capture, FilledBlock};
use crate::capture::live::description::Description;
use crate::capture::live::error::{CaptureError, LiveError};
use crate::capture::live::interfaces;
use crate::capture::live::open;
use crate::capture::live::shared::{Shared, Statistics, StopHandle};
use crate::capture::live_options::{LiveOptions, MAX_RING_MIB};
use crate::capture::source::{FillStatus, LiveCounters, PacketSource, SourceError, SourceStats};

/// Number of blocks. Rationale: enough for a scheduling pause of the caller at 1 Gbit/s; longer pauses are covered by
/// the ring.
const POOL: usize = 8;
/// Time after which [`LiveSource::fill`] returns an empty block, so that deadlines fall due on an idle link.
const IDLE: Duration = Duration::from_millis(250);

/// An open interface.
///
/// Invariant: the blocks in `full`, in `empty` and with the capture thread are `POOL`; `fill` swaps one for one.
#[derive(Debug)]
pub struct LiveSource {
    input: u32,
    interface: String,
    description: Description,
    full: Receiver<FilledBlock>,
    empty: Sender<Block>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), CaptureError>>>,
    /// The time by [`Shared::clock`] up to which the caller knows the time: from [`Block::elapsed`], or from the time
    /// stamps of the frames.
    reported: Duration,
    frames: u64,
}

impl LiveSource {
    /// Opens an interface and starts to capture. An interface that is down is not an error: the source waits for it and
    /// emits an [`InterfaceEvent`](super::InterfaceEvent). Its blocks carry `input`.
    ///
    /// # Errors
    /// When there is no such interface, the process may not capture, the filter does not apply to the interface, or
    /// libpcap reports another error.
    pub fn open(options: LiveOptions, input: u32) -> Result<Self, LiveError> {
        let mut options = options;
        options.interface = interfaces::resolve(&options.interface)?;
        options.ring_mib = options.ring_mib.clamp(1, MAX_RING_MIB);
        if !(1..=LiveOptions::MAX_SNAPLEN).contains(&options.snaplen) {
            options.snaplen = LiveOptions::MAX_SNAPLEN;
        }
        let opened = open::open(&mut options)?;
        let description = Description::of(&options, opened.as_ref());
        let interface = options.interface.clone();
        let shared = Shared::new().map_err(|error| LiveError::other(&interface, &error.to_string()))?;
        let shared = Arc::new(shared);
        let (full_sender, full) = bounded(POOL);
        let (empty, empty_receiver) = bounded(POOL);
        for _ in 0..POOL {
            // The channel has capacity for the whole pool.
            let _ = empty.try_send(Block::default());
        }
        let capture = Capture::new(options, opened, Arc::clone(&shared), full_sender, empty_receiver);
        let thread = std::thread::Builder::new()
            .name(format!("capture {interface}"))
            .spawn(move || capture.run())
            .map_err(|error| LiveError::other(&interface, &format!("no thread for the capture: {error}")))?;
        let (thread, reported, frames) = (Some(thread), Duration::ZERO, 0);
        Ok(Self { input, interface, description, full, empty, shared, thread, reported, frames })
    }

    /// Returns the description for the start message.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Returns a handle to the counters and events of this capture.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics(Arc::clone(&self.shared))
    }

    /// Returns a handle that ends the capture.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.shared))
    }

    /// Returns the next block, or the time up to which no packet is missing.
    fn next(&mut self) -> Result<Next, SourceError> {
        match self.full.recv_timeout(IDLE) {
            Ok(full) => return Ok(Next::Block(full)),
            Err(RecvTimeoutError::Disconnected) => return self.join().map(|()| Next::End),
            Err(RecvTimeoutError::Timeout) => {}
        }
        // First the time, then the queue: everything captured before that time is in the queue by now.
        let drained = self.shared.clock.drained();
        Ok(self.full.try_recv().map_or(Next::Idle(drained), Next::Block))
    }

    /// Returns the error of the capture thread, which has ended.
    fn join(&mut self) -> Result<(), SourceError> {
        let error = match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => return Ok(()),
            Some(Ok(Err(error))) => error,
            Some(Err(_)) => CaptureError::Panic,
        };
        let (input, cause, remedy) = (self.interface.clone(), error.to_string(), "restart when the cause is resolved");
        Err(SourceError { input, frames: self.frames, offset: None, cause, remedy })
    }
}

/// Result of [`LiveSource::next`].
enum Next {
    Block(FilledBlock),
    /// No packet was captured before this time that is not delivered.
    Idle(Duration),
    End,
}

impl PacketSource for LiveSource {
    /// Waits at most 250 ms. The block may be empty; its `elapsed` is then the time that passed without a packet.
    fn fill(&mut self, block: &mut Block) -> Result<FillStatus, SourceError> {
        let mut newest = Duration::ZERO;
        let (now, status) = match self.next()? {
            Next::Block(mut full) => {
                std::mem::swap(block, &mut full.block);
                full.block.clear();
                // Never full: each block that returns has left it before. A thread that has ended needs none.
                let _ = self.empty.try_send(full.block);
                newest = full.newest;
                (full.drained, FillStatus::More)
            }
            Next::Idle(drained) => (drained, FillStatus::More),
            Next::End => (self.reported, FillStatus::End),
        };
        block.input = self.input;
        block.elapsed = now.saturating_sub(self.reported);
        // The frames' own time stamps report the time up to the last of them.
        self.reported = self.reported.max(now).max(newest);
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
        self.statistics().take_events().iter().map(|event| format!("{}: {event}", self.interface)).collect()
    }

    fn stop(&mut self) -> bool {
        self.stop_handle().stop();
        true
    }
}

impl Drop for LiveSource {
    fn drop(&mut self) {
        self.stop_handle().stop();
        // So that the thread does not wait for a block.
        self.full = crossbeam_channel::never();
        self.empty = bounded(0).0;
        if let Some(thread) = self.thread.take() {
            // A panic was already reported by the panic hook.
            let _ = thread.join();
        }
    }
}
