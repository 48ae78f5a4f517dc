//! What every signature says of itself, in the words that all languages share. Not what it matches.

use crate::signature::Signature;

/// The message of an alert.
pub(super) fn message(signature: &Signature) -> String {
    format!("SMSENTRY {}", signature.title)
}

/// The class of Suricata's and Snort's `classification.config` that says it best.
pub(super) fn class(signature: &Signature) -> &'static str {
    if signature.proxy { "policy-violation" } else { "attempted-recon" }
}

/// `signature_severity` of the metadata: what the severities of a probe are called there.
pub(super) fn severity(signature: &Signature) -> &'static str {
    if signature.severity <= 2 { "Minor" } else { "Informational" }
}

/// References without scheme, as `reference:url,` has them, with nothing in them that would end an option.
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

/// The keys and values of the metadata; values have no blank, comma, semicolon or quote in them.
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

/// References and CVE ids as options, the same in Suricata and Snort 3.
pub(super) fn reference_options(signature: &Signature) -> String {
    let urls = references(signature).map(|reference| format!("reference:url,{reference}; "));
    let cves = signature.cve.iter().map(|cve| format!("reference:cve,{}; ", cve.trim_start_matches("CVE-")));
    urls.chain(cves).collect()
}

/// What the rules of Suricata and Snort 3 say less than the signature about words that rule out.
pub(super) fn missing_unless(signature: &Signature) -> Option<String> {
    (!signature.scope.unless.is_empty())
        .then(|| "words that rule out are looked for in one reading of the target, not in each".to_owned())
}
