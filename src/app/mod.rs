//! A run of the program: configuration, loading of signatures, wiring of the pipeline, and the exit code. Arguments are
//! parsed by the command line interface.

pub mod config;
mod control;
pub mod limits;
mod load;
mod run;
mod wiring;

pub use load::{LoadError, Loaded, ReadError, load, load_signatures, review};
pub use run::{Exit, run};
