#!/usr/bin/env bash
# Makes the Debian package below target/package/ and prints its path: systemd/debian/build.sh [PROGRAM [OPTION OF cargo-deb…]]. Without a program
# that was built already it builds one. Wants cargo-deb, dpkg-dev and Python. What is in the package is in Cargo.toml.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
program=${1:-}
if [ -z "$program" ]; then
    cargo build --locked --release
    program=target/release/tallyd
fi
stage=target/package
rm -rf "$stage"
mkdir -p "$stage/release" "$stage/completions"
install -m 755 "$program" "$stage/release/tallyd"
"$program" man "$stage/man" 2>/dev/null
for shell in bash zsh fish; do
    "$program" completions "$shell" >"$stage/completions/$shell"
done
systemd/debian/licences.sh | gzip -9n >"$stage/third-party-licences.gz"

# The same sources give the same package, also where they came without their history.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}
export SOURCE_DATE_EPOCH
field() { sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" Cargo.toml | head -n 1; }
# Whoever builds it answers for it, by the variables that Debian's own tools take. Else it has an address that is nobody's (RFC 2606).
maintainer=$(field maintainer)
if [ -n "${DEBEMAIL:-}" ]; then maintainer="${DEBFULLNAME:-the tallyd authors} <$DEBEMAIL>"; fi
cat >"$stage/changelog" <<EOF
tallyd ($(field version)-1) unstable; urgency=medium

  * What changed is in /usr/share/doc/tallyd/changelog.gz.

 -- $maintainer  $(date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')
EOF

# It takes the program from this directory, in the place of target/.
CARGO_TARGET_DIR=$PWD/$stage cargo deb --quiet --locked --no-build --strip --maintainer "$maintainer" --output "$stage/" "${@:2}" >&2
ls "$stage"/*.deb
