#!/bin/sh
# Builds what the benchmark compares, then runs it. Needs root for network namespaces, and Rust.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
	echo "make bench needs root: it puts the two sides into network namespaces"
	exit 1
fi
cache="${XDG_CACHE_HOME:-$HOME/.cache}/wovenet"
missing=""
for package in iproute2 openssh-server openssh-client openssl libssl-dev pkg-config; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
# shellcheck disable=SC2086
[ -z "$missing" ] || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
if [ ! -x "$cache/tools/bin/rathole" ] && [ -z "${WITHOUT_RATHOLE:-}" ]; then
	cargo install --locked --root "$cache/tools" rathole --no-default-features --features server,client,tls
fi
cargo build --release -p wovenet-agent
cargo build --release -p wovenet-tests --bin wovenet-bench --bin wovenet-test-broker
exec "${CARGO_TARGET_DIR:-target}/release/wovenet-bench" run --rathole "$cache/tools/bin/rathole" "$@"
