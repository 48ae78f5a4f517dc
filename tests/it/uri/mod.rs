//! Normal forms of request targets.

mod candidates;
mod evasion_targets;
