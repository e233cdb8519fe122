#!/usr/bin/env bash
# `make bench`: installs what is missing, builds the release binary, then measures (bench.py). Quick to start again.
#
#   bench/run.sh [--only FIGURE,FIGURE…]
#
#   BENCH_MB        megabytes of the database's dump (default 855)
#   BENCH_RUNS      rounds of each comparison, in which every tool has its turn (default 5)
#   BENCH_SIZES     megabytes of the dumps whose peak memory is measured (default 100,1000)
#   BENCH_SECONDS   length of each throttled run (default 10)
#   BENCH_QUICK=1   tiny sizes, one round, the programs of a test build: shows that everything runs, and judges nothing
#
# The database's dump and what is cut from it are made once and kept in ${TESTBED_CACHE:-$HOME/.cache/pgseal}/bench.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${TESTBED_CACHE:-$HOME/.cache/pgseal}
venv=$cache/venv-bench

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

packages() {
    local missing=() name
    for name in 7zip bzip2 lbzip2 openssl pbzip2 postgresql postgresql-client pv python3 python3-venv time zstd; do
        dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
    done
    if [ ${#missing[@]} -eq 0 ]; then return; fi
    as_root apt-get update -qq
    # RUNLEVEL=1: PostgreSQL's package shall not start a server of its own.
    as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=600 "${missing[@]}" >/dev/null
}

python() {
    local wanted
    wanted=$(cat bench/requirements.txt)
    if [ "$(cat "$venv/installed.txt" 2>/dev/null)" = "$wanted" ]; then return; fi
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r bench/requirements.txt
    printf '%s\n' "$wanted" >"$venv/installed.txt"
}

packages
mkdir -p "$cache"
python
optimised=(--release)
if [ -n "${BENCH_QUICK:-}" ]; then optimised=(); fi
# As `make test` has them: other features would compile what is there once more.
cargo build "${optimised[@]}" -p pgseal -p pgseal-bzip2 --features pgseal-bzip2/cli --bin pgseal --bin pgseal-bzip2 \
    --example s3_server --example upload
PATH=$venv/bin:$PATH exec "$venv/bin/python" bench/bench.py "$@"
