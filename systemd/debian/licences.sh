#!/usr/bin/env bash
# Prints the licences of the libraries that are in the program, each with its text, once per text.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=$(rustc -vV | sed -n 's/^host: //p')
# `name version path` of every package.
packages=$(cargo metadata --locked --format-version 1 --filter-platform "$target" |
    python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    print(package["name"], package["version"], package["license"].replace(" ", "_"), os.path.dirname(package["manifest_path"]))')
declare -A seen
cargo tree --locked --edges normal --target "$target" --prefix none --format '{p}' | awk '$1 != "tallyd" { print $1, substr($2, 2) }' | sort -u |
    while read -r name version; do
        read -r _ _ licence directory < <(grep -F "$name $version " <<<"$packages" | grep "^$name ")
        printf '== %s %s: %s\n' "$name" "$version" "${licence//_/ }"
        for file in "$directory"/LICEN[CS]E* "$directory"/COPYING* "$directory"/NOTICE*; do
            [ -f "$file" ] || continue
            sum=$(sha256sum <"$file")
            if [ -n "${seen[$sum]:-}" ]; then
                printf '%s as of %s\n' "${file##*/}" "${seen[$sum]}"
            else
                seen[$sum]="$name $version"
                printf '%s:\n' "${file##*/}"
                cat "$file"
                printf '\n'
            fi
        done
    done
