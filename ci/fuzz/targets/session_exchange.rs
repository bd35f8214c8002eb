#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_core::exchange::fuzzing::exchange(data));
