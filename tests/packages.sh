#!/bin/sh
# Installs the Debian packages that the tests need when run as root on Debian or Ubuntu, else names the missing ones.
set -eu
packages="iproute2 nftables mosquitto iperf3 redis-server redis-tools openssh-server openssh-client curl"
missing=""
for package in $packages; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing:$missing"
	# The services themselves are started by the tests, each on ports of its own.
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.wovenet
	chmod +x /usr/sbin/policy-rc.d.wovenet
	[ -e /usr/sbin/policy-rc.d ] || mv /usr/sbin/policy-rc.d.wovenet /usr/sbin/policy-rc.d
	apt-get update -qq
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
	rm -f /usr/sbin/policy-rc.d.wovenet
	exit 0
fi
echo "These Debian packages are missing:$missing"
echo "Tests that need one of them fail; install them with: apt-get install$missing"
