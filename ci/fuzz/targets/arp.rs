#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| appliance_core::fuzzing::arp(data));
