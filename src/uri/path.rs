//! Normalises one path or one host. Does not decode, and does not choose candidates; see [`super::candidates`].

use std::ops::Range;

use super::{Evasion, Evasions};

/// The kind of suffix that normalisation dropped from a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trailing {
    /// Nothing.
    #[default]
    Nothing,
    /// Exactly one slash, as in `/sms/api/`.
    Slash,
    /// Whitespace, dots, or several of these.
    Other,
}

/// The normal form of a pattern's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath {
    /// The normal form.
    pub path: Vec<u8>,
    /// The normal form before conversion to lower case.
    pub as_written: Vec<u8>,
    /// Suffix dropped from the end.
    pub trailing: Trailing,
}

impl NormalPath {
    /// Normalises the path of a signature: decodes nothing and cuts nothing.
    #[must_use]
    pub fn of(pattern: &[u8]) -> Self {
        let mut out = Vec::with_capacity(pattern.len());
        let normal = normalise(pattern, &mut out);
        let piece = |range: Range<usize>| out.get(range).unwrap_or_default().to_vec();
        Self { path: piece(normal.path), as_written: piece(normal.as_written), trailing: normal.trailing }
    }
}

/// The normal form of a pattern's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalHost {
    /// The normal form.
    pub host: Vec<u8>,
    /// The normal form before conversion to lower case.
    pub as_written: Vec<u8>,
}

impl NormalHost {
    /// Normalises the host of a signature: drops port and trailing dots, converts to lower case.
    #[must_use]
    pub fn of(pattern: &[u8]) -> Self {
        let as_written = bare_host(pattern).to_vec();
        Self { host: as_written.to_ascii_lowercase(), as_written }
    }
}

/// Position of a normal form in the buffer it was appended to, and what was dropped or undone.
#[derive(Clone, Debug)]
pub(super) struct NormalRanges {
    /// The normal form.
    pub path: Range<usize>,
    /// The normal form before conversion to lower case; the same range if it had no upper-case letters.
    pub as_written: Range<usize>,
    /// Evasions undone, except case and trailing, which only a comparison with a pattern can determine.
    pub evasions: Evasions,
    /// Suffix dropped from the end.
    pub trailing: Trailing,
}

