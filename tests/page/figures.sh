#!/usr/bin/env bash
# Prints how fast the page is: its first paint and its numbers beside an empty page, few stories and 100,000; from key to list in the
# picker, and what of it is the daemon's; a change; and its heap while it stays open and live, minute by minute. Nothing is decided
# here: figures are of one machine at one time. Wants a release build, and nothing else running.
# usage: tests/page/figures.sh [path of the tallyd binary] [minutes that the page stays open (2; 60 for the long form)] [rounds (9)]
set -euo pipefail
cd "$(dirname "$0")/../.."
tallyd=$(realpath "${1:-target/release/tallyd}")
# shellcheck source=tests/page/prepare.sh
. tests/page/prepare.sh
echo "load $(cut -d ' ' -f 1-3 /proc/loadavg) on $(nproc) cores, $("${CHROMIUM:-chromium}" --version --no-sandbox 2>/dev/null)"
TALLYD=$tallyd MINUTES=${2:-2} ROUNDS=${3:-9} node figures/figures.js
