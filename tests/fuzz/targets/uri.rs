//! See [`smsentry_fuzz::uri`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smsentry_fuzz::uri(data));
