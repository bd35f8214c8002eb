#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| client_core::fuzzing::directory_entry(data));
