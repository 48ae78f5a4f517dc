//! Parses one suppress file: from TOML to checked entries, or to a list of errors, each with its line. Does not compare
//! the entries with the loaded signatures ([`super::review`]).

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use toml::value::Datetime;
use toml::{Spanned, Value};

use super::{Conditions, Expiry, HostPattern, SignatureName, SuppressEntry, SuppressFile, Treatment, fold_product};
use crate::signature::LoadError;
use crate::time::Timestamp;
use crate::uri::{NormalHost, NormalPath};

/// Maximum length of a path, in bytes. Rationale: those of signatures are shorter; it bounds the lookups.
const MAX_PATH: usize = 1024;
/// Maximum length of a host, in bytes (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;
/// Maximum length of a reason, in bytes. Rationale: a dry run copies it into alerts, whose strings have at most 1,000
/// bytes.
const MAX_REASON: usize = 300;

/// The keys of an entry: its conditions, then the others.
const KEYS: [&str; 9] =
    ["signature", "family", "product", "source", "destination", "host", "path", "reason", "expires"];
/// The keys that are conditions.
const CONDITIONS: &[&str] = KEYS.split_at(7).0;

type Table = BTreeMap<String, Spanned<Value>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    suppress: Vec<Spanned<Table>>,
    #[serde(default)]
    allow: Vec<Spanned<Table>>,
}

/// Parses a file. Reports all errors at once, as far as the TOML parser succeeds.
///
/// # Errors
/// All errors, in the order of their lines.
pub(super) fn read(file: &SuppressFile<'_>) -> Result<Vec<SuppressEntry>, Vec<LoadError>> {
    let mut reader = Reader {
        name: file.name,
        line_ends: file.text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at).collect(),
        errors: Vec::new(),
    };
    let document: Document = match toml::from_str(file.text) {
        Ok(document) => document,
        Err(error) => {
            // The parser's message may have several lines.
            let reason = error.message().lines().collect::<Vec<_>>().join("; ");
            reader.error_at(error.span().map_or(0, |span| span.start), reason);
            return Err(reader.errors);
        }
    };
    let suppress = document.suppress.iter().map(|table| (table, Treatment::Suppress));
    let allow = document.allow.iter().map(|table| (table, Treatment::Allow));
    let mut tables: Vec<_> = suppress.chain(allow).collect();
    tables.sort_by_key(|(table, _)| table.span().start);
    let entries = tables.iter().filter_map(|(table, treatment)| reader.entry(table, *treatment)).collect();
    reader.errors.sort_by_key(|error| error.line);
    if reader.errors.is_empty() { Ok(entries) } else { Err(reader.errors) }
}

struct Reader<'a> {
    name: &'a str,
    /// Offsets of the line feeds.
    line_ends: Vec<usize>,
    errors: Vec<LoadError>,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|&end| end < offset)
    }

    fn error_at(&mut self, offset: usize, reason: String) {
        let line = self.line(offset);
        self.errors.push(LoadError { file: self.name.to_owned(), line, reason });
    }

    fn error(&mut self, at: &Spanned<Value>, reason: String) {
        self.error_at(at.span().start, reason);
    }

    /// Parses an entry. After an error the result is `None`, or an entry that is discarded.
    fn entry(&mut self, table: &Spanned<Table>, treatment: Treatment) -> Option<SuppressEntry> {
        let start = table.span().start;
        for (key, value) in table.get_ref() {
            if !KEYS.contains(&&**key) {
                self.error(value, format!("unknown key `{key}`: write one of {}", KEYS.join(", ")));
            }
        }
        let get = |key: &str| table.get_ref().get(key);
        let conditions = Conditions {
            signatures: self.list(get("signature"), "an id or a slug", signature_name),
            families: self.list(get("family"), "the name of a family", text),
            products: self.list(get("product"), "the name of a product", |value| {
                text(value).map(|name| fold_product(&name)).filter(|name| !name.is_empty())
            }),
            sources: self.list(get("source"), "an address or a network like 192.0.2.0/24", network),
            destinations: self.list(get("destination"), "an address or a network like 192.0.2.0/24", network),
            hosts: self.list(get("host"), "a host like www.example.org, or .example.org for its sub-domains", host),
            paths: self.list(get("path"), "a path that begins with `/`, without query", path),
        };
        if let Some(too_broad) = TooBroad::check(treatment, &|key| get(key).is_some()) {
            self.error_at(start, too_broad.to_string());
        }
        let reason = self.reason(get("reason"), start);
        let expires = get("expires").and_then(|value| {
            let expires = expiry(value.get_ref());
            if expires.is_none() {
                self.error(value, format!("expires {}: write a day as 2027-01-31", shown(value.get_ref())));
            }
            expires
        });
        let (file, line) = (self.name.to_owned(), self.line(start));
        Some(SuppressEntry { treatment, file, line, reason: reason?, expires, conditions })
    }

    /// Parses the reason: one line, short enough for an alert.
    fn reason(&mut self, value: Option<&Spanned<Value>>, start: usize) -> Option<String> {
        let Some(value) = value else {
            self.error_at(start, "missing key `reason`: state why, for later readers of the file".to_owned());
            return None;
        };
        let reason = text(value.get_ref()).filter(|reason| reason.len() <= MAX_REASON);
        if reason.is_none() {
            self.error(value, format!("reason: write one line of text, at most {MAX_REASON} bytes"));
        }
        reason
    }

    /// Parses the items of a condition: one, or a list.
    fn list<T: PartialEq>(
        &mut self,
        value: Option<&Spanned<Value>>,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = value else { return Vec::new() };
        let items = match value.get_ref() {
            Value::Array(items) => &items[..],
            one => std::slice::from_ref(one),
        };
        if items.is_empty() {
            self.error(value, format!("an empty list never matches: write {wanted}, or a list of them"));
        }
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            match read(item) {
                Some(item) => all.push(item),
                None => self.error(value, format!("{}: write {wanted}, or a list of them", shown(item))),
            }
        }
        all
    }
}

