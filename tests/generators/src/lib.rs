//! Generates captures, signatures and request targets for the tests, the benchmarks and the examples. The same input in
//! every run. Does not check anything; the tests do.

#![allow(clippy::unwrap_used, reason = "a generator that fails by a panic fails the test that calls it")]

pub mod attack_traffic;
pub mod http_conversation;
pub mod web_traffic;
pub mod word_list;
