//! Capture files and link types: intact, damaged, in unusual conditions, and compared with libpcap and tshark.

mod capture_conditions;
mod damaged_files;
mod damaged_input;
mod decode_recordings;
mod encapsulations;
mod file_read_speed;
mod file_reader;
mod libpcap_differential;
mod packet_time;
mod quiet_pipe;
mod tshark_differential;
