//! The configuration of a Site's agents.

use std::collections::BTreeMap;

use wovenet_config::document::{
    AppPort, Crypto, Document, DurationText, ExposedApp, Health, LocalSocket, Logger, MessageChannel, Mqtt, Peer, Pin,
    Provider, RemoteApp, RestfulApi, RestfulApiAuth, SecretValue, Tunnel,
};
use wovenet_config::key::PublicKey;
use wovenet_crds as crds;
use wovenet_crds::site::Trust;

use crate::judge::{Credentials, MeshKeys, Target};
use crate::names::{API_PORT, HEALTH_PORT};

/// Where the configuration is mounted in an agent's pod.
pub const CONFIG_DIRECTORY: &str = "/etc/wovenet/agent";
/// Where the site key is mounted.
pub const IDENTITY_DIRECTORY: &str = "/etc/wovenet/identity";
/// Where the known peers are mounted.
pub const PEERS_DIRECTORY: &str = "/etc/wovenet/peers";
/// Where the authorities of brokers are mounted.
pub const CA_DIRECTORY: &str = "/etc/wovenet/ca";
/// The field of `caSecretRef` with the authorities of brokers, PEM.
pub const CA_FIELD: &str = "ca.crt";
/// Where an agent keeps its state.
pub const STATE_DIRECTORY: &str = "/var/lib/wovenet";

/// What the document of a Site is made of.
pub struct SiteDocument<'a> {
    /// The Site.
    pub site: &'a crds::Site,
    /// Its mesh keys.
    pub keys: &'a MeshKeys,
    /// User and password for its brokers.
    pub credentials: Option<&'a Credentials>,
    /// The key by which agents know the operator.
    pub operator_key: PublicKey,
    /// Bindings of names that no longer stand.
    pub unpin: Vec<Pin>,
    /// Its tunnel sockets.
    pub local_sockets: Vec<LocalSocket>,
    /// What others may reach.
    pub exposed_apps: Vec<ExposedApp>,
    /// What is used of others.
    pub remote_apps: Vec<RemoteApp>,
}

impl SiteDocument<'_> {
    /// Renders the document, without a revision.
    pub fn render(self) -> Document {
        let spec = &self.site.spec;
        Document {
            site_name: Some(self.site.site_name()),
            crypto: Some(Crypto {
                key: Some(SecretValue::new(self.keys.primary.clone())),
                secondary_key: self.keys.secondary.clone().map(SecretValue::new),
            }),
            trust: Some(match spec.trust {
                Trust::SharedKey => "SharedKey".to_owned(),
                Trust::Pinned => "Pinned".to_owned(),
            }),
            logger: Some(Logger {
                level: Some(spec.agents.log_level.as_str().to_owned()),
                format: Some("json".to_owned()),
                file: None,
            }),
            message_channel: self.message_channel(),
            tunnel: Some(Tunnel {
                local_sockets: self.local_sockets,
                channels_per_site: Some(u64::from(spec.agents.channels_per_site)),
                ..Tunnel::default()
            }),
            peers: spec.peers.iter().map(peer).collect(),
            denied_keys: spec.denied_keys.clone(),
            unpin: self.unpin,
            local_exposed_apps: self.exposed_apps,
            remote_apps: self.remote_apps,
            restful_api: Some(RestfulApi {
                enabled: Some(true),
                listen_addr: Some(format!(":{API_PORT}")),
                auth: Some(RestfulApiAuth {
                    operator_key: Some(self.operator_key.to_string()),
                    ..RestfulApiAuth::default()
                }),
                ..RestfulApi::default()
            }),
            health: Some(Health { enabled: Some(true), listen_addr: Some(format!(":{HEALTH_PORT}")) }),
            state_dir: Some(STATE_DIRECTORY.to_owned()),
            site_key_file: Some(format!("{IDENTITY_DIRECTORY}/{}", crate::names::KEY_FIELD)),
            peers_file: Some(format!("{PEERS_DIRECTORY}/{}", crate::names::PEERS_FIELD)),
            ..Document::default()
        }
    }

    fn message_channel(&self) -> Option<MessageChannel> {
        let mqtt = &self.site.spec.message_channel.as_ref()?.mqtt;
        Some(MessageChannel {
            protocol: Some("mqtt".to_owned()),
            mqtt: Some(Mqtt {
                broker_server: mqtt.brokers.iter().map(SecretValue::new).collect(),
                topic: mqtt.topic.clone(),
                user: self.credentials.map(|credentials| credentials.user.clone()),
                password: self.credentials.map(|credentials| SecretValue::new(credentials.password.clone())),
                ca_file: mqtt.ca_secret_ref.as_ref().map(|_| format!("{CA_DIRECTORY}/{CA_FIELD}")),
            }),
        })
    }
}

