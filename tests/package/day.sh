#!/usr/bin/env bash
# The day itself, on the machine that systemd.sh has booted: README.md's "Try it" and systemd/README.md from Install to Backups, in the pages' words.
# Prints each command, what it says and how long it took; ends at the first one that fails or says something else.
# shellcheck disable=SC2016 # what is in quotes is for the shell that runs it
set -uo pipefail

fail() { echo "day: $*" >&2; journalctl -u tallyd -n 30 -o cat --no-pager >&2; exit 1; }
said=
# run COMMAND [PATTERN…]: the command succeeds, and what it prints has each pattern.
run() {
    local begun=$EPOCHREALTIME ended status
    printf '$ %s\n' "$1"
    said=$(bash -c "$1" 2>&1)
    status=$?
    ended=$EPOCHREALTIME
    if [ -n "$said" ]; then head -n "${lines:-12}" <<<"$said" | cut -c 1-200; fi
    printf '# %d ms\n' $(((${ended/./} - ${begun/./}) / 1000))
    [ "$status" -eq 0 ] || fail "'$1' ended with $status: $said"
    local pattern
    for pattern in "${@:2}"; do grep -qE -e "$pattern" <<<"$said" || fail "'$1' does not say '$pattern': $said"; done
}
part() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }
# wait_until COMMAND: at most a minute and a half.
wait_until() {
    local begun=$SECONDS
    until bash -c "$1" >/dev/null 2>&1; do
        [ $((SECONDS - begun)) -lt 90 ] || fail "not within 90 s: $1"
        sleep 0.1
    done
}
pid() { systemctl show -p MainPID --value tallyd; }
restarts() { systemctl show -p NRestarts --value tallyd; }
total='tallyd report conversations --from 2019-3-16 --to 2019-3-18 --json'
up='curl -s http://127.0.0.1:8780/health'

echo silent >/root/.curlrc

part 'the machine'
wait_until 'systemctl is-system-running | grep -qE "running|degraded"'
run 'systemctl is-system-running' '^running'
run 'systemctl --version' '^systemd [0-9]'
run 'cat /proc/1/comm' '^systemd$'

part 'install'
run 'apt install -y /packages/tallyd.deb' 'Setting up tallyd'
run 'systemctl is-enabled tallyd' '^enabled'
lines=30 run 'systemctl status tallyd' 'active \(running\)' 'listening'
run "$up" '"status":"pass"'
run 'ls /usr/share/man/man1/tallyd.1.gz /usr/share/doc/tallyd/systemd/README.md'

part 'what the unit takes from it'
run "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/$(pid)/status" 'Uid:.[1-9]' 'CapEff:.0000000000000000' 'NoNewPrivs:.1' 'Seccomp:.2'
run 'stat -c "%a %u %N" /var/lib/tallyd /var/lib/private/tallyd' "-> 'private/tallyd'" "^700 6[0-9]+ '/var/lib/private/tallyd'"
run 'systemd-analyze security tallyd --no-pager | tail -n 1' 'Overall exposure level'
run 'systemctl show -p WatchdogUSec -p NotifyAccess -p StatusText -p LimitNOFILE tallyd' 'WatchdogUSec=30s' 'LimitNOFILE=32768'

part 'push and look'
run "curl http://127.0.0.1:8780/events --data-binary \\
    'conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger count=1i'" '"accepted":1,"rejected":0'
run "curl http://127.0.0.1:8780/events --data-binary \\
    'conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger count=1i 1552813200000000000'" '"accepted":1,"rejected":0'
run "curl 'http://127.0.0.1:8780/reports/conversations?from=2019-3-16&to=2019-3-18'" '"total":1,"min":0,"max":1,"avg":0.33'
run "printf 'conversation,storyId=5b07ffafc2376e30306d9b16,source=app count=2i 1552813200000000000\n' | tallyd push --quiet -"
run 'exec 3<>/dev/tcp/127.0.0.1/8781; printf "message,storyId=5b07ffafc2376e30306d9b16,source=app count=1i\noops\n!sync\n" >&3; head -n 2 <&3' '^ERR 2 ' '^OK 1 1'
run 'tallyd report conversations --from 2019-3-16 --to 2019-3-18' '2019-03-17.* 3'
run 'curl -s -H "accept: text/html" http://127.0.0.1:8780/ | head -c 200' '<!doctype html>'
lines=40 run 'tallyd top --once' 'events'
run 'journalctl -u tallyd -n 4 -o cat'

