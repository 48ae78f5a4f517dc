//! See [`smsentry_fuzz_bodies::capture_file`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smsentry_fuzz_bodies::capture_file(data));
