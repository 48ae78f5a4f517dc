//! Capture files and link types: intact, damaged, in unusual conditions, and compared with libpcap and tshark.

mod capture_conditions;
mod capture_directories;
mod damaged_files;
mod damaged_input;
mod decode_recordings;
mod encapsulation_differential;
mod encapsulations;
mod file_read_speed;
mod file_reader;
mod followed_files;
mod libpcap_differential;
mod link_types;
mod packet_time;
mod quiet_pipe;
mod trimmed_frames;
mod tshark_differential;
mod unread_frames;
