//! TCP reassembly, lanes, limits and evasions on the network.

mod evasion_captures;
mod idle_flows;
mod lane_independence;
pub(crate) mod limits;
mod midstream;
mod passing_over;
mod reassembly_cases;
mod reassembly_properties;
mod refused_segments;
