#!/usr/bin/env bash
# Makes requests up from /openapi.json and holds every answer against it: no 5xx, no status, kind, header or shape that the document
# does not have, nothing taken that it forbids. Streams come after the rest, one second each, then backups. The seed is printed; what fails is
# shown as a curl command.
# usage: tests/openapi/schemathesis.sh [path of the tallyd binary] [least number of cases (5000)] [seed]
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/openapi
tallyd=$(realpath "${1:-target/debug/tallyd}")
cases=${2:-5000}
seed=${3:-$(date +%s)}
work=$PWD/target/openapi
mkdir -p "$work"
if [ ! -x "$work/venv/bin/python" ]; then
  python3 -m venv "$work/venv"
fi
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
# It keeps what it learns about failures where it runs.
cd "$work"

data=$(mktemp -d)
token=tally_made_up_requests_000000000000
TALLYD_TOKENS="all:admin:$token" "$tallyd" serve --http-listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0 --data-dir "$data/data" 2>"$data/stderr" &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true; wait "$daemon" 2>/dev/null || true; rm -rf "$data"' EXIT
url=
for _ in $(seq 100); do
  url=$(sed -n 's/.*http=\([0-9.]*:[0-9]*\).*/http:\/\/\1/p' "$data/stderr" | head -n 1)
  [ -z "$url" ] || break
  kill -0 "$daemon" || { cat "$data/stderr"; exit 1; }
  read -r -t 0.1 <> <(:) || true
done
[ -n "$url" ] || { cat "$data/stderr"; exit 1; }

# Left out: that all valid requests are taken, since the document cannot say which parameters exclude each other; that wrong tokens
# are refused, since ten of them make the daemon ask for a pause.
run() {
  SCHEMATHESIS_HOOKS=hooks PYTHONPATH=$here "$work/venv/bin/schemathesis" --no-color --config-file "$here/schemathesis.toml" \
    run "$url/openapi.json" --header "Authorization: Bearer $token" --seed "$seed" --request-timeout 30 --continue-on-failure --warnings off \
    --suppress-health-check all --exclude-checks positive_data_acceptance,ignored_auth "$@"
}

operations=$("$work/venv/bin/python" - "$url" <<'PYTHON'
import json, sys, urllib.request
paths = json.load(urllib.request.urlopen(sys.argv[1] + "/openapi.json"))["paths"]
print(sum(len(methods) for path, methods in paths.items() if not path.endswith("/stream")))
PYTHON
)
echo "seed $seed, at least $cases cases of $operations operations"
run --exclude-path-regex '/(stream|backup)$' --phases coverage,fuzzing,stateful --max-examples "$(((cases + operations - 1) / operations))"
run --include-path-regex '/stream$' --phases fuzzing --max-examples "$((cases / 1000 + 1))" --workers 12
# One backup at a time: where the answer before is still being read, 503 says so, as the document does.
run --include-path-regex '/backup$' --phases coverage,fuzzing --max-examples "$((cases / 100 + 1))" --exclude-checks positive_data_acceptance,ignored_auth,not_a_server_error
kill -0 "$daemon"
