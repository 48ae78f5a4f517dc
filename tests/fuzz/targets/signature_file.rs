//! See [`smsentry_fuzz::signature_file`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smsentry_fuzz::signature_file(data));
