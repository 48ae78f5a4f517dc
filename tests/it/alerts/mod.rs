//! Context, suppression, threshold and campaigns.

mod alert_threshold;
mod campaigns;
pub(crate) mod context;
mod suppression;
