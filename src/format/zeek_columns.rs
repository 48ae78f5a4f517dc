//! Defines the columns of Zeek's `notice.log` and `http.log` and fills them from records. Sources: Zeek's
//! `scripts/base/frameworks/notice/main.zeek` and `scripts/base/protocols/http/main.zeek`.

use std::borrow::Cow;

use super::json::clamp_to_i64;
use super::text::Text;
use super::zeek_uid::zeek_uid;
use super::zeek_value::Value;
use super::{CommunityId, LineContext};
use crate::outcome::Outcome;
use crate::record::{Alert, Body, Campaign, Request, Response, Transaction};

/// Names and types of the columns of `notice.log`, with the `community_id` of Zeek's policy script of that name.
pub(super) const NOTICE: [(&str, &str); 27] = [
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("fuid", "string"),
    ("file_mime_type", "string"),
    ("file_desc", "string"),
    ("proto", "enum"),
    ("note", "enum"),
    ("msg", "string"),
    ("sub", "string"),
    ("src", "addr"),
    ("dst", "addr"),
    ("p", "port"),
    ("n", "count"),
    ("peer_descr", "string"),
    ("actions", "set[enum]"),
    ("email_dest", "set[string]"),
    ("suppress_for", "interval"),
    ("remote_location.country_code", "string"),
    ("remote_location.region", "string"),
    ("remote_location.city", "string"),
    ("remote_location.latitude", "double"),
    ("remote_location.longitude", "double"),
    ("community_id", "string"),
];

/// Names and types of the columns of `http.log`.
pub(super) const HTTP: [(&str, &str); 30] = [
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("trans_depth", "count"),
    ("method", "string"),
    ("host", "string"),
    ("uri", "string"),
    ("referrer", "string"),
    ("version", "string"),
    ("user_agent", "string"),
    ("origin", "string"),
    ("request_body_len", "count"),
    ("response_body_len", "count"),
    ("status_code", "count"),
    ("status_msg", "string"),
    ("info_code", "count"),
    ("info_msg", "string"),
    ("tags", "set[enum]"),
    ("username", "string"),
    ("password", "string"),
    ("proxied", "set[string]"),
    ("orig_fuids", "vector[string]"),
    ("orig_filenames", "vector[string]"),
    ("orig_mime_types", "vector[string]"),
    ("resp_fuids", "vector[string]"),
    ("resp_filenames", "vector[string]"),
    ("resp_mime_types", "vector[string]"),
];

/// The columns in which alerts and campaigns differ.
struct NoticeFields<'a> {
    transaction: &'a Transaction,
    note: &'static [u8],
    message: String,
    detail: Vec<u8>,
    count: u64,
}

