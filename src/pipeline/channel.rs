//! The route from the dispatcher and the lanes to the output stage. Replay waits when the channel is full; live capture
//! never waits: records beyond the bound are dropped and counted. Inline, messages are handed to the stage at once. Does not
//! buffer written lines; see [`crate::logs`].

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::message::{LaneMessage, Payload};
use crate::record::{Body, Event, Record};

/// Messages that may be queued in replay.
const MAX_REPLAY_MESSAGES: usize = 64;
/// Live: bytes of records that may be queued.
const MAX_BYTES: usize = 16 << 20;
/// Live: messages that may be queued. Rationale: a quarter of an hour on an idle link, minutes on a busy one, and below
/// 16 MiB.
const MAX_MESSAGES: usize = 1 << 16;

/// Handles a message on the sender's thread; returns whether further messages are accepted.
type InlineConsumer = dyn FnMut(LaneMessage) -> bool + Send;

/// The sending end. Clones send to the same output stage.
#[derive(Clone)]
pub(crate) enum OutputSender {
    /// The stage runs on the sender's thread.
    Inline(Arc<Mutex<InlineConsumer>>),
    /// The stage runs on a thread of its own.
    Queue {
        sender: Sender<LaneMessage>,
        /// Present if senders never wait (live capture).
        backlog: Option<Arc<Backlog>>,
    },
}

/// What is queued in live capture.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: AtomicUsize,
    messages: AtomicUsize,
    lost: AtomicU64,
}

/// The receiving end, owned by the output stage's thread.
#[derive(Debug)]
pub(crate) struct OutputReceiver {
    receiver: Receiver<LaneMessage>,
    backlog: Option<Arc<Backlog>>,
}

impl fmt::Debug for OutputSender {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Inline(_) => "OutputSender::Inline",
            Self::Queue { .. } => "OutputSender::Queue",
        })
    }
}

impl OutputSender {
    /// Creates a sender that hands every message to `consumer` on the spot.
    pub(crate) fn inline(consumer: impl FnMut(LaneMessage) -> bool + Send + 'static) -> Self {
        Self::Inline(Arc::new(Mutex::new(consumer)))
    }

    /// Creates a channel whose senders wait while it is full.
    pub(crate) fn blocking() -> (Self, OutputReceiver) {
        let (sender, receiver) = bounded(MAX_REPLAY_MESSAGES);
        (Self::Queue { sender, backlog: None }, OutputReceiver { receiver, backlog: None })
    }

    /// Creates a channel whose senders never wait; records beyond the bound are dropped and counted.
    pub(crate) fn lossy() -> (Self, OutputReceiver) {
        let (sender, receiver) = unbounded();
        let backlog = Some(Arc::<Backlog>::default());
        (Self::Queue { sender, backlog: backlog.clone() }, OutputReceiver { receiver, backlog })
    }

    /// Sends a message; returns false if the stage is gone or took its last message.
    pub(crate) fn send(&self, mut message: LaneMessage) -> bool {
        let (sender, backlog) = match self {
            // A panic of the stage ends the run elsewhere; what it holds is still closed properly.
            Self::Inline(consumer) => return consumer.lock().unwrap_or_else(PoisonError::into_inner)(message),
            Self::Queue { sender, backlog } => (sender, backlog),
        };
        if let Some(backlog) = backlog {
            backlog.messages.fetch_add(1, Ordering::Relaxed);
            if let Payload::Done { records, .. } = &mut message.payload
                && !records.is_empty()
            {
                let size = memory_of(records);
                if backlog.bytes.fetch_add(size, Ordering::Relaxed) + size > MAX_BYTES {
                    backlog.bytes.fetch_sub(size, Ordering::Relaxed);
                    backlog.lost.fetch_add(records.len() as u64, Ordering::Relaxed);
                    records.clear();
                }
            }
        }
        sender.send(message).is_ok()
    }

    /// Returns a function that reports how many messages are queued in live capture, also after all senders are gone.
    pub(crate) fn depth(&self) -> impl Fn() -> usize + use<> {
        let backlog = self.backlog().cloned();
        move || backlog.as_ref().map_or(0, |backlog| backlog.messages.load(Ordering::Relaxed))
    }

