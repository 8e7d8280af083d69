#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzer::targets::lying_proxy::run(bytes));