/// Calls `write` with the values of an alert or a campaign. Texts are made for strings of at most `cap` serialised
/// bytes.
pub(super) fn notice(body: &Body, context: &LineContext, cap: usize, write: impl FnOnce(&[Value<'_>; NOTICE.len()])) {
    let NoticeFields { transaction, note, message, detail, count } = match body {
        Body::Alert(alert) => NoticeFields {
            transaction: &alert.transaction,
            note: note_type(alert.outcome),
            message: alert_message(alert),
            detail: alert_detail(alert, cap),
            count: alert.repeats,
        },
        Body::Campaign(campaign) => NoticeFields {
            transaction: &campaign.transaction,
            note: b"SMSENTRY::Campaign",
            message: campaign_message(campaign),
            detail: campaign_detail(campaign, cap),
            count: campaign.hits,
        },
        _ => return,
    };
    let (client, server) = (transaction.client, transaction.server);
    let uid = zeek_uid(&transaction.flow);
    let community_id = CommunityId::of_tcp(client, server);
    write(&[
        Value::Time(transaction.timestamp),
        Value::Text(uid.as_bytes()),
        Value::Address(client.ip),
        Value::Count(client.port.into()),
        Value::Address(server.ip),
        Value::Count(server.port.into()),
        Value::Unset,
        Value::Unset,
        Value::Unset,
        Value::Text(b"tcp"),
        Value::Text(note),
        Value::Text(message.as_bytes()),
        Value::Text(&detail),
        Value::Address(client.ip),
        Value::Address(server.ip),
        Value::Count(server.port.into()),
        Value::Count(clamp_to_i64(count)),
        Value::text(context.sensor_name.as_deref().map(str::as_bytes)),
        Value::Set(&[b"Notice::ACTION_LOG"]),
        Value::Set(&[]),
        // Zeek's own default, an hour.
        Value::Interval(3600),
        Value::Unset,
        Value::Unset,
        Value::Unset,
        Value::Unset,
        Value::Unset,
        Value::Text(community_id.as_str().as_bytes()),
    ]);
}

const fn note_type(outcome: Outcome) -> &'static [u8] {
    match outcome {
        Outcome::Exposed => b"SMSENTRY::Exposed",
        _ => b"SMSENTRY::Probe",
    }
}

/// Formats `msg` of an alert: client, server, product, outcome and signature.
fn alert_message(alert: &Alert) -> String {
    let signature = &*alert.signature;
    format!(
        "{} asked {} for {}: {} (signature {} {}, {})",
        alert.transaction.client.ip,
        alert.transaction.server.ip,
        if signature.product.is_empty() { &signature.slug } else { &signature.product },
        alert.outcome.name(),
        signature.id,
        signature.slug,
        signature.title,
    )
}

/// Formats `msg` of a campaign: source, sizes, worst outcome and identifiers.
fn campaign_message(campaign: &Campaign) -> String {
    format!(
        "{} asked for {} different things in {} requests of {} server{}: {} ({}, c-{:016x}, fingerprint f-{:016x})",
        campaign.source,
        campaign.signatures.total,
        campaign.hits,
        campaign.targets.total,
        if campaign.targets.total == 1 { "" } else { "s" },
        campaign.worst().map_or("unseen", Outcome::name),
        campaign.stage.title(),
        campaign.id,
        campaign.fingerprint,
    )
}

/// Formats `sub` of a campaign: the exposed targets, then the signatures, as many as fit.
fn campaign_detail(campaign: &Campaign, cap: usize) -> Vec<u8> {
    let mut detail = Vec::new();
    for (title, list) in [("exposed", &campaign.exposed), ("signatures", &campaign.signatures)] {
        for (at, item) in list.items().enumerate() {
            let before = if at == 0 { format!("{title}: ") } else { ", ".to_owned() };
            let item = prefix_for_both(item, cap / 4);
            // Rationale: half of the cap, because text that is not plain may take twice its bytes in TSV.
            if detail.len() + before.len() + item.len() > cap / 2 {
                return detail;
            }
            detail.extend_from_slice(if at == 0 && !detail.is_empty() { b"; " } else { b"" });
            detail.extend_from_slice(before.as_bytes());
            detail.extend_from_slice(item);
        }
    }
    detail
}

/// Formats `sub` of an alert: `GET /sms/env -> 404`. A long target is truncated so that the status is always there and
/// the text fits into `cap` bytes both as JSON and as TSV.
fn alert_detail(alert: &Alert, cap: usize) -> Vec<u8> {
    // Rationale: registered methods are shorter than a fifth of 100 bytes, and the status takes less than 20.
    let method_cap = cap / 5;
    let target_cap = cap.saturating_sub(method_cap + 20);
    let request = &alert.transaction.request;
    let mut detail = prefix_for_both(&request.method, method_cap).to_vec();
    detail.push(b' ');
    detail.extend_from_slice(prefix_for_both(&request.target, target_cap));
    let status = match &alert.transaction.response {
        Some(response) => format!(" -> {}", response.status),
        None => format!(" -> {}", alert.outcome.name()),
    };
    detail.extend_from_slice(status.as_bytes());
    detail
}

/// Returns a prefix that fits into `cap` as JSON and as TSV: the longest one if the text is plain. Other text takes at
/// most twice as many bytes in TSV as in JSON (a character of three bytes: 12 and 6).
fn prefix_for_both(bytes: &[u8], cap: usize) -> &[u8] {
    let plain = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let (text, _) = Text::Zeek(bytes).truncate(if plain { cap } else { cap / 2 });
    text.source()
}

/// Calls `write` with the values of a request and its response.
pub(super) fn http(transaction: &Transaction, write: impl FnOnce(&[Value<'_>; HTTP.len()])) {
    let Transaction { request, response, client, server, .. } = transaction;
    let uid = zeek_uid(&transaction.flow);
    let uri = percent_decode(&request.target);
    let proxied = proxied(request);
    let response = response.as_ref();
    let proxied = proxied.as_deref();
    write(&[
        Value::Time(transaction.timestamp),
        Value::Text(uid.as_bytes()),
        Value::Address(client.ip),
        Value::Count(client.port.into()),
        Value::Address(server.ip),
        Value::Count(server.port.into()),
        Value::Count(u64::from(transaction.tx_id) + 1),
        Value::Text(&request.method),
        Value::text(request.host.as_deref()),
        Value::Target(&uri),
        Value::text(request.referrer.as_deref()),
        Value::text(transaction.request.version().map(version)),
        Value::text(request.user_agent.as_deref()),
        Value::Unset,
        Value::Count(clamp_to_i64(request.body_len)),
        Value::Count(response.map_or(0, |response| clamp_to_i64(response.body_len))),
        response.map_or(Value::Unset, |response| Value::Count(response.status.into())),
        Value::text(response.and_then(reason)),
        Value::Unset,
        Value::Unset,
        Value::Set(&[]),
        Value::Unset,
        Value::Unset,
        proxied.as_ref().map_or(Value::Unset, |value| Value::Set(std::slice::from_ref(value))),
        Value::Unset,
        Value::Unset,
        Value::Unset,
        Value::Unset,
        Value::Unset,
        Value::Unset,
    ]);
}

/// Returns the version without the protocol's name, as Zeek does: `1.1`.
fn version(protocol: &[u8]) -> &[u8] {
    match protocol.split_at_checked(5) {
        Some((name, version)) if name.eq_ignore_ascii_case(b"HTTP/") => version,
        _ => protocol,
    }
}

fn reason(response: &Response) -> Option<&[u8]> {
    (!response.reason.is_empty()).then_some(&*response.reason)
}

fn proxied(request: &Request) -> Option<Vec<u8>> {
    let value = request.forwarded_for.as_deref()?;
    Some([b"X-FORWARDED-FOR -> ", value].concat())
}

/// Decodes `%hh` once. Invalid escapes stay, so that `%%target%%` can be searched for as it was sent.
fn percent_decode(target: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'%', target) else { return Cow::Borrowed(target) };
    let (plain, mut rest) = target.split_at(first);
    let mut decoded = plain.to_vec();
    while let Some((&byte, after)) = rest.split_first() {
        let escape = if byte == b'%' { decode_escape(after) } else { None };
        let (value, next) = escape.unwrap_or((byte, after));
        decoded.push(value);
        rest = next;
    }
    Cow::Owned(decoded)
}

/// Decodes two hexadecimal digits. Returns the byte and the rest behind it.
fn decode_escape(after: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (&[high, low], rest) = after.split_first_chunk()?;
    Some((u8::try_from(digit(high)? * 16 + digit(low)?).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding_is_done_once_and_keeps_invalid_escapes() {
        for (target, uri) in [
            ("/sms/%65nv", "/sms/env"),
            ("/%%target%%", "/%%target%%"),
            ("/%2565", "/%65"),
            ("/%4", "/%4"),
            ("%", "%"),
            ("/%+1", "/%+1"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(percent_decode(target.as_bytes()), uri.as_bytes(), "{target}");
        }
        assert_eq!(*percent_decode(b"/%fF%00"), *b"/\xff\0");
    }

    #[test]
    fn version_excludes_the_protocol_name() {
        assert_eq!(version(b"HTTP/1.1"), b"1.1");
        assert_eq!(version(b"ICY"), b"ICY");
    }
}
