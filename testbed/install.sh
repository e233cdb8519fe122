#!/usr/bin/env bash
# Installs everything that the tests run against, on a fresh Debian with the Rust toolchain. Quick when it is there
# already. What is downloaded is kept in ${TESTBED_CACHE:-$HOME/.cache/pgseal}, outside the tree.
set -euo pipefail
cd "$(dirname "$0")"

for part in postgres regression aws containers terraform aarch64; do
    printf '== testbed: %s\n' "$part"
    "./$part.sh" install
done
