//! Formats records as lines of Zeek's `notice.log` and `http.log`, JSON or TSV, and the TSV header. The content of the
//! columns is in [`super::zeek_columns`].

use super::line_budget::{LineBudget, append_line};
use super::redact::redacted_record;
use super::zeek_columns::{self, HTTP, NOTICE};
use super::zeek_value::{append_json, append_tsv};
use super::{LineContext, Log, eve_time};
use crate::record::{Body, Record};
use crate::time::Timestamp;

/// Appends the record as one line of JSON; nothing for `stats`, because Zeek's `stats.log` has other statistics.
pub fn write_zeek_json(record: &Record, context: &LineContext, out: &mut Vec<u8>) {
    let path = |path| context.one_stream.then_some(path);
    let record = &*redacted_record(record, context);
    match &record.body {
        Body::Alert(_) | Body::Campaign(_) => append_line(out, |budget, out| {
            zeek_columns::notice(&record.body, context, budget.cap, |values| {
                append_json(path("notice"), NOTICE.iter().map(|column| column.0).zip(*values), budget, out);
            });
        }),
        Body::Http(transaction) => append_line(out, |budget, out| {
            zeek_columns::http(transaction, |values| {
                append_json(path("http"), HTTP.iter().map(|column| column.0).zip(*values), budget, out);
            });
        }),
        Body::Stats(_) => {}
    }
}

/// Appends the record as one line of tab-separated values; nothing for `stats`.
pub fn write_zeek_tsv(record: &Record, context: &LineContext, out: &mut Vec<u8>) {
    let record = &*redacted_record(record, context);
    match &record.body {
        Body::Alert(_) | Body::Campaign(_) => append_line(out, |budget: &mut LineBudget, out| {
            zeek_columns::notice(&record.body, context, budget.cap, |values| {
                append_tsv(values.iter().copied(), budget, out)
            });
        }),
        Body::Http(transaction) => append_line(out, |budget, out| {
            zeek_columns::http(transaction, |values| append_tsv(values.iter().copied(), budget, out));
        }),
        Body::Stats(_) => {}
    }
}

/// Appends the header of a TSV log.
pub(super) fn append_header(log: Log, opened: Timestamp, out: &mut Vec<u8>) {
    let (path, columns): (&str, &[(&str, &str)]) = match log {
        Log::Eve => return,
        Log::Notice => ("notice", &NOTICE),
        Log::Http => ("http", &HTTP),
    };
    out.extend_from_slice(b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t");
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b"\n#open\t");
    eve_time::append_open_time(opened, out);
    out.extend_from_slice(b"\n#fields");
    for (name, _) in columns {
        out.push(b'\t');
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(b"\n#types");
    for (_, kind) in columns {
        out.push(b'\t');
        out.extend_from_slice(kind.as_bytes());
    }
    out.push(b'\n');
}
