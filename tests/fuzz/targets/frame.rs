//! See [`smsentry_fuzz::frame`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smsentry_fuzz::frame(data));
