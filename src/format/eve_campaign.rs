//! Formats the `metadata` of a campaign's EVE alert: a closed list of keys, as for a probe. A list of names begins with
//! their total number.

use serde::Serialize;

use super::eve_metadata::{Single, severity_name, vni};
use super::eve_time::EveTime;
use super::line_budget::{LineBudget, ListItem};
use crate::record::Campaign;

#[derive(Serialize)]
pub(super) struct CampaignMetadata<'a> {
    attack_target: [&'static str; 1],
    signature_severity: [&'static str; 1],
    confidence: [&'static str; 1],
    mitre_tactic_id: [&'static str; 1],
    mitre_tactic_name: [&'static str; 1],
    mitre_technique_id: [&'static str; 1],
    mitre_technique_name: [&'static str; 1],
    smsentry_campaign: [String; 1],
    smsentry_fingerprint: [String; 1],
    smsentry_first: [EveTime; 1],
    smsentry_last: [EveTime; 1],
    smsentry_hits: [String; 1],
    smsentry_signatures: Vec<ListItem<'a>>,
    smsentry_families: Vec<ListItem<'a>>,
    smsentry_targets: Vec<ListItem<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_hosts: Vec<ListItem<'a>>,
    smsentry_outcomes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_exposed: Vec<ListItem<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_agents: Vec<ListItem<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_truncated: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_vni: Single<String>,
}

impl<'a> CampaignMetadata<'a> {
    /// Returns the metadata of a campaign. Called last, because it names what the budget truncated in the record.
    pub(super) fn new(campaign: &'a Campaign, budget: &mut LineBudget) -> Self {
        Self {
            attack_target: ["Web_Server"],
            signature_severity: [severity_name(campaign.severity())],
            confidence: ["High"],
            mitre_tactic_id: ["TA0043"],
            mitre_tactic_name: ["Reconnaissance"],
            mitre_technique_id: ["T1595.003"],
            mitre_technique_name: ["Wordlist_Scanning"],
            smsentry_campaign: [format!("c-{:016x}", campaign.id)],
            smsentry_fingerprint: [format!("f-{:016x}", campaign.fingerprint)],
            smsentry_first: [EveTime(campaign.first)],
            smsentry_last: [EveTime(campaign.last)],
            smsentry_hits: [campaign.hits.to_string()],
            smsentry_signatures: budget.names("smsentry_signatures", &campaign.signatures),
            smsentry_families: budget.names("smsentry_families", &campaign.families),
            smsentry_targets: budget.names("smsentry_targets", &campaign.targets),
            smsentry_hosts: budget.names("smsentry_hosts", &campaign.hosts),
            smsentry_outcomes: campaign
                .outcomes
                .iter()
                .map(|(outcome, count)| format!("{}={count}", outcome.name()))
                .collect(),
            smsentry_exposed: budget.names("smsentry_exposed", &campaign.exposed),
            smsentry_agents: budget.names("smsentry_agents", &campaign.agents),
            smsentry_truncated: std::mem::take(&mut budget.truncated),
            smsentry_vni: vni(&campaign.transaction),
        }
    }
}
