//! Zeek's signature framework. Not its intelligence framework: see [`super::zeek_intel`].

use super::path::{ZEEK, tests};
use super::{Rule, ids};
use crate::signature::{MatchKind, Pattern, Signature};

pub(super) const DIFFERENCES: &[&str] = &[
    "A signature fires at the request, whatever the answer: what came of a probe (smsentry_outcome) is not in it.",
    "Every signature that matches fires, not the best alone, and each once for a connection.",
    "http-request is the URI decoded once, with its query: double percent-encoding, %uHHHH, overlong and full-width",
    "  letters, dot-dot segments and a NUL stay what they are.",
    "A decoded ? or # ends the path, as one that was sent does.",
    "What one request of a connection met stays met: several conditions may be met by several requests of it.",
];

/// Writes a signature as one of Zeek's.
pub(super) fn rule(signature: &Signature, id: u32) -> Result<Rule, String> {
    let mut missing = Vec::new();
    let mut expressions = Vec::new();
    match &signature.pattern {
        Pattern::Text(MatchKind::Raw, _) => {
            return Err("asks for the undecoded target, and http-request has it decoded only".to_owned());
        }
        Pattern::Text(MatchKind::Host, patterns) => {
            missing.push("a target that is this host alone is taken for a CONNECT's, whatever the method".to_owned());
            expressions.push(ZEEK.host(patterns, r"([a-z][a-z0-9+.\x2d]*:\x2f\x2f)?"));
        }
        _ => {
            for test in tests(signature, &ZEEK)? {
                match test.negated {
                    true => missing.push("there is no negation: `match.unless` is not regarded".to_owned()),
                    false => expressions.push(test.expression),
                }
            }
        }
    }
    expressions.extend(signature.query.iter().map(|condition| ZEEK.query(condition, true)));
    if expressions.len() > 1 {
        // Source: RE_Match_State of Zeek keeps what it has accepted until the connection ends.
        let several = expressions.len();
        missing.push(format!("its {several} conditions may be met by several requests of one connection"));
    }
    if !signature.methods.is_empty() {
        missing.push(format!("the method is not looked at, so others than {} match", signature.methods.join(", ")));
    }
    let mut text = format!("\nsignature smsentry-{id} {{\n  ip-proto == tcp\n  tcp-state established,originator\n");
    for expression in expressions {
        text.push_str(&format!("  http-request /(?i:{expression})/\n"));
    }
    // A text has no escapes there.
    let message: String =
        ids::message(signature).chars().map(|c| if matches!(c, '"' | '\\') { '\'' } else { c }).collect();
    text.push_str(&format!("  event \"{message} [{} rev {}]\"\n}}\n", signature.slug, signature.rev));
    Ok(Rule { text, missing })
}
