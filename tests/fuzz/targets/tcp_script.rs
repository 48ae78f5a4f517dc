//! See [`smsentry_fuzz_bodies::tcp_script`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smsentry_fuzz_bodies::tcp_script(data));
