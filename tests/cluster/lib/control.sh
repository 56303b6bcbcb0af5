# The control plane of one cluster, as processes of its first node.

kubectl_of() { local c=$1; shift; "$cache/bin/kubectl" --kubeconfig "$state/$c.kubeconfig" "$@"; }

control_start() { # CLUSTER
  local c=$1 n=${1}1 pki=$state/$1/pki address i
  address=$(node_address "$n")
  [ -e "$pki/ca.crt" ] || make_pki "$c"
  service_start "$n" etcd "$cache/bin/etcd" --data-dir="$(node_folder "$n")/etcd" --unsafe-no-fsync --logger=zap --log-level=warn \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 --listen-peer-urls=http://127.0.0.1:2380
  service_start "$n" kube-apiserver "$cache/bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --advertise-address="$address" --secure-port=6443 --service-cluster-ip-range="${service_cidr[$c]}" --allow-privileged=true \
    --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-client-certificate="$pki/apiserver-kubelet-client.crt" \
    --kubelet-client-key="$pki/apiserver-kubelet-client.key" --kubelet-preferred-address-types=InternalIP,Hostname \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file="$pki/service-account.pub" \
    --service-account-signing-key-file="$pki/service-account.key" --authorization-mode=Node,RBAC \
    --enable-admission-plugins=NodeRestriction --requestheader-client-ca-file="$pki/front-proxy-ca.crt" \
    --requestheader-allowed-names=front-proxy-client --requestheader-username-headers=X-Remote-User \
    --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key"
  # The way in from outside: a relay over a socket file, so that no network link joins the machine and the cluster.
  process_start "relay-$c-inner" nsenter --net="/run/netns/$prefix-$n" socat "UNIX-LISTEN:$state/$c.sock,fork,unlink-early,mode=600" TCP:127.0.0.1:6443,nodelay
  process_start "relay-$c" socat "TCP-LISTEN:${api_port[$c]},bind=127.0.0.1,reuseaddr,fork,nodelay" "UNIX-CONNECT:$state/$c.sock"
  api_wait "$c"
  service_start "$n" kube-controller-manager "$cache/bin/kube-controller-manager" --kubeconfig="$pki/controller-manager.kubeconfig" \
    --authentication-kubeconfig="$pki/controller-manager.kubeconfig" --authorization-kubeconfig="$pki/controller-manager.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true --root-ca-file="$pki/ca.crt" \
    --service-account-private-key-file="$pki/service-account.key" --cluster-signing-cert-file="$pki/ca.crt" \
    --cluster-signing-key-file="$pki/ca.key" --allocate-node-cidrs=true --cluster-cidr="${pod_cidr[$c]}" --node-cidr-mask-size=24 \
    --flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins --service-cluster-ip-range="${service_cidr[$c]}"
  service_start "$n" kube-scheduler "$cache/bin/kube-scheduler" --kubeconfig="$pki/scheduler.kubeconfig" \
    --authentication-kubeconfig="$pki/scheduler.kubeconfig" --authorization-kubeconfig="$pki/scheduler.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false
}

api_wait() { # CLUSTER
  local i
  for i in {1..600}; do [ "$(kubectl_of "$1" get --raw=/readyz 2>/dev/null)" = ok ] && return; sleep .2; done
  die "the API server of $1 is not ready: $(tail -2 "$(node_folder "${1}1")/log/kube-apiserver.log")"
}

dns_start() { # CLUSTER
  sed -e "s#@kube@#$kube#" -e "s#@address@#${dns_address[$1]}#" "$here/coredns.yaml" | kubectl_of "$1" apply -f - >/dev/null
}

# What a cloud does for a Service of type LoadBalancer, in one step and for its present ports: the router forwards
# them to the first node's node ports, and the Service shows the router's public address.
balance() { # CLUSTER NAMESPACE SERVICE
  local c=$1 protocol port node_port
  kubectl_of "$c" -n "$2" get service "$3" -o 'jsonpath={range .spec.ports[*]}{.protocol} {.port} {.nodePort}{"\n"}{end}' |
    while read -r protocol port node_port; do forward_port "$c" "${protocol,,}" "$port" "${c}1:$node_port"; done
  kubectl_of "$c" -n "$2" patch service "$3" --subresource=status --type=merge \
    -p "{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"${wan_address[$c]}\"}]}}}" >/dev/null
}
