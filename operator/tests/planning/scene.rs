//! A cluster as YAML, and what is planned for it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wovenet_config::Document;
use wovenet_config::key::encode_key;
use wovenet_crds::condition::{self, ConditionType};
use wovenet_identity::SiteKey;
use wovenet_operator::agent_report::Heard;
use wovenet_operator::collect::{Snapshot, Surroundings, by_age};
use wovenet_operator::judge::{Judged, judge};
use wovenet_operator::names;
use wovenet_operator::plan::{Memory, Objects, SitePlan, plan_all};
use wovenet_operator::status;

/// A mesh key in its generated form.
pub(crate) static MESH_KEY: LazyLock<String> = LazyLock::new(|| encode_key("wvk1_", &[7; 32]).to_string());
/// The operator's namespace.
pub(crate) const SYSTEM: &str = "wovenet-system";

/// A Site, its Secrets and its agent on one node; tests add to it.
pub(crate) const SITE: &str = "
kind: Site
metadata: {name: home, namespace: wovenet-system, uid: site-uid, generation: 1, creationTimestamp: 2026-01-01T00:00:00Z}
spec:
  keySecretRef: {name: mesh}
  messageChannel: {mqtt: {brokers: ['mqtts://broker.example'], topic: t}}
  allowedNamespaces: {from: All}
";

/// Everything of one cluster.
pub(crate) struct Scene {
    pub(crate) known: Snapshot,
    pub(crate) around: Surroundings,
    pub(crate) memory: Memory,
    pub(crate) site_key: SiteKey,
}

impl Scene {
    /// Reads a cluster. Secret `mesh` and the identity of the Site `home` are there unless they are removed.
    pub(crate) fn of(yaml: &str) -> Self {
        let site_key = SiteKey::generate().unwrap();
        let around = Surroundings {
            namespace: SYSTEM.to_owned(),
            agent_image: "registry.example/wovenet-agent:1".to_owned(),
            agent_pull_policy: "IfNotPresent".to_owned(),
            operator_key: SiteKey::generate().unwrap().public(),
            now: "2026-02-01T00:00:00Z".parse::<Timestamp>().unwrap(),
            instant: Instant::now(),
            beginning: false,
        };
        let mut scene = Self { known: Snapshot::default(), around, memory: Memory::default(), site_key };
        scene.secret("mesh", &[("primary", &MESH_KEY)]);
        let pem = scene.site_key.to_pem().to_string();
        scene.secret("home-identity", &[(names::KEY_FIELD, &pem)]);
        scene.add(yaml);
        scene
    }

    /// A Site `home` and whatever else is written.
    pub(crate) fn with_site(yaml: &str) -> Self {
        Self::of(&format!("{SITE}---\n{yaml}"))
    }

    /// Adds objects.
    pub(crate) fn add(&mut self, yaml: &str) {
        for document in serde_yaml::Deserializer::from_str(yaml) {
            let value = Value::deserialize(document).unwrap();
            if value.is_null() {
                continue;
            }
            self.add_one(value);
        }
    }

    fn add_one(&mut self, value: Value) {
        let known = &mut self.known;
        match value["kind"].as_str().unwrap() {
            "Site" => known.sites.push(read(value)),
            "ExposedApp" => known.exposed_apps.push(read(value)),
            "RemoteApp" => known.remote_apps.push(read(value)),
            "Service" => {
                let service: Arc<k8s_openapi::api::core::v1::Service> = read(value);
                known.services.insert((service.namespace().unwrap(), service.name_any()), service);
            }
            "EndpointSlice" => {
                let slice: Arc<EndpointSlice> = read(value);
                known.slices.insert((slice.namespace().unwrap(), slice.name_any()), slice);
            }
            "Namespace" => {
                let namespace: Arc<k8s_openapi::api::core::v1::Namespace> = read(value);
                known.namespaces.insert(namespace.name_any(), namespace);
            }
            "Node" => {
                let node: Arc<k8s_openapi::api::core::v1::Node> = read(value);
                known.nodes.insert(node.name_any(), node);
            }
            "Pod" => {
                let pod: Arc<Pod> = read(value);
                let ips = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
                let of_namespace = known.pod_addresses.entry(pod.namespace().unwrap()).or_default();
                of_namespace.extend(ips.map(|ip| ip.ip.clone()));
                if pod.labels().contains_key(names::SITE_LABEL) {
                    known.agents.push(pod);
                }
            }
            other => panic!("no {other} in a scene"),
        }
        known.sites = by_age(std::mem::take(&mut known.sites));
        known.exposed_apps = by_age(std::mem::take(&mut known.exposed_apps));
        known.remote_apps = by_age(std::mem::take(&mut known.remote_apps));
    }

    /// Adds or replaces a Secret of the operator's namespace.
    pub(crate) fn secret(&mut self, name: &str, fields: &[(&str, &str)]) {
        let data = fields.iter().map(|(field, text)| ((*field).to_owned(), ByteString(text.as_bytes().to_vec())));
        let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
        secret.metadata.name = Some(name.to_owned());
        // What the operator made itself has its labels.
        secret.metadata.labels = (name == names::peers("home")).then(|| names::labels("home"));
        self.known.secrets.insert(name.to_owned(), Arc::new(secret));
    }

