//! Formats records as lines: Suricata's EVE, and Zeek's `notice.log` and `http.log` as JSON or TSV. Lines are appended
//! to a buffer; they are written by [`crate::logs`].
//!
//! Every line is pure ASCII, ends with one LF and is shorter than [`LINE_MAX`] bytes, whatever the captured traffic
//! contains.

mod community_id;
mod counters;
mod eve;
mod eve_campaign;
mod eve_http;
mod eve_metadata;
mod eve_stats;
mod eve_time;
mod json;
mod line_budget;
mod redact;
mod signature;
mod text;
mod zeek;
mod zeek_columns;
mod zeek_uid;
mod zeek_value;

use std::path::PathBuf;

pub use community_id::CommunityId;
pub use counters::counters_line;
pub use eve::write_eve;
pub use line_budget::LINE_MAX;
pub use signature::write_signature;
pub use zeek::{write_zeek_json, write_zeek_tsv};
pub use zeek_uid::zeek_uid;

use crate::record::{Body, Record};
use crate::time::Timestamp;

/// The run's properties that lines contain.
#[derive(Clone, Debug, Default)]
pub struct LineContext {
    /// Name of the sensor: EVE's `host`, Zeek's `peer_descr`; omitted if `None`.
    pub sensor_name: Option<String>,
    /// Inputs, by the index that records carry.
    pub inputs: Vec<InputName>,
    /// Whether the lines of several logs share one stream (standard output). Zeek's JSON then contains `_path`.
    pub one_stream: bool,
    /// Whether the values of secret parameters and passwords in URLs are written as `REDACTED`.
    pub redact: bool,
}

/// Name of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputName {
    /// A capture file, as given by the user: EVE's `pcap_filename`, with `pcap_cnt`.
    File(PathBuf),
    /// A live interface: EVE's `in_iface`.
    Interface(String),
}

/// An output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Suricata EVE 7.x, limited to keys that are in the schemas of both 7.x and 8.x.
    #[default]
    Eve,
    /// Zeek logs as JSON.
    ZeekJson,
    /// Zeek logs as tab-separated values with Zeek's header.
    ZeekTsv,
}

/// A log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Log {
    /// All EVE records.
    Eve,
    /// Zeek's notices.
    Notice,
    /// Zeek's HTTP transactions.
    Http,
}

impl Log {
    /// Returns the file name. Malcolm identifies the type of a Zeek log by its file name only.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Eve => "eve.json",
            Self::Notice => "notice.log",
            Self::Http => "http.log",
        }
    }
}

impl Format {
    /// Returns all logs of this format.
    #[must_use]
    pub const fn logs(self) -> &'static [Log] {
        match self {
            Self::Eve => &[Log::Eve],
            Self::ZeekJson | Self::ZeekTsv => &[Log::Notice, Log::Http],
        }
    }

    /// Returns the log that a record is written to, or `None` if the format does not have such records: Zeek's
    /// `stats.log` has other statistics than EVE's.
    #[must_use]
    pub const fn log(self, record: &Record) -> Option<Log> {
        match (self, &record.body) {
            (Self::Eve, _) => Some(Log::Eve),
            (_, Body::Alert(_) | Body::Campaign(_)) => Some(Log::Notice),
            (_, Body::Http(_)) => Some(Log::Http),
            (_, Body::Stats(_)) => None,
        }
    }

    /// Appends the record's line, or nothing if [`Format::log`] returns `None`.
    pub fn write(self, record: &Record, context: &LineContext, out: &mut Vec<u8>) {
        match self {
            Self::Eve => write_eve(record, context, out),
            Self::ZeekJson => write_zeek_json(record, context, out),
            Self::ZeekTsv => write_zeek_tsv(record, context, out),
        }
    }

    /// Appends the header of a log opened at `opened`: Zeek's TSV header; nothing for JSON.
    pub fn header(self, log: Log, opened: Timestamp, out: &mut Vec<u8>) {
        if self == Self::ZeekTsv {
            zeek::append_header(log, opened, out);
        }
    }

    /// Appends the footer of a log closed at `closed`: Zeek's `#close` line for TSV; nothing for JSON.
    pub fn footer(self, _log: Log, closed: Timestamp, out: &mut Vec<u8>) {
        if self == Self::ZeekTsv {
            out.extend_from_slice(b"#close\t");
            eve_time::append_open_time(closed, out);
            out.push(b'\n');
        }
    }
}
