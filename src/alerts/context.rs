//! Context evaluation: whether a hit looks like legitimate use, and what raises or lowers the confidence that it is a
//! probe. Decided over one ordered stream. The user's own exceptions are in [`crate::alerts::suppress`].
//!
//! Only signatures that describe legitimate requesters (`legitimate` in their files) are evaluated; the findings are in
//! the alert as `smsentry_context`, with the names of [`ContextTag`]. A hit is legitimate use if
//!
//! * the signature has `after_page`, the Referer is another page of the requested host, and that server sent this
//!   client a web page within the 30 minutes before: a visitor's browser fetches what the page needs; or
//! * it is the provider's own call, as the signature's `webhook` describes it;
//!
//! and the source did not request many different things. A Referer, a user agent and a field can be forged, so a source
//! gets no discount any more once, within 10 minutes,
//!
//! * it had hits of 3 different signatures that were not legitimate use, or
//! * it had hits of 5 different signatures that would be. Rationale: a site runs one or two plugins that send SMS, and
//!   a provider calls a few addresses; a source that requests a fifth is working through a list.
//!
//! Hits discounted before that stay unreported.

use std::net::IpAddr;
use std::time::Duration;

use crate::record::{Alert, PageView, Request};
use crate::signature::Confidence;
use crate::source_addr::SourceAddr;
use crate::table::{KeyedHasher, Table, TableKey};
use crate::time::Timestamp;
use crate::uri::{self, NormalPath};

/// The result of the context evaluation of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextVerdict {
    /// A probe.
    Probe,
    /// A request that visitors and providers make: not reported, and not part of a campaign.
    Legitimate,
}

/// One value of `smsentry_context`: a closed vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextTag {
    /// The Referer is another page of the requested host.
    SameSiteReferer,
    /// The Referer names another host, or none.
    OtherSiteReferer,
    /// The Referer is the requested page itself: sent by tools, not by browsers.
    SelfReferer,
    /// There is no Referer.
    NoReferer,
    /// The server sent this client a web page within the 30 minutes before.
    AfterPage,
    /// The server did not.
    NoPage,
    /// The request has a cookie, like those of a session.
    Cookie,
    /// The request looks like the provider's own calls.
    ProviderWebhook,
    /// The provider calls this target, but not like this.
    UnlikeProvider,
    /// The source requested many different things.
    ManySignatures,
}

impl ContextTag {
    /// Every tag.
    pub const ALL: [Self; 10] = [
        Self::SameSiteReferer,
        Self::OtherSiteReferer,
        Self::SelfReferer,
        Self::NoReferer,
        Self::AfterPage,
        Self::NoPage,
        Self::Cookie,
        Self::ProviderWebhook,
        Self::UnlikeProvider,
        Self::ManySignatures,
    ];

    /// Returns the tag's value in `smsentry_context`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SameSiteReferer => "same-site-referer",
            Self::OtherSiteReferer => "other-site-referer",
            Self::SelfReferer => "self-referer",
            Self::NoReferer => "no-referer",
            Self::AfterPage => "after-page",
            Self::NoPage => "no-page",
            Self::Cookie => "cookie",
            Self::ProviderWebhook => "provider-webhook",
            Self::UnlikeProvider => "unlike-provider",
            Self::ManySignatures => "many-signatures",
        }
    }

    /// Reports whether the tag raises the confidence that the request is a probe; otherwise it lowers it.
    #[must_use]
    pub const fn raises(self) -> bool {
        !matches!(self, Self::SameSiteReferer | Self::AfterPage | Self::Cookie | Self::ProviderWebhook)
    }
}

/// Returns the confidence that an alert is a probe: the signature's own confidence, one step higher if all tags raise
/// it or the source requested many different things, one step lower if all tags lower it.
#[must_use]
pub fn confidence(alert: &Alert) -> Confidence {
    let mut found = [false; 2];
    for tag in ContextTag::ALL {
        if alert.context.iter().any(|value| value == tag.name()) {
            found[usize::from(tag.raises())] = true;
        }
    }
    let many = alert.context.iter().any(|value| value == ContextTag::ManySignatures.name());
    match (alert.signature.confidence, found, many) {
        (own, _, true) | (own, [false, true], _) => raised(own),
        (own, [true, false], _) => lowered(own),
        (own, ..) => own,
    }
}

const fn raised(confidence: Confidence) -> Confidence {
    match confidence {
        Confidence::Low => Confidence::Medium,
        Confidence::Medium | Confidence::High => Confidence::High,
    }
}

