//! The state of tunnels, for people, the API and the operator.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;
use utoipa::ToSchema;
use wovenet_config::key::SiteId;

use crate::peer::directory::KnownSite;
use crate::tunnel::CatalogueEntry;
use crate::tunnel::channel::{Channel, Direction, Health};
use crate::tunnel::dial::DialErrors;
use crate::tunnel::shared::Shared;

/// Whether a site can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SiteState {
    /// At least one channel is up.
    Connected,
    /// No channel is up; one is being tried, or the site must dial.
    Connecting,
    /// Its name belongs to another key.
    NameConflict,
    /// Its agents speak no version of the tunnel protocol that this one speaks.
    VersionMismatch,
}

/// A known site and its channels.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteStatus {
    /// The site's name.
    pub site_name: String,
    /// The site's id.
    pub site_id: String,
    /// The site's public key.
    pub public_key: String,
    /// Whether it can be used.
    pub state: SiteState,
    /// Why no channel could be made, the last time it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where its agents can be dialled.
    pub endpoints: Vec<EndpointStatus>,
    /// Its live channels.
    pub channels: Vec<ChannelStatus>,
    /// What it lets this site use.
    pub apps: Vec<AppStatus>,
}

/// An address of a site.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// The agent that answers there; empty for a configured address.
    pub agent: String,
    /// The address as stated or configured.
    pub address: String,
    /// The port.
    pub port: u16,
    /// Whether the address was detected rather than configured.
    pub dynamic: bool,
}

/// An app that a site lets this one use.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppStatus {
    /// The app's name.
    pub app_name: String,
    /// Its named ports; empty for an app with one.
    pub ports: Vec<String>,
    /// Its protocol.
    pub protocol: String,
    /// Whether its user chooses a member of a range.
    pub range: bool,
    /// Whether the site finds it healthy.
    pub healthy: bool,
}

/// A live channel.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelStatus {
    /// The id within this process, as in the log.
    pub id: u64,
    /// The agent at the other end.
    pub agent: String,
    /// Its address as seen here.
    pub remote_address: String,
    /// Whether this agent dialled.
    pub dialled: bool,
    /// `good`, `doubtful`, `suspect` or `draining`.
    pub state: &'static str,
    /// Round trip time in milliseconds.
    pub round_trip_ms: f64,
    /// Share of sent packets that were lost, 0 to 1.
    pub loss: f64,
    /// Streams open now.
    pub streams: u64,
    /// Bytes sent in UDP datagrams.
    pub sent_bytes: u64,
    /// Bytes received in UDP datagrams.
    pub received_bytes: u64,
    /// Seconds since it came up.
    pub up_seconds: u64,
    /// Ids of the mesh keys that the peer has proven to hold: the old one may be removed when every peer holds the new.
    pub mesh_keys: Vec<String>,
}

pub(super) fn sites(shared: &Shared, errors: &DialErrors) -> Vec<SiteStatus> {
    let known: Vec<KnownSite> = shared.peers.read(|directory| directory.sites().cloned().collect());
    let errors: BTreeMap<SiteId, String> = errors.lock().clone();
    known.into_iter().map(|site| site_status(shared, &errors, &site)).collect()
}

fn site_status(shared: &Shared, errors: &BTreeMap<SiteId, String>, site: &KnownSite) -> SiteStatus {
    let channels = shared.registry.channels(&site.id);
    let state = match (channels.is_empty(), site.conflict) {
        (false, _) => SiteState::Connected,
        (true, Some(_)) => SiteState::NameConflict,
        (true, None) if !site.has_common_version() => SiteState::VersionMismatch,
        (true, None) => SiteState::Connecting,
    };
    let catalogue = channels.iter().find_map(|channel| channel.catalogue()).unwrap_or_default();
    SiteStatus {
        site_name: site.name.to_string(),
        site_id: site.id.to_string(),
        public_key: site.key.to_string(),
        state,
        error: errors.get(&site.id).filter(|_| state != SiteState::Connected).cloned(),
        endpoints: endpoints(site),
        channels: channels.iter().map(|channel| channel_status(channel)).collect(),
        apps: catalogue.into_values().map(AppStatus::from).collect(),
    }
}

fn endpoints(site: &KnownSite) -> Vec<EndpointStatus> {
    use crate::peer::Learned;
    let stated = site.agents.iter().flat_map(|(id, agent)| {
        agent.endpoints.iter().map(|endpoint| EndpointStatus {
            agent: id.to_string(),
            address: endpoint.address.to_string(),
            port: endpoint.port,
            dynamic: matches!(endpoint.learned, Learned::Http | Learned::Stun),
        })
    });
    let configured = site.static_addresses.iter().map(|address| EndpointStatus {
        agent: String::new(),
        address: address.host.clone(),
        port: address.port,
        dynamic: false,
    });
    stated.chain(configured).collect()
}

fn channel_status(channel: &Channel) -> ChannelStatus {
    let stats = channel.stats();
    let (sent, lost) = (stats.path.sent_packets, stats.path.lost_packets);
    let remote: SocketAddr = channel.remote_address();
    ChannelStatus {
        id: channel.id(),
        agent: channel.peer().agent.to_string(),
        remote_address: remote.to_string(),
        dialled: channel.direction() == Direction::Dialled,
        state: match (channel.is_draining(), channel.health()) {
            (true, _) => "draining",
            (false, Health::Good) => "good",
            (false, Health::Doubtful) => "doubtful",
            (false, Health::Suspect) => "suspect",
        },
        round_trip_ms: channel.round_trip().as_secs_f64() * 1e3,
        loss: if sent == 0 { 0.0 } else { lost as f64 / sent as f64 },
        streams: channel.active_streams(),
        sent_bytes: stats.udp_tx.bytes,
        received_bytes: stats.udp_rx.bytes,
        up_seconds: channel.since().elapsed().as_secs(),
        mesh_keys: channel.proven_keys().iter().map(ToString::to_string).collect(),
    }
}

impl From<CatalogueEntry> for AppStatus {
    fn from(entry: CatalogueEntry) -> Self {
        Self {
            app_name: entry.name.to_string(),
            ports: entry.ports.iter().map(ToString::to_string).collect(),
            protocol: entry.protocol,
            range: entry.range,
            healthy: entry.healthy,
        }
    }
}
