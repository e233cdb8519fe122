#!/usr/bin/env bash
# Lines of src and crates that the tests reach, in the libraries, in the program as a child of the tests, or in both:
# `scripts/coverage.sh [TEST ARGUMENTS]`. Ends with 1 below 90 %. What runs in containers and in the demo is not counted.
# The reader is installed beside the testbed's tools, since a toolchain does not always have LLVM's own.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${TESTBED_CACHE:-$HOME/.cache/pgseal}/coverage"
cargo install --quiet --locked --root "$tools" llvm_profparser@0.15.0
out="${CARGO_TARGET_DIR:-$PWD/target}/coverage"
rm -rf "$out"
mkdir -p "$out"

# Only our own code is measured, and the dependencies stay as the tests have them.
export RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/coverage-rustc.sh"
export LLVM_PROFILE_FILE="$out/%8m.profraw"
ours=(--lib --test it)
codec=(-p pgseal-bzip2 --features cli --lib --test '*')
objects=$({
    cargo test "${ours[@]}" --bin pgseal --no-run --message-format json
    cargo test "${codec[@]}" --bin pgseal-bzip2 --no-run --message-format json
} | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | sort -u)
failed=0
cargo test --no-fail-fast "${ours[@]}" "$@" || failed=$?
cargo test --no-fail-fast "${codec[@]}" || failed=$?
find "$out" -name '*.profraw' -size 0 -delete
profiles=()
for profile in "$out"/*.profraw; do profiles+=(--instr-profile "$profile"); done
for object in $objects; do
    # One at a time: the reader takes functions of the same name in two programs for one.
    "$tools/bin/cov" show "${profiles[@]}" --object "$object" >"$out/$(basename "$object").txt"
done
rm -f default_*.profraw
scripts/coverage.py "$out"/*.txt
exit "$failed"