part 'tokens'
run 'tallyd token operator --scope admin >> /etc/tallyd/tokens.toml' 'tally_'
TALLYD_TOKEN=${said##*: }
export TALLYD_TOKEN
run 'systemctl restart tallyd'
run 'stat -c %a /etc/tallyd/tokens.toml' 600
run "env -u TALLYD_TOKEN $total || true" '^401: '
run "$total" '"total":3'
# Where a reload reads them.
run 'tallyd token platform --scope write > tokens.toml' 'tally_'
export LOST=${said##*: }
run 'install -m 644 tokens.toml /var/lib/tallyd/tokens.toml'
# What `systemctl edit tallyd` writes.
run 'mkdir -p /etc/systemd/system/tallyd.service.d
printf "[Service]\nEnvironment=TALLYD_TOKENS_FILE=%%S/tallyd/tokens.toml\n" > /etc/systemd/system/tallyd.service.d/override.conf
systemctl daemon-reload && systemctl restart tallyd'
asked="curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:8780/events -H \"Authorization: Bearer \$LOST\" --data-binary ''"
run "$asked" '^200'
run 'tallyd token platform-2 --scope write > tokens.toml && install -m 644 tokens.toml /var/lib/tallyd/tokens.toml'
before=$(pid)
run 'systemctl reload tallyd'
wait_until "$asked | grep -q 401"
run "$asked" '^401'
[ "$(pid)" = "$before" ] || fail 'a reload is another process'

part 'sockets of systemd'
run 'systemctl daemon-reload && systemctl stop tallyd'
run 'systemctl enable --now tallyd.socket tallyd-lines.socket && systemctl start tallyd'
run "$total" '"total":3'
# A connection starts what was stopped alone.
run 'systemctl stop tallyd' 'tallyd.socket'
run "$up" '"status":"pass"'
run 'systemctl restart tallyd & restart=$!; while kill -0 $restart 2>/dev/null; do curl -s -o /dev/null -w "%{http_code}\n" http://127.0.0.1:8780/ready; done | sort | uniq -c; wait $restart' ' 200$'
[ "$(wc -l <<<"$said")" -eq 1 ] || fail "other answers than 200 while it restarts: $said"

part 'a kill, and a daemon that hangs'
run "printf 'conversation,storyId=5b07ffafc2376e30306d9b16,source=app count=4i 1552813200000000000\n' | tallyd push --quiet -"
before=$(restarts)
run "kill -KILL $(pid)"
wait_until "[ \"\$(systemctl show -p NRestarts --value tallyd)\" -gt $before ] && $up"
run "$total" '"total":7'
before=$(restarts)
run "kill -STOP $(pid)"
wait_until "[ \"\$(systemctl show -p NRestarts --value tallyd)\" -gt $before ] && $up"
run 'journalctl -u tallyd -o cat -g "atchdog timeout" -n 1' 'atchdog timeout'
run "$total" '"total":7'

part 'back up'
run 'tallyd backup /srv/backup/tallyd' 'is complete'
run 'tallyd backup /srv/backup/tallyd' 'came now'
run 'tallyd verify --data-dir /srv/backup/tallyd' 'a restart loads'

part 'upgrade'
run 'apt install -y /packages/later.deb' 'Setting up tallyd'
run 'dpkg-query -W tallyd' 'later'
run 'systemctl is-active tallyd' '^active'
run "$total" '"total":7'
run 'tail -n 1 /etc/tallyd/tallyd.toml' 'later version'
run 'grep -c "^name" /etc/tallyd/tokens.toml' 1

part 'restore'
run "printf 'conversation,storyId=5b07ffafc2376e30306d9b16,source=app count=100i 1552813200000000000\n' | tallyd push --quiet -"
run 'systemctl stop tallyd.socket tallyd-lines.socket tallyd'
run 'cp -a /var/lib/tallyd/. /root/tallyd-damaged'
run 'find /var/lib/tallyd/ -mindepth 1 -delete'
run 'cp -a /srv/backup/tallyd/. /var/lib/tallyd/'
run 'tallyd verify --data-dir /var/lib/tallyd' 'sound snapshots'
run 'cp -a /root/tallyd-damaged/tokens.toml /var/lib/tallyd/'
run 'systemctl start tallyd.socket tallyd-lines.socket tallyd'
run "$up" '"status":"pass"'
run "$total" '"total":7'
# And at another place, by hand.
run 'cp -a /srv/backup/tallyd /root/another && (tallyd serve --data-dir /root/another --http-listen 127.0.0.1:8790 --tcp-listen off 2>log & daemon=$!
timeout 30 grep -q -m 1 " listening " < <(tail -f -n +1 log)
tallyd report conversations --from 2019-3-16 --to 2019-3-18 --json --url http://127.0.0.1:8790; kill $daemon; wait $daemon)' '"total":7'

part 'stop, remove, purge'
run 'systemctl stop tallyd.socket tallyd-lines.socket tallyd'
run 'journalctl -u tallyd -n 3 -o cat' 'Stopped'
run 'systemctl show -p Result -p ExecMainStatus tallyd' 'Result=success' 'ExecMainStatus=0'
run 'systemctl start tallyd'
run 'apt remove -y tallyd' 'Removing tallyd'
run 'ls /var/lib/tallyd/ /etc/tallyd/' 'journal' 'tokens.toml'
run "apt install -y /packages/tallyd.deb && systemctl is-active tallyd" '^active'
run "$total" '"total":7'
run 'apt purge -y tallyd' 'Purging configuration files for tallyd'
run 'ls -d /var/lib/tallyd /var/lib/private/tallyd /etc/tallyd /usr/bin/tallyd 2>&1; true' 'No such file'
if grep -qv 'No such file' <<<"$said"; then fail "left after a purge: $said"; fi
run 'systemctl list-units --all "tallyd*" --no-legend; systemctl list-unit-files "tallyd*" --no-legend; true'
if [ -n "$said" ]; then fail "left after a purge: $said"; fi

part 'without the package'
rm -rf /etc/systemd/system/tallyd.service.d
unset TALLYD_TOKEN
run 'cd /packages && install -m 755 tallyd /usr/bin/tallyd'
run 'cd /packages && install -m 644 tallyd.service /etc/systemd/system/'
run 'cd /packages && install -D -m 600 tallyd.example.toml /etc/tallyd/tallyd.toml'
run 'systemctl daemon-reload && systemctl enable --now tallyd'
run "$up" '"status":"pass"'
run 'ls /var/lib/tallyd/' 'journal'

part 'the machine goes down'
run 'systemctl list-units --failed --no-legend --plain'
[ -z "$said" ] || fail "units that failed: $said"
