//! Runs `bodies::blocks` on whatever the fuzzer finds.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::blocks(bytes));
