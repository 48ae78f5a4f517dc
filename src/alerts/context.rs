//! What stands around a hit: whether it looks like somebody's legitimate use, and what raises or lowers the confidence
//! that it is a probe. Decided over one ordered stream. Not the user's own exceptions: see [`crate::alerts::suppress`].
//!
//! Only signatures that say who else asks for the same (`legitimate` in their files) are weighed; what is found is in
//! the alert as `smsentry_context`, in the words of [`ContextTag`]. A hit is legitimate use when
//!
//! * the signature has `after_page`, the Referer is another page of the host that is asked, and that server showed this
//!   client a web page within the 30 minutes before: a visitor's browser fetches what the page needs; or
//! * it is the provider's own call, as the signature's `webhook` describes it;
//!
//! and the source did not ask for many different things. A Referer, an agent and a field can be forged, so a source gets
//! no discount any more once, within 10 minutes,
//!
//! * it had hits of 3 different signatures that were no legitimate use, or
//! * it asked for things of 5 different signatures that would be. Rationale: a site runs one or two plugins that send
//!   SMS, and a provider calls a few addresses; who asks for a fifth walks a list.
//!
//! What was discounted before that stays untold.

use std::net::IpAddr;
use std::time::Duration;

use crate::record::{Alert, PageView, Request};
use crate::signature::Confidence;
use crate::source_addr::SourceAddr;
use crate::table::{KeyedHasher, Table, TableKey};
use crate::time::Timestamp;
use crate::uri::{self, NormalPath};

/// What a hit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextVerdict {
    /// A probe.
    Probe,
    /// What visitors and providers do: not to be told, and not part of a campaign.
    Legitimate,
}

/// One word of `smsentry_context`: a closed vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextTag {
    /// The Referer is another page of the host that is asked.
    SameSiteReferer,
    /// The Referer is of another host, or of none.
    OtherSiteReferer,
    /// The Referer is what is asked for: a habit of tools, not of browsers.
    SelfReferer,
    /// There is no Referer.
    NoReferer,
    /// The server showed this client a web page within the 30 minutes before.
    AfterPage,
    /// It did not.
    NoPage,
    /// The request has a cookie, as those of a session have.
    Cookie,
    /// It is a call as the provider makes it.
    ProviderWebhook,
    /// The provider calls it, but not like this.
    UnlikeProvider,
    /// The source asked for many different things.
    ManySignatures,
}

impl ContextTag {
    /// Every circumstance.
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

    /// Its word in `smsentry_context`.
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

    /// Whether it raises the confidence that the request is a probe; otherwise it lowers it.
    #[must_use]
    pub const fn raises(self) -> bool {
        !matches!(self, Self::SameSiteReferer | Self::AfterPage | Self::Cookie | Self::ProviderWebhook)
    }
}

/// How sure one can be that an alert is a probe: the signature's own word, a step higher where everything around it
/// raises it or the source asked for many different things, a step lower where everything lowers it.
#[must_use]
pub fn confidence(alert: &Alert) -> Confidence {
    let mut found = [false; 2];
    for known in ContextTag::ALL {
        if alert.context.iter().any(|word| word == known.name()) {
            found[usize::from(known.raises())] = true;
        }
    }
    let many = alert.context.iter().any(|word| word == ContextTag::ManySignatures.name());
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
    /// What was weighed.
    pub struct Counters {
        /// Web pages that were noted.
        pages: "context.pages",
        /// Hits that were legitimate use.
        discounted: "context.discounted",
        /// Hits that would have been, had their source not asked for many different things.
        many_signatures: "context.many_signatures",
        /// Pages forgotten because too many clients see pages.
        page_limit: "context.page_limit",
        /// Sources forgotten because there are too many.
        source_limit: "context.source_limit",
    }
}

/// How much is remembered.
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

/// How long a page explains what its visitor fetches. Rationale: a tab that stays open; sessions of web analytics end
/// after the same time.
const PAGE_EXPLAINS: Duration = Duration::from_secs(30 * 60);
/// How long a source's hits are held against it: the window of a campaign.
const MANY_WITHIN: Duration = Duration::from_secs(10 * 60);
/// So many different signatures without a discount are many.
const MANY_PROBES: usize = 3;
/// So many different signatures with a discount are many.
const MANY_DISCOUNTS: usize = 5;
/// Remembers who saw pages and who asked for what.
///
/// Invariant: both tables hold at most as many entries as the limits say.
#[derive(Debug)]
pub struct ContextTracker {
    pages: Table<Visit, (), 1>,
    sources: Table<SourceAddr, SourceHistory, 1>,
    limits: Limits,
    counters: Counters,
    now: Timestamp,
}

/// A client and the server that showed it a page.
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

/// What a source asked for lately.
#[derive(Clone, Copy, Debug, Default)]
struct SourceHistory {
    probes: Recent<MANY_PROBES>,
    discounts: Recent<MANY_DISCOUNTS>,
}

