#!/usr/bin/env bash
# The bill of materials of the program that is shipped, for Linux, as CycloneDX: target/pgseal.cdx.json. Its tool is
# installed beside the testbed's.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${TESTBED_CACHE:-$HOME/.cache/pgseal}/sbom"
cargo install --quiet --locked --root "$tools" cargo-cyclonedx@0.5.9
PATH="$tools/bin:$PATH" cargo cyclonedx --format json --target x86_64-unknown-linux-gnu --no-build-deps --override-filename pgseal.cdx
mkdir -p target
mv pgseal.cdx.json target/pgseal.cdx.json
echo "target/pgseal.cdx.json: $(grep -c '"purl"' target/pgseal.cdx.json) components"
