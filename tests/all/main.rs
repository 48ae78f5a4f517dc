//! All integration tests in one program, a module a subject.

#![allow(clippy::unwrap_used, reason = "a test that fails by a panic has done its work")]

mod corpus;
mod decode_captures;
mod decode_layers;
mod file_captures;
mod file_damage;
mod file_judge;
mod file_reader;
mod file_speed;
mod format_eve;
mod format_python;
mod format_records;
mod format_zeek;
mod http_linear;
mod http_pairing;
mod http_recorder;
mod http_split;
mod live_cable;
mod live_capture;
mod live_open;
mod live_outage;
mod live_signals;
mod signature_find;
mod signature_load;
mod uri_evasion_set;
mod uri_normal_form;
