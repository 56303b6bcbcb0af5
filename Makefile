# The one entry point. Each target says what it needs.

CARGO ?= cargo
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/wovenet
export CARGO_TARGET_DIR ?= $(CACHE)/target
TOOLS := $(CACHE)/tools
export PATH := $(TOOLS)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help build demo demo-kubernetes test packages lint deny unit chart netns e2e clusters clusters-down images bench openapi crds release clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

build: ## build everything (needs Rust and a C compiler)
	$(CARGO) build --workspace --all-targets

demo: ## two sites on this machine, with failures shown (needs Rust and a C compiler; no root)
	$(CARGO) build --workspace --bins
	$(CARGO_TARGET_DIR)/debug/wovenet-demo

demo-kubernetes: ## two real Kubernetes clusters joined by wovenet, to try it (root, Go, Rust, a C compiler; amd64 with cgroup v1)
	@tests/cluster/cluster.sh check
	@tests/packages.sh clusters
	images/build.sh
	$(CARGO) build --workspace --bins
	@tests/demo-kubernetes.sh

test: packages lint unit chart netns e2e ## everything (needs Rust; root for namespaces and clusters, or SKIP_NETNS=1; Go for clusters)

packages: ## install the Debian packages that the tests need (root), or name those that are missing
	@tests/packages.sh

lint: deny ## formatting, clippy with warnings denied, each crate alone, dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --test netns --test e2e --test chart -- -D warnings
	for crate in wovenet-config wovenet-identity wovenet-agent wovenet-crds wovenet-operator; do $(CARGO) check -p $$crate || exit 1; done

deny: $(TOOLS)/bin/cargo-deny
	cargo-deny check bans licenses sources

$(TOOLS)/bin/cargo-deny:
	$(CARGO) install --locked --root $(TOOLS) cargo-deny

unit: ## unit and integration tests (no root)
	WOVENET_REQUIRE_MOSQUITTO=1 $(CARGO) test --workspace

chart: ## the Helm chart: linted, rendered, every object judged (helm, or what its build needs)
	@tests/chart.sh

netns: ## network-namespace tests (root)
	@tests/netns.sh

e2e: ## end-to-end tests on real Kubernetes clusters (root, Go, Rust and a C compiler; no container engine)
	@tests/e2e.sh

clusters: ## start two real Kubernetes clusters on this machine, to look around (root; see tests/cluster/README.md)
	@tests/packages.sh clusters
	tests/cluster/build.sh
	tests/cluster/cluster.sh up

clusters-down: ## end them and leave nothing (root)
	tests/cluster/cluster.sh down

images: ## container images of the programs as archives, without a container engine (Rust, a C compiler and Python)
	@images/build.sh

release: ## the agent as people run it
	$(CARGO) build --release -p wovenet-agent
	@echo "the program is $(CARGO_TARGET_DIR)/release/wovenet-agent"

bench: ## wovenet beside other tunnels: 70 minutes; QUICK=1: five minutes (root, Rust; Go for one more tunnel)
	@tests/bench.sh $(if $(QUICK),--quick)

openapi: ## write docs/openapi.json anew
	$(CARGO) run -q -p wovenet-agent -- openapi > docs/openapi.json

crds: ## write the definitions of the kinds anew, here and in the chart
	$(CARGO) run -q -p wovenet-crds -- crds charts/wovenet/files/crds

clean: ## remove the build caches
	rm -rf $(CACHE)
