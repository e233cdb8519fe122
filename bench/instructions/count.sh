#!/usr/bin/env bash
# Counts the instructions of the block encoder on a fixed dump (callgrind), and compares them with counts.txt: a slowdown is
# seen without a clock. Ends with 1 where a count differs by more than 3 %; counts of another compiler are not compared.
# `--write` takes the counts as the new ones.
set -euo pipefail
cd "$(dirname "$0")"

allowed=3
# Not with the counters of a coverage run.
unset RUSTC_WORKSPACE_WRAPPER
cargo build --quiet --release --locked
program=${CARGO_TARGET_DIR:-target}/release/instructions

count() {
    local out
    out=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>&1)
    sed -n 's/.*Collected : //p' <<<"$out" | grep . || { echo "$out" >&2; return 1; }
}

measured=$(
    echo "rustc $(rustc --version | cut -d' ' -f2)"
    echo "scalar $(count --scalar)"
    if grep -qw avx2 /proc/cpuinfo; then echo "avx2 $(count)"; fi
)
if [ "${1-}" = --write ]; then
    printf '%s\n' "$measured" >counts.txt
    cat counts.txt
    exit
fi

kept() { sed -n "s/^$1 //p" counts.txt; }
compiler=$(sed -n 's/^rustc //p' <<<"$measured")
if [ "$compiler" != "$(kept rustc)" ]; then
    echo "not compared: rustc $compiler makes other code than $(kept rustc), by which counts.txt was made. Counted: $measured"
    exit
fi
failed=0
while read -r name now; do
    if [ "$name" = rustc ]; then continue; fi
    before=$(kept "$name")
    change=$(awk -v now="$now" -v before="$before" 'BEGIN { printf "%+.2f", 100 * (now / before - 1) }')
    echo "$name: $now instructions, $change % of $before"
    awk -v change="$change" -v allowed=$allowed 'BEGIN { exit change > allowed || change < -allowed }' || failed=1
done <<<"$measured"
if [ $failed = 1 ]; then
    echo "More than $allowed %: find out why, or take the new counts with --write" >&2
fi
exit $failed
