#!/bin/sh
# Runs the end-to-end tests on two real Kubernetes clusters, with the images that images/build.sh made. Needs root, Go, Rust and
# the packages of tests/packages.sh clusters. Arguments go to the test program, such as a word of a test's name.
# KEEP_CLUSTERS=1 leaves the clusters running, with what a failed test made: the next run starts sooner. make clusters-down
# ends them.
set -eu
cd "$(dirname "$0")/.."
# Two nodes each, so that agents can be replaced one by one.
export WOVENET_CLUSTERS_NODES_A=2 WOVENET_CLUSTERS_NODES_B=2
if [ "$(id -u)" != 0 ]; then
	echo "NOT RUN: the end-to-end tests need root, for network namespaces and cgroups" >&2
	exit 1
fi
tests/cluster/build.sh
# The whole workspace each time, as other selections have other features and build every dependency again.
${CARGO:-cargo} test --workspace --test e2e --no-run
[ "${KEEP_CLUSTERS:-}" = 1 ] || trap 'tests/cluster/cluster.sh down' EXIT
${CARGO:-cargo} test -q --workspace --test e2e -- --nocapture --test-threads=1 "$@"
