#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| appliance_core::fuzzing::supplied_certificate(data));
