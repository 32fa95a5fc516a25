#!/usr/bin/env bash
# An operator's day on a fresh machine, with a real systemd: tests/package/systemd.sh PROGRAM. A bare Debian is made once below
# target/systemd/ and booted as process 1 of namespaces of its own, on a layer that is gone afterwards; there day.sh installs the
# package and does what README.md and systemd/README.md say, each command with its output and its time.
# Wants root, a cgroup2 mount and debootstrap, the first time Debian's mirror too. Two minutes, and one for the first Debian.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=$PWD/tests/package
package=$(systemd/debian/build.sh "$1" --fast)

fresh=$PWD/target/systemd
if [ ! -d "$fresh/debian" ]; then
    rm -rf "$fresh"
    mkdir -p "$fresh"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,curl,ca-certificates \
        "${DEBIAN_SUITE:-bookworm}" "$fresh/unfinished" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >&2
    mv "$fresh/unfinished" "$fresh/debian"
fi

stage=$(mktemp -d)
cgroups=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
cgroup=$cgroups/tallyd-day-$$
mkdir "$cgroup"
ended() {
    # Its process 1 goes with all that it has started.
    echo 1 >"$cgroup/cgroup.kill"
    for _ in $(seq 100); do if grep -q 'populated 0' "$cgroup/cgroup.events"; then break; fi; sleep 0.1; done
    find "$cgroup" -depth -type d -exec rmdir {} \;
    rm -rf "$stage"
}
trap ended EXIT
cp "$package" "$stage/tallyd.deb"
"$here/later.sh" "$package" "$stage" >/dev/null
cp "$here/day.sh" systemd/tallyd.service systemd/tallyd.example.toml "$1" "$stage/"

(
    echo "$BASHPID" >"$cgroup/cgroup.procs"
    exec unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child bash "$here/boot.sh" "$fresh/debian" "$stage"
) >"$stage/console" 2>&1 &
machine=$!
disown
first=
for _ in $(seq 300); do
    first=$(pgrep -P "$machine" || true)
    if [ -n "$first" ] && [ -S "/proc/$first/root/run/dbus/system_bus_socket" ]; then break; fi
    sleep 0.1
done
[ -n "$first" ] || { cat "$stage/console" >&2; exit 1; }
timeout 600 nsenter --target "$first" --all --wd="/proc/$first/root/root" \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SYSTEMD_PAGER=cat bash /packages/day.sh ||
    { tail -n 20 "$stage/console" >&2; exit 1; }
echo '1 passed, 0 failed'
