# On a fresh Debian with the Rust toolchain: `make demo` shows the main job, `make test` proves it.

.PHONY: help demo test check testbed lint test-large test-images terraform mutations kill-trials coverage model aarch64 soak fuzz check-fuzz fuzz-smoke sbom bench docs image ca-bundle

# Modules of tests/it that need neither containers nor many databases.
QUICK = codes:: events:: pins:: outputs:: entry_points:: lambda:: secrets:: supply:: templates:: readme::tables

help: ## What there is to make
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: ## A real backup of a real PostgreSQL, opened and restored with stock tools
	demo/run.sh

# Always both packages: each set of packages has features of its own, and what they share would be compiled once for each.
PACKAGES = -p pgseal -p pgseal-bzip2 --features pgseal-bzip2/cli

# Most tests wait for servers and clocks: more of them at once than there are processors take less time.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))

# To compile needs nothing of the testbed, and to install it seldom needs a processor: side by side they take half the time.
test: ## Everything: installs what it needs, then lints and runs every test
	@trap 'kill $$installing 2>/dev/null || true; testbed/containers.sh stop' EXIT; trap 'exit 130' INT TERM; set -ex; \
	testbed/install.sh & installing=$$!; \
	cargo test $(PACKAGES) --lib --tests --examples --no-run; \
	wait $$installing; \
	testbed/containers.sh image & installing=$$!; \
	testbed/lint.sh; \
	wait $$installing; installing=; \
	cargo test $(PACKAGES) --lib --tests --examples; \
	cargo test $(PACKAGES) --doc; \
	testbed/aarch64.sh test

check: testbed ## Lints, unit tests and the integration tests that are quick: minutes, where `make test` takes most of an hour
	testbed/lint.sh
	cargo test $(PACKAGES) --lib --test tidy --test model
	cargo test $(PACKAGES) --test it -- $(QUICK)

testbed: ## The real parts that the tests run against
	testbed/install.sh

lint: ## Formatting, clippy, shell scripts, dependencies
	testbed/lint.sh

test-large: testbed ## A table of 1 GB there and back, 20 GB in the memory of a small database, a fleet of 200
	TESTBED_BULK_MB=1024 cargo test --test it -- end_to_end::the_rich --nocapture
	TESTBED_LARGE_GB=20 TESTBED_FLEET_DATABASES=200 \
		cargo test --release --test it -- end_to_end::any_size fleet::machine::many --nocapture

test-images: testbed ## The tests of the images, compiled in them as a user's build does
	TESTBED_IMAGES=compiled cargo test --test it -- container:: readme::images:: --nocapture

terraform: testbed ## All tests of the Terraform modules, each of them shown to find a planted fault
	TESTBED_TERRAFORM=all cargo test --test it -- templates::terraform:: --nocapture

mutations: testbed ## A million random changes to sealed backups, each of which must be found
	TESTBED_MUTATIONS=1000000 cargo test --test it -- restore_cli::mutations --nocapture

kill-trials: testbed ## Ten thousand backups killed, at each call and at random moments, a thousand events to one process, 50 restores
	TESTBED_KILLS=10000 TESTBED_SIGNALS=1000 TESTBED_DEADLINES=1000 TESTBED_EVENTS=1000 TESTBED_RESTORE_KILLS=50 \
		cargo test --release --test it -- crash_trials warm_process restore_cli::jobs::any_of --nocapture

coverage: testbed ## Lines of src and crates that the tests reach; fails below 90 %
	scripts/coverage.sh

model: ## Every order of the commit protocol's events, with three faults on a path
	TESTBED_MODEL_FAULTS=3 cargo test --test model -- --nocapture

aarch64: ## The whole program for the other processor: compiled, and started under an emulator
	testbed/aarch64.sh program

soak: testbed ## Half an hour of backup, proof and restore while S3 breaks one call in a hundred
	TESTBED_SOAK=$${SECONDS_OF_SOAK:-1800} cargo test --release --test it -- soak:: --nocapture

check-fuzz: ## Each fuzz target compiled, and run on its seeds
	fuzz/run.sh 0

fuzz-smoke: ## Each fuzz target for a minute
	fuzz/run.sh 60

fuzz: ## Each fuzz target for an hour
	fuzz/run.sh 3600

sbom: ## What the program is made of, as CycloneDX: target/pgseal.cdx.json
	scripts/sbom.sh

bench: ## The pipeline and its parts against the tools that do the same: docs/bench/AIMS.md (bench/run.sh)
	bench/run.sh

docs: ## The documents as a site: target/docs/index.html
	[ -x target/tools/bin/mdbook ] || cargo install --locked --root target/tools --no-default-features --features search mdbook@0.5.4
	target/tools/bin/mdbook build

image: ## The container images, as a user builds them
	TESTBED_IMAGES=compiled testbed/containers.sh image

ca-bundle: ## Refreshes the embedded CA bundle of RDS
	scripts/refresh-ca-bundle.sh
