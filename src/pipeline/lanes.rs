//! All lanes of a run, inline or on threads, and the pool of batches. What a lane does is the same in both cases; see
//! [`super::lane`]. Records are ordered by the output stage.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded, unbounded};

use super::batch::{Batch, BatchKind, SharedBatch};
use super::channel::OutputSender;
use super::lane::Lane;
use super::message::{LaneMessage, Payload};
use crate::flow::SHARDS;
use crate::sensor::Sensor;
use crate::sys;

/// How the lanes run.
#[derive(Debug)]
pub(crate) enum Lanes {
    /// One lane on the dispatcher's thread.
    Inline {
        lane: Box<Lane>,
        /// The only batch; `None` while it is in use.
        batch: Option<Box<Batch>>,
    },
    /// A thread per lane.
    Threads(WorkerPool),
}

/// Lanes on threads.
#[derive(Debug)]
pub(crate) struct WorkerPool {
    queues: Vec<Sender<Arc<SharedBatch>>>,
    threads: Vec<JoinHandle<()>>,
    /// Where batches return to when all lanes are done with them.
    pool: (Sender<Batch>, Receiver<Batch>),
    idle: Vec<Batch>,
    created: usize,
    /// Whether a full lane loses its share instead of delaying the others (live capture).
    lossy: bool,
    output: OutputSender,
}

/// Batches that may be queued for one lane. Rationale: enough to ride out an uneven block, few enough to stay in the
/// cache.
const MAX_QUEUED: usize = 3;
/// Live: how long to wait for a full lane before its share is dropped. Rationale: a lane needs about a millisecond for a
/// block, so bursts pass, and the ring holds far more than this; a lane that stays full delays the others only a little.
const FULL_LANE_TIMEOUT: Duration = Duration::from_millis(10);

impl Lanes {
    /// Creates one lane on the caller's thread.
    pub(crate) fn inline(output: OutputSender, mut shard: impl FnMut() -> Sensor) -> Self {
        Self::Inline { lane: Box::new(Lane::new(0, 1, output, true, &mut shard)), batch: Some(Box::default()) }
    }

    /// Starts `count` lanes on threads.
    ///
    /// # Errors
    /// When the system starts no more threads.
    pub(crate) fn threads(
        count: usize,
        lossy: bool,
        output: OutputSender,
        mut shard: impl FnMut() -> Sensor,
    ) -> std::io::Result<Self> {
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        for index in 0..count {
            let (sender, queue) = bounded(MAX_QUEUED);
            let lane = Lane::new(index, count, output.clone(), false, &mut shard);
            let builder = std::thread::Builder::new().name(format!("lane-{index}"));
            threads.push(builder.spawn(move || run_lane(lane, &queue))?);
            queues.push(sender);
        }
        Ok(Self::Threads(WorkerPool {
            queues,
            threads,
            pool: unbounded(),
            idle: Vec::new(),
            created: 0,
            lossy,
            output,
        }))
    }

    /// Returns the number of lanes.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Inline { .. } => 1,
            Self::Threads(pool) => pool.queues.len(),
        }
    }

    /// Returns an empty batch; waits for one if all are in use.
    pub(crate) fn empty_batch(&mut self) -> Batch {
        let lanes = self.count();
        let mut batch = match self {
            Self::Inline { batch, .. } => *batch.take().unwrap_or_default(),
            Self::Threads(pool) => pool.empty_batch(),
        };
        batch.clear(lanes);
        batch
    }

    /// Takes back a batch that is not run.
    pub(crate) fn recycle(&mut self, batch: Batch) {
        match self {
            Self::Inline { batch: only, .. } => *only = Some(Box::new(batch)),
            Self::Threads(pool) => pool.idle.push(batch),
        }
    }

    /// Runs a batch. Returns the number of segments lost to full lanes.
    pub(crate) fn run(&mut self, batch: Batch) -> u64 {
        match self {
            Self::Inline { lane, batch: only } => {
                let batch = Box::new(batch);
                lane.process(&batch);
                *only = Some(batch);
                0
            }
            Self::Threads(pool) => pool.run(batch),
        }
    }

    /// Ends the threads after they have handled what is queued.
    pub(crate) fn stop(self) {
        if let Self::Threads(WorkerPool { queues, threads, .. }) = self {
            drop(queues);
            for thread in threads {
                // A lane reports its own panics.
                let _ = thread.join();
            }
        }
    }
}

impl WorkerPool {
    fn empty_batch(&mut self) -> Batch {
        self.idle.extend(self.pool.1.try_iter());
        // The most recent one is still in the cache.
        if let Some(batch) = self.idle.pop() {
            return batch;
        }
        if self.created < self.queues.len() * (MAX_QUEUED + 1) + 2 {
            self.created += 1;
            return Batch::default();
        }
        // Cannot fail: `pool` keeps a sender.
        self.pool.1.recv().unwrap_or_default()
    }

    fn run(&mut self, batch: Batch) -> u64 {
        let sequence = batch.sequence;
        let shares: Vec<usize> = batch.shares.iter().map(Vec::len).collect();
        let essential = batch.kind == BatchKind::Finish || batch.lane_stats;
        let shared = Arc::new(SharedBatch::new(batch, self.pool.0.clone()));
        let mut lost = 0;
        for (queue, share) in self.queues.iter().zip(shares) {
            if !self.lossy || essential {
                // A lane that is gone has reported why.
                let _ = queue.send(Arc::clone(&shared));
            } else if let Err(SendTimeoutError::Timeout(_)) = queue.send_timeout(Arc::clone(&shared), FULL_LANE_TIMEOUT)
            {
                lost += share as u64;
                let payload = Payload::Done { records: Vec::new(), stats: None };
                self.output.send(LaneMessage { sequence, payload });
            }
        }
        lost
    }
}

/// The main function of a lane's thread.
fn run_lane(mut lane: Lane, queue: &Receiver<Arc<SharedBatch>>) {
    sys::mask_signals();
    for shared in queue {
        if shared.get().is_some_and(|batch| !lane.process(batch)) {
            return;
        }
    }
}

/// Returns the default number of lanes for live capture: one core is left for the dispatcher.
#[must_use]
pub fn spare_cores() -> usize {
    std::thread::available_parallelism().map_or(0, |cores| (cores.get() - 1).min(SHARDS))
}