/// The last few different signatures and when they were last hit, the latest last. As many as it takes to be many, so
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
    fn note(&mut self, sid: u32, now: Timestamp) {
        let same = |hit: &Option<(u32, Timestamp)>| hit.is_some_and(|(known, _)| known == sid);
        let from = self.hits.iter().position(same).unwrap_or(0);
        if let Some(later) = self.hits.get_mut(from..) {
            later.rotate_left(1);
        }
        if let Some(last) = self.hits.last_mut() {
            *last = Some((sid, now));
        }
    }

    /// Whether all of them were within the window.
    fn are_many(&self, now: Timestamp) -> bool {
        self.hits.iter().all(|hit| hit.is_some_and(|(_, when)| now.since(when) <= MANY_WITHIN))
    }
}

impl ContextTracker {
    /// Remembers nothing yet; `keys` are those of its tables.
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

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Notes that a page was shown; `settled` is its place in the order.
    pub fn page(&mut self, page: PageView, settled: Timestamp) {
        self.tick(settled);
        self.counters.pages += 1;
        let visit = Visit { client: page.client, server: page.server };
        if let Some(slot) = self.pages.find(&visit) {
            return self.pages.touch(slot, 0, self.now);
        }
        if self.pages.len() >= self.limits.pages
            && let Some((oldest, touched)) = self.pages.oldest(0)
        {
            // One that explains nothing any more is no loss.
            self.counters.page_limit += u64::from(self.now.since(touched) <= PAGE_EXPLAINS);
            self.pages.discard(oldest);
        }
        self.pages.insert(visit, (), 0, self.now);
    }

    /// Forgets everything: the clock starts anew, with other visitors and other sources.
    pub fn forget(&mut self) {
        while let Some((slot, _)) = self.pages.oldest(0) {
            self.pages.discard(slot);
        }
        while let Some((slot, _)) = self.sources.oldest(0) {
            self.sources.discard(slot);
        }
        self.now = Timestamp::ZERO;
    }

    /// Weighs a hit and adds the circumstances to its alert; `settled` is its place in the order.
    pub fn evaluate(&mut self, alert: &mut Alert, settled: Timestamp) -> ContextVerdict {
        self.tick(settled);
        let (now, sid) = (self.now, alert.signature.id);
        let (mut circumstances, discount) = self.circumstances(alert);
        let asked = self.source(SourceAddr::of(alert.transaction.client.ip));
        let mut weighed = ContextVerdict::Probe;
        let mut many = asked.probes.are_many(now);
        if discount {
            asked.discounts.note(sid, now);
            many |= asked.discounts.are_many(now);
            if !many {
                weighed = ContextVerdict::Legitimate;
            }
        }
        match weighed {
            ContextVerdict::Probe => asked.probes.note(sid, now),
            ContextVerdict::Legitimate => self.counters.discounted += 1,
        }
        if discount && many {
            self.counters.many_signatures += 1;
        }
        if many && !circumstances.is_empty() {
            circumstances.push(ContextTag::ManySignatures);
        }
        alert.context.extend(circumstances.iter().map(|circumstance| circumstance.name().to_owned()));
        weighed
    }

    /// What stands around a hit, and whether it makes the hit legitimate use. Nothing where the signature names nobody
    /// else who asks for it.
    fn circumstances(&self, alert: &Alert) -> (Vec<ContextTag>, bool) {
        let (legitimate, mut found, mut discount) = (&alert.signature.legitimate, Vec::new(), false);
        if legitimate.after_page {
            let referer = referer(&alert.transaction.request);
            let visit = Visit { client: alert.transaction.client.ip, server: alert.transaction.server.ip };
            let seen = self.pages.find(&visit).and_then(|slot| self.pages.touched(slot));
            let page = seen.is_some_and(|seen| self.now.since(seen) <= PAGE_EXPLAINS);
            found.extend([referer, if page { ContextTag::AfterPage } else { ContextTag::NoPage }]);
            discount |= page && referer == ContextTag::SameSiteReferer;
        }
        if legitimate.webhook.is_some() {
            let provider = alert.trace.webhook;
            found.push(if provider { ContextTag::ProviderWebhook } else { ContextTag::UnlikeProvider });
            discount |= provider;
        }
        if !found.is_empty() && alert.trace.cookie {
            found.push(ContextTag::Cookie);
        }
        (found, discount)
    }

    fn source(&mut self, source: SourceAddr) -> &mut SourceHistory {
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
        self.sources.get_mut(slot).map(|(_, asked)| asked).expect("it was found or inserted just now")
    }

    fn tick(&mut self, settled: Timestamp) {
        self.now = self.now.max(settled);
    }
}

/// What the Referer of a request says (RFC 9110 section 10.1.3).
fn referer(request: &Request) -> ContextTag {
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
