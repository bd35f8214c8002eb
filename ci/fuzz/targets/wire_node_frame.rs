#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wire::fuzzing::node_frame(data));
