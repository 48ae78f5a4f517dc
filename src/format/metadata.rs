//! The `metadata` of an EVE alert: the keys that rule writers use everywhere, then ours. A closed list; every value is
//! an array of strings, and an empty array is left out.

use serde::Serialize;

use super::fit::Fit;
use super::text::Text;
use crate::record::Alert;
use crate::signature::Confidence;

type One<T> = Option<[T; 1]>;

#[derive(Serialize)]
pub(super) struct Metadata<'a> {
    attack_target: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    affected_product: One<Text<'a>>,
    signature_severity: [&'static str; 1],
    confidence: [&'static str; 1],
    mitre_tactic_id: [&'static str; 1],
    mitre_tactic_name: [&'static str; 1],
    mitre_technique_id: [&'static str; 1],
    mitre_technique_name: [&'static str; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cve: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: One<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: One<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_signature: One<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_family: One<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_product: One<Text<'a>>,
    smsentry_outcome: [&'static str; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_evasion: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_match: One<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_also: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_update: One<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_truncated: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_vni: One<String>,
}

impl<'a> Metadata<'a> {
    /// The metadata of an alert of this severity. Made last, because it names what `fit` has cut from the record.
    pub(super) fn new(alert: &'a Alert, severity: u8, fit: &mut Fit) -> Self {
        let signature = &*alert.signature;
        let mut word = |name, value: &'a str| (!value.is_empty()).then(|| [fit.text(name, Text::Word(value))]);
        Self {
            attack_target: ["Web_Server"],
            affected_product: word("affected_product", &signature.product),
            signature_severity: [severity_name(severity)],
            confidence: [confidence_name(signature.confidence)],
            // MITRE ATT&CK: Active Scanning, a technique of Reconnaissance.
            mitre_tactic_id: ["TA0043"],
            mitre_tactic_name: ["Reconnaissance"],
            mitre_technique_id: ["T1595"],
            mitre_technique_name: ["Active_Scanning"],
            created_at: word("created_at", &signature.created_at),
            updated_at: word("updated_at", &signature.updated_at),
            smsentry_signature: word("smsentry_signature", &signature.slug),
            smsentry_family: word("smsentry_family", &signature.family),
            smsentry_product: word("smsentry_product", &signature.product),
            cve: fit.list("cve", &signature.cve),
            smsentry_outcome: [alert.outcome.name()],
            smsentry_evasion: evasion(alert),
            smsentry_match: (!alert.matched.is_empty())
                .then(|| [fit.text("smsentry_match", Text::from_wire(&alert.matched))]),
            smsentry_also: fit.list("smsentry_also", &alert.also),
            smsentry_update: alert.late.then_some(["late-answer"]),
            smsentry_truncated: truncated(alert, fit),
            smsentry_vni: alert
                .transaction
                .encapsulation
                .tunnel
                .and_then(|tunnel| tunnel.network)
                .map(|network| [network.to_string()]),
        }
    }
}

fn evasion(alert: &Alert) -> Vec<&'static str> {
    let undone = alert.disguises.iter().map(|disguise| disguise.name());
    undone.chain(alert.conflict.then_some("tcp-conflict")).collect()
}

fn truncated(alert: &Alert, fit: &mut Fit) -> Vec<&'static str> {
    let mut names = std::mem::take(&mut fit.cut);
    names.extend(alert.transaction.request.truncated.then_some("request"));
    names
}

/// The word that Emerging Threats' rules have for a severity.
const fn severity_name(severity: u8) -> &'static str {
    match severity {
        0 | 1 => "Critical",
        2 => "Major",
        _ => "Minor",
    }
}

const fn confidence_name(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "Low",
        Confidence::Medium => "Medium",
        Confidence::High => "High",
    }
}
