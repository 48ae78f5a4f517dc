//! Formats the values of a Zeek log line as JSON or TSV. Sources: Zeek's `src/threading/formatters/JSON.cc` and
//! `Ascii.cc`. The columns of each log are in [`super::zeek_columns`].

use std::io::Write;
use std::net::IpAddr;

use super::line_budget::LineBudget;
use super::text::{Text, prefix_len};
use super::{eve_time, json};
use crate::time::Timestamp;

/// The value of a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// No value.
    Unset,
    /// `time`.
    Time(Timestamp),
    /// `interval`, in whole seconds.
    Interval(u32),
    /// `addr`.
    Address(IpAddr),
    /// `count` or `port`.
    Count(u64),
    /// `string` or `enum`.
    Text(&'a [u8]),
    /// `string`: a request target, which has its own length cap.
    Target(&'a [u8]),
    /// `set[…]`.
    Set(&'a [&'a [u8]]),
}

impl<'a> Value<'a> {
    /// Returns a string that may be missing.
    pub(super) fn text(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Self::Unset, Self::Text)
    }

    fn is_set(self) -> bool {
        !matches!(self, Self::Unset)
    }
}

/// Appends a line's values as a JSON object: unset members are omitted, names are flat and dotted.
pub(super) fn append_json<'a>(
    path: Option<&'a str>,
    values: impl Iterator<Item = (&'static str, Value<'a>)>,
    budget: &mut LineBudget,
    out: &mut Vec<u8>,
) {
    let path = path.map(|path| ("_path", Value::Text(path.as_bytes())));
    let mut separator = b'{';
    for (name, value) in path.into_iter().chain(values).filter(|(_, value)| value.is_set()) {
        out.push(separator);
        separator = b',';
        json::append(name, out);
        out.push(b':');
        append_json_value(value, budget, out);
    }
    out.push(b'}');
}

fn append_json_value(value: Value<'_>, budget: &mut LineBudget, out: &mut Vec<u8>) {
    match value {
        Value::Unset => out.extend_from_slice(b"null"),
        Value::Time(time) => eve_time::append_epoch(time, out),
        Value::Interval(seconds) => write!(out, "{seconds}.0").expect("a Vec takes every byte"),
        Value::Address(address) => json::append(&address, out),
        Value::Count(count) => json::append(&count, out),
        Value::Text(bytes) => json::append(&budget.text("", Text::Zeek(bytes)), out),
        Value::Target(bytes) => json::append(&budget.url("", Text::Zeek(bytes)), out),
        Value::Set(members) => {
            let texts: Vec<_> = members.iter().map(|member| budget.text("", Text::Zeek(member))).collect();
            json::append(&texts, out);
        }
    }
}

/// Appends a line's values separated by tabs, without LF.
pub(super) fn append_tsv<'a>(values: impl Iterator<Item = Value<'a>>, budget: &LineBudget, out: &mut Vec<u8>) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        append_tsv_value(value, budget, out);
    }
}

fn append_tsv_value(value: Value<'_>, budget: &LineBudget, out: &mut Vec<u8>) {
    let written = match value {
        Value::Unset => {
            out.push(b'-');
            Ok(())
        }
        Value::Time(time) => {
            eve_time::append_epoch(time, out);
            Ok(())
        }
        Value::Interval(seconds) => write!(out, "{seconds}.000000"),
        Value::Address(address) => write!(out, "{address}"),
        Value::Count(count) => write!(out, "{count}"),
        Value::Text(bytes) => {
            append_field(bytes, budget.cap, false, out);
            Ok(())
        }
        Value::Target(bytes) => {
            append_field(bytes, LineBudget::URL_CAP, false, out);
            Ok(())
        }
        Value::Set(members) => {
            append_set(members, budget.cap, out);
            Ok(())
        }
    };
    written.expect("a Vec takes every byte");
}

fn append_set(members: &[&[u8]], cap: usize, out: &mut Vec<u8>) {
    if members.is_empty() {
        out.extend_from_slice(b"(empty)");
    }
    for (at, member) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        append_field(member, cap, true, out);
    }
}

/// Appends a string so that Zeek's readers restore it: bytes that are not printable ASCII as `\xhh`, the backslash
/// doubled, and the first byte escaped if the value would be read as unset or empty.
fn append_field(bytes: &[u8], cap: usize, in_set: bool, out: &mut Vec<u8>) {
    if bytes.is_empty() {
        out.extend_from_slice(b"(empty)");
        return;
    }
    let reserved = matches!(bytes, b"-" | b"(empty)");
    let (end, _) = prefix_len(bytes.iter().map(|&byte| (1, field_len(byte))), cap);
    for (at, &byte) in bytes.iter().take(end).enumerate() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b',' if in_set => append_hex(byte, out),
            b' '..=b'~' if !(reserved && at == 0) => out.push(byte),
            _ => append_hex(byte, out),
        }
    }
}

fn append_hex(byte: u8, out: &mut Vec<u8>) {
    write!(out, "\\x{byte:02x}").expect("a Vec takes every byte");
}

/// Returns the number of bytes that a byte of a string takes in TSV; for a comma, the number in a set.
const fn field_len(byte: u8) -> usize {
    match byte {
        b'\\' => 2,
        b',' => 4,
        b' '..=b'~' => 1,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(bytes: &[u8], in_set: bool) -> String {
        let mut out = Vec::new();
        append_field(bytes, 1000, in_set, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_have_the_form_of_zeek() {
        assert_eq!(field(b"", false), "(empty)");
        assert_eq!(field(b"-", false), r"\x2d");
        assert_eq!(field(b"(empty)", false), r"\x28empty)");
        assert_eq!(field(b"-x", false), "-x");
        assert_eq!(field(b"a\tb\nc\\d\xffe\x7f,", false), r"a\x09b\x0ac\\d\xffe\x7f,");
        assert_eq!(field(b"a,b", true), r"a\x2cb");
    }
}
