//! `tallyd::testing::log_message` with whatever libFuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tallyd::testing::log_message(bytes));
