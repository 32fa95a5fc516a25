//! `tallyd::testing::key_piece` with whatever libFuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tallyd::testing::key_piece(bytes));
