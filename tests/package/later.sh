#!/usr/bin/env bash
# Makes of a package one of a later version, whose own configuration differs: tests/package/later.sh PACKAGE DIRECTORY prints its path.
set -euo pipefail

stage=$2
dpkg-deb -R "$1" "$stage/later"
sed -i 's/^Version: .*/&+later/' "$stage/later/DEBIAN/control"
echo '# A line of the later version.' >>"$stage/later/etc/tallyd/tallyd.toml"
(cd "$stage/later" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
dpkg-deb --root-owner-group -Zgzip -z1 -b "$stage/later" "$stage/later.deb" >/dev/null
echo "$stage/later.deb"
