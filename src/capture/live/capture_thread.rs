//! The capture thread: empties the kernel's ring into blocks. It never waits for its caller but for an empty block, and
//! never grows: what does not fit stays in the ring.

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
    /// When the ring was last known to be empty: nothing older comes after this block. By the capture's clock.
    pub(super) drained: Duration,
    /// When the block's last frame was captured, by the same clock.
    pub(super) newest: Duration,
}

/// A block is handed on at the latest this long after its first frame.
const BLOCK_AGE: Duration = Duration::from_millis(10);
/// How long the thread sleeps on an idle link before it looks around.
const IDLE: Duration = Duration::from_millis(200);
/// How often libpcap is asked for its figures.
const FIGURES: Duration = Duration::from_secs(1);
/// How long the thread waits for an empty block before it looks around.
const EMPTY: Duration = Duration::from_millis(100);
/// What was on the wire is readable after the ring's timeout (and the grain of the kernel's timer): until then, an empty
/// ring says nothing, and after a stop the ring is still emptied.
const LINGER: Duration = Duration::from_millis(TIMEOUT_MILLIS as u64 + 20);
/// How long a stop may take, when the ring is far behind.
const LAST_CALL: Duration = Duration::from_secs(1);
/// Frames asked for at once. Rationale: libpcap can't be told to stop in the middle, so this bounds how far a block is
/// overfilled; more gain nothing.
const BATCH: usize = 64;
/// The longest frame that is usual (merged by GRO or TSO), for the same bound.
const LONG_FRAME: usize = 1 << 16;

/// The thread's state.
pub(super) struct Capture {
    pub(super) options: LiveOptions,
    /// `None` while there is no interface to read from.
    pub(super) opened: Option<Opened>,
    /// It is not a network interface (`any`): never down.
    pub(super) is_special: bool,
    pub(super) shared: Arc<Shared>,
    full: Sender<FilledBlock>,
    empty: Receiver<Block>,
    block: Option<Block>,
    /// When the block got its first frame.
    begun: Option<Instant>,
    /// When the ring was last seen empty.
    pub(super) drained: Duration,
    frame: u64,
    pub(super) totals: Totals,
    pub(super) figures_due: Instant,
    /// Failed reads in a row.
    pub(super) failures: u32,
    /// Nobody takes blocks any more.
    orphaned: bool,
}