    /// Returns whether the stage is so far behind that no further batch should be started (live capture).
    pub(crate) fn is_full(&self) -> bool {
        self.backlog().is_some_and(|backlog| backlog.messages.load(Ordering::Relaxed) > MAX_MESSAGES)
    }

    fn backlog(&self) -> Option<&Arc<Backlog>> {
        match self {
            Self::Inline(_) => None,
            Self::Queue { backlog, .. } => backlog.as_ref(),
        }
    }
}

impl OutputReceiver {
    /// Returns the next message; waits at most `timeout`, or without bound if there is none.
    pub(crate) fn next(&self, timeout: Option<Duration>) -> Result<LaneMessage, RecvTimeoutError> {
        let message = match timeout {
            Some(timeout) => self.receiver.recv_timeout(timeout)?,
            None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)?,
        };
        if let Some(backlog) = &self.backlog {
            backlog.messages.fetch_sub(1, Ordering::Relaxed);
            if let Payload::Done { records, .. } = &message.payload {
                backlog.bytes.fetch_sub(memory_of(records), Ordering::Relaxed);
            }
        }
        Ok(message)
    }

    /// Returns the number of records dropped since the last call.
    pub(crate) fn take_lost(&self) -> u64 {
        self.backlog.as_ref().map_or(0, |backlog| backlog.lost.swap(0, Ordering::Relaxed))
    }
}

/// Memory of records in bytes; everything an attacker can make long is counted.
fn memory_of(events: &[Event]) -> usize {
    let body = |record: &Record| match &record.body {
        Body::Alert(alert) => alert.memory(),
        Body::Http(transaction) => size_of_val(&**transaction) + transaction.heap(),
        // Created by the output stage only.
        Body::Campaign(_) => 0,
        Body::Stats(stats) => size_of_val(&**stats),
    };
    events.iter().map(|event| size_of_val(event) + event.record().map_or(0, body)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EventKind, Order, Stats};
    use crate::time::Timestamp;

    fn message(sequence: u64, count: usize) -> LaneMessage {
        let kind = EventKind::Stats;
        let order = Order { decided_at: Timestamp::ZERO, decided_by: 0, request: 0, tx_id: 0, kind, sid: 0 };
        let record = || Record { order, body: Body::Stats(Box::<Stats>::default()) }.into();
        let records = (0..count).map(|_| record()).collect();
        LaneMessage { sequence, payload: Payload::Done { records, stats: None } }
    }

    fn records(message: LaneMessage) -> Vec<Event> {
        match message.payload {
            Payload::Done { records, .. } => records,
            _ => Vec::new(),
        }
    }

    #[test]
    fn lossy_channel_is_bounded_counts_losses_and_recovers() {
        let (sender, receiver) = OutputSender::lossy();
        for sequence in 0..1000 {
            assert!(sender.send(message(sequence, 1000)));
        }
        let lost = receiver.take_lost();
        let kept: usize = (0..1000).map(|_| records(receiver.next(None).unwrap()).len()).sum();
        assert_eq!(kept as u64 + lost, 1_000_000);
        let size = memory_of(&records(message(0, 1)));
        assert!(kept * size <= MAX_BYTES && kept * size > MAX_BYTES - 1001 * size, "{kept} of {size} bytes");
        assert!(sender.send(message(1000, 1000)));
        assert_eq!(receiver.take_lost(), 0);
        assert!(!sender.is_full());
        (0..=MAX_MESSAGES as u64).for_each(|sequence| assert!(sender.send(message(sequence, 0))));
        assert!(sender.is_full());
        drop(receiver);
        assert!(!sender.send(message(0, 0)));
    }

    #[test]
    fn inline_sender_hands_messages_over_in_order() {
        let (sender, receiver) = unbounded();
        let output = OutputSender::inline(move |message: LaneMessage| {
            sender.send(message.sequence).unwrap();
            message.sequence < 2
        });
        let clone = output.clone();
        assert!(output.send(message(0, 0)) && clone.send(message(1, 0)) && !output.send(message(2, 0)));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(!output.is_full());
    }
}
