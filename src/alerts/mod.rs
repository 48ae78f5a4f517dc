//! The stages that alerts pass through in order, between the sensor and the writer: context, suppression, campaigns,
//! threshold. A pure function of the ordered stream of events; ordering is done by the output stage, formatting by
//! [`crate::format`].

pub mod campaign;
pub mod context;
pub(crate) mod filter;
pub mod pipeline;
pub mod suppress;
pub mod threshold;
