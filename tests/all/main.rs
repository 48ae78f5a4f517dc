//! Tests of the crate from outside, in one binary.

mod decode_captures;
mod decode_layers;