const fn lowered(confidence: Confidence) -> Confidence {
    match confidence {
        Confidence::High => Confidence::Medium,
        Confidence::Medium | Confidence::Low => Confidence::Low,
    }
}

crate::counters! {
    /// Counters of the context evaluation.
    pub struct Counters {
        /// Page views recorded.
        pages: "context.pages",
        /// Hits taken for legitimate use.
        discounted: "context.discounted",
        /// Hits not discounted only because their source requested many different things.
        many_signatures: "context.many_signatures",
        /// Page views evicted because too many clients see pages.
        page_limit: "context.page_limit",
        /// Sources evicted because there are too many.
        source_limit: "context.source_limit",
    }
}

/// Limits on the remembered state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pairs of client and server.
    pub pages: usize,
    /// Sources of hits.
    pub sources: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pages: 65_536, sources: 65_536 }
    }
}

/// Time for which a page view explains its visitor's requests. Rationale: a tab that stays open; sessions of web
/// analytics end after the same time.
const PAGE_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// Time for which the hits of a source count against it: the default window of a campaign.
const MANY_WITHIN: Duration = Duration::from_secs(10 * 60);
/// Number of different signatures from which a source gets no discount.
const MANY_PROBES: usize = 3;
/// Number of different signatures with a discount that are many.
const MANY_DISCOUNTS: usize = 5;

/// Remembers page views and the recent signatures of each source.
///
/// Invariant: both tables hold at most as many entries as the limits allow.
#[derive(Debug)]
pub struct ContextTracker {
    pages: Table<Visit, (), 1>,
    sources: Table<SourceAddr, SourceHistory, 1>,
    limits: Limits,
    counters: Counters,
    now: Timestamp,
}

/// A client and the server that sent it a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Visit {
    client: IpAddr,
    server: IpAddr,
}

impl TableKey for Visit {
    fn hash(&self, hasher: &KeyedHasher) -> u64 {
        let wide = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u128::from(ip.to_ipv6_mapped()).to_be_bytes(),
            IpAddr::V6(ip) => u128::from(ip).to_be_bytes(),
        };
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&wide(self.client));
        bytes[16..].copy_from_slice(&wide(self.server));
        hasher.hash(&bytes)
    }
}

/// The signatures that a source hit recently.
#[derive(Clone, Copy, Debug, Default)]
struct SourceHistory {
    probes: Recent<MANY_PROBES>,
    discounts: Recent<MANY_DISCOUNTS>,
}

/// The last N different signatures and the times of their last hits, the latest last. N is the number that is many, so
/// nothing is lost by forgetting the others.
#[derive(Clone, Copy, Debug)]
struct Recent<const N: usize> {
    hits: [Option<(u32, Timestamp)>; N],
}

impl<const N: usize> Default for Recent<N> {
    fn default() -> Self {
        Self { hits: [None; N] }
    }
}

impl<const N: usize> Recent<N> {
    fn add(&mut self, sid: u32, now: Timestamp) {
        let same = |hit: &Option<(u32, Timestamp)>| hit.is_some_and(|(other, _)| other == sid);
        let from = self.hits.iter().position(same).unwrap_or(0);
        if let Some(later) = self.hits.get_mut(from..) {
            later.rotate_left(1);
        }
        if let Some(last) = self.hits.last_mut() {
            *last = Some((sid, now));
        }
    }

    /// Reports whether all N were hit within the window.
    fn are_many(&self, now: Timestamp) -> bool {
        self.hits.iter().all(|hit| hit.is_some_and(|(_, time)| now.since(time) <= MANY_WITHIN))
    }
}

impl ContextTracker {
    /// Returns a tracker without state; `keys` are the hash keys of its tables.
    #[must_use]
    pub fn new(keys: [u64; 2], limits: Limits) -> Self {
        Self {
            pages: Table::new(keys),
            sources: Table::new(keys),
            limits,
            counters: Counters::default(),
            now: Timestamp::ZERO,
        }
    }

    /// Returns the counters.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Records a page view; `decided_at` is its time in the order of events.
    pub fn page(&mut self, page: PageView, decided_at: Timestamp) {
        self.advance(decided_at);
        self.counters.pages += 1;
        let visit = Visit { client: page.client, server: page.server };
        if let Some(slot) = self.pages.find(&visit) {
            return self.pages.touch(slot, 0, self.now);
        }
        if self.pages.len() >= self.limits.pages
            && let Some((oldest, touched)) = self.pages.oldest(0)
        {
            // An expired page view is no loss.
            self.counters.page_limit += u64::from(self.now.since(touched) <= PAGE_LIFETIME);
            self.pages.discard(oldest);
        }
        self.pages.insert(visit, (), 0, self.now);
    }

