#!/bin/bash
# Builds what the clusters are made of: the "kube" binary and the base images. Does only what is out of date.
# usage: build.sh [kube|images]
#   kube       minutes when nothing is in the compiler's cache
#   images     seconds
#   (none)     both
# Needs go (on PATH or in /usr/local/go), rustc and cc.
set -euo pipefail
source "$(dirname "$0")/lib/settings.sh"
PATH=$PATH:/usr/local/go/bin
mkimage=$here/../../images/mkimage.py

# Whether NAME was built from exactly these files, in this way.
fresh() { # NAME HOW FILE...
  local name=$1 sum; shift
  sum=$({ echo "$1"; cat "${@:2}"; } | sha256sum)
  mkdir -p "$cache/built"
  [ "$(cat "$cache/built/$name" 2>/dev/null)" = "$sum" ] && return
  rm -f "$cache/built/$name"
  built=$sum
  return 1
}
done_with() { echo "$built" >"$cache/built/$1"; }

build_kube() {
  local version minor stamp= package program
  fresh kube "$(cd "$here/kube" && go version; declare -f build_kube)" "$here"/kube/*.go "$here"/kube/go.* && [ -x "$kube" ] && return
  version=$(cd "$here/kube" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
  minor=${version#v1.}; minor=${minor%%.*}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    stamp+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
  done
  mkdir -p "$cache/bin"
  # Static, so that the same file also runs as a container's program (CoreDNS).
  (cd "$here/kube" && CGO_ENABLED=0 GOFLAGS="-buildvcs=false -p=$(nproc)" go build -trimpath -ldflags "-s -w$stamp" -o "$kube.new" .)
  mv "$kube.new" "$kube" # not in place: clusters may run it
  for program in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl helm coredns; do
    ln -sf kube "$cache/bin/$program"
  done
  done_with kube
}

build_images() {
  local bin="$cache/bin" images="$cache/images"
  fresh images "$(rustc --version; declare -f build_images)" "$here"/images/* "$mkimage" && [ -e "$images/probe.tar" ] && return
  mkdir -p "$images" "$bin"
  cc -Os -static -s -o "$bin/pause" "$here/images/pause.c"
  rustc --edition 2021 -O -C target-feature=+crt-static -C strip=symbols -o "$bin/probe" "$here/images/probe.rs"
  "$mkimage" "$images/pause.tar" localhost/pause:1 --entry '["/pause"]' "$bin/pause:/pause"
  "$mkimage" "$images/probe.tar" localhost/probe:1 --busybox --entry '["/bin/probe"]' "$bin/probe:/bin/probe"
  done_with images
}

case ${1:-all} in
  kube) build_kube ;;
  images) build_images ;;
  all) build_kube; build_images ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \?//p}' "$0"; exit 2 ;;
esac
