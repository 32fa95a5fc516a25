#!/usr/bin/env bash
# Three servers of a log and three tallyds on this machine; events flow to all of them while the log's leader and then a tallyd are killed.
# At the end it is shown that every event that was acknowledged counts once, on every node.
#   TALLYD_LOG_SERVER=…/nats-server tests/cluster/demo.sh [PROGRAM] [EVENTS]
set -euo pipefail

tallyd=$(realpath "${1:-target/release/tallyd}")
events=${2:-400}
server=${TALLYD_LOG_SERVER:?names the program nats-server, which .ci/run puts below target/tools}
story=5b07ffafc2376e30306d9b16
work=$(mktemp -d)
declare -A pids=()

# Ends what was started here, and nothing else.
finish() {
    for pid in "${pids[@]}"; do
        kill -9 "$pid" || true
        wait "$pid" || true
    done 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

mapfile -t ports < <(python3 - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(12)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
for one in sockets:
    print(one.getsockname()[1])
PYTHON
)
routes="nats://127.0.0.1:${ports[3]}, nats://127.0.0.1:${ports[4]}, nats://127.0.0.1:${ports[5]}"
urls="nats://127.0.0.1:${ports[0]},nats://127.0.0.1:${ports[1]},nats://127.0.0.1:${ports[2]}"
url() { echo "http://127.0.0.1:${ports[9 + $1]}"; }

start_server() {
    mkdir -p "$work/s$1"
    cat >"$work/s$1/conf" <<CONF
server_name: s$1
listen: "127.0.0.1:${ports[$1]}"
http: "127.0.0.1:${ports[6 + $1]}"
max_payload: 8MB
jetstream { store_dir: "$work/s$1" }
cluster { name: c, listen: "127.0.0.1:${ports[3 + $1]}", routes: [$routes] }
CONF
    "$server" -c "$work/s$1/conf" 2>>"$work/s$1/log" &
    pids[s$1]=$!
}

start_node() {
    "$tallyd" serve --cluster "$urls" --data-dir "$work/n$1" --http-listen "127.0.0.1:${ports[9 + $1]}" --tcp-listen off 2>>"$work/n$1.log" &
    pids[n$1]=$!
}

kill_one() {
    kill -9 "${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}

# The place of the server that leads the log.
leader() {
    curl -s "http://127.0.0.1:${ports[6]}/jsz?accounts=true&streams=true" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["account_details"][0]["stream_detail"][0]["cluster"]["leader"][1:])'
}

# Sends so many events, each with a key and again until it is acknowledged, to each node in turn.
send() {
    local turn number
    for ((number = $1; number < $1 + $2; number++)); do
        turn=$number
        until curl -sf -m 40 -o /dev/null -H "Idempotency-Key: demo-$number" --data "conversation,storyId=$story,source=app count=1i" "$(url $((turn % 3)))/events"; do
            turn=$((turn + 1))
        done
    done
}

for place in 0 1 2; do start_server "$place"; done
"$tallyd" cluster init --cluster "$urls" --max-bytes 1GiB 2>/dev/null
for place in 0 1 2; do start_node "$place"; done
for place in 0 1 2; do until curl -sf -o /dev/null "$(url "$place")/ready"; do read -rt 0.1 <> <(:) || true; done; done
echo "three servers and three nodes run"

quarter=$((events / 4))
send 0 "$quarter"
gone=$(leader)
kill_one "s$gone"
echo "server s$gone, which led the log, is killed after $quarter events"
send "$quarter" "$quarter"
start_server "$gone"
kill_one n0
echo "node n0 is killed after $((2 * quarter)) events"
send $((2 * quarter)) "$quarter"
start_node 0
send $((3 * quarter)) "$quarter"
sent=$((4 * quarter))

for _ in {1..100}; do
    if status=$("$tallyd" cluster status "$(url 0)" "$(url 1)" "$(url 2)") && [ "$(grep -o 'place [0-9]*' <<<"$status" | sort -u | wc -l)" -eq 1 ]; then break; fi
    read -rt 0.2 <> <(:) || true
done
echo "$status"
for place in 0 1 2; do
    counted=$(curl -sf "$(url "$place")/reports/conversations?from=2020-01-01&dimension=year" | python3 -c 'import json, sys; print(json.load(sys.stdin)["summary"]["total"])')
    echo "node n$place counts $counted of $sent acknowledged events"
    [ "$counted" -eq "$sent" ] || { echo "FAILED"; exit 1; }
done
echo "nothing was lost, and nothing counts twice"
