//! The integration tests, in one binary.

// In a test a panic is the failure, in its helpers too.
#![allow(clippy::unwrap_used)]

mod live_cable;
mod live_capture;
mod live_open;
mod live_outage;
mod live_signals;
