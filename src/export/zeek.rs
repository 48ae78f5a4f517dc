//! Writes signatures for Zeek's signature framework. Its intelligence framework is in [`super::zeek_intel`].

use super::path::{ZEEK, tests};
use super::unsupported::Unsupported;
use super::{Rule, ids};
use crate::signature::{MatchKind, Pattern, Signature};

pub(super) const DIFFERENCES: &[&str] = &[
    "A signature matches the request, whatever the response: it has no outcome (smsentry_outcome).",
    "Every matching signature fires, not only the best, and each once per connection.",
    "http-request is the URI decoded once, with its query: double percent-encoding, %uHHHH, overlong and full-width",
    "  letters, dot-dot segments and a NUL are left as they are.",
    "A decoded ? or # ends the path, like one that was sent undecoded.",
    "Conditions are met per connection: several conditions may be met by several requests of one connection.",
];

/// Writes a signature as one Zeek signature.
pub(super) fn rule(signature: &Signature, id: u32) -> Result<Rule, Unsupported> {
    let mut missing = Vec::new();
    let mut expressions = Vec::new();
    match &signature.pattern {
        Pattern::Text(MatchKind::Raw, _) => {
            return Err(Unsupported::UndecodedTarget);
        }
        Pattern::Text(MatchKind::Host, patterns) => {
            missing
                .push("a target that is only this host is taken for a CONNECT target, whatever the method".to_owned());
            expressions.push(ZEEK.host(patterns, r"([a-z][a-z0-9+.\x2d]*:\x2f\x2f)?"));
        }
        _ => {
            for test in tests(signature, &ZEEK)? {
                match test.negated {
                    true => missing.push("there is no negation: `match.unless` is ignored".to_owned()),
                    false => expressions.push(test.expression),
                }
            }
        }
    }
    expressions.extend(signature.query.iter().map(|condition| ZEEK.query(condition, true)));
    if expressions.len() > 1 {
        // Source: Zeek's RE_Match_State keeps accepted matches until the connection ends.
        let several = expressions.len();
        missing.push(format!("its {several} conditions may be met by several requests of one connection"));
    }
    if !signature.methods.is_empty() {
        missing.push(format!("the method is ignored, so methods other than {} match", signature.methods.join(", ")));
    }
    let mut text = format!("\nsignature smsentry-{id} {{\n  ip-proto == tcp\n  tcp-state established,originator\n");
    for expression in expressions {
        text.push_str(&format!("  http-request /(?i:{expression})/\n"));
    }
    // Zeek's event texts have no escapes.
    let message: String =
        ids::message(signature).chars().map(|c| if matches!(c, '"' | '\\') { '\'' } else { c }).collect();
    text.push_str(&format!("  event \"{message} [{} rev {}]\"\n}}\n", signature.slug, signature.rev));
    Ok(Rule { text, missing })
}
