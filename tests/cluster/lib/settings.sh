# Settings shared by every script here. Each value can be set in the environment instead.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${WOVENET_CLUSTERS_PREFIX:-we}                                     # of every network namespace and cgroup made here
cache=${WOVENET_CLUSTERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wovenet/clusters} # what is built: kept between runs
state=${WOVENET_CLUSTERS_STATE:-/tmp/wovenet-clusters-$prefix}                    # what runs: removed by "down"; keep it short (socket paths)
kube=$cache/bin/kube

clusters=${WOVENET_CLUSTERS_CLUSTERS:-a b}
declare -A node_count=([a]=${WOVENET_CLUSTERS_NODES_A:-1} [b]=${WOVENET_CLUSTERS_NODES_B:-1})
declare -A pod_cidr=([a]=10.90.0.0/16 [b]=10.91.0.0/16)
# The same service addresses in both clusters, as two clusters with defaults have.
declare -A service_cidr=([a]=10.96.0.0/16 [b]=10.96.0.0/16)
declare -A dns_address=([a]=10.96.0.10 [b]=10.96.0.10)
declare -A proxy_mode=([a]=${WOVENET_CLUSTERS_PROXY_A:-iptables} [b]=${WOVENET_CLUSTERS_PROXY_B:-nftables})
declare -A wan_address=([a]=198.51.100.2 [b]=203.0.113.2)
declare -A wan_gateway=([a]=198.51.100.1 [b]=203.0.113.1)
# Where the API server is reached from outside the cluster's namespaces, on 127.0.0.1; none: a free one, chosen by "up".
declare -A api_port=([a]=${WOVENET_CLUSTERS_PORT_A:-} [b]=${WOVENET_CLUSTERS_PORT_B:-})

# What "up" was started with holds until "down".
[ ! -e "$state/settings" ] || source "$state/settings"
keep_settings() {
  local c
  [ ! -e "$state/settings" ] || return 0
  mkdir -p "$state"
  for c in $clusters; do api_port[$c]=${api_port[$c]:-$(free_port)}; done
  declare -p prefix clusters node_count proxy_mode api_port | sed 's/^declare -- //' >"$state/settings"
}

free_port() { # below those that Linux takes for outgoing connections
  local port
  while port=$((10000 + RANDOM % 20000)); [ -n "$(ss -Htln "sport = :$port")" ]; do :; done
  echo "$port"
}

nodes_of() { local i; for ((i = 1; i <= node_count[$1]; i++)); do echo "$1$i"; done; }
node_address() { echo "192.168.1.$((9 + ${1:1}))"; } # a1 and b1 are both 192.168.1.10, each behind its own router

log() { echo "$(date +%H:%M:%S) $*" >&2; }
die() { log "error: $*"; exit 1; }
