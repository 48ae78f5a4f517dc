//! Requests, responses, bodies, their pairing and the outcomes they prove.

mod body_outcomes;
mod body_prefix;
mod early_responses;
mod linear_cost;
mod pairing;
mod prefaces;
mod recorded_outcomes;
mod request_parsing;
mod response_outcomes;
mod resync;
