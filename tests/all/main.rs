//! All integration tests in one program, a module a subject.

#![allow(clippy::unwrap_used, reason = "a test that fails by a panic has done its work")]

mod architecture;
mod attack;
mod command_line;
mod damage;
mod decode_captures;
mod decode_layers;
mod eve_schema;
mod file_captures;
mod file_damage;
mod file_judge;
mod file_reader;
mod file_speed;
mod flow_cases;
mod flow_lanes;
mod flow_outcomes;
mod flow_properties;
mod format_eve;
mod format_python;
mod format_records;
mod format_zeek;
mod fuzz_cases;
mod golden;
mod limits;
mod live_cable;
mod live_capture;
mod live_end_to_end;
mod live_open;
mod live_operation;
mod live_outage;
mod live_sensor;
mod live_signals;
mod planted_panic;
mod program;
mod signature_find;
mod signature_load;
mod signature_pipeline;
mod talk;
mod uri_evasion_set;
mod uri_normal_form;
mod wire;
