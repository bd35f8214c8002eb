#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wire::fuzzing::join_link(data));
