#!/usr/bin/env bash
# Shows that the simulator can fail: applies each deliberate breakage of the durable path, or (cluster-…) of what several nodes
# make of their log, in breakages/ to a copy of the tree, builds that, and simulates until a round fails. Prints a table; a
# breakage that is not caught, or that no longer applies or builds, is an error.
#
#   tests/simulation/breakages.sh [NAME...]      all, or those named
#   TALLYD_SIM_ROUNDS=100000                     most rounds for each
#   TALLYD_SIM_SEED=1                            the seed of the rounds
#   TALLYD_BREAKAGES_PROFILE=release             or dev, which builds faster and runs slower
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=${TALLYD_BREAKAGES_DIR:-$root/target/breakages}
profile=${TALLYD_BREAKAGES_PROFILE:-release}
export TALLYD_SIM_ROUNDS=${TALLYD_SIM_ROUNDS:-100000} TALLYD_SIM_SEED=${TALLYD_SIM_SEED:-1}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$work/target} CARGO_INCREMENTAL=1 RUST_BACKTRACE=0
# Built anew for each, so quickly rather than well.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

tree=$work/tree
rm -rf "$tree"
mkdir -p "$tree"
(cd "$root" && git ls-files --cached --others --exclude-standard -z | tar --null --files-from=- --ignore-failed-read -cf -) |
    tar -xf - -C "$tree"
cd "$tree"

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for file in tests/simulation/breakages/*.patch; do
        names+=("$(basename "$file" .patch)")
    done
fi

failures=0
printf '%-32s %-10s %s\n' breakage round seed
for name in "${names[@]}"; do
    file=$tree/tests/simulation/breakages/$name.patch
    log=$work/$name.log
    case $name in
        cluster-store-*) rounds=cluster::stores_agree ;;
        cluster-*) rounds=cluster::nodes_agree ;;
        *) rounds=rounds ;;
    esac
    if ! patch --strip=1 --fuzz=0 --batch --no-backup-if-mismatch --input="$file" >"$log" 2>&1; then
        printf '%-32s does not apply, see %s\n' "$name" "$log"
        exit 1
    fi
    if ! cargo test --locked --profile "$profile" --test simulation --no-run >>"$log" 2>&1; then
        result="does not build, see $log"
        failures=$((failures + 1))
    elif cargo test --locked --profile "$profile" --test simulation -- --exact --nocapture "$rounds" >>"$log" 2>&1; then
        result="NOT CAUGHT in $TALLYD_SIM_ROUNDS rounds"
        failures=$((failures + 1))
    else
        result=$(sed -n 's/.*round \([0-9]*\) of [0-9]* failed: TALLYD_SIM_ROUND=\([0-9]*\).*/\1 \2/p' "$log" | head -1)
        if [ -n "$result" ]; then
            result=$(printf '%-10s %s' "${result% *}" "${result#* }")
        else
            result="ended without a failed round, see $log"
            failures=$((failures + 1))
        fi
    fi
    printf '%-32s %s\n' "$name" "$result"
    patch --strip=1 --reverse --fuzz=0 --batch --no-backup-if-mismatch --input="$file" >>"$log" 2>&1
done
exit "$((failures > 0))"
