//! Everything that touches the world: files, interfaces, threads, signals, output. The rest of the crate is a function
//! of its input.

pub mod block;
pub mod clock;
pub mod config;
mod control;
mod desk;
mod desk_place;
pub mod file;
pub mod filter;
mod inbox;
mod lanes;
pub mod limits;
pub mod live;
mod message;
mod outlet;
pub mod output;
mod pen;
mod pump;
pub mod replay;
mod run;
mod signatures;
mod silence;
pub mod stats;
pub mod sys;
pub mod traffic;
pub mod voice;

pub use lanes::spare_cores;
pub use run::{Exit, run};
pub use signatures::{Loaded, load, load_signatures, review};
