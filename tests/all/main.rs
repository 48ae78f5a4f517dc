//! Tests of the crate from outside, in one binary.

// Helpers of tests stand outside of test functions, which the lint's exception does not cover.
#![allow(clippy::unwrap_used)]

mod decode_captures;
mod decode_layers;
