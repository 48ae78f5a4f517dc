//! Context, suppression, threshold and campaigns.

mod alert_threshold;
mod campaigns;
mod context;
mod suppression;
