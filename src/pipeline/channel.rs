//! The way to the desk. Replay waits when it is full; live nothing ever waits: what is too much for the desk is left
//! out and counted. Not the output's own buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::pipeline::message::{LaneMessage, Payload};
use crate::record::{Body, Event, Record};

/// Envelopes that may wait in replay.
const QUEUED: usize = 64;
/// Live: bytes of records that may wait.
const BYTES: usize = 16 << 20;
/// Live: envelopes that may wait. Rationale: a quarter of an hour on an idle link, minutes on a busy one, and below
/// 16 MiB.
const ENVELOPES: usize = 1 << 16;

/// The sending end. Clones send to the same desk.
#[derive(Clone, Debug)]
pub(crate) struct OutputSender {
    sender: Sender<LaneMessage>,
    backlog: Option<Arc<Backlog>>,
}

/// What waits, live.
#[derive(Debug, Default)]
struct Backlog {
    bytes: AtomicUsize,
    envelopes: AtomicUsize,
    lost: AtomicU64,
}

/// The desk's end.
#[derive(Debug)]
pub(crate) struct OutputReceiver {
    receiver: Receiver<LaneMessage>,
    backlog: Option<Arc<Backlog>>,
}

impl OutputSender {
    /// One that makes senders wait when it is full.
    pub(crate) fn blocking() -> (Self, OutputReceiver) {
        let (sender, receiver) = bounded(QUEUED);
        (Self { sender, backlog: None }, OutputReceiver { receiver, backlog: None })
    }

    /// One at which nobody ever waits.
    pub(crate) fn lossy() -> (Self, OutputReceiver) {
        let (sender, receiver) = unbounded();
        let backlog = Some(Arc::<Backlog>::default());
        (Self { sender, backlog: backlog.clone() }, OutputReceiver { receiver, backlog })
    }

    /// Sends; false when the desk is gone.
    pub(crate) fn send(&self, mut envelope: LaneMessage) -> bool {
        if let Some(backlog) = &self.backlog {
            backlog.envelopes.fetch_add(1, Ordering::Relaxed);
            if let Payload::Done { records, .. } = &mut envelope.part
                && !records.is_empty()
            {
                let size = weight(records);
                if backlog.bytes.fetch_add(size, Ordering::Relaxed) + size > BYTES {
                    backlog.bytes.fetch_sub(size, Ordering::Relaxed);
                    backlog.lost.fetch_add(records.len() as u64, Ordering::Relaxed);
                    records.clear();
                }
            }
        }
        self.sender.send(envelope).is_ok()
    }

    /// Tells how many envelopes wait, live; also when nobody sends any more.
    pub(crate) fn depth(&self) -> impl Fn() -> usize + use<> {
        let backlog = self.backlog.clone();
        move || backlog.as_ref().map_or(0, |backlog| backlog.envelopes.load(Ordering::Relaxed))
    }

    /// Whether the desk is so far behind that nothing more should be begun.
    pub(crate) fn is_full(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.envelopes.load(Ordering::Relaxed) > ENVELOPES)
    }
}

impl OutputReceiver {
    /// The next; waits at most for `longest`, or as long as it takes.
    pub(crate) fn next(&self, longest: Option<Duration>) -> Result<LaneMessage, RecvTimeoutError> {
        let envelope = match longest {
            Some(longest) => self.receiver.recv_timeout(longest)?,
            None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)?,
        };
        if let Some(backlog) = &self.backlog {
            backlog.envelopes.fetch_sub(1, Ordering::Relaxed);
            if let Payload::Done { records, .. } = &envelope.part {
                backlog.bytes.fetch_sub(weight(records), Ordering::Relaxed);
            }
        }
        Ok(envelope)
    }

    /// Records that were left out since this was last asked.
    pub(crate) fn take_lost(&self) -> u64 {
        self.backlog.as_ref().map_or(0, |backlog| backlog.lost.swap(0, Ordering::Relaxed))
    }
}

/// Memory of records, in bytes: what a stranger can make long is counted.
fn weight(records: &[Event]) -> usize {
    let body = |record: &Record| match &record.body {
        Body::Alert(alert) => alert.memory(),
        Body::Http(transaction) => size_of_val(&**transaction) + transaction.heap(),
        // Only the desk makes them.
        Body::Campaign(_) => 0,
        Body::Stats(stats) => size_of_val(&**stats),
    };
    records.iter().map(|event| size_of_val(event) + event.record().map_or(0, body)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EventKind, Order, Stats};
    use crate::time::Timestamp;

    fn letter(sequence: u64, count: usize) -> LaneMessage {
        let order =
            Order { decided_at: Timestamp::ZERO, decided_by: 0, request: 0, tx_id: 0, kind: EventKind::Stats, sid: 0 };
        let record = || Record { order, body: Body::Stats(Box::<Stats>::default()) }.into();
        let records = (0..count).map(|_| record()).collect();
        LaneMessage { sequence, part: Payload::Done { records, census: None } }
    }

    #[test]
    fn what_is_too_much_is_left_out_and_counted_and_room_comes_back() {
        let (inbox, letters) = OutputSender::lossy();
        for sequence in 0..1000 {
            assert!(inbox.send(letter(sequence, 1000)));
        }
        let lost = letters.take_lost();
        let kept: usize = (0..1000)
            .map(|_| match letters.next(None).unwrap().part {
                Payload::Done { records, .. } => records.len(),
                _ => 0,
            })
            .sum();
        assert_eq!(kept as u64 + lost, 1_000_000);
        let size = weight(match &letter(0, 1).part {
            Payload::Done { records, .. } => records,
            _ => unreachable!("a letter has records"),
        });
        assert!(kept * size <= BYTES && kept * size > BYTES - 1001 * size, "{kept} of {size} bytes");
        assert!(inbox.send(letter(1000, 1000)));
        assert_eq!(letters.take_lost(), 0);
        assert!(!inbox.is_full());
        (0..=ENVELOPES as u64).for_each(|sequence| assert!(inbox.send(letter(sequence, 0))));
        assert!(inbox.is_full());
        drop(letters);
        assert!(!inbox.send(letter(0, 0)));
    }
}
