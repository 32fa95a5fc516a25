#!/usr/bin/env bash
# Writes what the fuzz targets begin with to fuzz/seeds: the inputs of the tests, as src/test_seeds.rs gathers them.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
rm -rf fuzz/seeds
TALLYD_FUZZ_SEEDS=$PWD/fuzz/seeds RUSTUP_TOOLCHAIN='' cargo test --locked --quiet --lib testing::