fn peer(peer: &crds::site::Peer) -> Peer {
    Peer {
        site_name: Some(peer.site_name.clone()),
        public_key: Some(peer.public_key.clone()),
        addresses: peer.addresses.clone(),
    }
}

/// Renders an exposed app whose target is known.
pub fn exposed_app(app: &crds::ExposedApp, target: &Target) -> ExposedApp {
    let limits = &app.spec.limits;
    let rendered = ExposedApp {
        app_name: Some(app.app_name()),
        allowed_sites: Some(app.spec.allowed_sites.clone()),
        max_connections: limits.max_connections.map(u64::from),
        idle_timeout: limits.idle_timeout.clone().map(DurationText),
        connect_timeout: Some(DurationText(limits.connect_timeout.clone())),
        proxy_protocol: Some(app.spec.proxy_protocol),
        ..ExposedApp::default()
    };
    match target {
        Target::Sockets(sockets) if sockets.len() == 1 => {
            ExposedApp { mode: Some("single".to_owned()), app_socket: Some(sockets[0].1.clone()), ..rendered }
        }
        Target::Sockets(sockets) => {
            let port = |(name, socket): &(String, String)| AppPort {
                name: Some(name.clone()),
                app_socket: Some(socket.clone()),
            };
            ExposedApp { mode: Some("single".to_owned()), ports: sockets.iter().map(port).collect(), ..rendered }
        }
        Target::Range { addresses, ports } => ExposedApp {
            mode: Some("range".to_owned()),
            address_range: addresses.clone(),
            port_range: ports.clone(),
            ..rendered
        },
    }
}

/// Returns the local sockets of a remote app by the name of its port; those without a listener port are left out.
pub fn local_sockets(app: &crds::RemoteApp, ports: &BTreeMap<String, u16>) -> Vec<(String, String)> {
    let tcp = app.spec.ports.iter().filter(|_| app.service().is_some()).filter_map(|port| {
        let listener = ports.get(&port.name)?;
        Some((port.name.clone(), format!("tcp:0.0.0.0:{listener}")))
    });
    let unix = app.spec.unix_socket.iter().zip(&app.spec.ports);
    tcp.chain(unix.map(|(path, port)| (port.name.clone(), format!("unix:{path}")))).collect()
}

/// Renders a remote app: one entry for each local socket.
pub fn remote_app(app: &crds::RemoteApp, ports: &BTreeMap<String, u16>) -> Vec<RemoteApp> {
    let providers = app.spec.from.iter().map(|provider| Provider {
        site_name: Some(provider.site_name.clone()),
        app_name: Some(provider.app_name.clone()),
        priority: Some(u64::from(provider.priority)),
        weight: Some(u64::from(provider.weight)),
    });
    let providers: Vec<_> = providers.collect();
    let limits = &app.spec.limits;
    let entry = |(port, local_socket)| RemoteApp {
        providers: providers.clone(),
        local_socket: Some(local_socket),
        app_socket: app.spec.target.as_ref().map(|target| format!("tcp:{target}")),
        port: app.spec.target.is_none().then_some(port),
        connect_timeout: Some(DurationText(limits.connect_timeout.clone())),
        idle_timeout: limits.idle_timeout.clone().map(DurationText),
        max_connections: Some(u64::from(limits.max_connections)),
        max_connections_per_client: limits.max_connections_per_client.map(u64::from),
        ..RemoteApp::default()
    };
    local_sockets(app, ports).into_iter().map(entry).collect()
}
