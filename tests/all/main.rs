//! All integration tests, in one binary: many small ones would each link everything and trip over shared helpers.
#![allow(clippy::unwrap_used, reason = "a test that unwraps what is missing fails, as it should")]

mod format_eve;
mod format_python;
mod format_records;
mod format_zeek;
