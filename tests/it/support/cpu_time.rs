//! Processor time, for tests that compare the cost of work: unlike wall time it does not depend on what else a machine
//! does.

#![allow(unsafe_code, reason = "the standard library has no clock of processor time")]

use std::time::Duration;

/// The processor time that the calling thread has used.
pub(crate) fn of_this_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` that lives through the call.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(code, 0);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// The processor time that `work` uses on the calling thread.
pub(crate) fn used_by(work: impl FnOnce()) -> Duration {
    let before = of_this_thread();
    work();
    of_this_thread() - before
}
