//! Loading, matching, the built-in signatures, exports, scale.

mod broken_files;
mod builtin_examples;
mod builtin_signatures;
mod export;
pub(crate) mod matching;
mod scale;
