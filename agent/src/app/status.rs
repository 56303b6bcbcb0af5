//! What the agent tells of itself.

use crate::api::agent::{AppTraffic, BrokerStatus, ListenerStatus, Status, TunnelSocketStatus};
use crate::app::core::Core;
use crate::forward::{AppActivity, ListenerState, ListenerStatus as Listener, Role};
use crate::tunnel::{ProviderState, SocketState, StreamOpener};

pub(super) fn status(core: &Core) -> Status {
    let in_force = core.in_force();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        site_name: core.identity.name.to_string(),
        site_id: core.identity.site.to_string(),
        public_key: core.identity.key.public().to_string(),
        agent: core.identity.agent.to_string(),
        revision: in_force.config.revision,
        ready: core.is_ready(),
        draining: core.is_draining(),
        endpoints: core.endpoints(),
        tunnel_sockets: tunnel_sockets(core),
        brokers: brokers(core),
        sites: core.tunnels.sites(),
        listeners: listeners(core),
        traffic: core.forward.activity().into_iter().map(traffic).collect(),
        mesh_keys: core.mesh_key_ids(),
        warnings: core.warnings(),
    }
}

pub(super) fn listeners(core: &Core) -> Vec<ListenerStatus> {
    core.forward.status().iter().map(|listener| listener_status(core, listener)).collect()
}

fn listener_status(core: &Core, listener: &Listener) -> ListenerStatus {
    let app = &listener.remote_app;
    let best = app.providers.iter().map(|provider| core.tunnels.state(&provider.site, &provider.app)).min();
    let (state, error) = match &listener.state {
        ListenerState::Starting => ("starting", None),
        ListenerState::Listening(_) => ("listening", None),
        ListenerState::Failed { error } => ("failed", Some(error.clone())),
    };
    ListenerStatus {
        app: app.providers.first().map(|provider| format!("{}/{}", provider.site, provider.app)).unwrap_or_default(),
        local_socket: app.local_socket.to_string(),
        bound: listener.bound().map(ToString::to_string),
        state,
        error,
        provider_state: match best.unwrap_or(ProviderState::NoPath) {
            ProviderState::Available => "available",
            ProviderState::Unhealthy => "unhealthy",
            ProviderState::NotExposed => "notExposed",
            ProviderState::NoPath => "noPath",
        },
    }
}

fn tunnel_sockets(core: &Core) -> Vec<TunnelSocketStatus> {
    let states = core.tunnels.sockets().borrow().clone();
    let status = |(listen, state): (std::net::SocketAddr, SocketState)| match state {
        SocketState::Listening(bound) => {
            TunnelSocketStatus { listen: listen.to_string(), bound: Some(bound.to_string()), error: None }
        }
        SocketState::Failed(error) => {
            TunnelSocketStatus { listen: listen.to_string(), bound: None, error: Some(error) }
        }
    };
    states.into_iter().map(status).collect()
}

fn brokers(core: &Core) -> Vec<BrokerStatus> {
    let status = |broker: crate::discovery::BrokerState| BrokerStatus {
        url: broker.url,
        connected: broker.connected,
        error_class: broker.error.as_ref().filter(|_| !broker.connected).map(|error| error.class.label()),
        error: broker.error.filter(|_| !broker.connected).map(|error| error.to_string()),
    };
    core.brokers().into_iter().map(status).collect()
}

fn traffic(activity: AppActivity) -> AppTraffic {
    AppTraffic {
        app: activity.app,
        role: match activity.role {
            Role::Exposed => "exposed",
            Role::Remote => "remote",
        },
        streams: activity.open,
        received_bytes: activity.rx_bytes,
        sent_bytes: activity.tx_bytes,
    }
}
