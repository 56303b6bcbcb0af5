//! One cluster: kubectl and helm with administrator rights, its router's ports, and the services of its nodes.

use std::path::Path;

use serde_json::Value;

use super::script::{PATIENCE_MINUTE, run, run_with};
use crate::until::until;

/// A running cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    name: String,
}

/// A process of a pod.
#[derive(Clone, Debug)]
pub struct PodProcess {
    node: String,
    id: String,
}

impl PodProcess {
    /// Kills it, as a crash does.
    ///
    /// # Errors
    /// When it has ended.
    pub fn kill(&self) -> anyhow::Result<()> {
        run(&["exec", &self.node, "kill", "-KILL", &self.id]).map(drop)
    }

    /// Returns the names of its threads.
    ///
    /// # Errors
    /// When it has ended.
    pub fn threads(&self) -> anyhow::Result<Vec<String>> {
        let names = run(&["exec", &self.node, "bash", "-c", "cat /proc/$1/task/*/comm", "-", &self.id])?;
        Ok(names.lines().map(str::to_owned).collect())
    }
}

impl Cluster {
    pub(super) fn new(name: char) -> Self {
        Self { name: name.to_string() }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its first node, which also runs its control plane.
    pub fn first_node(&self) -> String {
        format!("{}1", self.name)
    }

    /// Returns the public address of its router.
    pub fn public_address(&self) -> &'static str {
        if self.name == "a" { "198.51.100.2" } else { "203.0.113.2" }
    }

