#!/bin/sh
# Runs the end-to-end tests on two real Kubernetes clusters, with images of this tree. Needs root, Go, Rust and a C compiler. Arguments go to the test program, such as a word of a test's name.
# KEEP_CLUSTERS=1 leaves the clusters running, with what a failed test made: the next run starts sooner. make clusters-down
# ends them. RETRY_FAILED=1 tries what failed once more, as CI does: whole clusters on a shared machine have bad moments.
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
run() {
	${CARGO:-cargo} test -q --workspace --test e2e -- --nocapture --test-threads=1 "$@"
}
if [ "${RETRY_FAILED:-}" != 1 ]; then
	run "$@"
	exit 0
fi
log="${CARGO_TARGET_DIR:-target}/e2e.log"
{ run "$@" 2>&1 || echo "e2e: not all passed"; } | tee "$log"
[ "$(tail -n 1 "$log")" = "e2e: not all passed" ] || exit 0
failed=$(sed -n '/^failures:$/,$s/^    \([a-z0-9_:]*\)$/\1/p' "$log" | sort -u)
[ -n "$failed" ] || exit 1
tests/cluster/cluster.sh down
echo "e2e: these failed and are tried once more, on new clusters:" $failed >&2
# Each word is the name of a test.
run --exact $failed
