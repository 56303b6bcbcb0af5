#!/bin/sh
# Installs the Debian packages that the tests need when run as root on Debian or Ubuntu, else names the missing ones.
# usage: packages.sh [clusters | bench]    with clusters: also what real Kubernetes clusters are made of
#                                          with bench: instead what the benchmark needs
set -eu
packages="iproute2 nftables mosquitto iperf3 redis-server redis-tools openssh-server openssh-client curl"
if [ "${1:-}" = clusters ]; then
	packages="$packages iptables socat busybox-static openssl procps python3 containernetworking-plugins"
	# Whoever has these from elsewhere, as with Docker, keeps them: the packages exclude each other.
	for program in containerd runc; do command -v $program >/dev/null || packages="$packages $program"; done
fi
if [ "${1:-}" = bench ]; then
	packages="iproute2 nftables util-linux openssh-server openssh-client stunnel4 openssl libssl-dev pkg-config"
fi
missing=""
for package in $packages; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing:$missing"
	# The services themselves are started by the tests, each on ports of its own.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod +x /usr/sbin/policy-rc.d
	fi
	apt-get update -qq
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
	exit 0
fi
echo "These Debian packages are missing:$missing"
echo "Tests that need one of them fail; install them with: apt-get install$missing"
