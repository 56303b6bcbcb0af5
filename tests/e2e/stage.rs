//! Where one test plays: namespaces of its own in both clusters, and a public port of b. A test that fails leaves a folder
//! with everything that explains it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Context;
use wovenet_tests::clusters::{self, Cluster, fill};

use crate::installed::SYSTEM;
use crate::steps::Steps;
use crate::world::{FILES, World, world};

/// The first public port that is given to a test.
const FIRST_PUBLIC_PORT: u16 = 51_820;
/// Set by people who want to look at what a failed test left.
const KEEP_VARIABLE: &str = "KEEP_CLUSTERS";

/// The namespaces of one test, in both clusters.
pub(crate) struct Stage {
    pub(crate) world: &'static World,
    pub(crate) steps: Steps,
    /// The namespace of apps and of those who use them.
    pub(crate) apps: String,
    /// The namespace of agents, which admits only pods of restricted security.
    pub(crate) system: String,
    /// A port of b's public address that is this test's.
    pub(crate) public_port: u16,
}

impl Stage {
    /// Makes the namespaces.
    pub(crate) fn new(test: &str) -> anyhow::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(FIRST_PUBLIC_PORT);
        // New names in each run: a namespace that is deleted stays for a while.
        let name = format!("{test}-{}", std::process::id());
        let stage = Self {
            world: world()?,
            steps: Steps::begin(test),
            system: format!("{name}-system"),
            apps: name,
            public_port: NEXT.fetch_add(1, Ordering::Relaxed),
        };
        for cluster in stage.clusters() {
            make_namespace(cluster, &stage.apps, "baseline")?;
            make_namespace(cluster, &stage.system, "restricted")?;
        }
        Ok(stage)
    }

    /// Starts the app `web` in b and a pod `client` in a, and waits until both run.
    pub(crate) fn web_and_client(&self) -> anyhow::Result<()> {
        let World { a, b } = self.world;
        b.apply(&self.apps, &fill(&manifest("web.yaml"), &[])?)?;
        a.apply(&self.apps, &fill(&manifest("client.yaml"), &[])?)?;
        b.rolled_out(&self.apps, "deployment/web")?;
        a.wait(&self.apps, "pod/client", "condition=Ready")
    }

    /// Starts another client on the node of the first one, for counting failures: what the first one tried before kube-proxy
    /// had a Service is remembered by the node without the Service's translation (conntrack, two minutes), and a later
    /// connection from the same port fails by it.
    pub(crate) fn fresh_client(&self, name: &str) -> anyhow::Result<()> {
        let a = &self.world.a;
        let first = a.get(&self.apps, "pod/client")?;
        let node = first["spec"]["nodeName"].as_str().context("the client has no node")?;
        let manifest =
            std::fs::read_to_string(manifest("client.yaml"))?.replace("name: client", &format!("name: {name}"));
        a.apply(&self.apps, &manifest.replace("spec:\n", &format!("spec:\n  nodeName: {node}\n")))?;
        a.wait(&self.apps, &format!("pod/{name}"), "condition=Ready")
    }

    /// Opens a connection of the client to `web` that the app never ends.
    pub(crate) fn hold(&self) -> anyhow::Result<()> {
        let script =
            "rm -f /tmp/held; probe hold web 80 >/tmp/held 2>&1 & until grep -q open /tmp/held; do usleep 20000; done";
        self.world.a.execute(&self.apps, "client", &["timeout", "30", "sh", "-c", script]).map(drop)
    }

    /// Returns when and how the held connection ended, in milliseconds since 1970, if it has.
    pub(crate) fn held(&self) -> anyhow::Result<Option<(u64, String)>> {
        self.last_line("/tmp/held", "[0-9]")
    }

    /// Lets the client try a host again and again.
    pub(crate) fn watch(&self, host: &str) -> anyhow::Result<()> {
        let script =
            r#"probe watch "$1" 80 >/tmp/watched 2>&1 & until grep -q works /tmp/watched; do usleep 20000; done"#;
        let watch = ["timeout", "30", "sh", "-c", script, "-", host];
        self.world.a.execute(&self.apps, "client", &watch).map(drop)
    }

    /// Returns since when tries have gone as they go now: `works` or `fails`.
    pub(crate) fn watched(&self) -> anyhow::Result<Option<(u64, String)>> {
        self.last_line("/tmp/watched", "[0-9]")
    }

    fn last_line(&self, file: &str, pattern: &str) -> anyhow::Result<Option<(u64, String)>> {
        let script = format!("grep '^{pattern}' {file} | tail -n 1");
        let line = self.world.a.execute(&self.apps, "client", &["sh", "-c", &script])?;
        let Some((at, how)) = line.trim().split_once(' ') else { return Ok(None) };
        Ok(Some((at.parse()?, how.to_owned())))
    }

    /// Checks that the client cannot reach the app's pod by its address, as it could if the clusters were one network.
    pub(crate) fn is_cut_off(&self) -> anyhow::Result<()> {
        let pods = self.world.b.list(&self.apps, "pods", "app=web")?;
        let address = pods.first().and_then(|pod| pod["status"]["podIP"].as_str()).context("no pod of the app")?;
        let tried = self.world.a.execute(&self.apps, "client", &["probe", "http", address, "8080"]);
        anyhow::ensure!(tried.is_err(), "{address} of b answers in a");
        Ok(())
    }

    /// Returns the first page that the client gets of a host, trying until it gets one.
    pub(crate) fn first_page(&self, host: &str) -> anyhow::Result<String> {
        let every = r#"until probe http "$1" 80 2>/tmp/why; do usleep 50000; done; cat /tmp/why >&2"#;
        let tried = ["timeout", "60", "sh", "-c", every, "-", host];
        let page = self.world.a.execute(&self.apps, "client", &tried);
        page.map_err(|error| match self.page(host) {
            Ok(_) => error.context("the page came too late"),
            Err(why) => why,
        })
    }

    /// Returns what the client gets of a host at the first try.
    pub(crate) fn page(&self, host: &str) -> anyhow::Result<String> {
        self.world.a.execute(&self.apps, "client", &["probe", "http", host, "80"])
    }

    /// Returns what a's first node gets of an address: also without the API server.
    pub(crate) fn page_at_node(&self, address: &str) -> anyhow::Result<String> {
        let url = format!("http://{address}/");
        clusters::execute(&self.world.a.first_node(), &["curl", "-sf", "-m", "3", &url])
    }

    fn clusters(&self) -> [&'static Cluster; 2] {
        [&self.world.a, &self.world.b]
    }

    fn dump(&self) -> anyhow::Result<PathBuf> {
        let folder = Path::new(FILES).join("e2e").join(&self.apps);
        for cluster in self.clusters() {
            cluster.dump(&[&self.apps, &self.system, SYSTEM], &folder)?;
        }
        Ok(folder)
    }

    fn remove(&self) {
        for cluster in self.clusters() {
            // What stays is removed with the clusters.
            let delete = ["delete", "namespace", &self.apps, &self.system, "--wait=false", "--ignore-not-found"];
            cluster.kubectl(&delete).ok();
        }
        self.world.b.close("udp", self.public_port).ok();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            match self.dump() {
                Ok(folder) => println!("{}: FAILED; logs and objects are in {}", self.apps, folder.display()),
                Err(error) => println!("{}: FAILED, and nothing can be told of it: {error:#}", self.apps),
            }
        }
        if !failed || std::env::var_os(KEEP_VARIABLE).is_none() {
            self.remove();
        }
    }
}

/// Returns the path of a manifest.
pub(crate) fn manifest(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/manifests")).join(name)
}

fn make_namespace(cluster: &Cluster, name: &str, security: &str) -> anyhow::Result<()> {
    cluster.kubectl(&["create", "namespace", name])?;
    cluster.kubectl(&["label", "namespace", name, &format!("pod-security.kubernetes.io/enforce={security}")])?;
    // Pods are refused before it is there.
    cluster.wait(name, "serviceaccount/default", "create")
}
