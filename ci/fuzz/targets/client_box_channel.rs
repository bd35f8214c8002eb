#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| client_core::fuzzing::box_channel(data));
