#!/usr/bin/env bash
# Compares every time zone with Python's zoneinfo and the newest tzdata from PyPI. Needs python3; installs the rest under
# target/. usage: tests/zones/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/target/zones
mkdir -p "$work"
if [ ! -x "$work/venv/bin/python" ]; then
  python3 -m venv "$work/venv"
fi
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --upgrade tzdata
"$work/venv/bin/python" tests/zones/expected.py >"$work/expected"
TZDIR=$("$work/venv/bin/python" -c 'import os, tzdata; print(os.path.join(os.path.dirname(tzdata.__file__), "zoneinfo"))')
export TZDIR TALLYD_ZONES_EXPECTED=$work/expected
cargo test --locked --quiet --test zones every_change -- --nocapture
