//! Parses the syntax of a request target: scheme, authority, path, query (RFC 9112 section 3.2). Does not normalise its
//! parts; see [`super::path`](mod@super::path).

use super::path::{NormalHost, is_blank};

/// Bytes of a target that are processed; the rest is ignored. Rationale: no common server accepts a longer request
/// line.
pub const MAX_TARGET: usize = 64 * 1024;

/// Returns the undecoded query of a target: the part between its first `?` and a `#`.
#[must_use]
pub fn query(target: &[u8]) -> &[u8] {
    let target = target.get(..MAX_TARGET).unwrap_or(target);
    let end = memchr::memchr(b'#', target).unwrap_or(target.len());
    let target = target.get(..end).unwrap_or_default();
    memchr::memchr(b'?', target).and_then(|at| target.get(at + 1..)).unwrap_or_default()
}

/// Returns the host that a request is for, in normal form: that of an absolute-form or CONNECT target, else the `Host`
/// value (RFC 9112 section 3.3). `None` if neither contains one.
#[must_use]
pub fn site(method: &[u8], target: &[u8], host: Option<&[u8]>) -> Option<Vec<u8>> {
    let target = target.get(..MAX_TARGET).unwrap_or(target);
    let authority = TargetParts::of(method, target).authority.or(host)?;
    Some(NormalHost::of(authority.trim_ascii()).host).filter(|host| !host.is_empty())
}

/// Returns the undecoded path of a target, without scheme, authority, query and fragment; empty if it has none.
#[must_use]
pub fn path<'a>(method: &[u8], target: &'a [u8]) -> &'a [u8] {
    TargetParts::of(method, target.get(..MAX_TARGET).unwrap_or(target)).path.unwrap_or_default()
}

/// The parts of a request target (RFC 9112 section 3.2).
pub(super) struct TargetParts<'a> {
    /// The authority after `scheme://`, or the whole target of a CONNECT.
    pub authority: Option<&'a [u8]>,
    /// The path, undecoded, without query and fragment.
    pub path: Option<&'a [u8]>,
}

impl<'a> TargetParts<'a> {
    /// Splits `target`, requested with `method`.
    pub(super) fn of(method: &[u8], target: &'a [u8]) -> Self {
        if let Some(start) = after_scheme(target) {
            let rest = target.get(start..).unwrap_or_default();
            let end = rest.iter().position(|&byte| ends_authority(byte)).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            return Self { authority: Some(authority), path: Some(without_query(path)) };
        }
        let starts_path = matches!(target, [b'/' | b'\\', ..]);
        if method.eq_ignore_ascii_case(b"CONNECT") && !starts_path {
            let end = target.iter().position(|&byte| ends_authority(byte)).unwrap_or(target.len());
            return Self { authority: target.get(..end), path: None };
        }
        match target {
            b"*" => Self { authority: None, path: None },
            _ => Self { authority: None, path: Some(without_query(target)) },
        }
    }
}

/// Returns the offset of the authority of an absolute-form target, after `scheme://`.
fn after_scheme(target: &[u8]) -> Option<usize> {
    let [first, ..] = target else { return None };
    if !first.is_ascii_alphabetic() {
        return None;
    }
    let end = target.iter().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'-' | b'.'))?;
    target.get(end..)?.starts_with(b"://").then_some(end + 3)
}

/// Reports whether a byte ends an authority. A NUL or whitespace does, as it ends a C string.
const fn ends_authority(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | b'?' | b'#' | 0) || is_blank(byte)
}

/// Returns the part before the query and the fragment.
pub(super) fn without_query(path: &[u8]) -> &[u8] {
    memchr::memchr2(b'?', b'#', path).and_then(|at| path.get(..at)).unwrap_or(path)
}
