//! The capture thread: moves frames from the kernel's ring into blocks. It waits for its caller only when it has no
//! empty block, and uses constant memory: frames without a block stay in the ring.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::capture::block::{Block, BlockSize, FrameRef};
use crate::capture::live::counters::{Totals, interface_drops};
use crate::capture::live::error::CaptureError;
use crate::capture::live::open::{Opened, TIMEOUT_MILLIS};
use crate::capture::live::shared::Shared;
use crate::capture::live_options::LiveOptions;
use crate::packet::Link;
use crate::sys;
use crate::time::Timestamp;

/// A block for the caller.
#[derive(Debug)]
pub(super) struct FilledBlock {
    pub(super) block: Block,
    /// When the ring was last known to be empty: no older packet follows this block. By the capture's clock.
    pub(super) drained: Duration,
    /// When the block's last frame was captured, by the same clock.
    pub(super) newest: Duration,
}

/// Maximum age of a block when it is delivered, from its first frame.
const BLOCK_AGE: Duration = Duration::from_millis(10);
/// Time the thread sleeps on an idle link before it checks for a stop and the state of the interface.
const IDLE_SLEEP: Duration = Duration::from_millis(200);
/// Interval at which libpcap's counters are read.
const COUNTERS_INTERVAL: Duration = Duration::from_secs(1);
/// Time the thread waits for an empty block before it checks for a stop.
const EMPTY_WAIT: Duration = Duration::from_millis(100);
/// Time after which a packet of the wire is readable: the ring's timeout and the resolution of the kernel's timer.
/// Until then an empty ring proves nothing, and after a stop the ring is still read.
const RING_DELAY: Duration = Duration::from_millis(TIMEOUT_MILLIS as u64 + 20);
/// Maximum duration of a stop, when the ring is far behind.
const MAX_DRAIN: Duration = Duration::from_secs(1);
/// Maximum number of frames per read. Rationale: a read by libpcap cannot be stopped in the middle, so this bounds how
/// far a block is overfilled; larger batches are not faster.
const BATCH: usize = 64;
/// The longest common frame in bytes (merged by GRO or TSO), for the same bound.
const LONG_FRAME: usize = 1 << 16;

