//! Normal forms of request targets.

mod candidates;
pub(crate) mod evasion_targets;
