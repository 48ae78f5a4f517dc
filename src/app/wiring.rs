//! Starts the output stage and the lanes, inline or on threads, and ends them. What they do is in [`crate::output`] and
//! [`crate::pipeline`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::output::stage::{OutputStage, OutputSummary};
use crate::pipeline::channel::OutputSender;
use crate::pipeline::lane::panic_message;
use crate::pipeline::lanes::Lanes;
use crate::sensor::Sensor;
use crate::sys;

/// How long the end of a live run waits for an output stage that makes no progress. Rationale: longer than the logs' own
/// timeout; a process must be stoppable although a disk or a terminal hangs for longer.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(3);

/// The running output stage.
pub(crate) enum OutputHandle {
    Inline(Arc<Mutex<OutputStage>>),
    Thread {
        /// Reports how many messages are queued.
        depth: Box<dyn Fn() -> usize>,
        thread: JoinHandle<OutputSummary>,
        live: bool,
    },
}

/// Why the output stage did not end properly.
#[derive(Debug)]
pub(crate) enum OutputFailure {
    /// It hangs in a write (live capture).
    Hung,
    /// It panicked with this message.
    Panicked(String),
}

/// Starts the output stage and the lanes. Without lanes, the dispatcher's thread processes flows; in replay it runs the
/// output stage too, which otherwise has a thread of its own, as every lane has.
///
/// # Errors
/// When the system starts no more threads.
pub(crate) fn spawn_stages(
    lanes: usize,
    live: bool,
    stage: OutputStage,
    shard: impl FnMut() -> Sensor,
) -> std::io::Result<(OutputHandle, OutputSender, Lanes)> {
    let (handle, sender) = if lanes == 0 && !live { run_inline(stage) } else { run_on_thread(stage, live)? };
    let lanes = match lanes {
        0 => Lanes::inline(sender.clone(), shard),
        count => Lanes::threads(count, live, sender.clone(), shard)?,
    };
    Ok((handle, sender, lanes))
}

fn run_inline(stage: OutputStage) -> (OutputHandle, OutputSender) {
    let stage = Arc::new(Mutex::new(stage));
    let consumer = Arc::clone(&stage);
    let sender = OutputSender::inline(move |message| {
        // A panic in the stage ends the run; it is reported by whoever sent the message.
        consumer.lock().unwrap_or_else(PoisonError::into_inner).receive(message)
    });
    (OutputHandle::Inline(stage), sender)
}

fn run_on_thread(mut stage: OutputStage, live: bool) -> std::io::Result<(OutputHandle, OutputSender)> {
    // Replay waits for a slow output; live capture never does, and the logs' own bound decides what is dropped.
    let (sender, receiver) = if live { OutputSender::lossy() } else { OutputSender::blocking() };
    let thread = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
        sys::mask_signals();
        stage.run(&receiver);
        stage.end()
    })?;
    Ok((OutputHandle::Thread { depth: Box::new(sender.depth()), thread, live }, sender))
}

impl OutputHandle {
    /// Ends the stage after its last message; every sender must be gone.
    ///
    /// # Errors
    /// When the stage hangs or panicked.
    pub(crate) fn end(self) -> Result<OutputSummary, OutputFailure> {
        let panicked = |panic: Box<dyn std::any::Any + Send>| {
            OutputFailure::Panicked(format!("output stage: {}", panic_message(&*panic)))
        };
        match self {
            Self::Inline(stage) => {
                catch_unwind(AssertUnwindSafe(|| stage.lock().unwrap_or_else(PoisonError::into_inner).end()))
                    .map_err(panicked)
            }
            Self::Thread { depth, thread, live } => {
                if live && !ends_in_time(&thread, &depth) {
                    return Err(OutputFailure::Hung);
                }
                thread.join().map_err(panicked)
            }
        }
    }
}

/// Waits for the stage's thread for as long as it makes progress.
fn ends_in_time(thread: &JoinHandle<OutputSummary>, depth: &dyn Fn() -> usize) -> bool {
    let (mut since, mut queued) = (Instant::now(), depth());
    while !thread.is_finished() {
        if std::mem::replace(&mut queued, depth()) != queued {
            since = Instant::now();
        }
        if since.elapsed() > OUTPUT_TIMEOUT {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
