//! Log destinations: standard output and files. Lines are formatted by [`crate::format`].

mod descriptor;
pub mod log;
