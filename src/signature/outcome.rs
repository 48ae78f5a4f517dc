//! The outcomes of a probe and their names in signature files and in the output. Does not choose the outcome of a
//! response: see [`crate::signature::Exposed`] for a signature's own rules and `outcome` for the general table.

/// Outcome of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Outcome {
    /// The response proves, by the signature's own test, that the server disclosed the requested resource.
    Exposed,
    /// The resource is there: 401, 304, or a 2xx of the expected type.
    Present,
    /// Any other 2xx: soft 404s, home pages, a web server's own page for an absolute-form target.
    Unproven,
    /// 3xx.
    Redirected,
    /// 404 or 410.
    NotFound,
    /// 5xx, 429, 408.
    Error,
    /// Every other 4xx.
    Refused,
    /// The server's side was seen and sent nothing.
    NoResponse,
    /// The timeout passed with the flow still open.
    Pending,
    /// Could not be known: one-sided capture, gap, limit, stop.
    Unseen,
}

impl Outcome {
    /// Every outcome, the worst first. A refusal is worse than "not found": it may confirm that the resource exists.
    pub const WORST_FIRST: [Self; 10] = [
        Self::Exposed,
        Self::Present,
        Self::Unproven,
        Self::Redirected,
        Self::Refused,
        Self::NotFound,
        Self::Error,
        Self::NoResponse,
        Self::Pending,
        Self::Unseen,
    ];

    /// Outcomes that a signature file may assign to a status code.
    pub(super) const ASSIGNABLE: [Self; 7] =
        [Self::Exposed, Self::Present, Self::Unproven, Self::Redirected, Self::NotFound, Self::Error, Self::Refused];

    /// Returns the outcome's name in `smsentry_outcome`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exposed => "exposed",
            Self::Present => "present",
            Self::Unproven => "unproven",
            Self::Redirected => "redirected",
            Self::NotFound => "not_found",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::NoResponse => "no_response",
            Self::Pending => "pending",
            Self::Unseen => "unseen",
        }
    }
}
