//! Records to lines: Suricata's EVE, and Zeek's `notice.log` and `http.log` as JSON or TSV. Not the writing: bytes are
//! appended to a buffer, and who calls decides where they go.
//!
//! Every line is pure ASCII, ends in one LF and has less than [`LINE_MAX`] bytes whatever the wire brought.

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

/// What lines say of the run rather than of the record.
#[derive(Clone, Debug, Default)]
pub struct LineContext {
    /// The sensor's name: EVE's `host`, Zeek's `peer_descr`; left out where there is none.
    pub sensor_name: Option<String>,
    /// The inputs, by the index that records carry.
    pub inputs: Vec<InputName>,
    /// Whether the lines of several logs share one stream (standard output): Zeek's JSON then says `_path`.
    pub one_stream: bool,
    /// Whether the values of secret parameters and passwords in URLs are written as `REDACTED`.
    pub redact: bool,
}

/// What an input is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputName {
    /// A capture file, as the user gave it: EVE's `pcap_filename`, with `pcap_cnt`.
    File(PathBuf),
    /// A live interface: EVE's `in_iface`.
    Interface(String),
}

/// An output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Suricata EVE 7.x, only keys that the schemas of 7.x and 8.x both know.
    #[default]
    Eve,
    /// Zeek logs as JSON.
    ZeekJson,
    /// Zeek logs as tab-separated values with Zeek's header.
    ZeekTsv,
}

/// A log file that lines belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Log {
    /// All of EVE.
    Eve,
    /// Zeek's notices.
    Notice,
    /// Zeek's HTTP transactions.
    Http,
}

impl Log {
    /// Its file's name; Malcolm knows the kind of a Zeek log by nothing else.
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
    /// Every log of this format.
    #[must_use]
    pub const fn logs(self) -> &'static [Log] {
        match self {
            Self::Eve => &[Log::Eve],
            Self::ZeekJson | Self::ZeekTsv => &[Log::Notice, Log::Http],
        }
    }

    /// The log that a record belongs to; none where the format has no place for it: Zeek's `stats.log` has other
    /// figures than EVE's.
    #[must_use]
    pub const fn log(self, record: &Record) -> Option<Log> {
        match (self, &record.body) {
            (Self::Eve, _) => Some(Log::Eve),
            (_, Body::Alert(_) | Body::Campaign(_)) => Some(Log::Notice),
            (_, Body::Http(_)) => Some(Log::Http),
            (_, Body::Stats(_)) => None,
        }
    }

    /// Appends the record's line, or nothing where [`Format::log`] has no log for it.
    pub fn write(self, record: &Record, context: &LineContext, out: &mut Vec<u8>) {
        match self {
            Self::Eve => write_eve(record, context, out),
            Self::ZeekJson => write_zeek_json(record, context, out),
            Self::ZeekTsv => write_zeek_tsv(record, context, out),
        }
    }

    /// Appends what stands at the beginning of a log opened at `opened`: Zeek's TSV header; nothing for JSON.
    pub fn header(self, log: Log, opened: Timestamp, out: &mut Vec<u8>) {
        if self == Self::ZeekTsv {
            zeek::append_header(log, opened, out);
        }
    }

    /// Appends what stands at the end of a log closed at `closed`: Zeek's `#close`; nothing for JSON.
    pub fn footer(self, _log: Log, closed: Timestamp, out: &mut Vec<u8>) {
        if self == Self::ZeekTsv {
            out.extend_from_slice(b"#close\t");
            eve_time::append_open(closed, out);
            out.push(b'\n');
        }
    }
}
