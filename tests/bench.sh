#!/bin/sh
# Installs or builds what the benchmark compares, then runs it. Needs root for network namespaces, and Rust.
# usage: bench.sh [--quick] [what `wovenet-bench run --help` lists]
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
	echo "make bench needs root: it puts the two sides into network namespaces"
	exit 1
fi
cache="${XDG_CACHE_HOME:-$HOME/.cache}/wovenet"
target="${CARGO_TARGET_DIR:-target}"
export PATH="$cache/tools/bin:$PATH"
tests/packages.sh bench

# Installs a tunnel that others made, unless there is one. Without it the comparison is shorter.
tool() {
	name=$1
	shift
	command -v "$name" >/dev/null && return
	echo "building $name"
	"$@" || echo "$name could not be built"
}
# Its lock file has crates that a current compiler refuses.
tool rathole cargo install --root "$cache/tools" rathole --version 0.5.0 \
	--no-default-features --features server,client,tls,noise
go=$(command -v go || echo /usr/local/go/bin/go)
if [ -x "$go" ]; then
	tool ghostunnel env GOBIN="$cache/tools/bin" "$go" install github.com/ghostunnel/ghostunnel@v1.8.4
fi

cargo build --release --workspace --bin wovenet-bench --bin wovenet-test-broker --bin wovenet-test-link
# By itself, as people build it: with the workspace it has what only tests need.
cargo build --release -p wovenet-agent
# An interrupt ends the benchmark, and this script goes on to clean up.
trap : INT TERM
TMPDIR=$(mktemp -d)
export TMPDIR
status=0
"$target/release/wovenet-bench" run --output "$target/bench-results" "$@" || status=$?
"$target/release/wovenet-bench" clean
rm -rf "$TMPDIR"
exit $status
