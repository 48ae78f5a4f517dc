//! The `metadata` of a campaign's EVE alert. A closed list as that of a probe; a list of names has their total number
//! before them.

use serde::Serialize;

use super::eve_metadata::{One, network, severity_name};
use super::eve_time::EveTime;
use super::line_budget::{Item, LineBudget};
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
    smsentry_signatures: Vec<Item<'a>>,
    smsentry_families: Vec<Item<'a>>,
    smsentry_targets: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_hosts: Vec<Item<'a>>,
    smsentry_outcomes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_exposed: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_agents: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smsentry_truncated: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smsentry_vni: One<String>,
}

impl<'a> CampaignMetadata<'a> {
    /// The metadata of a campaign. Made last, because it names what `fit` has cut from the record.
    pub(super) fn new(campaign: &'a Campaign, fit: &mut LineBudget) -> Self {
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
            smsentry_signatures: fit.names("smsentry_signatures", &campaign.signatures),
            smsentry_families: fit.names("smsentry_families", &campaign.families),
            smsentry_targets: fit.names("smsentry_targets", &campaign.targets),
            smsentry_hosts: fit.names("smsentry_hosts", &campaign.hosts),
            smsentry_outcomes: campaign
                .outcomes
                .iter()
                .map(|(outcome, count)| format!("{}={count}", outcome.name()))
                .collect(),
            smsentry_exposed: fit.names("smsentry_exposed", &campaign.exposed),
            smsentry_agents: fit.names("smsentry_agents", &campaign.agents),
            smsentry_truncated: std::mem::take(&mut fit.cut),
            smsentry_vni: network(&campaign.transaction),
        }
    }
}
