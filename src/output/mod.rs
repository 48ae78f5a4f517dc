//! The output stage: merges what the lanes send into one ordered stream, runs it through [`crate::alerts`], and writes it
//! to [`crate::logs`].

pub(crate) mod new_inputs;
pub(crate) mod stage;
pub(crate) mod writer;
