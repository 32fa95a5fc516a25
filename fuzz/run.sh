#!/usr/bin/env bash
# Runs fuzz targets: fuzz/run.sh MINUTES [TARGET…], all of them where none is named. Prints what each did; 1 where one found
# something, which is then in fuzz/artifacts/TARGET. Wants the nightly toolchain and cargo-fuzz, and a minute or two to build.
#
# FUZZ_JOBS   targets that run at a time (2)
# FUZZ_LOGS   folder for what libFuzzer says (fuzz/logs)
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 64; }
cd "$(dirname "${BASH_SOURCE[0]}")"
minutes=$1
shift
jobs=${FUZZ_JOBS:-2}
logs=${FUZZ_LOGS:-$PWD/logs}
export RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-nightly}
triple=$(rustc -vV | sed -n 's/^host: //p')

if [ $# -gt 0 ]; then
    targets=("$@")
else
    targets=(targets/*.rs)
    targets=("${targets[@]#targets/}")
    targets=("${targets[@]%.rs}")
fi

# Longest input: what a few lines take, or a few blocks; what is found in longer ones is found in these.
bytes_max() {
    case $1 in
        block | fast_path | json | session) echo 4096 ;;
        body | framing) echo 8192 ;;
        *) echo 2048 ;;
    esac
}

# The words that inputs are made of.
dictionary() {
    case $1 in
        line | block | json | fast_path | session) echo dictionaries/events.dict ;;
        *) echo "dictionaries/$1.dict" ;;
    esac
}

# run TARGET: for so many minutes, from the seeds and from what earlier runs found.
run() {
    local target=$1 options=()
    mkdir -p "corpus/$target" "artifacts/$target"
    if [ -e "$(dictionary "$target")" ]; then options+=("-dict=$(dictionary "$target")"); fi
    "target/$triple/release/$target" "corpus/$target" "seeds/$target" \
        -artifact_prefix="artifacts/$target/" -max_total_time=$((minutes * 60)) -max_len="$(bytes_max "$target")" \
        -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 "${options[@]}" >"$logs/$target.log" 2>&1
}

# report TARGET STATUS
report() {
    local log=$logs/$1.log executions cover findings
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    cover=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -1) || cover='no coverage'
    findings=0
    if [ "$2" -ne 0 ]; then findings=$(grep -c 'Test unit written to' "$log") || findings='no input, but a failure'; fi
    printf '%-20s %6s min  %12s executions  %-22s  findings: %s\n' "$1" "$minutes" "${executions:-?}" "$cover" "$findings"
}

./seeds.sh
cargo fuzz build --fuzz-dir .
mkdir -p "$logs"
declare -A running=()
failed=0

finish_one() {
    local pid status=0
    wait -n -p pid "${!running[@]}" || status=$?
    report "${running[$pid]}" "$status"
    if [ "$status" -ne 0 ]; then failed=1; fi
    unset "running[$pid]"
}

for target in "${targets[@]}"; do
    if [ "${#running[@]}" -ge "$jobs" ]; then finish_one; fi
    run "$target" &
    running[$!]=$target
done
while [ "${#running[@]}" -gt 0 ]; do finish_one; done
exit "$failed"
