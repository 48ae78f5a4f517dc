//! Where the desk and the lanes work: on the spot, or on threads of their own. Not what they do there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::output::stage::OutputStage;
use crate::pipeline::channel::OutputSender;
use crate::pipeline::lanes::{Lanes, panic_message};
use crate::pipeline::message::LaneMessage;
use crate::sensor::Sensor;
use crate::sys;

/// Where the desk works.
pub(crate) enum OutputHandle {
    Here { desk: Box<OutputStage>, complete: bool },
    Thread { inbox: OutputSender, thread: JoinHandle<Box<OutputStage>>, live: bool },
}

/// How long the end of a live run waits for a desk that does nothing. Rationale: longer than the output's own grace; a
/// disk or a terminal that hangs for longer is not worth a process that cannot be stopped.
const DESK_GRACE: Duration = Duration::from_secs(3);

/// Puts the desk and the lanes where they work: all on the spot, or the desk and every lane on a thread.
pub(crate) fn place(
    lanes: usize,
    live: bool,
    desk: OutputStage,
    sensor: impl FnMut() -> Sensor,
) -> std::io::Result<(OutputHandle, Lanes)> {
    if lanes == 0 && !live {
        return Ok((OutputHandle::Here { desk: Box::new(desk), complete: false }, Lanes::inline(sensor)));
    }
    // Replay waits for a slow output; live never does, and the output's own bound decides what is dropped.
    let (inbox, letters) = if live { OutputSender::lossy() } else { OutputSender::blocking() };
    let mut desk = Box::new(desk);
    let thread = std::thread::Builder::new().name("desk".to_owned()).spawn(move || {
        sys::mask_signals();
        if !desk.work(&letters) {
            desk.abandon();
        }
        desk
    })?;
    let lanes = if lanes == 0 { Lanes::inline(sensor) } else { Lanes::threads(lanes, live, inbox.clone(), sensor)? };
    Ok((OutputHandle::Thread { inbox, thread, live }, lanes))
}

impl OutputHandle {
    pub(crate) fn receive(&mut self, envelope: LaneMessage) -> bool {
        match self {
            Self::Here { desk, complete } => {
                *complete |= desk.receive(envelope);
                *complete
            }
            // A desk that is gone has what it needs, or says at the end why it is not.
            Self::Thread { inbox, .. } => !inbox.send(envelope),
        }
    }

    pub(crate) fn is_behind(&self) -> bool {
        matches!(self, Self::Thread { inbox, .. } if inbox.is_full())
    }

    /// The desk, after its work. Live, none when it hangs in a write.
    pub(crate) fn end(self) -> Result<Option<Box<OutputStage>>, String> {
        match self {
            Self::Here { desk, complete: true } => Ok(Some(desk)),
            Self::Here { mut desk, .. } => catch_unwind(AssertUnwindSafe(|| {
                desk.abandon();
                Some(desk)
            }))
            .map_err(|panic| format!("desk: {}", panic_message(&*panic))),
            Self::Thread { inbox, thread, live } => {
                let depth = inbox.depth();
                drop(inbox);
                let (mut since, mut waiting) = (Instant::now(), depth());
                while live && !thread.is_finished() {
                    if std::mem::replace(&mut waiting, depth()) != waiting {
                        since = Instant::now();
                    }
                    if since.elapsed() > DESK_GRACE {
                        return Ok(None);
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                thread.join().map(Some).map_err(|panic| format!("desk: {}", panic_message(&*panic)))
            }
        }
    }
}
