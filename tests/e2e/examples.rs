//! Every example on Kubernetes, applied as it is written. Only the images of the apps are others: there is no registry.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use wovenet_tests::clusters::{self, Cluster, PATIENCE_MINUTE, fill};
use wovenet_tests::process::sibling;
use wovenet_tests::until::until;

use crate::installed::{SYSTEM, admits, installed};
use crate::stage::manifest;
use crate::steps::Steps;
use crate::world::{FILES, World, world};

/// What leads to b's agents in every example.
const PUBLIC_PORT: u16 = 51_820;
const NODE_PORT: u16 = 30_820;
/// The test's own server and client in its image.
const PROBE: &str = "image: localhost/probe:1\n          imagePullPolicy: Never";
const REDIS: &str = "image: localhost/redis:7\n          imagePullPolicy: Never";

/// One example, applied in both clusters until it is dropped.
struct Example {
    world: &'static World,
    steps: Steps,
    folder: PathBuf,
    namespace: &'static str,
    servers: Vec<String>,
}

impl Example {
    fn new(namespace: &'static str) -> anyhow::Result<Self> {
        installed()?;
        let world = world()?;
        mesh_key()?;
        world.b.forward("udp", PUBLIC_PORT, NODE_PORT)?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/kubernetes").join(namespace);
        Ok(Self { world, steps: Steps::begin(namespace), folder, namespace, servers: Vec::new() })
    }

    /// Applies a file, with the images of its apps replaced.
    fn apply(&self, cluster: &Cluster, file: &str) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(self.folder.join(file))?;
        let text = text.replace("image: nginx:stable", PROBE).replace("image: redis:7", REDIS);
        let applied = Path::new(FILES).join(format!("{}-{file}", self.namespace));
        std::fs::write(&applied, text.replace("containerPort: 80}", "containerPort: 8080}"))?;
        cluster.kubectl(&["apply", "-f", &applied.display().to_string()]).map(drop)
    }

    /// Starts a client in a cluster.
    fn client(&self, cluster: &Cluster) -> anyhow::Result<()> {
        cluster.wait(self.namespace, "serviceaccount/default", "create")?;
        cluster.apply(self.namespace, &fill(&manifest("client.yaml"), &[])?)?;
        cluster.wait(self.namespace, "pod/client", "condition=Ready")
    }

    /// Starts a server beside the nodes.
    fn serve(&mut self, place: &str, name: &str, command: &[&str]) -> anyhow::Result<()> {
        self.servers.push(name.to_owned());
        clusters::serve(place, name, command)
    }

    /// Runs a command in the client until it succeeds, and returns what it wrote.
    fn asks(&self, cluster: &Cluster, what: &str, command: &[&str]) -> String {
        let asked = || {
            let ask = || cluster.execute(self.namespace, "client", command).ok().filter(|answer| !answer.is_empty());
            Ok(until(what, PATIENCE_MINUTE, ask)?.0)
        };
        self.steps.step(what, asked).unwrap().0
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        for server in &self.servers {
            clusters::end(server).ok();
        }
        if std::thread::panicking() {
            for cluster in [&self.world.a, &self.world.b] {
                println!("{}", cluster.kubectl(&["get", "wovenet", "-A", "-o", "wide"]).unwrap_or_default());
            }
        }
        for cluster in [&self.world.a, &self.world.b] {
            cluster.kubectl(&["delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false"]).ok();
            cluster.kubectl(&["-n", SYSTEM, "delete", "site", "site-a", "site-b", "--ignore-not-found"]).ok();
        }
        self.world.b.close("udp", PUBLIC_PORT).ok();
    }
}

/// Gives both clusters the key of the VM's file, so that this file too runs as it is written.
fn mesh_key() -> anyhow::Result<()> {
    static MADE: LazyLock<anyhow::Result<()>> = LazyLock::new(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/kubernetes/vm/vm.yaml");
        let vm: serde_json::Value = serde_yaml::from_str(&std::fs::read_to_string(file)?)?;
        let secret = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "mesh-key"}, "stringData": {"primary": vm["crypto"]["key"]},
        });
        let world = world()?;
        for cluster in [&world.a, &world.b] {
            cluster.apply(SYSTEM, &secret.to_string())?;
        }
        Ok(())
    });
    MADE.as_ref().copied().map_err(|error| anyhow::anyhow!("{error:#}"))
}

/// Where the program of the image `probe` is on this machine.
fn probe() -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    format!("{cache}/wovenet/clusters/bin/probe")
}

#[test]
fn hello_across_two_clusters() {
    let example = Example::new("hello").unwrap();
    let World { a, b } = example.world;
    for file in ["b.yaml", "app.yaml"] {
        example.apply(b, file).unwrap();
    }
    example.apply(a, "a.yaml").unwrap();
    example.client(a).unwrap();
    let page = example.asks(a, "a page of b", &["probe", "http", "web", "80"]);
    assert!(page.starts_with("web-"), "{page}");
    a.wait("hello", "remoteapp/web", "condition=Ready").unwrap();
}

