//! Removes secrets from URLs before they are written: the values of parameters with secret-like names, and the password
//! before a host. Bodies and other header fields are never written.
//!
//! A URL is read as the most lenient program would read it: percent-encoding is decoded up to [`DECODE_ROUNDS`] times,
//! and parameters begin after `?`, `&`, `;` and `#`, also within the value of another parameter. When in doubt, a value
//! is removed.

use std::borrow::Cow;
use std::ops::Range;

use super::LineContext;
use crate::record::{Body, List, Record, Transaction};

/// Replaces each secret.
const REPLACEMENT: &[u8] = b"REDACTED";

/// Secret parameter names, compared with the complete name or with the index of an array (`sms[to]`). The short ones
/// contain passwords, phone numbers, texts and hashes in the APIs of SMS gateways.
const SECRET_NAMES: [&[u8]; 41] = [
    b"h",
    b"p",
    b"k",
    b"pw",
    b"psw",
    b"pswd",
    b"cred",
    b"creds",
    b"hash",
    b"hmac",
    b"sign",
    b"bearer",
    b"session",
    b"sessionid",
    b"api_id",
    b"to",
    b"text",
    b"txt",
    b"number",
    b"numbers",
    b"num",
    b"message",
    b"messages",
    b"msg",
    b"sms",
    b"content",
    b"body",
    b"phone",
    b"phonenumber",
    b"mobile",
    b"msisdn",
    b"recipient",
    b"recipients",
    b"pin",
    b"otp",
    b"auth",
    b"authorization",
    b"signature",
    b"sig",
    b"sid",
    b"jwt",
];

/// Substrings that make a parameter name secret. Words that end with `key` do so too; see [`is_key`].
const SECRET_SUBSTRINGS: [&[u8]; 8] =
    [b"pass", b"pwd", b"secret", b"token", b"credential", b"apikey", b"accesskey", b"auth_"];

/// Maximum number of times that percent-encoding is decoded. Rationale: servers decode once or twice.
const DECODE_ROUNDS: u8 = 4;

/// A decoded byte, the range of its encoding in the URL, and the number of times it was encoded.
#[derive(Clone, Copy, Debug)]
struct DecodedByte {
    byte: u8,
    start: usize,
    end: usize,
    depth: u8,
}

/// Returns the record to write: without secrets if [`LineContext::redact`] is set.
pub(super) fn redacted_record<'a>(record: &'a Record, context: &LineContext) -> Cow<'a, Record> {
    if !context.redact {
        return Cow::Borrowed(record);
    }
    let mut record = record.clone();
    match &mut record.body {
        Body::Alert(alert) => {
            redact_transaction(&mut alert.transaction);
            redact(&mut alert.matched);
        }
        Body::Http(transaction) => redact_transaction(transaction),
        Body::Campaign(campaign) => {
            redact_transaction(&mut campaign.transaction);
            for list in [&mut campaign.exposed, &mut campaign.hosts] {
                let mut redacted_list = List::with_capacity(list.len());
                (redacted_list.total, redacted_list.cut) = (list.total, list.cut);
                list.items().for_each(|item| redacted_list.push(|text| text.extend_from_slice(&redacted(item))));
                *list = redacted_list;
            }
        }
        Body::Stats(_) => {}
    }
    Cow::Owned(record)
}

fn redact_transaction(transaction: &mut Transaction) {
    let request = &mut transaction.request;
    let location = transaction.response.as_mut().and_then(|response| response.location.as_mut());
    let urls = [Some(&mut request.target), request.host.as_mut(), request.referrer.as_mut(), location];
    urls.into_iter().flatten().for_each(redact);
}

fn redact(url: &mut Vec<u8>) {
    if let Cow::Owned(redacted) = redacted(url) {
        *url = redacted;
    }
}

