//! See [`smsentry_fuzz_bodies::http_stream`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smsentry_fuzz_bodies::http_stream(data));
