//! The agents of a Site: one DaemonSet.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction,
    HostPathVolumeSource, Lifecycle, LifecycleHandler, ObjectFieldSelector, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, SleepAction,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use wovenet_crds::Site;
use wovenet_crds::site::ExposeType;

use crate::collect::Surroundings;
use crate::names::{self, API_PORT, HEALTH_PORT};
use crate::render::document::{CA_DIRECTORY, CONFIG_DIRECTORY, IDENTITY_DIRECTORY, PEERS_DIRECTORY, STATE_DIRECTORY};

/// The user and group of the agent in its image.
const USER: i64 = 65_532;
/// Secrets are readable to the agent's group only.
const SECRET_MODE: i32 = 0o440;
/// How long an agent that is to go still takes new clients: until no kube-proxy sends any.
const LINGER_SECONDS: i64 = 5;
/// What a pod gets beyond linger and drain to close its channels.
const GOODBYE_SECONDS: i64 = 10;
/// The memory and CPU of an agent unless the Site says otherwise.
const REQUESTS: [(&str, &str); 2] = [("cpu", "50m"), ("memory", "64Mi")];
/// The memory that an agent may use unless the Site says otherwise; windows are sized from it.
const LIMITS: [(&str, &str); 1] = [("memory", "512Mi")];

/// Renders the DaemonSet.
pub fn daemon_set(site: &Site, around: &Surroundings) -> DaemonSet {
    let name = site.name_any();
    let selector = names::agent_selector(&name);
    let mut labels = names::labels(&name);
    labels.extend(selector.clone());
    DaemonSet {
        metadata: names::of_site(site, names::agent(&name)),
        spec: Some(DaemonSetSpec {
            selector: LabelSelector { match_labels: Some(selector), ..LabelSelector::default() },
            update_strategy: Some(DaemonSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                // Two agents of one node would take each other's channels, so none is made beside the old one.
                rolling_update: Some(RollingUpdateDaemonSet {
                    max_unavailable: Some(IntOrString::Int(1)),
                    max_surge: None,
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                spec: Some(pod(site, around)),
            },
            ..DaemonSetSpec::default()
        }),
        ..DaemonSet::default()
    }
}

fn pod(site: &Site, around: &Surroundings) -> PodSpec {
    let agents = &site.spec.agents;
    let on_host_network = site.spec.expose.iter().any(|expose| expose.type_ == ExposeType::HostNetwork);
    let mut node_selector = agents.node_selector.clone();
    node_selector.entry("kubernetes.io/os".to_owned()).or_insert_with(|| "linux".to_owned());
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        containers: vec![container(site, around)],
        host_network: on_host_network.then_some(true),
        dns_policy: on_host_network.then(|| "ClusterFirstWithHostNet".to_owned()),
        node_selector: Some(node_selector),
        tolerations: (!agents.tolerations.is_empty()).then(|| agents.tolerations.clone()),
        priority_class_name: agents.priority_class_name.clone(),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(LINGER_SECONDS + i64::from(agents.drain_seconds) + GOODBYE_SECONDS),
        volumes: Some(volumes(site)),
        ..PodSpec::default()
    }
}

fn container(site: &Site, around: &Surroundings) -> Container {
    Container {
        name: "agent".to_owned(),
        image: Some(site.spec.agents.image.clone().unwrap_or_else(|| around.agent_image.clone())),
        image_pull_policy: Some(around.agent_pull_policy.clone()),
        args: Some(vec![
            "run".to_owned(),
            "--config".to_owned(),
            format!("{CONFIG_DIRECTORY}/{}", names::CONFIG_FIELD),
            "--grace".to_owned(),
            site.spec.agents.drain_seconds.to_string(),
        ]),
        env: Some(vec![node_name()]),
        ports: Some(ports(site)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: LINGER_SECONDS }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        liveness_probe: Some(probe("/livez", 10, 3)),
        readiness_probe: Some(probe("/readyz", 2, 1)),
        startup_probe: Some(probe("/livez", 1, 60)),
        resources: Some(resources(site)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(site)),
        ..Container::default()
    }
}

fn node_name() -> EnvVar {
    EnvVar {
        name: "WOVENET_NODE_NAME".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { field_path: "spec.nodeName".to_owned(), ..Default::default() }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn ports(site: &Site) -> Vec<ContainerPort> {
    let port = |name: &str, number: u16, protocol: &str| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some(protocol.to_owned()),
        ..ContainerPort::default()
    };
    let mut ports = vec![port("api", API_PORT, "TCP"), port("health", HEALTH_PORT, "TCP")];
    for (index, expose) in site.spec.expose.iter().enumerate() {
        let host_port = (expose.type_ == ExposeType::HostPort).then_some(i32::from(expose.port));
        ports.push(ContainerPort { host_port, ..port(&format!("tunnel-{}", index + 1), expose.port, "UDP") });
    }
    ports
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(HEALTH_PORT)),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

fn resources(site: &Site) -> ResourceRequirements {
    let defaults = |list: &[(&str, &str)]| -> BTreeMap<String, Quantity> {
        list.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
    };
    match &site.spec.agents.resources {
        Some(resources) => resources.clone().into(),
        None => ResourceRequirements {
            requests: Some(defaults(&REQUESTS)),
            limits: Some(defaults(&LIMITS)),
            ..ResourceRequirements::default()
        },
    }
}

/// The pod's own directories: what the Site permits is seen at the same path.
fn volumes(site: &Site) -> Vec<Volume> {
    let name = site.name_any();
    let mut volumes = vec![
        secret("config", names::agent(&name)),
        secret("identity", names::identity(&name)),
        peers(names::peers(&name)),
        Volume { name: "state".to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() },
    ];
    if let Some(ca) = ca_secret(site) {
        volumes.push(secret("ca", ca));
    }
    for (index, directory) in site.spec.permissions.unix_socket_directories.iter().enumerate() {
        volumes.push(Volume {
            name: format!("sockets-{}", index + 1),
            host_path: Some(HostPathVolumeSource {
                path: directory.clone(),
                type_: Some("DirectoryOrCreate".to_owned()),
            }),
            ..Volume::default()
        });
    }
    volumes
}

fn secret(volume: &str, name: String) -> Volume {
    Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name),
            default_mode: Some(SECRET_MODE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// There is no such Secret before the first peer is known.
fn peers(name: String) -> Volume {
    let mut volume = secret("peers", name);
    volume.secret.get_or_insert_default().optional = Some(true);
    volume
}

fn mounts(site: &Site) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let mut mounts = vec![
        mount("config", CONFIG_DIRECTORY, true),
        mount("identity", IDENTITY_DIRECTORY, true),
        mount("peers", PEERS_DIRECTORY, true),
        mount("state", STATE_DIRECTORY, false),
    ];
    if ca_secret(site).is_some() {
        mounts.push(mount("ca", CA_DIRECTORY, true));
    }
    for (index, directory) in site.spec.permissions.unix_socket_directories.iter().enumerate() {
        mounts.push(mount(&format!("sockets-{}", index + 1), directory, false));
    }
    mounts
}

fn ca_secret(site: &Site) -> Option<String> {
    Some(site.spec.message_channel.as_ref()?.mqtt.ca_secret_ref.as_ref()?.name.clone())
}