#[test]
fn a_database_is_used_from_another_cluster() {
    let example = Example::new("database").unwrap();
    let World { a, b } = example.world;
    load_redis().unwrap();
    for file in ["b.yaml", "app.yaml"] {
        example.apply(b, file).unwrap();
    }
    example.apply(a, "a.yaml").unwrap();
    example.client(a).unwrap();
    let script = r"printf 'SET greeting hello\r\nGET greeting\r\nQUIT\r\n' | nc -w 3 redis 6379";
    let said = example.asks(a, "an answer of the database in b", &["sh", "-c", script]);
    assert!(said.contains("+OK") && said.contains("hello"), "{said:?}");
}

#[test]
fn a_unix_socket_of_a_node_is_a_service_elsewhere() {
    let mut example = Example::new("unix-socket").unwrap();
    let World { a, b } = example.world;
    // In place of app.yaml: a daemon of each node, which has a /run of its own.
    let cluster = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/cluster.sh");
    let daemon = "mkdir -p /run/wovenet-example && exec socat \
                  UNIX-LISTEN:/run/wovenet-example/daemon.sock,fork,mode=666,unlink-early SYSTEM:'echo of the socket'";
    for node in ["b1", "b2"] {
        example.serve("inet", &format!("daemon-{node}"), &[cluster, "exec", node, "sh", "-c", daemon]).unwrap();
    }
    // As the example's README says: agents mount a directory of their nodes.
    admits(b, "privileged").unwrap();
    example.apply(b, "b.yaml").unwrap();
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/kubernetes/unix-socket/app.yaml");
    b.kubectl(&["apply", "--dry-run=server", "-f", &app.display().to_string()]).unwrap();
    example.apply(a, "a.yaml").unwrap();
    example.client(a).unwrap();
    let said =
        example.asks(a, "an answer of the node's socket", &["sh", "-c", "nc -w 3 node-daemon 80 < /dev/null || true"]);
    admits(b, "restricted").unwrap();
    assert_eq!(said.trim(), "of the socket");
}

#[test]
fn members_of_a_range_are_services_of_their_own() {
    let mut example = Example::new("range").unwrap();
    let World { a, b } = example.world;
    // The machines of the example are the nodes of the test.
    for node in ["b1", "b2"] {
        example
            .serve(
                node,
                &format!("machine-{node}"),
                &["unshare", "--uts", "sh", "-c", &format!("hostname {node}; exec {}", probe())],
            )
            .unwrap();
    }
    example.apply(b, "b.yaml").unwrap();
    example.apply(a, "a.yaml").unwrap();
    example.client(a).unwrap();
    for (service, node) in [("machine-10", "b1"), ("machine-11", "b2")] {
        let page = example.asks(a, "a page of a machine", &["probe", "http", service, "80"]);
        assert!(page.starts_with(node), "{service}: {page}");
    }
}

#[test]
fn a_vm_and_a_cluster_use_each_others_apps() {
    let mut example = Example::new("vm").unwrap();
    let b = &example.world.b;
    for file in ["b.yaml", "app.yaml"] {
        example.apply(b, file).unwrap();
    }
    // A home of its own: a VM remembers the keys of sites, and those of another run are others.
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    // The names of the internet are for the clusters only.
    let file = std::fs::read_to_string(example.folder.join("vm.yaml")).unwrap();
    std::fs::write(home.join("vm.yaml"), file.replace("broker.example", "203.0.113.1")).unwrap();
    let (agent, config) =
        (sibling("wovenet-agent").unwrap().display().to_string(), home.join("vm.yaml").display().to_string());
    let environment = format!("HOME={}", home.display());
    example.serve("inet", "vm-database", &["env", "PROBE_TCP=5432", &probe()]).unwrap();
    example.serve("inet", "vm-agent", &["env", &environment, &agent, "run", "--config", &config]).unwrap();
    let asked = || clusters::execute("inet", &["curl", "-sf", "-m", "3", "http://127.0.0.1:8080/"]).ok();
    let page = until("the VM gets a page of the cluster", PATIENCE_MINUTE, asked).unwrap().0;
    assert!(page.starts_with("intranet-"), "{page}");
    example.client(b).unwrap();
    example.asks(b, "the cluster uses an app of the VM", &["probe", "http", "postgres", "5432"]);
}

/// Makes an image of this machine's Redis.
fn load_redis() -> anyhow::Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../images/mkimage.py");
    let archive = Path::new(FILES).join("redis.tar");
    let made = Command::new(script)
        .arg(&archive)
        .args(["localhost/redis:7", "--entry", r#"["/usr/bin/redis-server", "--protected-mode", "no"]"#, "--libraries"])
        .arg("/usr/bin/redis-check-rdb:/usr/bin/redis-server")
        .output()?;
    anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    clusters::load(&archive)
}
