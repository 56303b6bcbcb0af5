#!/bin/sh
# Lints and renders the chart and judges every object. Needs helm, from HELM or the search path; else that of the test clusters,
# which is built when it is missing and can be (root, Go).
set -eu
cd "$(dirname "$0")/.."
built="${XDG_CACHE_HOME:-$HOME/.cache}/wovenet/clusters/bin/helm"
HELM=${HELM:-$(command -v helm || echo "$built")}
if [ ! -x "$HELM" ] && [ "$HELM" = "$built" ]; then
	if [ "$(id -u)" != 0 ] || ! PATH="$PATH:/usr/local/go/bin" command -v go >/dev/null; then
		echo "NOT RUN: the tests of the chart. Missing: helm, or root and Go to build it. Install it, or name it in HELM." >&2
		exit 0
	fi
	tests/packages.sh clusters
	tests/cluster/build.sh
fi
export HELM
# The whole workspace each time, as other selections have other features and build every dependency again.
${CARGO:-cargo} test -q --workspace --test chart -- "$@"
