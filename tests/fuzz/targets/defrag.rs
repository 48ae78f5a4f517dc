//! See [`smsentry_fuzz::defrag`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smsentry_fuzz::defrag(data));
