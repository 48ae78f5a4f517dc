//! See [`smsentry_fuzz_bodies::signature_file`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smsentry_fuzz_bodies::signature_file(data));
