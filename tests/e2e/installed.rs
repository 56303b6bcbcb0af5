//! The operator, installed in both clusters by its chart as a person would do it. Once for all tests; each test has Sites of
//! its own.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use wovenet_agent::peer::mesh_key;
use wovenet_tests::clusters::Cluster;

use crate::stage::Stage;
use crate::steps::Steps;
use crate::world::{BROKER, world};

/// The namespace of operators, Sites and agents.
pub(crate) const SYSTEM: &str = "wovenet-system";
/// The name of the release.
pub(crate) const RELEASE: &str = "wovenet";
/// The images of this build, as values of the chart.
const IMAGES: [&str; 6] = [
    "operator.image.registry=localhost",
    "operator.image.repository=wovenet-operator",
    "operator.image.tag=dev",
    "agent.image.registry=localhost",
    "agent.image.repository=wovenet-agent",
    "agent.image.tag=dev",
];

/// Installs the chart in both clusters, once.
pub(crate) fn installed() -> anyhow::Result<()> {
    static INSTALLED: LazyLock<anyhow::Result<()>> = LazyLock::new(|| {
        let steps = Steps::begin("chart");
        let world = world()?;
        steps.step("helm install in both clusters", || {
            // Clusters that an earlier run left have a release already.
            for cluster in [&world.a, &world.b] {
                cluster.kubectl(&["create", "namespace", SYSTEM]).ok();
                admits(cluster, "restricted")?;
                helm(cluster, &["upgrade", "--install"], &[])?;
            }
            Ok(())
        })?;
        Ok(())
    });
    INSTALLED.as_ref().copied().map_err(|error| anyhow::anyhow!("{error:#}"))
}

/// Sets which pods the operator's namespace admits (pod security standards).
pub(crate) fn admits(cluster: &Cluster, security: &str) -> anyhow::Result<()> {
    let label = format!("pod-security.kubernetes.io/enforce={security}");
    cluster.kubectl(&["label", "namespace", SYSTEM, "--overwrite", &label]).map(drop)
}

/// Installs or upgrades the release, with more values.
pub(crate) fn helm(cluster: &Cluster, what: &[&str], more: &[&str]) -> anyhow::Result<()> {
    helm_of(cluster, &chart(), what, more)
}

/// The folder of the chart.
pub(crate) fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/wovenet")
}

/// The same with another chart.
pub(crate) fn helm_of(cluster: &Cluster, chart: &Path, what: &[&str], more: &[&str]) -> anyhow::Result<()> {
    let chart = chart.display().to_string();
    let mut arguments = what.to_vec();
    arguments.extend([RELEASE, &chart, "-n", SYSTEM, "--create-namespace", "--wait", "--timeout", "90s"]);
    for value in IMAGES.iter().chain(more) {
        arguments.extend(["--set", value]);
    }
    cluster.helm(&arguments).map(drop)
}

/// The Sites of one test: one of its name in each cluster, with a mesh key of their own.
pub(crate) struct Sites<'a> {
    pub(crate) stage: &'a Stage,
    /// The name of the Sites' objects; they are called so with the cluster's letter in the mesh.
    pub(crate) name: String,
}

impl<'a> Sites<'a> {
    /// Prepares the Secrets.
    pub(crate) fn new(stage: &'a Stage) -> anyhow::Result<Self> {
        installed()?;
        let sites = Self { stage, name: stage.apps.clone() };
        let key = mesh_key::generate()?;
        for cluster in [&stage.world.a, &stage.world.b] {
            let literal = format!("--from-literal=primary={}", key.as_str());
            cluster.kubectl(&["-n", SYSTEM, "create", "secret", "generic", &sites.name, &literal])?;
        }
        Ok(sites)
    }

    /// The name of a cluster's site in the mesh.
    pub(crate) fn site_name(&self, cluster: &Cluster) -> String {
        format!("{}-{}", self.name, cluster.name())
    }

    /// Applies a cluster's Site; `more` are further lines of its spec.
    pub(crate) fn site(&self, cluster: &Cluster, more: &str) -> anyhow::Result<()> {
        let broker = format!("messageChannel: {{mqtt: {{brokers: ['{BROKER}'], topic: {}}}}}", self.name);
        self.site_without_broker(cluster, &format!("{broker}\n  {more}"))
    }

    /// The same without a broker.
    pub(crate) fn site_without_broker(&self, cluster: &Cluster, more: &str) -> anyhow::Result<()> {
        let (name, site_name) = (&self.name, self.site_name(cluster));
        cluster.apply(
            SYSTEM,
            &format!(
                "apiVersion: wovenet.io/v1alpha1
kind: Site
metadata: {{name: {name}}}
spec:
  siteName: {site_name}
  keySecretRef: {{name: {name}}}
  allowedNamespaces: {{from: All}}
  {more}
"
            ),
        )
    }

    /// Applies a Site in each cluster: a only dials, b is reached at a forwarded node port.
    pub(crate) fn join(&self) -> anyhow::Result<()> {
        self.join_with("")
    }

