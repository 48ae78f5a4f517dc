//! Secrets in URLs, taken out of what is written: the values of parameters whose names say that they are secret, and the
//! password before a host. Not bodies and not header fields, which are never written.
//!
//! A URL is read as the most careless program would read it: escapes undone as often as there are any, parameters
//! behind `?`, `&`, `;` and `#`, also within the value of another one. Too much is taken out rather than too little.

use std::borrow::Cow;
use std::ops::Range;

use super::LineContext;
use crate::record::{Body, List, Record, Transaction};

/// What stands for a secret.
const INSTEAD: &[u8] = b"REDACTED";

/// Names that are secret as a whole, or as the index of an array (`sms[to]`). The short ones carry passwords, phone numbers,
/// texts and hashes in the interfaces of gateways.
const NAMES: [&[u8]; 41] = [
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

/// Parts of names that make them secret, besides words that end in `key`.
const PARTS: [&[u8]; 8] = [b"pass", b"pwd", b"secret", b"token", b"credential", b"apikey", b"accesskey", b"auth_"];

/// How often escapes are undone. Rationale: servers do it once or twice.
const ROUNDS: u8 = 4;

/// A byte as it is meant, where it stands, and how often it was escaped.
#[derive(Clone, Copy, Debug)]
struct Unit {
    byte: u8,
    start: usize,
    end: usize,
    depth: u8,
}

/// The record as it is to be written: without secrets, where that is wanted.
pub(super) fn redacted_record<'a>(record: &'a Record, context: &LineContext) -> Cow<'a, Record> {
    if !context.redact {
        return Cow::Borrowed(record);
    }
    let mut record = record.clone();
    match &mut record.body {
        Body::Alert(alert) => {
            transaction(&mut alert.transaction);
            take_out(&mut alert.matched);
        }
        Body::Http(http) => transaction(http),
        Body::Campaign(campaign) => {
            transaction(&mut campaign.transaction);
            for list in [&mut campaign.exposed, &mut campaign.hosts] {
                let mut without = List::with_capacity(list.len());
                (without.total, without.cut) = (list.total, list.cut);
                list.items().for_each(|item| without.push(|text| text.extend_from_slice(&redacted(item))));
                *list = without;
            }
        }
        Body::Stats(_) => {}
    }
    Cow::Owned(record)
}

fn transaction(transaction: &mut Transaction) {
    let request = &mut transaction.request;
    let location = transaction.response.as_mut().and_then(|response| response.location.as_mut());
    let urls = [Some(&mut request.target), request.host.as_mut(), request.referrer.as_mut(), location];
    urls.into_iter().flatten().for_each(take_out);
}

fn take_out(url: &mut Vec<u8>) {
    if let Cow::Owned(redacted) = redacted(url) {
        *url = redacted;
    }
}