    /// Runs kubectl and returns what it wrote.
    ///
    /// # Errors
    /// kubectl's complaint.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(&[&["kubectl", &self.name], arguments].concat())
    }

    /// Runs helm and returns what it wrote.
    ///
    /// # Errors
    /// helm's complaint.
    pub fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(&[&["helm", &self.name], arguments].concat())
    }

    /// Applies a manifest in a namespace.
    ///
    /// # Errors
    /// kubectl's complaint.
    pub fn apply(&self, namespace: &str, manifest: &str) -> anyhow::Result<()> {
        run_with(&["kubectl", &self.name, "-n", namespace, "apply", "-f", "-"], manifest).map(drop)
    }

    /// Replaces an object as a whole.
    ///
    /// # Errors
    /// kubectl's complaint.
    pub fn replace(&self, namespace: &str, manifest: &str) -> anyhow::Result<()> {
        run_with(&["kubectl", &self.name, "-n", namespace, "replace", "-f", "-"], manifest).map(drop)
    }

    /// Asks the API server to judge a new object, without making it.
    ///
    /// # Errors
    /// The API server's complaint.
    pub fn create_dry_run(&self, namespace: &str, object: &str) -> anyhow::Result<()> {
        let arguments = ["kubectl", &self.name, "-n", namespace, "create", "--dry-run=server", "-f", "-"];
        run_with(&arguments, object).map(drop)
    }

    /// Returns one object, named as in `pod/client`.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn get(&self, namespace: &str, object: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&["-n", namespace, "get", object, "-o", "json"])?)?)
    }

    /// Returns the objects of a kind that a label selector matches, in the order of their names.
    ///
    /// # Errors
    /// kubectl's complaint.
    pub fn list(&self, namespace: &str, kind: &str, selector: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.kubectl(&["-n", namespace, "get", kind, "-l", selector, "-o", "json"])?;
        let list: Value = serde_json::from_str(&list)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until an object is as said, in kubectl's words: `condition=Ready`, `create`, `delete`, `jsonpath=…`.
    ///
    /// # Errors
    /// When it is not within [`PATIENCE_MINUTE`].
    pub fn wait(&self, namespace: &str, object: &str, is: &str) -> anyhow::Result<()> {
        let limit = format!("--timeout={}s", PATIENCE_MINUTE.as_secs());
        self.kubectl(&["-n", namespace, "wait", object, &format!("--for={is}"), &limit]).map(drop)
    }

    /// Waits until every pod of a Deployment or DaemonSet is new and ready.
    ///
    /// # Errors
    /// When they are not within [`PATIENCE_MINUTE`].
    pub fn rolled_out(&self, namespace: &str, object: &str) -> anyhow::Result<()> {
        let limit = format!("--timeout={}s", PATIENCE_MINUTE.as_secs());
        self.kubectl(&["-n", namespace, "rollout", "status", object, &limit]).map(drop)
    }

    /// Runs a command in a pod's first container.
    ///
    /// # Errors
    /// When it fails; the error holds what it complained of.
    pub fn execute(&self, namespace: &str, pod: &str, command: &[&str]) -> anyhow::Result<String> {
        self.kubectl(&[&["-n", namespace, "exec", pod, "--"], command].concat())
    }

    /// Returns the log of a pod, or of one pod of a set such as `daemonset/x`.
    ///
    /// # Errors
    /// kubectl's complaint.
    pub fn logs(&self, namespace: &str, of: &str) -> anyhow::Result<String> {
        self.kubectl(&["-n", namespace, "logs", of])
    }

    /// Finds the process of this name in a pod, as its node sees it.
    ///
    /// # Errors
    /// When the pod runs no such process.
    pub fn process(&self, namespace: &str, pod: &str, program: &str) -> anyhow::Result<PodProcess> {
        let pod = self.get(namespace, &format!("pod/{pod}"))?;
        let text = |at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let find =
            r#"for id in $(pgrep -x "$1"); do grep -q "$2" "/proc/$id/cgroup" && echo "$id" && exit; done; exit 1"#;
        let node = text("/spec/nodeName");
        let id = run(&["exec", &node, "bash", "-c", find, "-", program, &text("/metadata/uid")])?;
        Ok(PodProcess { node, id: id.trim().to_owned() })
    }

    /// Forwards a port of the router's public address to a node port.
    ///
    /// # Errors
    /// When the rule cannot be made.
    pub fn forward(&self, protocol: &str, public_port: u16, node_port: u16) -> anyhow::Result<()> {
        self.close(protocol, public_port)?;
        let target = format!("{}:{node_port}", self.first_node());
        run(&["forward", &self.name, protocol, &public_port.to_string(), &target]).map(drop)
    }

    /// Closes a port that [`Self::forward`] or [`Self::balance`] opened.
    ///
    /// # Errors
    /// When the rule cannot be removed.
    pub fn close(&self, protocol: &str, public_port: u16) -> anyhow::Result<()> {
        run(&["close", &self.name, protocol, &public_port.to_string()]).map(drop)
    }

    /// Plays the cloud for a Service of type LoadBalancer: forwards its present ports and states its address.
    ///
    /// # Errors
    /// When the Service does not exist.
    pub fn balance(&self, namespace: &str, service: &str) -> anyhow::Result<()> {
        run(&["balance", &self.name, namespace, service]).map(drop)
    }

    /// Stops a service of the first node, such as kube-apiserver.
    ///
    /// # Errors
    /// When there is none of the name.
    pub fn stop(&self, service: &str) -> anyhow::Result<()> {
        run(&["stop", &self.first_node(), service]).map(drop)
    }

    /// Starts a stopped service of the first node. It may not serve yet.
    ///
    /// # Errors
    /// When it never ran.
    pub fn start(&self, service: &str) -> anyhow::Result<()> {
        run(&["start", &self.first_node(), service]).map(drop)
    }

    /// Waits until the API server serves.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE_MINUTE`].
    pub fn api_serves(&self) -> anyhow::Result<()> {
        let asked = || self.kubectl(&["get", "--raw", "/readyz"]).ok();
        until("the API server serves", PATIENCE_MINUTE, asked).map(drop)
    }

    /// Starts Kubernetes' own parts again after an outage of the API server: each would look for it only after up to a
    /// minute, and whatever comes next needs them.
    ///
    /// # Errors
    /// When one does not come back.
    pub fn recover(&self) -> anyhow::Result<()> {
        for service in ["kube-controller-manager", "kube-scheduler"] {
            run(&["restart", &self.first_node(), service])?;
        }
        for node in self.kubectl(&["get", "nodes", "-o", "name"])?.lines() {
            let node = node.trim_start_matches("node/");
            run(&["restart", node, "kubelet"])?;
            run(&["restart", node, "kube-proxy"])?;
        }
        self.kubectl(&["-n", "kube-system", "rollout", "restart", "deployment/coredns"])?;
        self.rolled_out("kube-system", "deployment/coredns")
    }

    /// Writes everything that explains a failure into a folder: objects, events, and the logs of all containers.
    ///
    /// # Errors
    /// When the folder cannot be written. What cannot be told is written as its error.
    pub fn dump(&self, namespaces: &[&str], folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let write = |name: String, arguments: &[&str]| {
            let text = self.kubectl(arguments).unwrap_or_else(|error| format!("{error:#}\n"));
            std::fs::write(folder.join(format!("{}-{name}.txt", self.name)), text)
        };
        write("nodes".to_owned(), &["get", "nodes,pods", "-A", "-o", "wide"])?;
        for namespace in namespaces {
            let kinds = "pods,daemonsets,deployments,services,endpointslices,events";
            write(format!("{namespace}-objects"), &["-n", namespace, "get", kinds, "-o", "wide"])?;
            write(format!("{namespace}-pods"), &["-n", namespace, "describe", "pods"])?;
            let pods = self.kubectl(&["-n", namespace, "get", "pods", "-o", "name"]).unwrap_or_default();
            for pod in pods.lines() {
                let name = pod.trim_start_matches("pod/");
                let logs = ["-n", namespace, "logs", pod, "--all-containers", "--prefix"];
                write(format!("{namespace}-{name}"), &logs)?;
                // Of containers that were started again; most pods have none.
                if let Ok(before) = self.kubectl(&[&logs[..], &["--previous"]].concat()) {
                    std::fs::write(folder.join(format!("{}-{namespace}-{name}-before.txt", self.name)), before)?;
                }
            }
        }
        Ok(())
    }
}
