//! `tallyd::testing::snapshot_manifest` with whatever libFuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tallyd::testing::snapshot_manifest(bytes));