/// The bytes with every secret in them replaced.
fn redacted(url: &[u8]) -> Cow<'_, [u8]> {
    let units = units(url);
    let mut secrets = parameters(&units);
    secrets.extend(passwords(&units));
    if secrets.is_empty() {
        return Cow::Borrowed(url);
    }
    secrets.sort_unstable_by_key(|secret| secret.start);
    let mut out = Vec::with_capacity(url.len());
    let mut done = 0;
    for secret in secrets {
        if secret.start >= done {
            out.extend_from_slice(url.get(done..secret.start).unwrap_or_default());
            out.extend_from_slice(INSTEAD);
        }
        done = done.max(secret.end);
    }
    out.extend_from_slice(url.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// The bytes with their escapes undone.
fn units(url: &[u8]) -> Vec<Unit> {
    let plain = url.iter().enumerate().map(|(at, &byte)| Unit { byte, start: at, end: at + 1, depth: 0 });
    let mut units: Vec<Unit> = plain.collect();
    for round in 1..=ROUNDS {
        let mut undone = Vec::with_capacity(units.len());
        let mut rest = units.as_slice();
        while let Some((&first, after)) = rest.split_first() {
            let escape = (first.byte == b'%').then(|| escaped(first, after, round)).flatten();
            let (unit, next) = escape.unwrap_or((first, after));
            undone.push(unit);
            rest = next;
        }
        let same = undone.len() == units.len();
        units = undone;
        if same {
            break;
        }
    }
    units
}

/// The byte that an escape stands for, and what follows it.
fn escaped(percent: Unit, after: &[Unit], depth: u8) -> Option<(Unit, &[Unit])> {
    let digit = |unit: &Unit| char::from(unit.byte).to_digit(16);
    let (&[high, low], rest) = after.split_first_chunk()?;
    let byte = u8::try_from(digit(&high)? * 16 + digit(&low)?).ok()?;
    Some((Unit { byte, start: percent.start, end: low.end, depth }, rest))
}

/// The values of secret parameters.
fn parameters(units: &[Unit]) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    let (mut at, mut in_path) = (0, true);
    while let Some(found) = units.iter().skip(at).position(|unit| is_separator(unit.byte)) {
        let separator = at + found;
        at = separator + 1;
        in_path &= units.get(separator).is_some_and(|unit| matches!(unit.byte, b'&' | b';'));
        let piece = units.get(at..).unwrap_or_default();
        let len = piece.iter().position(|unit| is_separator(unit.byte) || unit.byte == b'=').unwrap_or(piece.len());
        let (Some(name), Some(equals)) = (piece.get(..len), piece.get(len)) else { continue };
        if equals.byte != b'=' || !is_secret(name) {
            continue;
        }
        // Deeper escapes are part of the value.
        let depth = equals.depth.min(units.get(separator).map_or(0, |unit| unit.depth));
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

/// How long the value of a secret is: up to `&`, or up to `;` where another parameter follows, since a password may have
/// a semicolon in it. In the path also up to what ends a segment.
fn value_len(value: &[Unit], depth: u8, in_path: bool) -> usize {
    let ends = |at: usize, unit: &Unit| match unit.byte {
        _ if unit.depth > depth => false,
        b'&' => true,
        b'/' | b'?' => in_path,
        b';' => {
            let rest = value.get(at + 1..).unwrap_or_default();
            rest.iter().find(|unit| is_separator(unit.byte) || unit.byte == b'=').is_some_and(|unit| unit.byte == b'=')
        }
        _ => false,
    };
    value.iter().enumerate().position(|(at, unit)| ends(at, unit)).unwrap_or(value.len())
}

/// Whether a parameter's name says that its value is secret.
fn is_secret(name: &[Unit]) -> bool {
    /// Rationale: no name that means something is longer.
    const MOST: usize = 64;
    let mut lower = [0; MOST];
    // Of a long name its end: what a program appended to it says more than what it began with.
    let kept = name.get(name.len().saturating_sub(MOST)..).unwrap_or(name);
    lower.iter_mut().zip(kept).for_each(|(to, unit)| *to = unit.byte.to_ascii_lowercase());
    let name = lower.get(..kept.len()).unwrap_or_default();
    let words = || name.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let whole = if name.contains(&b'[') { words().next_back() } else { Some(name.trim_ascii()) };
    whole.is_some_and(|whole| NAMES.contains(&whole))
        || words().any(is_key)
        || PARTS.iter().any(|part| memchr::memmem::find(name, part).is_some())
}

/// Whether a word of a name says that it is a key: `key`, `apikey`, `keys`, `key2`.
fn is_key(word: &[u8]) -> bool {
    let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let word = word.get(..word.len() - digits).unwrap_or_default();
    word.ends_with(b"key") || word.ends_with(b"keys")
}

/// The passwords in `user:password@`, wherever an authority may stand: at the beginning, behind `//` (RFC 3986 section
/// 3.2), and as the value of a parameter.
fn passwords(units: &[Unit]) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    // Whether the part before was empty and not the first: then this one stands behind `//`.
    let mut slashed = false;
    for (number, part) in units.split(|unit| matches!(unit.byte, b'/' | b'\\' | b'?' | b'#')).enumerate() {
        if number == 0 || slashed {
            secrets.extend(password(part));
        } else {
            secrets.extend(part.split(|unit| matches!(unit.byte, b'&' | b';' | b'=')).skip(1).filter_map(password));
        }
        slashed = part.is_empty() && number > 0;
    }
    secrets
}

/// The password of an authority.
fn password(authority: &[Unit]) -> Option<Range<usize>> {
    let at = authority.iter().rposition(|unit| unit.byte == b'@')?;
    let colon = authority.iter().position(|unit| unit.byte == b':')?;
    let password = authority.get(colon + 1..at)?;
    Some(password.first()?.start..password.last()?.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(url: &str) -> String {
        String::from_utf8(redacted(url.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn secrets_are_replaced_and_the_rest_stays() {
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
            assert_eq!(text(url), expected, "{url}");
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
            assert_eq!(text(url), url);
        }
    }
}
