//! Drops what the operator never reads, so that a large cluster costs little memory.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, PodSpec, PodStatus, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use wovenet_crds::{ExposedApp, RemoteApp, Site};

use crate::names::AGENT_LABEL;

pub(super) trait Trim {
    fn trim(&mut self) {}
}

impl Trim for Site {}
impl Trim for ExposedApp {}
impl Trim for RemoteApp {}
impl Trim for Service {}
impl Trim for EndpointSlice {}
impl Trim for Namespace {}
impl Trim for Secret {}
impl Trim for DaemonSet {}

impl Trim for Node {
    fn trim(&mut self) {
        self.spec = None;
        if let Some(status) = &mut self.status {
            status.images = None;
        }
    }
}

impl Trim for Pod {
    fn trim(&mut self) {
        let agent = self.labels().get(AGENT_LABEL.0).is_some_and(|name| name == AGENT_LABEL.1);
        let node_name = self.spec.as_ref().and_then(|spec| spec.node_name.clone());
        if let Some(spec) = &mut self.spec {
            *spec = PodSpec { node_name, ..PodSpec::default() };
        }
        if !agent {
            self.metadata.labels = None;
            self.metadata.annotations = None;
        }
        if let Some(status) = &mut self.status {
            *status = PodStatus {
                phase: status.phase.take(),
                pod_ips: status.pod_ips.take(),
                conditions: status.conditions.take().filter(|_| agent),
                ..PodStatus::default()
            };
        }
    }
}
