#!/usr/bin/env bash
# The Debian package, from its making to its purge: tests/package/run.sh PROGRAM. It is installed on a copy of this machine's files that is gone
# afterwards (an overlay in a mount namespace, which wants root), where no systemd runs: there the unit's own command line starts the daemon.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
sudo=()
if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
package=$(systemd/debian/build.sh "$1" --fast)
lintian --allow-root --fail-on error,warning "$package"

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
tests/package/later.sh "$package" "$stage" >/dev/null
cp "$package" "$stage/tallyd.deb"
cp tests/package/life.sh "$stage/life.sh"
timeout 300 "${sudo[@]}" unshare --mount --net --pid --fork --kill-child bash "$stage/life.sh" "$stage"
echo "the package has $(stat -c %s "$package") bytes"
echo '1 passed, 0 failed'
