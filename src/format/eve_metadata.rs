//! The `metadata` of an EVE alert: the keys that rule writers use everywhere, then ours. A closed list; every value is
//! an array of strings, and an empty array is left out.

use serde::Serialize;

use super::line_budget::LineBudget;
use super::text::Text;
use crate::alerts::context;
use crate::record::{Alert, Transaction};
use crate::signature::Mitre;

pub(super) type One<T> = Option<[T; 1]>;

#[derive(Serialize)]
pub(super) struct Metadata<'a> {
    attack_target: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    affected_product: One<Text<'a>>,
    signature_severity: [&'static str; 1],
    confidence: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    mitre_tactic_id: One<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mitre_tactic_name: One<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mitre_technique_id: One<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mitre_technique_name: One<Text<'a>>,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_context: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_update: One<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_hits: One<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_truncated: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_vni: One<String>,
}

/// Of a signature that has no place in MITRE ATT&CK: its keys are left out.
static NO_MITRE: Mitre = Mitre {
    tactic_id: String::new(),
    tactic_name: String::new(),
    technique_id: String::new(),
    technique_name: String::new(),
};

impl<'a> Metadata<'a> {
    /// The metadata of an alert. Made last, because it names what `fit` has cut from the record.
    pub(super) fn new(alert: &'a Alert, fit: &mut LineBudget) -> Self {
        let signature = &*alert.signature;
        let mitre = signature.mitre.as_ref().unwrap_or(&NO_MITRE);
        let mut word = |name, value: &'a str| (!value.is_empty()).then(|| [fit.text(name, Text::Word(value))]);
        Self {
            attack_target: ["Web_Server"],
            affected_product: word("affected_product", &signature.product),
            signature_severity: [severity_name(alert.severity())],
            confidence: [context::confidence(alert).metadata_value()],
            mitre_tactic_id: word("mitre_tactic_id", &mitre.tactic_id),
            mitre_tactic_name: word("mitre_tactic_name", &mitre.tactic_name),
            mitre_technique_id: word("mitre_technique_id", &mitre.technique_id),
            mitre_technique_name: word("mitre_technique_name", &mitre.technique_name),
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
            smsentry_context: fit.phrases("smsentry_context", &alert.context),
            smsentry_update: alert.late.map(|_| ["late-answer"]),
            smsentry_hits: (alert.repeats > 1).then(|| [alert.repeats.to_string()]),
            smsentry_truncated: truncated(alert, fit),
            smsentry_vni: network(&alert.transaction),
        }
    }
}

/// The virtual network that the request was in.
pub(super) fn network(transaction: &Transaction) -> One<String> {
    transaction.encapsulation.tunnel.and_then(|tunnel| tunnel.network).map(|network| [network.to_string()])
}

fn evasion(alert: &Alert) -> Vec<&'static str> {
    let undone = alert.evasions.iter().map(|evasion| evasion.name());
    undone.chain(alert.conflict.then_some("tcp-conflict")).collect()
}

fn truncated(alert: &Alert, fit: &mut LineBudget) -> Vec<&'static str> {
    let mut names = std::mem::take(&mut fit.cut);
    names.extend(alert.transaction.request.truncated.then_some("request"));
    names
}

/// The word that Emerging Threats' rules have for a severity.
pub(super) const fn severity_name(severity: u8) -> &'static str {
    match severity {
        0 | 1 => "Critical",
        2 => "Major",
        _ => "Minor",
    }
}
