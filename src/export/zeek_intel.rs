//! Writes a file for Zeek's intelligence framework: the hosts that open-proxy tests request. Paths cannot be exported:
//! an `Intel::URL` is one host with one path, and a signature of paths names no host.

use super::unsupported::Unsupported;
use super::{Rule, ids};
use crate::signature::{MatchKind, Pattern, Signature};
use crate::uri::NormalHost;

/// The field names, separated by tabs.
pub(super) const HEAD: &str = "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\tmeta.url\tmeta.do_notice\n";

pub(super) const DIFFERENCES: &[&str] = &[
    "An Intel::DOMAIN matches wherever Zeek sees the name: in DNS, Host fields and TLS, not only in request targets.",
];

/// Writes one line per host.
pub(super) fn rule(signature: &Signature, id: u32) -> Result<Rule, Unsupported> {
    let Pattern::Text(MatchKind::Host, patterns) = &signature.pattern else {
        return Err(Unsupported::NotAHost);
    };
    let mut missing = vec!["sub-domains do not match: an Intel::DOMAIN is one name".to_owned()];
    if !signature.methods.is_empty() || !signature.query.is_empty() {
        missing.push("conditions on method and query are ignored".to_owned());
    }
    let plain = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    let url = signature.references.first().map_or("-".to_owned(), |url| plain(url));
    let message = plain(&format!("{} [{id} rev {}]", ids::message(signature), signature.rev));
    let mut text = String::new();
    for pattern in patterns {
        let host = String::from_utf8_lossy(&NormalHost::of(pattern.as_bytes()).host).into_owned();
        text.push_str(&format!("{}\tIntel::DOMAIN\tsmsentry\t{message}\t{url}\tT\n", plain(&host)));
    }
    Ok(Rule { text, missing })
}
