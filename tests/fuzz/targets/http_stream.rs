//! See [`smsentry_fuzz::http_stream`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smsentry_fuzz::http_stream(data));