impl Capture {
    pub(super) fn new(
        options: LiveOptions,
        opened: Option<Opened>,
        shared: Arc<Shared>,
        full: Sender<FilledBlock>,
        empty: Receiver<Block>,
    ) -> Self {
        let (block, begun, drained, frame, failures, orphaned) = (None, None, Duration::ZERO, 0, 0, false);
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
            orphaned,
        }
    }

    /// Captures until it is stopped or the caller is gone. The error is one line for the user.
    pub(super) fn run(mut self) -> Result<(), String> {
        sys::mask_signals();
        let mut outcome = Ok(());
        while outcome.is_ok() && !self.stopped() {
            // libpcap says nothing when an interface goes down, only when it goes away.
            let is_lost = self.opened.is_none() || self.keep_figures() && !self.is_up();
            outcome = if is_lost { self.wait_for_interface() } else { self.step() };
        }
        self.drain();
        self.figures_due = Instant::now();
        self.keep_figures();
        outcome
    }

    /// Whether the capture is asked to end.
    pub(super) fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }

    /// One look at the ring.
    fn step(&mut self) -> Result<(), String> {
        if !self.has_room() {
            return Ok(());
        }
        match self.read() {
            Ok(0) => {
                self.failures = 0;
                self.rest(IDLE);
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

    /// Makes sure of a block to fill; false when there is none yet.
    fn has_room(&mut self) -> bool {
        if self.block.is_none() {
            match self.empty.recv_timeout(EMPTY) {
                Ok(block) => self.block = Some(block),
                Err(RecvTimeoutError::Timeout) => {}
                // The caller is gone, and has asked for the end before it went.
                Err(RecvTimeoutError::Disconnected) => self.orphaned = true,
            }
        }
        self.block.is_some()
    }

    /// Reads a batch of frames into the block: how many came.
    fn read(&mut self) -> Result<usize, pcap::Error> {
        let (Some(block), Some(opened)) = (&mut self.block, &mut self.opened) else { return Ok(0) };
        let asked = self.shared.clock.now();
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
        // libpcap counts what its own copy of the filter refused, too: nothing was put into the block then.
        let read = read?.max(more);
        if read == 0 {
            self.drained = self.drained.max(asked.saturating_sub(LINGER));
        }
        Ok(read)
    }

    fn is_due(&self) -> bool {
        let BlockSize { bytes, packets } = self.options.block;
        let full =
            self.block.as_ref().is_some_and(|block| block.bytes.len() >= bytes || block.packets.len() >= packets);
        full || self.begun.is_some_and(|begun| begun.elapsed() >= BLOCK_AGE)
    }

    /// The ring is empty: hands on what is due, and sleeps until there is more, at most for `longest`.
    fn rest(&mut self, longest: Duration) {
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
            // The interface has an error that libpcap will tell at the next read; should it not, this is no busy loop.
            std::thread::sleep(BLOCK_AGE);
        }
    }

    /// Gives the block to the caller.
    pub(super) fn hand_on(&mut self) {
        self.begun = None;
        let Some(block) = self.block.take_if(|block| !block.packets.is_empty()) else { return };
        let age = block.packets.last().map_or(Duration::ZERO, |last| wall_clock().since(last.time));
        // The computer's time may have been set since: never before the ring was empty.
        let newest = self.shared.clock.now().saturating_sub(age).max(self.drained);
        // The queue has room for every block there is: this fails only when the caller is gone.
        if let Err(refused) = self.full.try_send(FilledBlock { block, drained: self.drained, newest }) {
            let lost = refused.into_inner().block.packets.len();
            self.shared.counters.own_drops.fetch_add(lost as u64, Ordering::Relaxed);
        }
    }

    /// At the end: what was captured until now, also what comes out of the ring only with its timeout.
    pub(super) fn drain(&mut self) {
        let (begun, until) = (Instant::now(), wall_clock());
        while self.opened.is_some() && !self.orphaned && begun.elapsed() < LAST_CALL {
            if !self.has_room() {
                continue;
            }
            match self.read() {
                Ok(0) if begun.elapsed() >= LINGER => break,
                // The bell still rings, so it can't be slept upon.
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

    /// Brings the figures up to date, once a second: whether it was time.
    pub(super) fn keep_figures(&mut self) -> bool {
        let now = Instant::now();
        let Some(opened) = self.opened.as_mut().filter(|_| now >= self.figures_due) else { return false };
        self.figures_due = now + FIGURES;
        if let Ok(pcap::Stat { received, dropped, .. }) = opened.handle.stats() {
            self.totals.update(received, dropped, interface_drops(&self.options.interface), &self.shared.counters);
        }
        true
    }
}

/// The computer's time, which the kernel stamps frames with.
fn wall_clock() -> Timestamp {
    Timestamp::ZERO.after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// How many frames to ask for, so that the block is overfilled by little.
fn batch(block: &Block, size: BlockSize, snaplen: u32) -> usize {
    let long = LONG_FRAME.min(snaplen as usize).max(1);
    let bytes = size.bytes.saturating_sub(block.bytes.len());
    let packets = size.packets.saturating_sub(block.packets.len());
    (bytes / long + 1).min(packets).clamp(1, BATCH)
}

/// Puts a frame into the block.
fn push(block: &mut Block, packet: &pcap::Packet<'_>, link: Link, nanoseconds: bool, frame: u64) {
    let fraction = packet.header.ts.tv_usec;
    let nanos = if nanoseconds { fraction } else { fraction.saturating_mul(1000) };
    let len = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
    let start = u32::try_from(block.bytes.len()).expect("a block holds at most its size and a batch, far below 4 GiB");
    block.bytes.extend_from_slice(packet.data);
    let time = Timestamp::from_secs_nanos(packet.header.ts.tv_sec, nanos);
    block.packets.push(FrameRef { start, len, wire_len: packet.header.len.max(len), link, frame, time });
}

/// Sleeps until one of `descriptors` is ready, at most for `pause`; whether the first one reports an error.
pub(super) fn wait<const N: usize>(descriptors: [BorrowedFd<'_>; N], pause: Duration) -> bool {
    match sys::poll(descriptors, pause) {
        Ok(ready) => ready.first().is_some_and(|ready| ready.failed),
        Err(_) => {
            // Out of memory in the kernel: no reason to spin.
            std::thread::sleep(pause);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_never_overfills_by_more_than_a_long_frame() {
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
