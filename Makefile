# Every task of the project. `make` lists them.

CARGO ?= cargo
LOCKED := --locked
.DEFAULT_GOAL := help
FUZZ_SECONDS ?= 60
# What is measured is built as what is shipped.
BUILD_SHIPPED = $(CARGO) build $(LOCKED) --profile dist --quiet
# Built where they are needed; the version is in the folder's name, so a new one is built anew.
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := .bin/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
CARGO_CYCLONEDX_VERSION := 0.5.9
CARGO_CYCLONEDX := .bin/cargo-cyclonedx-$(CARGO_CYCLONEDX_VERSION)/bin/cargo-cyclonedx
.PHONY: help build demo test fmt fmt-check lint layers unit chaos chaos-processes fuzz doc chart docs-test monitoring kubectl deny bench-core bench-e2e bench-cpu bench-memory bench-failover bench-coexistence bench-throttle bench-preemption bench-pieces bench-storm bench-apiserver clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the program (target/release/plimsoll)
	$(CARGO) build $(LOCKED) --release

demo: build ## Build, then see it work on a cluster inside one process; no cluster is touched
	$(CARGO) run $(LOCKED) --release --quiet -- demo

test: fmt-check layers lint doc unit chaos chart docs-test monitoring kubectl ## Everything that has to hold: formatting, walls, lints, docs, all tests
	@echo "make test: all passed"

fmt: ## Format the code
	$(CARGO) fmt --all

fmt-check: ## Check that the code is formatted
	$(CARGO) fmt --all --check

lint: ## Clippy, with warnings as errors; also the program without its tools
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings
	$(CARGO) clippy $(LOCKED) -p plimsoll -p custom-scheduler --no-default-features -- -D warnings

layers: ## Check that dependencies between crates go down only
	tests/layers.sh

unit: ## All Rust tests, with a few simulated hours and two trials with processes
	$(CARGO) test $(LOCKED) --workspace

chaos: ## Simulate hours in which everything goes wrong that can, SEEDS=500 of them
	PLIMSOLL_CHAOS_SEEDS=$(or $(SEEDS),500) $(CARGO) test $(LOCKED) --workspace --test chaos -- --nocapture many_hours

chaos-processes: ## Kill and stop replicas as real processes while everything else goes wrong, too, SEEDS=50 times of 10 s
	PLIMSOLL_CHAOS_PROCESS_SEEDS=$(or $(SEEDS),50) $(CARGO) test $(LOCKED) -p plimsoll --test processes -- --nocapture processes_that

fuzz: ## Feed every decoder with made-up input, FUZZ_SECONDS=60 each (needs cargo-fuzz and a C++ compiler)
	@for target in $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs))); do \
		mkdir -p target/fuzz/$$target && echo "fuzz: $$target for $(FUZZ_SECONDS) s" && \
		$(CARGO) fuzz run --sanitizer none --target-dir target/fuzz/build $$target target/fuzz/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -rss_limit_mb=2048 -verbosity=0 || exit 1; \
	done; echo "fuzz: every law held"

doc: ## Build the documentation, with warnings as errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(LOCKED) --workspace --no-deps --quiet

chart: ## Install the Helm chart with a real Helm engine (fetched once into .bin), check it, and run what it configures
	CARGO="$(CARGO)" tests/chart/run.sh

docs-test: ## Run the commands of the documentation and the examples, check its data and its links
	CARGO="$(CARGO)" tests/docs/run.sh

monitoring: ## Check rules, dashboards and metrics of the chart with promtool and a real Prometheus (fetched once into .bin)
	tests/monitoring/run.sh

kubectl: ## Try kubectl against the stand-in API server, where kubectl is installed
	tests/kubectl.sh

deny: $(CARGO_DENY) ## Check licences, bans and sources of dependencies (cargo-deny is built once into .bin)
	PATH="$(CURDIR)/$(dir $(CARGO_DENY)):$$PATH" $(CARGO) deny --all-features check licenses bans sources

.PHONY: static sbom image image-tools image-test package publish-check version release-check publish release
static: ## Build the program as it is shipped: one static file without the tools, dist/plimsoll; some minutes
	image/static.sh

