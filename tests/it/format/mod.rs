//! EVE and Zeek lines, redaction, and how other readers parse them.

mod eve;
mod eve_schemas;
mod foreign_readers;
mod redaction;
mod zeek;