    /// Discards all state: the clock restarts, with different visitors and sources.
    pub fn forget(&mut self) {
        while let Some((slot, _)) = self.pages.oldest(0) {
            self.pages.discard(slot);
        }
        while let Some((slot, _)) = self.sources.oldest(0) {
            self.sources.discard(slot);
        }
        self.now = Timestamp::ZERO;
    }

    /// Evaluates a hit and adds the tags to its alert; `decided_at` is its time in the order of events.
    pub fn evaluate(&mut self, alert: &mut Alert, decided_at: Timestamp) -> ContextVerdict {
        self.advance(decided_at);
        let (now, sid) = (self.now, alert.signature.id);
        let (mut tags, discount) = self.tags(alert);
        let history = self.history(SourceAddr::of(alert.transaction.client.ip));
        let mut verdict = ContextVerdict::Probe;
        let mut many = history.probes.are_many(now);
        if discount {
            history.discounts.add(sid, now);
            many |= history.discounts.are_many(now);
            if !many {
                verdict = ContextVerdict::Legitimate;
            }
        }
        match verdict {
            ContextVerdict::Probe => history.probes.add(sid, now),
            ContextVerdict::Legitimate => self.counters.discounted += 1,
        }
        if discount && many {
            self.counters.many_signatures += 1;
        }
        if many && !tags.is_empty() {
            tags.push(ContextTag::ManySignatures);
        }
        alert.context.extend(tags.iter().map(|tag| tag.name().to_owned()));
        verdict
    }

    /// Returns the tags of a hit, and whether they make it legitimate use. No tags if the signature describes no
    /// legitimate requester.
    fn tags(&self, alert: &Alert) -> (Vec<ContextTag>, bool) {
        let (legitimate, mut tags, mut discount) = (&alert.signature.legitimate, Vec::new(), false);
        if legitimate.after_page {
            let referer = referer_tag(&alert.transaction.request);
            let visit = Visit { client: alert.transaction.client.ip, server: alert.transaction.server.ip };
            let seen = self.pages.find(&visit).and_then(|slot| self.pages.touched(slot));
            let page = seen.is_some_and(|seen| self.now.since(seen) <= PAGE_LIFETIME);
            tags.extend([referer, if page { ContextTag::AfterPage } else { ContextTag::NoPage }]);
            discount |= page && referer == ContextTag::SameSiteReferer;
        }
        if legitimate.webhook.is_some() {
            let provider = alert.traits.webhook;
            tags.push(if provider { ContextTag::ProviderWebhook } else { ContextTag::UnlikeProvider });
            discount |= provider;
        }
        if !tags.is_empty() && alert.traits.cookie {
            tags.push(ContextTag::Cookie);
        }
        (tags, discount)
    }

    /// Returns the history of a source, inserting it if needed.
    fn history(&mut self, source: SourceAddr) -> &mut SourceHistory {
        let slot = match self.sources.find(&source) {
            Some(slot) => {
                self.sources.touch(slot, 0, self.now);
                slot
            }
            None => {
                if self.sources.len() >= self.limits.sources
                    && let Some((oldest, touched)) = self.sources.oldest(0)
                {
                    self.counters.source_limit += u64::from(self.now.since(touched) <= MANY_WITHIN);
                    self.sources.discard(oldest);
                }
                self.sources.insert(source, SourceHistory::default(), 0, self.now)
            }
        };
        self.sources.get_mut(slot).map(|(_, history)| history).expect("the slot was found or inserted just now")
    }

    fn advance(&mut self, time: Timestamp) {
        self.now = self.now.max(time);
    }
}

/// Returns the tag of a request's Referer (RFC 9110 section 10.1.3).
fn referer_tag(request: &Request) -> ContextTag {
    let Some(referer) = request.referrer.as_deref().map(<[u8]>::trim_ascii).filter(|referer| !referer.is_empty())
    else {
        return ContextTag::NoReferer;
    };
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| referer.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes())));
    let from = uri::site(b"GET", referer, None).filter(|_| is_web);
    let to = uri::site(&request.method, &request.target, request.host.as_deref());
    if from.is_none() || from != to {
        return ContextTag::OtherSiteReferer;
    }
    let path = |target| NormalPath::of(uri::path(b"GET", target)).path;
    if path(referer) == path(&request.target) { ContextTag::SelfReferer } else { ContextTag::SameSiteReferer }
}
