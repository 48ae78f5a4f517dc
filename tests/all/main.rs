//! The integration tests, in one binary.

// Why: the lint's own exception for tests does not know the tests' helper functions.
#![allow(clippy::unwrap_used)]

mod file_captures;
mod file_damage;
mod file_judge;
mod file_reader;
mod file_speed;
