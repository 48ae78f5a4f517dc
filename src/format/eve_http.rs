//! Formats the `http` member of EVE's alert and http records. Source: Suricata's `src/output-json-http.c`.

use serde::Serialize;

use super::json::clamp_to_i64;
use super::line_budget::LineBudget;
use super::text::Text;
use crate::record::Transaction;
use crate::signature::media_type;

#[derive(Serialize)]
pub(super) struct Http<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_port: Option<u16>,
    url: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_user_agent: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xff: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_content_type: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_refer: Option<Text<'a>>,
    http_method: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect: Option<Text<'a>>,
    length: u64,
}

impl<'a> Http<'a> {
    /// Returns the member for a request and its response.
    pub(super) fn new(transaction: &'a Transaction, budget: &mut LineBudget) -> Self {
        let (request, response) = (&transaction.request, transaction.response.as_ref());
        let mut text = |name, bytes: Option<&'a [u8]>| bytes.map(|bytes| budget.text(name, Text::from_wire(bytes)));
        let (host, port) = request.host.as_deref().map(split_port).unzip();
        let content_type = response.and_then(|response| response.content_type.as_deref()).map(media_type);
        let location = response.filter(|response| response.status / 100 == 3).and_then(|r| r.location.as_deref());
        Self {
            hostname: text("hostname", host),
            http_port: port.flatten(),
            http_user_agent: text("http_user_agent", request.user_agent.as_deref()),
            xff: text("xff", request.forwarded_for.as_deref()),
            http_content_type: text("http_content_type", content_type),
            http_refer: text("http_refer", request.referrer.as_deref()),
            protocol: text("protocol", transaction.request.version()),
            status: response.map(|response| response.status),
            redirect: text("redirect", location),
            length: response.map_or(0, |response| clamp_to_i64(response.content_length.unwrap_or(response.body_len))),
            http_method: budget.text("http_method", Text::from_wire(&request.method)),
            url: budget.url("url", Text::from_wire(&request.target)),
        }
    }
}

/// Splits a `Host` value into name and port (RFC 9112 section 3.2). An invalid port stays part of the name, because it
/// is written nowhere else. The brackets of an IPv6 address stay, as in libhtp.
fn split_port(host: &[u8]) -> (&[u8], Option<u16>) {
    let Some(at) = host.iter().rposition(|&byte| byte == b':') else { return (host, None) };
    let (name, digits) = (host.get(..at).unwrap_or(host), host.get(at + 1..).unwrap_or_default());
    let is_host = !name.contains(&b':') || (name.starts_with(b"[") && name.ends_with(b"]"));
    if !is_host || !digits.iter().all(u8::is_ascii_digit) {
        return (host, None);
    }
    match std::str::from_utf8(digits).unwrap_or_default().parse() {
        Ok(port) => (name, Some(port)),
        Err(_) if digits.is_empty() => (name, None),
        Err(_) => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_split_only_at_a_valid_port() {
        for (value, name, port) in [
            ("www.example.com", "www.example.com", None),
            ("www.example.com:8080", "www.example.com", Some(8080)),
            ("www.example.com:", "www.example.com", None),
            ("www.example.com:99999", "www.example.com:99999", None),
            ("www.example.com:+80", "www.example.com:+80", None),
            ("[2001:db8::80]:8080", "[2001:db8::80]", Some(8080)),
            ("[2001:db8::80]", "[2001:db8::80]", None),
            ("2001:db8::80", "2001:db8::80", None),
            ("", "", None),
        ] {
            assert_eq!(split_port(value.as_bytes()), (name.as_bytes(), port), "{value}");
        }
    }
}