    /// Adds a ready agent on a node, which has told `report` so many seconds ago. What is planned at the first one has
    /// revision 1 and was written.
    pub(crate) fn agent(&mut self, node: &str, address: &str, report: Option<&str>, seconds_ago: u64) {
        if self.known.agents.is_empty() {
            let planned = self.look(|_, plans| plans[0].configuration.clone());
            self.memory.configurations.extend(planned.map(|planned| ("home".to_owned(), planned)));
            self.settle();
        }
        self.add(&format!(
            "kind: Pod
metadata:
  name: home-agent-{node}
  namespace: {SYSTEM}
  uid: {node}-uid
  labels: {{app.kubernetes.io/name: wovenet-agent, wovenet.io/site: home}}
spec: {{nodeName: {node}, containers: []}}
status: {{podIPs: [{{ip: {address}}}], conditions: [{{type: Ready, status: 'True'}}]}}
"
        ));
        let at = self.around.instant.checked_sub(Duration::from_secs(seconds_ago)).unwrap();
        let report = report.map(|text| Arc::new(serde_yaml::from_str(text).unwrap()));
        self.known.heard.insert(format!("{node}-uid"), Heard { report, ..Heard::nothing(at) });
    }

    /// Makes the cluster hold what is planned for the first Site, its configuration excepted.
    pub(crate) fn settle(&mut self) {
        let objects = self.objects();
        for service in objects.services {
            let place = (service.namespace().unwrap(), service.name_any());
            self.known.services.entry(place).or_insert(Arc::new(service));
        }
        for slice in objects.slices {
            self.known.slices.insert((slice.namespace().unwrap(), slice.name_any()), Arc::new(slice));
        }
    }

    /// Judges and plans, and hands both to `look`.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Judged, &[SitePlan<'_>]) -> T) -> T {
        let judged = judge(&self.known, &self.around);
        let plans = plan_all(&judged, &self.known, &self.around, &self.memory);
        look(&judged, &plans)
    }

    /// The configuration of the first Site's agents.
    pub(crate) fn document(&self) -> Document {
        self.look(|_, plans| plans[0].configuration.clone().expect("a configuration").document)
    }

    /// The objects of the first Site.
    pub(crate) fn objects(&self) -> Objects {
        self.look(|_, plans| plans[0].objects(&self.known, &self.around))
    }

    /// The status of every condition of an object, as `status reason message`, by kind and name.
    pub(crate) fn conditions(&self) -> BTreeMap<String, BTreeMap<&'static str, (String, String, String)>> {
        let now = self.around.now;
        self.look(|judged, plans| {
            let mut all = BTreeMap::new();
            for plan in plans {
                let site = status::site(plan, &self.known, now);
                all.insert(format!("Site {}", plan.name()), told(&site.conditions));
                for one in &plan.judged.exposed {
                    let conditions = status::exposed_app(one, plan, now).conditions;
                    all.insert(format!("ExposedApp {}", one.app.name_any()), told(&conditions));
                }
                for one in &plan.judged.remote {
                    let conditions = status::remote_app(one, plan, &self.known, now).conditions;
                    all.insert(format!("RemoteApp {}", one.app.name_any()), told(&conditions));
                }
            }
            for (app, refusal) in &judged.unattached_exposed {
                let conditions = status::unattached_exposed_app(app, refusal, now).conditions;
                all.insert(format!("ExposedApp {}", app.name_any()), told(&conditions));
            }
            for (app, refusal) in &judged.unattached_remote {
                let conditions = status::unattached_remote_app(app, refusal, now).conditions;
                all.insert(format!("RemoteApp {}", app.name_any()), told(&conditions));
            }
            all
        })
    }

    /// Asserts a condition, and that its message names what it must.
    pub(crate) fn tells(&self, object: &str, type_: &str, status: &str, reason: &str, names: &[&str]) {
        let all = self.conditions();
        let (told, why, message) = &all.get(object).unwrap_or_else(|| panic!("no {object} in {all:?}"))[type_];
        assert_eq!((told.as_str(), why.as_str()), (status, reason), "{object} {type_}: {message}");
        names.iter().for_each(|name| assert!(message.contains(name), "{name} is not in {message:?}"));
    }
}

fn told(
    conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition],
) -> BTreeMap<&'static str, (String, String, String)> {
    use ConditionType::{Accepted, BrokerConnected, Programmed, Reachable, Ready, ResolvedRefs};
    [Accepted, ResolvedRefs, Programmed, BrokerConnected, Reachable, Ready]
        .into_iter()
        .filter_map(|type_| {
            let found = condition::find(conditions, type_)?;
            Some((type_.as_str(), (found.status.clone(), found.reason.clone(), found.message.clone())))
        })
        .collect()
}

fn read<K: DeserializeOwned>(mut value: Value) -> Arc<K> {
    let version = match value["kind"].as_str().unwrap() {
        "Site" | "ExposedApp" | "RemoteApp" => "wovenet.io/v1alpha1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        _ => "v1",
    };
    value["apiVersion"] = version.into();
    Arc::new(serde_json::from_value(value).unwrap())
}
