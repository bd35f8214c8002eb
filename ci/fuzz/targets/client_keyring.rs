#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| client_core::fuzzing::keyring(data));
