//! Log destinations: standard output and files. Lines are formatted by [`crate::format`].

mod descriptor;
mod error;
pub mod log;
