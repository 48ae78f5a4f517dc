//! Traits of a probe's head that identify its sender better than field values, which are easily forged: the order of the
//! fields, a cookie, the marks of a provider's webhook call. They are evaluated in `alerts::context`.

use std::hash::Hasher;

use memchr::memchr;
use siphasher::sip::SipHasher13;

use crate::http::Request;
use crate::record::RequestTraits;
use crate::signature::{Signature, Webhook};

/// The published key: `smsentry` and `fields..` in ASCII.
const KEY: [u8; 16] = *b"smsentryfields..";

/// Returns the traits of a request that `signature` matched.
pub(super) fn request_traits(request: &Request<'_>, signature: &Signature) -> RequestTraits {
    let mut order = FieldOrder::default();
    let mut cookie = false;
    for name in names(request.head) {
        order.add(name);
        cookie |= name.eq_ignore_ascii_case(b"cookie");
    }
    let webhook = signature.legitimate.webhook.as_ref().is_some_and(|webhook| is_webhook_call(webhook, request));
    RequestTraits { field_order: order.finish(), cookie, webhook }
}

/// SipHash-1-3 (64 bits) over the field names in lower case, in their order, with LF between them.
struct FieldOrder {
    hasher: SipHasher13,
    /// Names not hashed yet. Rationale: hashing costs per call, and most heads fit.
    names: [u8; 128],
    len: usize,
    begun: bool,
}

impl Default for FieldOrder {
    fn default() -> Self {
        Self { hasher: SipHasher13::new_with_key(&KEY), names: [0; 128], len: 0, begun: false }
    }
}

impl FieldOrder {
    fn add(&mut self, name: &[u8]) {
        if std::mem::replace(&mut self.begun, true) {
            self.take(b"\n");
        }
        self.take(name);
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = &mut self.names[self.len..];
            let (part, rest) = bytes.split_at(bytes.len().min(space.len()));
            space[..part.len()].copy_from_slice(part);
            space[..part.len()].make_ascii_lowercase();
            self.len += part.len();
            bytes = rest;
            if self.len == self.names.len() {
                self.hasher.write(&self.names);
                self.len = 0;
            }
        }
    }

    fn finish(mut self) -> u64 {
        self.hasher.write(&self.names[..self.len]);
        self.hasher.finish()
    }
}

/// Returns the names of the fields. A line that begins with a blank continues the one before (RFC 9112 section 5.2); one
/// without a name or a colon is not a field.
fn names(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = head;
    let lines = std::iter::from_fn(move || {
        let end = memchr(b'\n', rest).or_else(|| (!rest.is_empty()).then_some(rest.len()))?;
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    });
    lines.filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = line.get(..colon).filter(|_| !line.starts_with(b" ") && !line.starts_with(b"\t"))?.trim_ascii();
        (!name.is_empty()).then_some(name)
    })
}

/// Returns whether a request looks like the provider's own webhook calls.
fn is_webhook_call(webhook: &Webhook, request: &Request<'_>) -> bool {
    let agent = request.user_agent.unwrap_or_default();
    request.method == b"POST"
        && webhook.agents.iter().any(|known| agent.starts_with(known.as_bytes()))
        && webhook
            .fields
            .iter()
            .all(|field| names(request.head).any(|name| name.eq_ignore_ascii_case(field.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(head: &str) -> u64 {
        let mut order = FieldOrder::default();
        names(head.as_bytes()).for_each(|name| order.add(name));
        order.finish()
    }

    #[test]
    fn hash_depends_on_the_order_of_names_only() {
        let same = order("Host: a\r\nUser-Agent: b\r\nCookie: c\r\n\r\n");
        for head in [
            "host:x\nuser-agent:y\ncookie:\n",
            "Host : a\r\nUser-Agent:\r\n folded: value\r\nno field\r\n: none\r\nCOOKIE: d",
        ] {
            assert_eq!(order(head), same, "{head:?}");
        }
        for head in
            ["", "Host: a\r\nCookie: c\r\nUser-Agent: b\r\n", "Host: a\r\nHost: a\r\nUser-Agent: b\r\nCookie: c\r\n"]
        {
            assert_ne!(order(head), same, "{head:?}");
        }
        // Published: the same on every sensor. The value comes from another implementation.
        assert_eq!(order("Host: a\r\nUser-Agent: b\r\n"), FIXED);
    }

    const FIXED: u64 = 0xaa5a_787c_9f3d_aa68;

    #[test]
    fn long_heads_hash_like_short_ones() {
        for (len, count) in (0..300).map(|len| (len, 1)).chain((1..90).map(|count| (count % 7 + 1, count))) {
            let fields = vec![format!("{}: value", "Ab".repeat(len)); count];
            let whole = vec!["ab".repeat(len); if len == 0 { 0 } else { count }].join("\n");
            let mut hasher = SipHasher13::new_with_key(&KEY);
            hasher.write(whole.as_bytes());
            assert_eq!(order(&fields.join("\r\n")), hasher.finish(), "{count} of {len}");
        }
    }

    #[test]
    fn webhook_call_needs_method_agent_and_all_fields() {
        let webhook = Webhook { agents: vec!["TwilioProxy/".into()], fields: vec!["x-twilio-signature".into()] };
        let call = |method: &str, agent: &str, head: &str| {
            let request = Request {
                tx_id: 0,
                method: method.as_bytes(),
                target: b"/sms",
                protocol: b"HTTP/1.1",
                host: None,
                user_agent: Some(agent.as_bytes()),
                referrer: None,
                forwarded_for: None,
                proxied_for: None,
                truncated: false,
                head: head.as_bytes(),
            };
            is_webhook_call(&webhook, &request)
        };
        assert!(call("POST", "TwilioProxy/1.1", "Host: a\r\nX-Twilio-Signature: b\r\n"));
        assert!(!call("GET", "TwilioProxy/1.1", "Host: a\r\nX-Twilio-Signature: b\r\n"));
        assert!(!call("POST", "curl TwilioProxy/1.1", "X-Twilio-Signature: b\r\n"));
        assert!(!call("POST", "TwilioProxy/1.1", "Host: X-Twilio-Signature\r\n"));
    }
}