/// The state of the capture thread.
pub(super) struct Capture {
    pub(super) options: LiveOptions,
    /// `None` while the interface is down or gone.
    pub(super) opened: Option<Opened>,
    /// Whether the device is not a network interface (`any`), which is never down.
    pub(super) is_special: bool,
    pub(super) shared: Arc<Shared>,
    full: Sender<FilledBlock>,
    empty: Receiver<Block>,
    block: Option<Block>,
    /// When the first frame was put into the block.
    begun: Option<Instant>,
    /// When the ring was last seen empty.
    pub(super) drained: Duration,
    frame: u64,
    pub(super) totals: Totals,
    pub(super) counters_due: Instant,
    /// Consecutive failed reads.
    pub(super) failures: u32,
    /// Whether the caller is gone.
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
        let (totals, counters_due) = (Totals::default(), Instant::now());
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
            counters_due,
            failures,
            caller_gone,
        }
    }

    /// Captures until it is stopped or the caller is gone.
    pub(super) fn run(mut self) -> Result<(), CaptureError> {
        sys::mask_signals();
        let mut result = Ok(());
        while result.is_ok() && !self.stopped() {
            // libpcap reports no error when an interface goes down, only when it is removed.
            let is_lost = self.opened.is_none() || self.update_counters() && !self.is_up();
            result = if is_lost { self.wait_for_interface() } else { self.step() };
        }
        self.drain();
        self.counters_due = Instant::now();
        self.update_counters();
        result
    }

    /// Returns whether the capture is asked to end.
    pub(super) fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }

    /// Reads once from the ring.
    fn step(&mut self) -> Result<(), CaptureError> {
        if !self.get_block() {
            return Ok(());
        }
        match self.read() {
            Ok(0) => {
                self.failures = 0;
                self.wait_idle(IDLE_SLEEP);
                Ok(())
            }
            Ok(_) => {
                self.failures = 0;
                if self.is_due() {
                    self.deliver();
                }
                Ok(())
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Waits for a block to fill. Returns whether there is one.
    fn get_block(&mut self) -> bool {
        if self.block.is_none() {
            match self.empty.recv_timeout(EMPTY_WAIT) {
                Ok(block) => self.block = Some(block),
                Err(RecvTimeoutError::Timeout) => {}
                // The caller is gone; it asked for the end before.
                Err(RecvTimeoutError::Disconnected) => self.caller_gone = true,
            }
        }
        self.block.is_some()
    }

    /// Reads a batch of frames into the block. Returns their number.
    fn read(&mut self) -> Result<usize, pcap::Error> {
        let (Some(block), Some(opened)) = (&mut self.block, &mut self.opened) else { return Ok(0) };
        let before_read = self.shared.clock.now();
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
        // libpcap also counts frames that its own copy of the filter rejected, which are not put into the block.
        let read = read?.max(more);
        if read == 0 {
            self.drained = self.drained.max(before_read.saturating_sub(RING_DELAY));
        }
        Ok(read)
    }

    /// Returns whether the block is to be delivered: it is full or old enough.
    fn is_due(&self) -> bool {
        let BlockSize { bytes, packets } = self.options.block;
        let full =
            self.block.as_ref().is_some_and(|block| block.bytes.len() >= bytes || block.packets.len() >= packets);
        full || self.begun.is_some_and(|begun| begun.elapsed() >= BLOCK_AGE)
    }

    /// After the ring was empty: delivers the block if it is due, and sleeps until there are more frames, at most for
    /// `longest`.
    fn wait_idle(&mut self, longest: Duration) {
        if self.is_due() {
            self.deliver();
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
            // libpcap should report the error of the interface at the next read; if not, this prevents a busy loop.
            std::thread::sleep(BLOCK_AGE);
        }
    }

    /// Delivers the block to the caller.
    pub(super) fn deliver(&mut self) {
        self.begun = None;
        let Some(block) = self.block.take_if(|block| !block.packets.is_empty()) else { return };
        let age = block.packets.last().map_or(Duration::ZERO, |last| wall_clock().since(last.time));
        // The system time may have been changed: the result is never before the ring was empty.
        let newest = self.shared.clock.now().saturating_sub(age).max(self.drained);
        // The queue has capacity for all blocks: this fails only when the caller is gone.
        if let Err(refused) = self.full.try_send(FilledBlock { block, drained: self.drained, newest }) {
            let lost = refused.into_inner().block.packets.len();
            self.shared.counters.own_drops.fetch_add(lost as u64, Ordering::Relaxed);
        }
    }

    /// Delivers everything captured until now, including frames that the ring releases only after its timeout.
    pub(super) fn drain(&mut self) {
        let (begun, until) = (Instant::now(), wall_clock());
        while self.opened.is_some() && !self.caller_gone && begun.elapsed() < MAX_DRAIN {
            if !self.get_block() {
                continue;
            }
            match self.read() {
                Ok(0) if begun.elapsed() >= RING_DELAY => break,
                // The eventfd stays readable, so that a poll would return at once.
                Ok(0) => std::thread::sleep(BLOCK_AGE / 2),
                Ok(_) => {
                    let last = self.block.as_ref().and_then(|block| block.packets.last());
                    let is_last = last.is_some_and(|last| last.time >= until);
                    if self.is_due() || is_last {
                        self.deliver();
                    }
                    if is_last {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        self.deliver();
    }

    /// Updates the counters once a second. Returns whether it did.
    pub(super) fn update_counters(&mut self) -> bool {
        let now = Instant::now();
        let Some(opened) = self.opened.as_mut().filter(|_| now >= self.counters_due) else { return false };
        self.counters_due = now + COUNTERS_INTERVAL;
        if let Ok(pcap::Stat { received, dropped, .. }) = opened.handle.stats() {
            self.totals.update(received, dropped, interface_drops(&self.options.interface), &self.shared.counters);
        }
        true
    }
}

/// Returns the system time, from which the kernel takes the frames' time stamps.
fn wall_clock() -> Timestamp {
    Timestamp::ZERO.after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Returns the number of frames to read, so that the block is not overfilled by much.
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
            // The kernel is out of memory: prevents a busy loop.
            std::thread::sleep(pause);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_overfills_a_block_by_at_most_a_long_frame() {
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