sbom: $(CARGO_CYCLONEDX) ## Write the bill of materials of what is shipped (cargo-cyclonedx is built once into .bin)
	PATH="$(CURDIR)/$(dir $(CARGO_CYCLONEDX)):$$PATH" image/sbom.sh

image: static sbom ## Make the image without a daemon and without root: dist/plimsoll-image.tar (needs buildah)
	image/build.sh

image-tools: ## Install what image and image-test need, on Debian and Ubuntu (as root, or by sudo)
	image/install-tools.sh

image-test: build image ## Build the image twice and compare; run it as 65532 on a read-only root. FULL=1 compares binaries, too
	tests/image/run.sh

package: ## Pack the chart, and write checksums of everything in dist
	image/package.sh

publish-check: ## Try to publish the crates, short of uploading them, and look at what is in each
	tests/publish.sh

version: ## Set the version everywhere: make version VERSION=1.2.3
	image/set-version.sh "$(VERSION)"

release-check: ## Check that this commit may be released: make release-check TAG=v1.2.3
	image/release-check.sh "$(TAG)"

publish: ## Push and sign the images of all architectures, and the chart; for the release workflow, see image/publish.sh
	image/publish.sh

release: release-check ## Make the release of TAG with everything in dist, by gh; for the release workflow
	gh release create "$(TAG)" --verify-tag --title "$(TAG)" --notes-file dist/release-notes.md $(filter-out %/release-notes.md,$(wildcard dist/*))

bench-core: ## Measure decisions alone, on clusters of up to 50,000 nodes; some minutes
	$(CARGO) build $(LOCKED) --release --features bench-alloc --quiet
	target/release/plimsoll bench core $(or $(ARGS),--matrix)

bench-pieces: ## Measure the pieces of a decision, one by one
	$(CARGO) bench $(LOCKED) --bench pieces -- $(ARGS)

bench-e2e: ## Measure the scheduler end to end: pods/s, CPU per pod, memory, latency
	$(BUILD_SHIPPED)
	target/dist/plimsoll bench e2e $(ARGS)

bench-cpu: ## Measure what a pod costs the scheduler, beside a program that only binds; some minutes
	$(BUILD_SHIPPED)
	target/dist/plimsoll bench cpu $(ARGS)

bench-memory: ## Measure memory: 150,000 running pods, and half a million pods that come and go
	$(BUILD_SHIPPED)
	target/dist/plimsoll bench memory $(ARGS)

bench-failover: ## Kill, stop and freeze the leader under load: how long nobody binds
	$(BUILD_SHIPPED)
	target/dist/plimsoll bench failover $(ARGS)

bench-coexistence: ## Measure what another scheduler on the same full nodes does to our pods
	$(BUILD_SHIPPED)
	target/dist/plimsoll bench coexistence $(ARGS)

bench-throttle: ## Measure what becomes of bindings, lease and events where few calls are allowed
	$(BUILD_SHIPPED)
	target/dist/plimsoll bench throttle $(ARGS)

bench-preemption: ## Measure preemption: 500 full nodes, 2,000 pods of higher priority
	$(BUILD_SHIPPED)
	target/dist/plimsoll bench preemption --at-least 500 $(ARGS)

bench-storm: ## Measure what pods that fit nowhere do to those that can be placed
	$(BUILD_SHIPPED)
	target/dist/plimsoll bench storm $(ARGS)

bench-apiserver: ## Measure the stand-in API server: requests/s, watches, memory
	$(CARGO) build $(LOCKED) --release --quiet
	target/release/plimsoll bench apiserver $(ARGS)

clean: ## Remove everything that was built or fetched
	$(CARGO) clean
	rm -rf .bin dist

$(CARGO_DENY):
	$(CARGO) install --quiet --locked --root $(@D)/.. cargo-deny@$(CARGO_DENY_VERSION)

$(CARGO_CYCLONEDX):
	$(CARGO) install --quiet --locked --root $(@D)/.. cargo-cyclonedx@$(CARGO_CYCLONEDX_VERSION)
