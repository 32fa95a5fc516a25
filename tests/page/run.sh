#!/usr/bin/env bash
# Looks at the page with Debian's Chromium and at its modules with Node.js: every control by mouse and key, every number against
# the API, the words of every state, sizes and schemes; pictures of the main screen are left in target/page/pictures/.
# usage: tests/page/run.sh [path of the tallyd binary]; needs node, npm and chromium, installs the rest under target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
tallyd=$(realpath "${1:-target/debug/tallyd}")
# shellcheck source=tests/page/prepare.sh
. tests/page/prepare.sh
rm -rf pictures

# The chart is the package's, byte for byte.
if [ ! -d uplot ]; then
  archive=$(npm pack --silent uplot@1.6.32)
  mkdir uplot
  tar -xzf "$archive" -C uplot --strip-components=1
fi
vendor=../../src/page/vendor/uplot-1.6.32
cmp uplot/dist/uPlot.iife.min.js "$vendor/uPlot.iife.min.js"
cmp uplot/dist/uPlot.min.css "$vendor/uPlot.min.css"
cmp uplot/LICENSE "$vendor/LICENSE"

node --test unit/*.test.js
TALLYD=$tallyd PICTURES=$work/pictures node --test --test-concurrency=2 browser/*.test.js
