//! Helpers without tests: they run the program, build captures, links and records, and read sources.

pub(crate) mod capture_writer;
pub(crate) mod carried_request;
pub(crate) mod compressors;
pub(crate) mod cpu_time;
pub(crate) mod encapsulated;
pub(crate) mod event_recorder;
pub(crate) mod live_process;
pub(crate) mod program;
pub(crate) mod random_records;
pub(crate) mod segment_builder;
pub(crate) mod source_imports;
pub(crate) mod virtual_link;