/// Returns the URL with every secret replaced.
fn redacted(url: &[u8]) -> Cow<'_, [u8]> {
    let bytes = decode(url);
    let mut secrets = parameter_secrets(&bytes);
    secrets.extend(passwords(&bytes));
    if secrets.is_empty() {
        return Cow::Borrowed(url);
    }
    secrets.sort_unstable_by_key(|secret| secret.start);
    let mut out = Vec::with_capacity(url.len());
    let mut done = 0;
    for secret in secrets {
        if secret.start >= done {
            out.extend_from_slice(url.get(done..secret.start).unwrap_or_default());
            out.extend_from_slice(REPLACEMENT);
        }
        done = done.max(secret.end);
    }
    out.extend_from_slice(url.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// Decodes percent-encoding, repeatedly.
fn decode(url: &[u8]) -> Vec<DecodedByte> {
    let plain = url.iter().enumerate().map(|(at, &byte)| DecodedByte { byte, start: at, end: at + 1, depth: 0 });
    let mut bytes: Vec<DecodedByte> = plain.collect();
    for round in 1..=DECODE_ROUNDS {
        let mut decoded = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while let Some((&first, after)) = rest.split_first() {
            let escape = (first.byte == b'%').then(|| decode_escape(first, after, round)).flatten();
            let (byte, next) = escape.unwrap_or((first, after));
            decoded.push(byte);
            rest = next;
        }
        let unchanged = decoded.len() == bytes.len();
        bytes = decoded;
        if unchanged {
            break;
        }
    }
    bytes
}

/// Decodes one escape. Returns its byte and the rest behind it.
fn decode_escape(percent: DecodedByte, after: &[DecodedByte], depth: u8) -> Option<(DecodedByte, &[DecodedByte])> {
    let digit = |decoded: &DecodedByte| char::from(decoded.byte).to_digit(16);
    let (&[high, low], rest) = after.split_first_chunk()?;
    let byte = u8::try_from(digit(&high)? * 16 + digit(&low)?).ok()?;
    Some((DecodedByte { byte, start: percent.start, end: low.end, depth }, rest))
}

/// Returns the ranges of the values of secret parameters.
fn parameter_secrets(bytes: &[DecodedByte]) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    let (mut at, mut in_path) = (0, true);
    while let Some(skipped) = bytes.iter().skip(at).position(|decoded| is_separator(decoded.byte)) {
        let separator = at + skipped;
        at = separator + 1;
        in_path &= bytes.get(separator).is_some_and(|decoded| matches!(decoded.byte, b'&' | b';'));
        let piece = bytes.get(at..).unwrap_or_default();
        let len = piece.iter().position(ends_name).unwrap_or(piece.len());
        let (Some(name), Some(equals)) = (piece.get(..len), piece.get(len)) else { continue };
        if equals.byte != b'=' || !is_secret(name) {
            continue;
        }
        // Separators that were encoded more often are part of the value.
        let depth = equals.depth.min(bytes.get(separator).map_or(0, |decoded| decoded.depth));
        let value = piece.get(len + 1..).unwrap_or_default();
        let value = value.get(..value_len(value, depth, in_path)).unwrap_or(value);
        if let (Some(first), Some(last)) = (value.first(), value.last()) {
            secrets.push(first.start..last.end);
        }
        at += len + 1 + value.len();
    }
    secrets
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'?' | b'&' | b';' | b'#')
}

const fn ends_name(decoded: &DecodedByte) -> bool {
    is_separator(decoded.byte) || decoded.byte == b'='
}

/// Returns the length of a secret value. It ends at `&`, or at `;` if another parameter follows, since a password may
/// contain a semicolon. In the path it also ends with the segment.
fn value_len(value: &[DecodedByte], depth: u8, in_path: bool) -> usize {
    let is_end = |at: usize, decoded: &DecodedByte| match decoded.byte {
        _ if decoded.depth > depth => false,
        b'&' => true,
        b'/' | b'?' => in_path,
        b';' => {
            let rest = value.get(at + 1..).unwrap_or_default();
            rest.iter().find(|decoded| ends_name(decoded)).is_some_and(|decoded| decoded.byte == b'=')
        }
        _ => false,
    };
    value.iter().enumerate().position(|(at, decoded)| is_end(at, decoded)).unwrap_or(value.len())
}

/// Reports whether a parameter's name indicates a secret value.
fn is_secret(name: &[DecodedByte]) -> bool {
    /// Rationale: meaningful names are not longer.
    const MAX_LEN: usize = 64;
    let mut buffer = [0; MAX_LEN];
    // Only the end of a long name is checked: the part that a program appended is the more specific one.
    let kept = name.get(name.len().saturating_sub(MAX_LEN)..).unwrap_or(name);
    buffer.iter_mut().zip(kept).for_each(|(to, decoded)| *to = decoded.byte.to_ascii_lowercase());
    let lower = buffer.get(..kept.len()).unwrap_or_default();
    let words = || lower.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let complete = if lower.contains(&b'[') { words().next_back() } else { Some(lower.trim_ascii()) };
    complete.is_some_and(|name| SECRET_NAMES.contains(&name))
        || words().any(is_key)
        || SECRET_SUBSTRINGS.iter().any(|part| memchr::memmem::find(lower, part).is_some())
}

