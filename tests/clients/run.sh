#!/usr/bin/env bash
# Writes events with the stock clients of InfluxDB and QuestDB (Python, Node.js) and reads them back as reports,
# then again through a proxy that loses answers, and while the daemon is killed (every TALLYD_KILL_SECONDS, 1): what the clients
# repeat counts once.
# usage: tests/clients/run.sh [path of the tallyd binary]; needs python3 and node, installs the rest under target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
tallyd=${1:-target/debug/tallyd}
work=$PWD/target/clients
mkdir -p "$work"

if [ ! -x "$work/venv/bin/python" ]; then
  python3 -m venv "$work/venv"
fi
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/python/requirements.txt
cp tests/clients/node/package.json tests/clients/node/*.mjs "$work/"
(cd "$work" && npm install --silent --no-audit --no-fund)

data=$(mktemp -d)
"$tallyd" serve --http-listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0 --data-dir "$data" 2>"$data/stderr" &
daemon=$!
proxy=
trap 'kill "$daemon" $proxy 2>/dev/null || true; wait "$daemon" 2>/dev/null || true; rm -rf "$data"' EXIT
url=
for _ in $(seq 100); do
  address=$(sed -n 's/.*http=\([0-9.]*:[0-9]*\).*/\1/p' "$data/stderr" | head -n 1)
  if [ -n "$address" ]; then
    url=http://$address
    break
  fi
  kill -0 "$daemon" || { cat "$data/stderr"; exit 1; }
  read -r -t 0.1 <> <(:) || true
done
[ -n "$url" ] || { cat "$data/stderr"; exit 1; }

lines=$(sed -n 's/.*tcp=\([0-9.]*:[0-9]*\).*/\1/p' "$data/stderr" | head -n 1)

"$work/venv/bin/python" tests/clients/python/client.py "$url"
"$work/venv/bin/python" tests/clients/python/others.py "$url" "$lines"
"$work/venv/bin/python" tests/clients/python/influxdb3.py "$url"
(cd "$work" && node client.mjs "$url" && node others.mjs "$url" "$lines")

"$work/venv/bin/python" tests/clients/python/proxy.py "${url#http://}" >"$data/proxy" &
proxy=$!
for _ in $(seq 100); do
  [ -s "$data/proxy" ] && break
  read -r -t 0.1 <> <(:) || true
done
lossy=$(cat "$data/proxy")
"$work/venv/bin/python" tests/clients/python/lossy.py "$lossy" "${url#http://}"
(cd "$work" && node lossy.mjs "$lossy" "${url#http://}")

# Every fsync policy, with the daemon killed every so many seconds.
"$work/venv/bin/python" tests/clients/python/kills.py "$(realpath "$tallyd")" "$work" "${TALLYD_KILL_SECONDS:-1}"
