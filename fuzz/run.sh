#!/usr/bin/env bash
# fuzz/run.sh SECONDS [TARGET...]: builds the fuzz targets, those of the codec too, and runs each so long; with 0 it only runs
# the seeds, once.
# One line a target says what was done; fails if any of them fails, and says where the input lies. See Cargo.toml.
set -euo pipefail
cd "$(dirname "$0")/.."

# Each has targets, seeds and words of its own.
folders=(fuzz crates/bzip2/fuzz)

folder_of() {
    local folder
    for folder in "${folders[@]}"; do
        if [ -e "$folder/fuzz_targets/$1.rs" ]; then
            echo "$folder"
            return
        fi
    done
    echo "fuzz: there is no target $1" >&2
    return 1
}

seconds=${1:?how many seconds for each target?}
shift
targets=("$@")
if (($# == 0)); then
    mapfile -t targets < <(for folder in "${folders[@]}"; do basename -a -s .rs "$folder"/fuzz_targets/*.rs; done | sort)
fi

# What cargo-fuzz passes to the compiler, less the sanitizer, which stable Rust does not have. With --target these flags do
# not reach build scripts and macros, which could not be linked with them.
host=$(rustc -vV | sed -n 's/^host: //p')
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters'
coverage+=' -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing'
command -v c++ >/dev/null || { echo 'fuzz: libFuzzer needs a C++ compiler (Debian: g++)' >&2; exit 1; }
export RUSTFLAGS=$coverage
for folder in $(for target in "${targets[@]}"; do folder_of "$target"; done | sort -u); do
    cargo build --locked --release --target "$host" --target-dir fuzz/target --manifest-path "$folder/Cargo.toml"
done

# Longer inputs than these only cost time.
longest() {
    case $1 in
    event | recipient | private_key) echo 16384 ;;
    bunzip2 | dump_filter | manifest | salted) echo 8192 ;;
    *) echo 4096 ;;
    esac
}

failed=0
for target in "${targets[@]}"; do
    folder=$(folder_of "$target")
    mkdir -p "$folder/grown/$target" "$folder/artifacts/$target"
    limit=(-max_total_time="$seconds")
    ((seconds > 0)) || limit=(-runs=0)
    [[ ! -f $folder/dictionaries/$target.dict ]] || limit+=(-dict="$folder/dictionaries/$target.dict")
    log=$folder/artifacts/$target.log
    status=0
    "fuzz/target/$host/release/$target" "${limit[@]}" -max_len="$(longest "$target")" -rss_limit_mb=2048 -timeout=25 \
        -artifact_prefix="$folder/artifacts/$target/" -print_final_stats=1 \
        "$folder/grown/$target" "$folder/corpus/$target" >"$log" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    memory=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
    reached=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1) || reached=
    printf '%-12s %10s runs, %s, %s MB' "$target" "${runs:-?}" "${reached:-no coverage}" "${memory:-?}"
    if ((status == 0)); then
        echo ', ok'
    else
        failed=1
        printf ', FAILED: %s\n' "$(sed -n 's/^.*Test unit written to //p' "$log" | tail -n 1)"
        grep -m 3 -E 'panicked at|ERROR: libFuzzer' -A 2 "$log" | sed 's/^/    /' || tail -n 5 "$log"
    fi
done
exit "$failed"