/// Reports whether a word of a name denotes a key: `key`, `apikey`, `keys`, `key2`.
fn is_key(word: &[u8]) -> bool {
    let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let word = word.get(..word.len() - digits).unwrap_or_default();
    word.ends_with(b"key") || word.ends_with(b"keys")
}

/// Returns the ranges of the passwords in `user:password@`, wherever an authority may be: at the beginning, after `//`
/// (RFC 3986 section 3.2), and as the value of a parameter.
fn passwords(bytes: &[DecodedByte]) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    // Set if the previous part is empty and not the first: this part then follows `//`.
    let mut after_slashes = false;
    for (number, part) in bytes.split(|decoded| matches!(decoded.byte, b'/' | b'\\' | b'?' | b'#')).enumerate() {
        if number == 0 || after_slashes {
            secrets.extend(password(part));
        } else {
            secrets.extend(part.split(is_delimiter).skip(1).filter_map(password));
        }
        after_slashes = part.is_empty() && number > 0;
    }
    secrets
}

const fn is_delimiter(decoded: &DecodedByte) -> bool {
    matches!(decoded.byte, b'&' | b';' | b'=')
}

/// Returns the range of the password in an authority.
fn password(authority: &[DecodedByte]) -> Option<Range<usize>> {
    let at = authority.iter().rposition(|decoded| decoded.byte == b'@')?;
    let colon = authority.iter().position(|decoded| decoded.byte == b':')?;
    let password = authority.get(colon + 1..at)?;
    Some(password.first()?.start..password.last()?.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact_text(url: &str) -> String {
        String::from_utf8(redacted(url.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn only_secrets_are_replaced() {
        for (url, expected) in [
            (
                "/cgi-bin/sms_send?username=user1&password=user_pass&number=0037060000001&text=Hi+there",
                "/cgi-bin/sms_send?username=user1&password=REDACTED&number=REDACTED&text=REDACTED",
            ),
            (
                "/sms/api?action=send-sms&api_key=K1&to=4&from=x",
                "/sms/api?action=send-sms&api_key=REDACTED&to=REDACTED&from=x",
            ),
            ("/x?API%5FKey=K1;a=b;PaSsWoRd=c;d=e", "/x?API%5FKey=REDACTED;a=b;PaSsWoRd=REDACTED;d=e"),
            ("/x?user[%70assword]=a%26b&c=d", "/x?user[%70assword]=REDACTED&c=d"),
            ("/x?password=a;b?c#d&e=f", "/x?password=REDACTED&e=f"),
            ("/x?password%3Da&e=f", "/x?password%3DREDACTED&e=f"),
            ("/x%3fpassword=a&e=f", "/x%3fpassword=REDACTED&e=f"),
            ("/x;token=a/b/c?d=e", "/x;token=REDACTED/b/c?d=e"),
            (
                "/x?u=http%3A%2F%2Fy%2F%3Fa%3Db%26token%3Dt%26f%3Dg&e=f",
                "/x?u=http%3A%2F%2Fy%2F%3Fa%3Db%26token%3DREDACTED%26f%3Dg&e=f",
            ),
            ("/x?u=http://y/?token=t&e=f", "/x?u=http://y/?token=REDACTED&e=f"),
            ("/cb#access_token=t&state=s", "/cb#access_token=REDACTED&state=s"),
            ("/x?%2570assword=t", "/x?%2570assword=REDACTED"),
            ("http://user:p%40:s@h:80/?a=b", "http://user:REDACTED@h:80/?a=b"),
            ("user:pw@h:443", "user:REDACTED@h:443"),
            ("/x?u=https%3a%2f%2fuser:pw%40h/", "/x?u=https%3a%2f%2fuser:REDACTED%40h/"),
        ] {
            assert_eq!(redact_text(url), expected, "{url}");
        }
        for url in [
            "/",
            "",
            "/%%target%%",
            "/x?password=&pass",
            "/wp-login.php?redirect_to=/a&keyword=sms&ver=1",
            "/time/12:30?at=12:30&mail=a@b.example",
            "http://user@h:80/",
            "h:443",
            "/password=x/token",
        ] {
            assert_eq!(redact_text(url), url);
        }
    }
}