    /// The same with further lines for the spec of a's Site.
    fn join_with(&self, of_a: &str) -> anyhow::Result<()> {
        let (stage, b) = (self.stage, &self.stage.world.b);
        let (address, port) = (b.public_address(), stage.public_port);
        let expose = format!("expose: [{{type: NodePort, publicAddress: {address}, publicPort: {port}}}]");
        self.site(b, &expose)?;
        self.site(&stage.world.a, of_a)?;
        self.forward_node_port()
    }

    /// Forwards the test's public port of b to the node port of its tunnel Service.
    pub(crate) fn forward_node_port(&self) -> anyhow::Result<()> {
        let b = &self.stage.world.b;
        let service = format!("service/{}-tunnel", self.name);
        b.wait(SYSTEM, &service, "create")?;
        let port = b.get(SYSTEM, &service)?.pointer("/spec/ports/0/nodePort").and_then(Value::as_u64).unwrap_or(0);
        b.forward("udp", self.stage.public_port, u16::try_from(port)?)
    }

    /// Exposes the Service `web` of b to the site of a.
    pub(crate) fn expose_web(&self) -> anyhow::Result<()> {
        self.expose_web_to(&self.site_name(&self.stage.world.a))
    }

    /// Exposes the Service `web` of b to one site.
    pub(crate) fn expose_web_to(&self, site: &str) -> anyhow::Result<()> {
        let name = &self.name;
        let manifest = format!(
            "apiVersion: wovenet.io/v1alpha1
kind: ExposedApp
metadata: {{name: web}}
spec:
  siteRef: {{name: {name}}}
  service: {{name: web, ports: [http]}}
  allowedSites: [{site}]
"
        );
        self.stage.world.b.apply(&self.stage.apps, &manifest)
    }

    /// Uses b's app in a as the Service `web`.
    pub(crate) fn use_web(&self) -> anyhow::Result<()> {
        let manifest = self.remote_app("web", "ports: [{name: http, port: 80}]");
        self.stage.world.a.apply(&self.stage.apps, &manifest)
    }

    /// A RemoteApp that uses b's app; `more` are further lines of its spec.
    pub(crate) fn remote_app(&self, object: &str, more: &str) -> String {
        let (name, from) = (&self.name, self.site_name(&self.stage.world.b));
        format!(
            "apiVersion: wovenet.io/v1alpha1
kind: RemoteApp
metadata: {{name: {object}}}
spec:
  siteRef: {{name: {name}}}
  from: [{{siteName: {from}, appName: web}}]
  {more}
"
        )
    }

    /// Joins both, exposes and uses `web`, and waits for the first page and for every condition.
    pub(crate) fn serve_web(&self) -> anyhow::Result<()> {
        self.serve_web_with("")
    }

    /// The same with further lines for the spec of a's Site.
    pub(crate) fn serve_web_with(&self, of_a: &str) -> anyhow::Result<()> {
        self.stage.web_and_client()?;
        self.join_with(of_a)?;
        self.expose_web()?;
        self.use_web()?;
        self.stage.first_page("web")?;
        self.ready()
    }

    /// Waits until all that was applied is Ready.
    pub(crate) fn ready(&self) -> anyhow::Result<()> {
        let (a, b) = (&self.stage.world.a, &self.stage.world.b);
        a.wait(SYSTEM, &format!("site/{}", self.name), "condition=Ready")?;
        b.wait(SYSTEM, &format!("site/{}", self.name), "condition=Ready")?;
        b.wait(&self.stage.apps, "exposedapp/web", "condition=Ready")?;
        a.wait(&self.stage.apps, "remoteapp/web", "condition=Ready")
    }

    /// Returns the names of the pods of a cluster's agents.
    pub(crate) fn agent_pods(&self, cluster: &Cluster) -> anyhow::Result<Vec<String>> {
        let pods = cluster.list(SYSTEM, "pods", &format!("wovenet.io/site={}", self.name))?;
        let names = pods.iter().filter_map(|pod| pod.pointer("/metadata/name")?.as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// The name of the agents' DaemonSet.
    pub(crate) fn agents(&self) -> String {
        format!("daemonset/{}-agent", self.name)
    }
}

impl Drop for Sites<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for cluster in [&self.stage.world.a, &self.stage.world.b] {
                if let Ok(all) = cluster.kubectl(&["get", "wovenet", "-A", "-o", "yaml"]) {
                    println!("{}", all.lines().filter(|line| !line.contains("f:")).collect::<Vec<_>>().join("\n"));
                }
                let logs = ["-n", SYSTEM, "logs", "-l", "app.kubernetes.io/component=operator", "--tail=40"];
                println!("{}", cluster.kubectl(&logs).unwrap_or_default());
            }
            return;
        }
        for cluster in [&self.stage.world.a, &self.stage.world.b] {
            let delete = ["-n", SYSTEM, "delete", "site,secret", &self.name, "--ignore-not-found"];
            cluster.kubectl(&delete).ok();
        }
    }
}
