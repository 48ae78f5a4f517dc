//! The capture thread: reads frames from the kernel's ring into blocks. It waits for the caller only to get an empty
//! block. Its memory is bounded: frames that do not fit stay in the ring.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::capture::block::{Block, BlockSize, FrameRef};
use crate::capture::live::counters::{Totals, interface_drops};
use crate::capture::live::open::{Opened, TIMEOUT_MILLIS};
use crate::capture::live::{LiveOptions, Shared};
use crate::packet::Link;
use crate::sys;
use crate::time::Timestamp;

/// A block on its way to the caller.
#[derive(Debug)]
pub(super) struct FilledBlock {
    pub(super) block: Block,
    /// Time at which the ring was last known to be empty, by the capture's clock. No older frame follows this block.
    pub(super) drained: Duration,
    /// Time at which the block's last frame was captured, by the same clock.
    pub(super) newest: Duration,
}

/// Maximum time from a block's first frame until the block is passed to the caller.
const BLOCK_AGE: Duration = Duration::from_millis(10);
/// Maximum sleep on an idle link before the thread checks its state.
const IDLE_SLEEP: Duration = Duration::from_millis(200);
/// Interval at which libpcap's statistics are read.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum wait for an empty block before the thread checks its state.
const EMPTY_BLOCK_WAIT: Duration = Duration::from_millis(100);
/// Maximum delay until a frame from the wire is readable: the ring's timeout plus the kernel timer's granularity.
/// Within this delay, an empty ring does not prove that no frame arrived, and after a stop the ring is still read.
const RING_DELAY: Duration = Duration::from_millis(TIMEOUT_MILLIS as u64 + 20);
/// Maximum duration of a stop when the ring holds a large backlog.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// Maximum frames requested per read. Rationale: libpcap can't be stopped in the middle of a read, so this bounds how
/// far a block is overfilled; a higher value gains nothing.
const BATCH: usize = 64;
/// Longest common frame in bytes (merged by GRO or TSO), for the same bound.
const LONG_FRAME: usize = 1 << 16;

/// State of the capture thread.
pub(super) struct Capture {
    pub(super) options: LiveOptions,
    /// `None` while there is no interface to read from.
    pub(super) opened: Option<Opened>,
    /// Whether the source is not a network interface (`any`); it is then never down.
    pub(super) is_special: bool,
    pub(super) shared: Arc<Shared>,
    full: Sender<FilledBlock>,
    empty: Receiver<Block>,
    block: Option<Block>,
    /// Time at which the block got its first frame.
    begun: Option<Instant>,
    /// Time at which the ring was last known to be empty.
    pub(super) drained: Duration,
    frame: u64,
    pub(super) totals: Totals,
    pub(super) figures_due: Instant,
    /// Number of consecutive failed reads.
    pub(super) failures: u32,
    /// Whether the caller is gone, so that no blocks are received any more.
    caller_gone: bool,
}

impl Capture {
    pub(super) fn new(
        options: LiveOptions,
        opened: Option<Opened>,
        shared: Arc<Shared>,
        full: Sender<FilledBlock>,
        empty: Receiver<Block>,
    ) -> Self {
        let (block, begun, drained, frame, failures, caller_gone) = (None, None, Duration::ZERO, 0, 0, false);
        let (totals, figures_due) = (Totals::default(), Instant::now());
        let is_special = opened.as_ref().is_some_and(|opened| opened.index.is_none());
        Self {
            options,
            opened,
            is_special,
            shared,
            full,
            empty,
            block,
            begun,
            drained,
            frame,
            totals,
            figures_due,
            failures,
            caller_gone,
        }
    }

    /// Captures until it is stopped or the caller is gone.
    ///
    /// # Errors
    /// The cause in one line for the user.
    pub(super) fn run(mut self) -> Result<(), String> {
        sys::mask_signals();
        let mut outcome = Ok(());
        while outcome.is_ok() && !self.stopped() {
            // libpcap does not report that an interface went down, only that it was removed.
            let is_lost = self.opened.is_none() || self.keep_figures() && !self.is_up();
            outcome = if is_lost { self.wait_for_interface() } else { self.step() };
        }
        self.drain();
        self.figures_due = Instant::now();
        self.keep_figures();
        outcome
    }

