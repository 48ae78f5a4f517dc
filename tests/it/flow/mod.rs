//! TCP reassembly, lanes, limits and evasions on the network.

mod evasion_captures;
mod lane_independence;
pub(crate) mod limits;
mod passing_over;
mod reassembly_cases;
mod reassembly_properties;
