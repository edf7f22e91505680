#![no_main]

libfuzzer_sys::fuzz_target!(init: imgtask::fuzzing::init(), |data: &[u8]| imgtask::fuzzing::pixels(data));
