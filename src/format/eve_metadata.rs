//! Formats the `metadata` of an EVE alert: the keys that are common in rule sets, then smsentry's own. A closed list of
//! keys; every value is an array of strings, and an empty array is omitted.

use serde::Serialize;

use super::line_budget::LineBudget;
use super::text::Text;
use crate::alerts::context;
use crate::record::{Alert, Transaction};
use crate::signature::Mitre;

/// An array of one string, or no array.
pub(super) type Single<T> = Option<[T; 1]>;

#[derive(Serialize)]
pub(super) struct Metadata<'a> {
    attack_target: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    affected_product: Single<Text<'a>>,
    signature_severity: [&'static str; 1],
    confidence: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    mitre_tactic_id: Single<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mitre_tactic_name: Single<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mitre_technique_id: Single<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mitre_technique_name: Single<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cve: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Single<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Single<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_signature: Single<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_family: Single<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_product: Single<Text<'a>>,
    smsentry_outcome: [&'static str; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_evasion: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_match: Single<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_also: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_context: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_update: Single<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_hits: Single<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_truncated: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_vni: Single<String>,
}

/// Used for a signature without MITRE ATT&CK technique: empty values are omitted.
static NO_MITRE: Mitre = Mitre {
    tactic_id: String::new(),
    tactic_name: String::new(),
    technique_id: String::new(),
    technique_name: String::new(),
};

impl<'a> Metadata<'a> {
    /// Returns the metadata of an alert. Called last, because it names what the budget truncated in the record.
    pub(super) fn new(alert: &'a Alert, budget: &mut LineBudget) -> Self {
        let signature = &*alert.signature;
        let mitre = signature.mitre.as_ref().unwrap_or(&NO_MITRE);
        let mut word = |name, value: &'a str| (!value.is_empty()).then(|| [budget.text(name, Text::Word(value))]);
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
            cve: budget.list("cve", &signature.cve),
            smsentry_outcome: [alert.outcome.name()],
            smsentry_evasion: evasion(alert),
            smsentry_match: (!alert.matched.is_empty())
                .then(|| [budget.text("smsentry_match", Text::from_wire(&alert.matched))]),
            smsentry_also: budget.list("smsentry_also", &alert.also),
            smsentry_context: budget.phrases("smsentry_context", &alert.context),
            smsentry_update: alert.late.map(|_| ["late-answer"]),
            smsentry_hits: (alert.repeats > 1).then(|| [alert.repeats.to_string()]),
            smsentry_truncated: truncated(alert, budget),
            smsentry_vni: vni(&alert.transaction),
        }
    }
}

/// Returns the identifier of the virtual network that carried the request.
pub(super) fn vni(transaction: &Transaction) -> Single<String> {
    transaction.encapsulation.tunnel.and_then(|tunnel| tunnel.network).map(|network| [network.to_string()])
}

fn evasion(alert: &Alert) -> Vec<&'static str> {
    let names = alert.evasions.iter().map(|evasion| evasion.name());
    names.chain(alert.conflict.then_some("tcp-conflict")).collect()
}

fn truncated(alert: &Alert, budget: &mut LineBudget) -> Vec<&'static str> {
    let mut names = std::mem::take(&mut budget.truncated);
    names.extend(alert.transaction.request.truncated.then_some("request"));
    names
}

/// Returns the name of a severity in the Emerging Threats rules.
pub(super) const fn severity_name(severity: u8) -> &'static str {
    match severity {
        0 | 1 => "Critical",
        2 => "Major",
        _ => "Minor",
    }
}
