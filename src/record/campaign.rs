//! The record of a campaign: many probes of one source address. Campaigns are correlated by `alerts::campaign`.

use super::{List, Transaction};
use crate::outcome::Outcome;
use crate::source_addr::SourceAddr;
use crate::time::Timestamp;

/// The state of a campaign: the correlated probes of one source, up to this record.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Reason for this record.
    pub stage: CampaignStage,
    /// Source address of the probes.
    pub source: SourceAddr,
    /// The request that triggered this record, or the last one; without the contents of request and response.
    pub transaction: Transaction,
    /// Campaign id, the same in all records of the campaign.
    pub id: u64,
    /// The same for the same tool on every sensor (see [`crate::alerts::campaign`]).
    pub fingerprint: u64,
    /// Number of requests.
    pub hits: u64,
    /// Time of the first request.
    pub first: Timestamp,
    /// Time of the last request.
    pub last: Timestamp,
    /// Outcomes and their counts; the worst first.
    pub outcomes: Vec<(Outcome, u64)>,
    /// Slugs of the signatures.
    pub signatures: List,
    /// The signatures' families.
    pub families: List,
    /// Requested servers: address and port.
    pub targets: List,
    /// `Host` values.
    pub hosts: List,
    /// Request targets that proved `exposed`.
    pub exposed: List,
    /// `User-Agent` values.
    pub agents: List,
}

impl Campaign {
    /// Returns EVE's severity: 1 if anything was exposed, else 2.
    #[must_use]
    pub fn severity(&self) -> u8 {
        if self.worst() == Some(Outcome::Exposed) { 1 } else { 2 }
    }

    /// Returns the worst outcome.
    #[must_use]
    pub fn worst(&self) -> Option<Outcome> {
        self.outcomes.first().map(|&(outcome, _)| outcome)
    }
}

/// The reason for a campaign record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CampaignStage {
    /// Three distinct signatures within ten minutes.
    Begun,
    /// 10 distinct signatures.
    Ten,
    /// 30 distinct signatures.
    Thirty,
    /// 100 distinct signatures.
    Hundred,
    /// No hit for ten minutes, or the input ended, or a limit evicted the campaign.
    Ended,
}

impl CampaignStage {
    /// Every stage.
    pub const ALL: [Self; 5] = [Self::Begun, Self::Ten, Self::Thirty, Self::Hundred, Self::Ended];

    /// Returns the stage's signature id.
    #[must_use]
    pub const fn sid(self) -> u32 {
        match self {
            Self::Begun => 1_000_001,
            Self::Ten => 1_000_002,
            Self::Thirty => 1_000_003,
            Self::Hundred => 1_000_004,
            Self::Ended => 1_000_005,
        }
    }

    /// Returns the stage's signature title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Begun => "campaign: one source asks for 3 different things within 10 minutes",
            Self::Ten => "campaign: one source asked for 10 different things",
            Self::Thirty => "campaign: one source asked for 30 different things",
            Self::Hundred => "campaign: one source asked for 100 different things",
            Self::Ended => "campaign: what one source asked for in all",
        }
    }
}
