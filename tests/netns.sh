#!/bin/sh
# Builds and runs the tests in network namespaces. Needs root, iproute2, nftables, iperf3 and openssh.
set -eu
cd "$(dirname "$0")/.."
if [ "${SKIP_NETNS:-}" = 1 ]; then
	echo "SKIPPED by request (SKIP_NETNS=1): the tests in network namespaces"
	exit 0
fi
missing=""
[ "$(id -u)" = 0 ] || missing="$missing root"
for tool in ip nft iperf3 ssh-keygen /usr/sbin/sshd; do
	command -v "$tool" >/dev/null || missing="$missing $tool"
done
if [ -z "$missing" ]; then
	probe="wovenet-probe-$$"
	{ ip netns add "$probe" && ip netns exec "$probe" nft add table inet probe && ip netns del "$probe"; } 2>/dev/null ||
		missing=" the right to make network namespaces"
fi
if [ -n "$missing" ]; then
	echo "NOT RUN: the tests in network namespaces. Missing:$missing" >&2
	echo "Run them as root, or set SKIP_NETNS=1 to go without." >&2
	exit 1
fi
# The whole workspace each time, as other selections have other features and build every dependency again.
${CARGO:-cargo} build --workspace --bins
${CARGO:-cargo} test --workspace --test netns --no-run
# Bounds are measured: other work of this machine comes second, where that may be asked for.
nice="nice -n -15"
$nice true 2>/dev/null || nice=""
$nice "${CARGO:-cargo}" test -q --workspace --test netns -- --nocapture --test-threads=1 "$@"