    /// Reports whether a stop of the capture was requested.
    pub(super) fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }

    /// Reads the ring once.
    fn step(&mut self) -> Result<(), String> {
        if !self.obtain_block() {
            return Ok(());
        }
        match self.read() {
            Ok(0) => {
                self.failures = 0;
                self.wait_for_frames(IDLE_SLEEP);
                Ok(())
            }
            Ok(_) => {
                self.failures = 0;
                if self.is_due() {
                    self.hand_on();
                }
                Ok(())
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Obtains a block to fill, if there is none. Returns whether one is available.
    fn obtain_block(&mut self) -> bool {
        if self.block.is_none() {
            match self.empty.recv_timeout(EMPTY_BLOCK_WAIT) {
                Ok(block) => self.block = Some(block),
                Err(RecvTimeoutError::Timeout) => {}
                // The caller is gone; it requested a stop before that.
                Err(RecvTimeoutError::Disconnected) => self.caller_gone = true,
            }
        }
        self.block.is_some()
    }

    /// Reads a batch of frames into the block. Returns the number of frames read.
    fn read(&mut self) -> Result<usize, pcap::Error> {
        let (Some(block), Some(opened)) = (&mut self.block, &mut self.opened) else { return Ok(0) };
        let read_at = self.shared.clock.now();
        let count = batch(block, self.options.block, self.options.snaplen);
        let Opened { handle, link, nanoseconds, .. } = opened;
        let (frame, before) = (&mut self.frame, block.packets.len());
        let read = handle.dispatch(Some(count), |packet| {
            *frame += 1;
            push(block, &packet, *link, *nanoseconds, *frame);
        });
        let more = block.packets.len() - before;
        self.shared.counters.delivered.fetch_add(more as u64, Ordering::Relaxed);
        if more > 0 && self.begun.is_none() {
            self.begun = Some(Instant::now());
        }
        // libpcap also counts frames that its own copy of the filter rejected; these are not in the block.
        let read = read?.max(more);
        if read == 0 {
            self.drained = self.drained.max(read_at.saturating_sub(RING_DELAY));
        }
        Ok(read)
    }

    /// Reports whether the block is full or has reached its maximum age.
    fn is_due(&self) -> bool {
        let BlockSize { bytes, packets } = self.options.block;
        let full =
            self.block.as_ref().is_some_and(|block| block.bytes.len() >= bytes || block.packets.len() >= packets);
        full || self.begun.is_some_and(|begun| begun.elapsed() >= BLOCK_AGE)
    }

    /// Handles an empty ring: passes on a block that is due, then sleeps until there are more frames, at most for
    /// `longest`.
    fn wait_for_frames(&mut self, longest: Duration) {
        if self.is_due() {
            self.hand_on();
        }
        let pause = match self.begun {
            Some(begun) => BLOCK_AGE.saturating_sub(begun.elapsed()),
            None => {
                self.shared.clock.publish(self.drained);
                longest
            }
        };
        let eventfd = self.shared.wake.as_fd();
        let descriptor = self.opened.as_ref().map_or(eventfd, |opened| opened.handle.as_fd());
        if wait([descriptor, eventfd], pause) && self.opened.is_some() {
            // The interface has an error that libpcap reports at the next read. The sleep avoids a busy loop if it does
            // not.
            std::thread::sleep(BLOCK_AGE);
        }
    }

    /// Passes the block to the caller, unless it is empty.
    pub(super) fn hand_on(&mut self) {
        self.begun = None;
        let Some(block) = self.block.take_if(|block| !block.packets.is_empty()) else { return };
        let age = block.packets.last().map_or(Duration::ZERO, |last| wall_clock().since(last.time));
        // The system time may have been set since, so the result is never earlier than `drained`.
        let newest = self.shared.clock.now().saturating_sub(age).max(self.drained);
        // The queue has capacity for the whole pool, so this fails only when the caller is gone.
        if let Err(refused) = self.full.try_send(FilledBlock { block, drained: self.drained, newest }) {
            let lost = refused.into_inner().block.packets.len();
            self.shared.counters.own_drops.fetch_add(lost as u64, Ordering::Relaxed);
        }
    }

    /// Reads all frames captured until now, including those that the ring releases only after its timeout.
    pub(super) fn drain(&mut self) {
        let (begun, until) = (Instant::now(), wall_clock());
        while self.opened.is_some() && !self.caller_gone && begun.elapsed() < DRAIN_LIMIT {
            if !self.obtain_block() {
                continue;
            }
            match self.read() {
                Ok(0) if begun.elapsed() >= RING_DELAY => break,
                // The eventfd is still readable, so waiting on it would return at once.
                Ok(0) => std::thread::sleep(BLOCK_AGE / 2),
                Ok(_) => {
                    let last = self.block.as_ref().and_then(|block| block.packets.last());
                    let is_over = last.is_some_and(|last| last.time >= until);
                    if self.is_due() || is_over {
                        self.hand_on();
                    }
                    if is_over {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        self.hand_on();
    }

    /// Updates the statistics once a second. Returns whether an update was due.
    pub(super) fn keep_figures(&mut self) -> bool {
        let now = Instant::now();
        let Some(opened) = self.opened.as_mut().filter(|_| now >= self.figures_due) else { return false };
        self.figures_due = now + STATS_INTERVAL;
        if let Ok(pcap::Stat { received, dropped, .. }) = opened.handle.stats() {
            self.totals.update(received, dropped, interface_drops(&self.options.interface), &self.shared.counters);
        }
        true
    }
}

/// Returns the system time, which the kernel uses for frame timestamps.
fn wall_clock() -> Timestamp {
    Timestamp::ZERO.after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Returns the number of frames to request, so that the block is overfilled by one long frame at most.
fn batch(block: &Block, size: BlockSize, snaplen: u32) -> usize {
    let long = LONG_FRAME.min(snaplen as usize).max(1);
    let bytes = size.bytes.saturating_sub(block.bytes.len());
    let packets = size.packets.saturating_sub(block.packets.len());
    (bytes / long + 1).min(packets).clamp(1, BATCH)
}

/// Appends a frame to the block.
fn push(block: &mut Block, packet: &pcap::Packet<'_>, link: Link, nanoseconds: bool, frame: u64) {
    let fraction = packet.header.ts.tv_usec;
    let nanos = if nanoseconds { fraction } else { fraction.saturating_mul(1000) };
    let len = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
    let start = u32::try_from(block.bytes.len()).expect("a block holds at most its size and a batch, far below 4 GiB");
    block.bytes.extend_from_slice(packet.data);
    let time = Timestamp::from_secs_nanos(packet.header.ts.tv_sec, nanos);
    block.packets.push(FrameRef { start, len, wire_len: packet.header.len.max(len), link, frame, time });
}

/// Sleeps until one of `descriptors` is ready, at most for `pause`. Returns whether the first one reports an error.
pub(super) fn wait<const N: usize>(descriptors: [BorrowedFd<'_>; N], pause: Duration) -> bool {
    match sys::poll(descriptors, pause) {
        Ok(ready) => ready.first().is_some_and(|ready| ready.failed),
        Err(_) => {
            // The kernel is out of memory: sleep instead of retrying at once.
            std::thread::sleep(pause);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_overfills_by_at_most_one_long_frame() {
        let mut block = Block::default();
        let size = BlockSize::default();
        assert_eq!(batch(&block, size, 262_144), 17);
        assert_eq!(batch(&block, size, 96), BATCH);
        block.bytes.resize(size.bytes - 1, 0);
        assert_eq!(batch(&block, size, 262_144), 1);
        assert_eq!(batch(&block, BlockSize { packets: 7, ..size }, 1), 2);
        assert_eq!(batch(&Block::default(), BlockSize { bytes: 0, packets: 0 }, 0), 1);
    }
}
