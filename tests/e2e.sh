#!/bin/sh
# Runs the end-to-end tests on two real Kubernetes clusters, with images of this tree. Needs root, Go, Rust and a C compiler. Arguments go to the test program, such as a word of a test's name.
# KEEP_CLUSTERS=1 leaves the clusters running, with what a failed test made: the next run starts sooner. make clusters-down
# ends them.
set -eu
cd "$(dirname "$0")/.."
# Two nodes each, so that agents can be replaced one by one.
export WOVENET_CLUSTERS_NODES_A=2 WOVENET_CLUSTERS_NODES_B=2
if [ "${SKIP_NETNS:-}" = 1 ]; then
	echo "SKIPPED by request (SKIP_NETNS=1): the end-to-end tests"
	exit 0
fi
missing=""
[ "$(id -u)" = 0 ] || missing="$missing root"
PATH="$PATH:/usr/local/go/bin" command -v go >/dev/null || missing="$missing Go"
# The nodes of tests/cluster work on cgroup v1 only.
[ -d /sys/fs/cgroup/memory ] || missing="$missing cgroup-v1"
if [ -n "$missing" ]; then
	echo "NOT RUN: the end-to-end tests on Kubernetes clusters. Missing:$missing" >&2
	exit 0
fi
tests/packages.sh clusters
tests/cluster/build.sh
images/build.sh
# The whole workspace each time, as other selections have other features and build every dependency again.
${CARGO:-cargo} test --workspace --test e2e --no-run
[ "${KEEP_CLUSTERS:-}" = 1 ] || trap 'tests/cluster/cluster.sh down' EXIT
${CARGO:-cargo} test -q --workspace --test e2e -- --nocapture --test-threads=1 "$@"
