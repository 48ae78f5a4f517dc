//! What the head of a probe says of who sent it, beside the values that everybody may forge: the order of its fields, a
//! cookie, the marks of a provider's own call. Not what follows from it, which is weighed where records are in order.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::http::Request;
use crate::record::Trace;
use crate::signature::{Signature, Webhook};

/// The published key: `smsentry` and `fields..` in ASCII.
const KEY: [u8; 16] = *b"smsentryfields..";

/// Bytes of a field name that are lowered at a time: most names are shorter.
const PIECE: usize = 32;

/// What the head of a request says that matched `signature`.
pub(super) fn trace(request: &Request<'_>, signature: &Signature) -> Trace {
    Trace {
        field_order: field_order(request.head),
        cookie: names(request.head).any(|name| name.eq_ignore_ascii_case(b"cookie")),
        webhook: signature.legitimate.webhook.as_ref().is_some_and(|webhook| is_call(webhook, request)),
    }
}

/// SipHash-1-3 (64 bits) over the field names in lower case, in their order, with LF between them.
fn field_order(head: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(&KEY);
    let mut between: &[u8] = b"";
    for name in names(head) {
        hasher.write(between);
        between = b"\n";
        // By the piece, which the hash does not see.
        for piece in name.chunks(PIECE) {
            let mut lower = [0; PIECE];
            let lower = &mut lower[..piece.len()];
            lower.copy_from_slice(piece);
            lower.make_ascii_lowercase();
            hasher.write(lower);
        }
    }
    hasher.finish()
}

/// The names of the fields. A line that begins with a blank goes on with the one before (RFC 9112 section 5.2), one
/// without a name or a colon is no field.
fn names(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = line.get(..colon).filter(|_| !line.starts_with(b" ") && !line.starts_with(b"\t"))?.trim_ascii();
        (!name.is_empty()).then_some(name)
    })
}

/// Whether a request looks as the provider's own calls do.
fn is_call(webhook: &Webhook, request: &Request<'_>) -> bool {
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

    #[test]
    fn the_order_of_the_names_and_nothing_else() {
        let order = |head: &str| field_order(head.as_bytes());
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
        // Published: the same on every sensor, for ever. The number is another implementation's.
        assert_eq!(order("Host: a\r\nUser-Agent: b\r\n"), FIXED);
    }

    const FIXED: u64 = 0xaa5a_787c_9f3d_aa68;

    #[test]
    fn a_call_has_the_method_the_agent_and_all_fields() {
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
                truncated: false,
                head: head.as_bytes(),
            };
            is_call(&webhook, &request)
        };
        assert!(call("POST", "TwilioProxy/1.1", "Host: a\r\nX-Twilio-Signature: b\r\n"));
        assert!(!call("GET", "TwilioProxy/1.1", "Host: a\r\nX-Twilio-Signature: b\r\n"));
        assert!(!call("POST", "curl TwilioProxy/1.1", "X-Twilio-Signature: b\r\n"));
        assert!(!call("POST", "TwilioProxy/1.1", "Host: X-Twilio-Signature\r\n"));
    }
}
