//! Everything that touches the world: files, interfaces, threads, signals, output. The rest of the crate is a function
//! of its input.

pub mod block;
pub mod file;
pub mod filter;
pub mod live;
pub mod sys;
