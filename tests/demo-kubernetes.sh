#!/bin/bash
# make demo-kubernetes: two real Kubernetes clusters on this machine, each behind a NAT router of its own, joined by wovenet.
# Ends with what to try. Needs root, Go, Rust and a C compiler; make clusters-down ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
	echo "make demo-kubernetes needs root: it makes network namespaces and cgroups" >&2
	exit 1
fi
cluster=tests/cluster/cluster.sh
images=${CARGO_TARGET_DIR:-target}/images
example=examples/kubernetes/hello
began=$EPOCHREALTIME
step() { printf '[%6.1f s] %s\n' "$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')" "$1"; }
kubectl() { $cluster kubectl "$@"; }
# Runs a command and shows what it said only if it fails.
quiet() {
	local said
	said=$("$@" 2>&1) || { echo "$said" >&2; echo "failed: $*" >&2; exit 1; }
}

app() {
	cat <<-END
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: web}
		spec:
		  selector: {matchLabels: {app: web}}
		  template:
		    metadata: {labels: {app: web}}
		    spec:
		      containers:
		      - {name: web, image: "localhost/probe:1", imagePullPolicy: Never, ports: [{name: http, containerPort: 8080}]}
	END
}

client() {
	cat <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: client}
		spec:
		  containers:
		  - {name: client, image: "localhost/probe:1", imagePullPolicy: Never, command: [sleep, "1000000"]}
	END
}

echo "wovenet demo: a pod of cluster a uses an app of cluster b by its Service name"
quiet tests/cluster/build.sh
quiet $cluster up
step "two Kubernetes clusters run; neither can reach the other's pods"
for program in agent operator; do quiet $cluster load "$images/$program.tar"; done
step "the images of wovenet are loaded"

config=$(mktemp)
trap 'rm -f "$config"' EXIT
printf 'listener 1883 0.0.0.0\nallow_anonymous true\n' >"$config"
quiet $cluster run inet broker mosquitto -c "$config"
quiet $cluster internet-host broker.example 203.0.113.1
step "an MQTT broker listens outside both"

for c in a b; do
	quiet $cluster helm $c upgrade --install wovenet charts/wovenet --namespace wovenet-system --create-namespace --wait \
		--timeout 120s --set operator.image.registry=localhost,operator.image.repository=wovenet-operator \
		--set operator.image.tag=dev,agent.image.registry=localhost,agent.image.repository=wovenet-agent,agent.image.tag=dev
done
step "helm install: an operator runs in each cluster"

key=$(mktemp)
trap 'rm -f "$config" "$key"' EXIT
"${CARGO_TARGET_DIR:-target}/debug/wovenet-agent" keygen >"$key"
for c in a b; do
	# One that is there from an earlier run is what both get.
	old=$(kubectl $c -n wovenet-system get secret mesh-key -o 'jsonpath={.data.primary}' 2>/dev/null) && base64 -d <<<"$old" >"$key"
done
for c in a b; do
	kubectl $c -n wovenet-system get secret mesh-key >/dev/null 2>&1 ||
		quiet kubectl $c -n wovenet-system create secret generic mesh-key "--from-file=primary=$key"
done
quiet $cluster close b udp 51820
quiet $cluster forward b udp 51820 b1:30820
quiet kubectl b apply -f $example/b.yaml
app | quiet kubectl b -n hello apply -f -
quiet kubectl b -n hello rollout status deployment/web --timeout=60s
step "cluster b: a Site, an app and its ExposedApp are applied ($example/b.yaml)"

kubectl a get namespace hello >/dev/null 2>&1 || quiet kubectl a create namespace hello
quiet kubectl a -n hello wait serviceaccount/default --for=create --timeout=60s
client | quiet kubectl a -n hello apply -f -
quiet kubectl a -n hello wait pod/client --for=condition=Ready --timeout=60s
quiet kubectl a apply -f $example/a.yaml
step "cluster a: a Site and a RemoteApp are applied ($example/a.yaml)"
page=$(kubectl a -n hello exec client -- timeout 60 sh -c \
	'until probe http web 80 2>/dev/null; do usleep 50000; done') || { echo "no page came" >&2; kubectl a get wovenet -A; exit 1; }
step "a pod of cluster a fetched http://web/ from cluster b: \"$page\""
quiet kubectl a -n hello wait remoteapp/web --for=condition=Ready --timeout=60s
step "RemoteApp web is Ready"
echo
kubectl a get wovenet --all-namespaces
cat <<END

Try, with $cluster kubectl a|b:
  $cluster kubectl a -n hello exec client -- probe http web 80
  $cluster kubectl a -n hello describe remoteapp web
  $cluster kubectl b -n hello delete exposedapp web      # gone within 2 s in a, and back when applied again
  $cluster kubectl a -n wovenet-system logs daemonset/site-a-agent
  $cluster kubectl a -n wovenet-system delete pod --all  # operator and agent: pages come again at once
End it with: make clusters-down
END
