//! The five example set-ups of wovenet (§7), and files that use every key.

use crate::support::{lines, whole};
use wovenet_config::app::Target;
use wovenet_config::socket::AppSocket;
use wovenet_config::tunnel::PublicAddress;

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        /// Each file by name.
        pub(crate) const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../examples/", $name, ".yaml")))),+];
    };
}

files!(
    "release-public-ip-aws",
    "release-public-ip-local",
    "reverse-proxy-public",
    "reverse-proxy-private",
    "network-performance-ohio",
    "network-performance-tianjin",
    "multiple-port-data-center",
    "multiple-port-client",
    "convert-unix-to-tcp-server",
    "convert-unix-to-tcp-client",
    "every-key",
);

fn example(name: &str) -> wovenet_config::Loaded {
    let (_, text) = FILES.iter().find(|(file, _)| *file == name).expect(name);
    whole(text)
}

#[test]
fn no_example_has_a_warning_but_for_open_apps() {
    for (name, text) in FILES {
        let warnings = lines(&whole(text).warnings);
        let rest: Vec<&str> =
            warnings.lines().filter(|line| !line.contains("every site of the mesh may use")).collect();
        assert!(rest.is_empty(), "{name}: {rest:?}");
    }
}

#[test]
fn release_public_ip_has_a_public_port_alone_and_a_detected_address() {
    let aws = example("release-public-ip-aws").config;
    assert_eq!(aws.tunnel.local_sockets[0].listen.to_string(), "[::]:25890");
    let local = example("release-public-ip-local").config;
    let socket = &local.tunnel.local_sockets[0];
    assert_eq!((socket.listen.port(), socket.public_port), (16875, 26726));
    assert!(matches!(socket.public, PublicAddress::Http(_)));
}

#[test]
fn reverse_proxy_has_sites_without_tunnel() {
    assert_eq!(example("reverse-proxy-public").config.remote_apps.len(), 2);
    let private = example("reverse-proxy-private").config;
    assert!(private.tunnel.local_sockets.is_empty());
    assert_eq!(private.exposed_apps.len(), 1);
}

#[test]
fn network_performance_has_a_site_that_only_uses() {
    assert_eq!(example("network-performance-ohio").config.exposed_apps.len(), 1);
    let user = example("network-performance-tianjin").config;
    assert!(user.exposed_apps.is_empty() && user.tunnel.local_sockets.is_empty());
}

#[test]
fn multiple_port_has_a_range_and_a_member() {
    let center = example("multiple-port-data-center").config;
    let Target::Range(range) = &center.exposed_apps[0].target else { panic!("no range") };
    let client = example("multiple-port-client").config;
    let Some(AppSocket::Tcp(member)) = client.remote_apps[0].target else { panic!("no member") };
    assert!(range.contains(member));
}

#[test]
fn convert_unix_to_tcp_spells_its_key_in_lower_case() {
    let server = example("convert-unix-to-tcp-server").config;
    assert_eq!(server.exposed_apps[0].target, Target::Single(AppSocket::Unix("/var/run/docker.sock".into())));
    assert_eq!(example("convert-unix-to-tcp-client").config.remote_apps.len(), 1);
}