/// An entry that would match too many alerts.
enum TooBroad {
    /// An `allow` entry without a subject, or without a place.
    Allow,
    /// An entry without any condition.
    Unconditional,
}

impl TooBroad {
    /// Checks an entry with the keys for which `has` returns true.
    fn check(treatment: Treatment, has: &dyn Fn(&str) -> bool) -> Option<Self> {
        let any = |keys: &[&str]| keys.iter().any(|key| has(key));
        let allow = treatment == Treatment::Allow;
        if allow && (!any(&["signature", "family", "product"]) || !any(&["host", "destination"])) {
            return Some(Self::Allow);
        }
        (!any(CONDITIONS)).then_some(Self::Unconditional)
    }
}

impl fmt::Display for TooBroad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str(
                "an allow entry must name what is normal use, and where: write signature, family or product, and host \
                 or destination",
            ),
            Self::Unconditional => write!(f, "it would hide everything: write one of {}", CONDITIONS.join(", ")),
        }
    }
}

/// Formats a value for a message.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Datetime(day) => day.to_string(),
        other => format!("a value of type {}", other.type_str()),
    }
}

/// Returns one line of text, trimmed.
fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

fn signature_name(value: &Value) -> Option<SignatureName> {
    match value {
        Value::Integer(id) => u32::try_from(*id).ok().filter(|&id| id > 0).map(SignatureName::Id),
        value => text(value).map(SignatureName::Slug),
    }
}

fn network(value: &Value) -> Option<IpNet> {
    let text = text(value)?;
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    Some(network.trunc())
}

fn host(value: &Value) -> Option<HostPattern> {
    let text = text(value)?;
    let below = text.strip_prefix('.');
    let name = below.unwrap_or(&text);
    let normal = NormalHost::of(name.as_bytes()).host;
    let plain = !name.starts_with('.') && !name.contains(['/', '\\', '*', '?', '#', '@', ' ']);
    // Normalisation would drop a port or a second host silently.
    let complete = normal.len() == name.trim_end_matches('.').len();
    if !plain || !complete || normal.is_empty() || normal.len() > MAX_HOST {
        return None;
    }
    let normal = String::from_utf8(normal).ok()?;
    Some(if below.is_some() { HostPattern::Below(normal) } else { HostPattern::Exact(normal) })
}

fn path(value: &Value) -> Option<String> {
    let text = text(value)?;
    if !text.starts_with(['/', '\\']) || text.contains(['?', '#', '*']) {
        return None;
    }
    let normal = String::from_utf8(NormalPath::of(text.as_bytes()).path).ok()?;
    (normal.len() <= MAX_PATH).then(|| if normal == "/" { String::new() } else { normal })
}

/// Parses a TOML date, or the same in quotes.
fn expiry(value: &Value) -> Option<Expiry> {
    let day = match value {
        Value::Datetime(day) => *day,
        value => value.as_str()?.trim().parse::<Datetime>().ok()?,
    };
    let (Some(date), None, None) = (day.date, day.time, day.offset) else { return None };
    let days = days_since_epoch(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    Some(Expiry { day: date.to_string(), until: Timestamp::from_secs_nanos((days + 1).saturating_mul(86_400), 0) })
}

/// Returns the number of days from 1970-01-01 to a date of the Gregorian calendar. Years begin in March, so that the
/// leap day is the last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_accepts_dates_only() {
        for (date, seconds) in
            [("1970-01-01", 0), ("2000-02-29", 951_782_400), ("2027-01-31", 1_801_353_600), ("1969-12-31", -86_400)]
        {
            let expiry = expiry(&Value::String(date.into())).unwrap();
            assert_eq!(expiry.until, Timestamp::from_secs_nanos(seconds + 86_400, 0), "{date}");
            assert_eq!(expiry.day, date);
        }
        for bad in ["2027-02-30", "2027-13-01", "soon", "2027-01-31T00:00:00Z", "12:00:00", "2027-1-1"] {
            assert_eq!(expiry(&Value::String(bad.into())), None, "{bad}");
        }
        assert_eq!(expiry(&Value::Integer(2027)), None);
    }

    #[test]
    fn hosts_and_paths_are_normalised_or_refused() {
        let text = |text: &str| Value::String(text.into());
        assert_eq!(host(&text("WWW.Example.ORG.")), Some(HostPattern::Exact("www.example.org".into())));
        assert_eq!(host(&text(".Example.org")), Some(HostPattern::Below("example.org".into())));
        assert_eq!(host(&text("[2001:db8::1]")), Some(HostPattern::Exact("[2001:db8::1]".into())));
        for bad in ["", ".", "..a", "a:80", "*.a", "http://a", "a/b", "a b", "u@a", "2001:db8::1"] {
            assert_eq!(host(&text(bad)), None, "{bad:?}");
        }
        assert_eq!(path(&text("/A//b/../C/")), Some("/a/c".into()));
        assert_eq!(path(&text("/")), Some(String::new()));
        for bad in ["", "a", "/a?b", "/a*", "/a#b"] {
            assert_eq!(path(&text(bad)), None, "{bad:?}");
        }
    }
}