/// Appends the normal form of `path` to `out`: at most twice `path.len() + 1` bytes.
pub(super) fn normalise(path: &[u8], out: &mut Vec<u8>) -> NormalRanges {
    let start = out.len();
    let mut evasions = Evasions::default();
    if memchr::memchr(b'\\', path).is_some() {
        evasions = evasions.with(Evasion::Backslash);
    }
    let mut trailing = Trailing::Nothing;
    let mut segments = path.split(|&byte| byte == b'/' || byte == b'\\').enumerate().peekable();
    while let Some((index, full)) = segments.next() {
        let segment = match memchr::memchr(b';', full) {
            Some(at) => {
                evasions = evasions.with(Evasion::PathParameter);
                full.get(..at).unwrap_or_default()
            }
            None => full,
        };
        match segment {
            b"" if segments.peek().is_none() && index > 0 && full.is_empty() => trailing = Trailing::Slash,
            // The part before the first slash is not a segment.
            b"" if index > 0 && full.is_empty() => evasions = evasions.with(Evasion::Slashes),
            b"" => {}
            b"." => evasions = evasions.with(Evasion::DotSegments),
            b".." => {
                evasions = evasions.with(Evasion::DotSegments);
                let kept = out.get(start..).and_then(|done| memchr::memrchr(b'/', done)).unwrap_or(0);
                out.truncate(start + kept);
            }
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    if trim(out, start) {
        trailing = Trailing::Other;
    }
    if out.len() == start {
        out.push(b'/');
        trailing = Trailing::Nothing;
    }
    let as_written = start..out.len();
    NormalRanges { path: lower(out, as_written.clone()), as_written, evasions, trailing }
}

/// Drops whitespace, dots and slashes from the end of `out`, but not before `start`. Returns whether it dropped any.
fn trim(out: &mut Vec<u8>, start: usize) -> bool {
    let before = out.len();
    let keep = out.get(start..).unwrap_or_default().iter().rposition(|byte| !is_trailing(*byte)).map_or(0, |at| at + 1);
    out.truncate(start + keep);
    out.len() < before
}

/// Reports whether a byte is insignificant at the end of a path: Windows drops dots and whitespace, and wordlists
/// contain whitespace.
pub(super) const fn is_trailing(byte: u8) -> bool {
    matches!(byte, b'.' | b'/') || is_blank(byte)
}

/// Reports whether a byte is ASCII whitespace, including vertical tab.
pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Returns the position of `range` in lower case: `range` itself, or that of a copy appended to `out`.
pub(super) fn lower(out: &mut Vec<u8>, range: Range<usize>) -> Range<usize> {
    if !out.get(range.clone()).unwrap_or_default().iter().any(u8::is_ascii_uppercase) {
        return range;
    }
    let start = out.len();
    out.extend_from_within(range);
    out.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
    start..out.len()
}

/// Returns an authority without userinfo, port and trailing dots (RFC 3986 section 3.2).
pub(super) fn bare_host(authority: &[u8]) -> &[u8] {
    let after_userinfo = memchr::memrchr(b'@', authority).map_or(0, |at| at + 1);
    let host = authority.get(after_userinfo..).unwrap_or_default();
    let end = match host {
        // An IP literal contains colons.
        [b'[', ..] => memchr::memchr(b']', host).map_or(host.len(), |at| at + 1),
        _ => memchr::memchr(b':', host).unwrap_or(host.len()),
    };
    let mut host = host.get(..end).unwrap_or_default();
    while let [rest @ .., b'.'] = host {
        host = rest;
    }
    host
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> (String, Vec<&'static str>, Trailing) {
        let mut out = b"kept".to_vec();
        let normal = normalise(path.as_bytes(), &mut out);
        let text = String::from_utf8_lossy(&out[normal.path]).into_owned();
        assert!(out.starts_with(b"kept"));
        (text, normal.evasions.iter().map(Evasion::name).collect(), normal.trailing)
    }

    #[test]
    fn path_steps_yield_normal_form() {
        use Trailing::{Nothing, Other, Slash};
        for (path, expected, names, trailing) in [
            ("/sms/env", "/sms/env", &[][..], Nothing),
            ("sms/env", "/sms/env", &[], Nothing),
            ("/", "/", &[], Nothing),
            ("", "/", &[], Nothing),
            ("//", "/", &["slashes"], Nothing),
            ("/sms/api/", "/sms/api", &[], Slash),
            ("//sms///api/", "/sms/api", &["slashes"], Slash),
            ("/../../sms/./x/../env", "/sms/env", &["dot-segments"], Nothing),
            ("/a//../env", "/env", &["dot-segments", "slashes"], Nothing),
            ("\\sms\\env", "/sms/env", &["backslash"], Nothing),
            ("/sms;a=b/env;c", "/sms/env", &["path-parameter"], Nothing),
            ("/x/..;/sms/env", "/sms/env", &["dot-segments", "path-parameter"], Nothing),
            ("/;x/sms", "/sms", &["path-parameter"], Nothing),
            ("/sms/env. ", "/sms/env", &[], Other),
            ("/sms/env /", "/sms/env", &[], Other),
            ("/sms/.env", "/sms/.env", &[], Nothing),
            ("/sms/env/..", "/sms", &["dot-segments"], Nothing),
            ("/Sms.EXE", "/sms.exe", &[], Nothing),
        ] {
            assert_eq!(normal(path), (expected.to_owned(), names.to_vec(), trailing), "{path}");
        }
    }

    #[test]
    fn bare_host_drops_userinfo_port_and_dots() {
        for (authority, host) in [
            ("SMS-Activate.org:443", "sms-activate.org"),
            ("u:p@a@sms-activate.org.:80", "sms-activate.org"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
            ("", ""),
            ("...", ""),
        ] {
            assert_eq!(NormalHost::of(authority.as_bytes()).host, host.as_bytes(), "{authority}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn normal_form_is_idempotent_and_bounded(path in "[/\\\\;. %aAbBzZ\\t]{0,40}") {
            let once = NormalPath::of(path.as_bytes());
            let twice = NormalPath::of(&once.path);
            prop_assert_eq!(&once.path, &twice.path);
            prop_assert_eq!(twice.trailing, Trailing::Nothing);
            prop_assert!(once.path.len() <= path.len() + 1);
            prop_assert!(once.path.starts_with(b"/"));
            prop_assert!(!once.path.windows(2).any(|pair| pair == b"//"));
            prop_assert!(!once.path.iter().any(|byte| matches!(byte, b'\\' | b';' | b'A'..=b'Z')));
        }
    }
}
