//! The metadata of a signature as the rule languages share it: message, class, references, metadata keys. The
//! conditions are written by each language's own module.

use crate::signature::Signature;

/// Returns the message of an alert.
pub(super) fn message(signature: &Signature) -> String {
    format!("SMSENTRY {}", signature.title)
}

/// Returns the best class of Suricata's and Snort's `classification.config`.
pub(super) fn class(signature: &Signature) -> &'static str {
    if signature.proxy { "policy-violation" } else { "attempted-recon" }
}

/// Returns the value of the metadata key `signature_severity`.
pub(super) fn severity(signature: &Signature) -> &'static str {
    if signature.severity <= 2 { "Minor" } else { "Informational" }
}

/// Iterates over the references without scheme, as in `reference:url,`, with all characters escaped that would end an
/// option.
pub(super) fn references(signature: &Signature) -> impl Iterator<Item = String> {
    signature.references.iter().map(|url| {
        let bare = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let mut safe = String::new();
        for c in bare.chars() {
            match c {
                ';' | '"' | '\\' | ',' | '(' | ')' | '|' | ':' if c != ':' || safe.is_empty() => {
                    safe.push_str(&format!("%{:02X}", u32::from(c)));
                }
                c => safe.push(c),
            }
        }
        safe
    })
}

/// Returns the keys and values of the metadata; values contain no blank, comma, semicolon or quote.
pub(super) fn metadata(signature: &Signature) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("attack_target", "Server".to_owned()),
        ("affected_product", signature.product.clone()),
        ("signature_severity", severity(signature).to_owned()),
        ("confidence", signature.confidence.metadata_value().to_owned()),
    ];
    if let Some(mitre) = &signature.mitre {
        all.push(("mitre_tactic_id", mitre.tactic_id.clone()));
        all.push(("mitre_tactic_name", mitre.tactic_name.clone()));
        all.push(("mitre_technique_id", mitre.technique_id.clone()));
        all.push(("mitre_technique_name", mitre.technique_name.clone()));
    }
    for (key, day) in [("created_at", &signature.created_at), ("updated_at", &signature.updated_at)] {
        if !day.is_empty() {
            all.push((key, day.clone()));
        }
    }
    all.push(("smsentry_signature", signature.slug.clone()));
    all.push(("smsentry_family", signature.family.clone()));
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.+/".contains(c);
    all.iter_mut().for_each(|(_, value)| *value = value.chars().map(|c| if plain(c) { c } else { '_' }).collect());
    all
}

/// Returns the references and CVE ids as options, the same in Suricata and Snort 3.
pub(super) fn reference_options(signature: &Signature) -> String {
    let urls = references(signature).map(|reference| format!("reference:url,{reference}; "));
    let cves = signature.cve.iter().map(|cve| format!("reference:cve,{}; ", cve.trim_start_matches("CVE-")));
    urls.chain(cves).collect()
}

/// Returns what the rules of Suricata and Snort 3 lack of the signature's `match.unless`, if it has one.
pub(super) fn missing_unless(signature: &Signature) -> Option<String> {
    (!signature.scope.unless.is_empty())
        .then(|| "words that rule out a match are searched in one decoding of the target, not in each".to_owned())
}
