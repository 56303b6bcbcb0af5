//! The objects as a whole, compared with files; `UPDATE_GOLDEN=1` writes them anew.

use std::path::Path;

use serde::Serialize;

use crate::scene::Scene;

const CLUSTER: &str = include_str!("fixtures/cluster.yaml");

fn golden<T: Serialize>(name: &str, objects: &[T]) {
    assert!(!objects.is_empty(), "nothing for {name}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planning/fixtures").join(name);
    let written: Vec<String> = objects.iter().map(|object| serde_yaml::to_string(object).unwrap()).collect();
    let written = written.join("---\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), written, "{name} differs");
}

#[test]
fn the_daemon_set_services_and_slices_of_a_site_are_as_in_the_files() {
    let mut scene = Scene::of(CLUSTER);
    scene.secret("ca", &[("ca.crt", "authorities")]);
    scene.agent("one", "10.0.0.1", Some(include_str!("fixtures/report.yaml")), 0);
    let objects = scene.objects();
    golden("daemon_set.yaml", &objects.daemon_sets);
    golden("services.yaml", &objects.services);
    golden("slices.yaml", &objects.slices);
}

/// FAULTS row 115.
#[test]
fn fault_115_agents_keep_to_the_restricted_profile_unless_the_site_takes_ports_or_directories_of_nodes() {
    let set = Scene::with_site("").objects().daemon_sets.pop().unwrap();
    let pod = set.spec.unwrap().template.spec.unwrap();
    assert_eq!((pod.host_network, pod.automount_service_account_token), (None, Some(false)));
    assert!(pod.volumes.unwrap().iter().all(|volume| volume.host_path.is_none()));
    let container = &pod.containers[0];
    assert!(container.ports.iter().flatten().all(|port| port.host_port.is_none()));
    let security = container.security_context.as_ref().unwrap();
    assert_eq!((security.allow_privilege_escalation, security.read_only_root_filesystem), (Some(false), Some(true)));
    assert_eq!(security.capabilities.as_ref().unwrap().drop.as_deref(), Some(&["ALL".to_owned()][..]));
    assert_eq!(pod.security_context.unwrap().seccomp_profile.unwrap().type_, "RuntimeDefault");
}
