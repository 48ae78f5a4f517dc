//! EVE and Zeek lines, redaction, and how other readers parse them.

pub(crate) mod eve;
pub(crate) mod eve_schemas;
pub(crate) mod foreign_readers;
mod redaction;
mod zeek;
