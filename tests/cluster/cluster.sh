#!/bin/bash
# Real Kubernetes clusters "a" and "b" on one machine, each behind its own NAT router.
# usage:
#   cluster.sh up [CLUSTER]...                 start (default: both); does only what is missing
#   cluster.sh check                           tell at once what this machine lacks
#   cluster.sh down                            end and remove everything
#   cluster.sh status                          nodes, processes and their memory
#   cluster.sh kubectl|helm CLUSTER ARG...     with administrator rights; the kubeconfig is STATE/CLUSTER.kubeconfig
#   cluster.sh load ARCHIVE.tar [NODE]...      import an image into nodes (default: all)
#   cluster.sh tag IMAGE NAME                  give an image of every node another name
#   cluster.sh exec PLACE COMMAND...           PLACE: a node (a1), router-a, inet
#   cluster.sh stop|start|restart NODE SERVICE such as: stop a1 kube-apiserver
#   cluster.sh kill NODE SERVICE               without a chance to end cleanly
#   cluster.sh logs NODE SERVICE               path of its log
#   cluster.sh reboot NODE                     all of its processes end at once, then start again in order
#   cluster.sh node-up|node-down NODE          add a node (a2), or take one away at once
#   cluster.sh pod-network NODE                after a deleted node has registered again
#   cluster.sh forward CLUSTER udp|tcp PORT [NODE[:PORT]]   open a port of the router's public address
#   cluster.sh close CLUSTER udp|tcp PORT
#   cluster.sh balance CLUSTER NAMESPACE SERVICE  act as the cloud for a Service of type LoadBalancer
#   cluster.sh run PLACE NAME COMMAND...       start a server beside the nodes (a broker in inet); "down" ends it
#   cluster.sh end NAME                        end it before
#   cluster.sh internet-host NAME ADDRESS      a name that every node and pod can look up
set -uo pipefail
source "$(dirname "$0")/lib/settings.sh"
for part in process network pki node control; do source "$here/lib/$part.sh"; done

need_root() { [ "$(id -u)" = 0 ] || die "must be root"; }
need_go() { PATH="$PATH:/usr/local/go/bin" command -v go >/dev/null || die "Go is missing: it builds the clusters' programs"; }
need_cgroup_v1() { [ -d /sys/fs/cgroup/memory ] || die "this machine has no cgroup v1: see README.md, Limits"; }

internet_up() {
  mkdir -p "$state/internet"
  touch "$state/internet/hosts"
  cat >"$state/internet/Corefile" <<END
. {
    hosts $state/internet/hosts {
        reload 1s
        ttl 1
    }
}
END
  process_start internet-dns nsenter --net="/run/netns/$prefix-inet" "$cache/bin/coredns" -conf "$state/internet/Corefile"
}

cluster_up() { # CLUSTER
  local c=$1 n
  node_boot "${c}1"
  containerd_start "${c}1" &
  control_start "$c"
  wait $!
  for n in $(nodes_of "$c"); do node_boot "$n"; node_join "$n"; done
  dns_start "$c"
  for n in $(nodes_of "$c"); do
    kubectl_of "$c" wait --for=condition=Ready "node/$n" --timeout=120s >/dev/null || die "node $n is not ready"
  done
  kubectl_of "$c" -n kube-system rollout status deployment/coredns --timeout=120s >/dev/null || die "no DNS in $c"
  log "cluster $c is ready"
}

up() {
  local begin=$EPOCHREALTIME c waiting=() failed=0
  need_cgroup_v1
  [ -x "$kube" ] && [ -e "$cache/images/pause.tar" ] || die "run build.sh first"
  keep_settings
  [ -e "/run/netns/$prefix-inet" ] || network_up
  internet_up
  for c in ${*:-$clusters}; do cluster_up "$c" & waiting+=($!); done
  for c in "${waiting[@]}"; do wait "$c" || failed=1; done
  log "up in $(seconds_since "$begin") s"
  return $failed
}

down() {
  local begin=$EPOCHREALTIME n waiting=()
  for n in $(known_nodes); do node_down "$n" & waiting+=($!); done
  for n in "${waiting[@]}"; do wait "$n"; done
  stop_all_processes
  network_down
  rm -rf --one-file-system "$state"
  log "down in $(seconds_since "$begin") s"
}

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

status() {
  local n file pid c
  for c in $clusters; do
    [ -e "$state/$c.kubeconfig" ] || continue
    echo "== cluster $c: $state/$c.kubeconfig"
    kubectl_of "$c" get nodes,pods -A -o wide --no-headers 2>&1
  done
  echo "== processes (resident MiB: its own / with files shared with others)"
  for n in $(known_nodes); do
    for file in "$state/nodes/$n/service/"*.pid; do
      [ -s "$file" ] || continue
      pid=$(<"$file")
      printf '%-4s %-24s %s\n' "$n" "$(basename "$file" .pid)" "$(in_node "$n" awk '/^RssAnon/ {a=$2} /^VmRSS/ {r=$2} END {printf "%.0f / %.0f", a/1024, r/1024}' "/proc/$pid/status" 2>/dev/null || echo stopped)"
    done
    printf '%-4s %-24s %s\n' "$n" "(whole node)" "$(($(</sys/fs/cgroup/memory/"$prefix-$n"/memory.usage_in_bytes) / 1048576)) MiB with page cache"
  done
}

need_root
command=${1:-}
[ $# = 0 ] || shift
case $command in
  up) up "$@" ;;
  down) down ;;
  check) need_cgroup_v1; need_go ;;
  status) status ;;
  kubectl) c=$1; shift; exec "$cache/bin/kubectl" --kubeconfig "$state/$c.kubeconfig" "$@" ;;
  helm) c=$1; shift; exec "$cache/bin/helm" --kubeconfig "$state/$c.kubeconfig" "$@" ;;
  load) archive=$1; shift; for n in ${*:-$(known_nodes)}; do load_images "$n" "$archive"; done ;;
  tag) for n in $(known_nodes); do tag_image "$n" "$@"; done ;;
  exec)
    place=$1; shift
    case $place in inet | router-*) in_net "$place" "$@" ;; *) in_node "$place" "$@" ;; esac ;;
  stop) service_stop "$@" ;;
  kill) service_stop "$1" "$2" KILL ;;
  start | restart) service_restart "$@" ;;
  reboot) node_reboot "$1" ;;
  logs) echo "$state/nodes/$1/log/$2.log" ;;
  node-up) node_boot "$1"; node_join "$1"; kubectl_of "${1:0:1}" wait --for=condition=Ready "node/$1" --timeout=120s ;;
  node-down) node_down "$1"; ip netns del "$prefix-$1" ;;
  pod-network) pod_network_up "$1" ;;
  forward) forward_port "$@" ;;
  close) close_port "$@" ;;
  balance) balance "$@" ;;
  run) process_start "$2" nsenter --net="/run/netns/$prefix-$1" -- "${@:3}" ;;
  end) process_stop "$1" ;;
  internet-host) echo "$2 $1" >>"$state/internet/hosts" ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \?//p}' "$0"; exit 2 ;;
esac
