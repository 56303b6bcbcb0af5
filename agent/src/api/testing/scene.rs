//! The status of a site with something of everything.

use crate::api::agent::{AppTraffic, BrokerStatus, ListenerStatus, Status, TunnelSocketStatus};
use crate::tunnel::status::{AppStatus, ChannelStatus, EndpointStatus, SiteState, SiteStatus};

/// An agent with one connected site, one that is away, and something of everything.
pub(crate) fn status() -> Status {
    Status {
        version: "0.1.0",
        site_name: "home".into(),
        site_id: "h".repeat(26),
        public_key: "wvp1_home".into(),
        agent: "aaaa".repeat(6),
        revision: 0,
        ready: true,
        draining: false,
        endpoints: vec!["192.0.2.1:51820".into()],
        tunnel_sockets: vec![TunnelSocketStatus {
            listen: "0.0.0.0:51820".into(),
            bound: Some("0.0.0.0:51820".into()),
            error: None,
        }],
        brokers: vec![BrokerStatus {
            error_class: None,
            url: "mqtts://broker.example.org".into(),
            connected: false,
            error: Some("connection refused".into()),
        }],
        sites: vec![office(), away()],
        listeners: listeners(),
        traffic: vec![AppTraffic {
            app: "office/ssh".into(),
            role: "remote",
            streams: 2,
            received_bytes: 3 << 30,
            sent_bytes: 1_536,
        }],
        mesh_keys: vec!["abcd".into()],
        warnings: vec!["every site of the mesh may use \"web\"".into()],
    }
}

fn office() -> SiteStatus {
    SiteStatus {
        site_name: "office".into(),
        site_id: "o".repeat(26),
        public_key: "wvp1_office".into(),
        state: SiteState::Connected,
        error: None,
        endpoints: vec![EndpointStatus {
            agent: "bbbb".repeat(6),
            address: "203.0.113.7".into(),
            port: 51820,
            dynamic: true,
        }],
        channels: vec![ChannelStatus {
            id: 7,
            agent: "bbbb".repeat(6),
            remote_address: "203.0.113.7:51820".into(),
            dialled: true,
            state: "good",
            round_trip_ms: 12.34,
            loss: 0.0021,
            streams: 2,
            sent_bytes: 5 << 20,
            received_bytes: 999,
            up_seconds: 93_784,
            mesh_keys: vec!["abcd".into()],
        }],
        apps: vec![AppStatus {
            app_name: "ssh".into(),
            ports: Vec::new(),
            protocol: "tcp".into(),
            range: false,
            healthy: true,
        }],
    }
}

fn away() -> SiteStatus {
    SiteStatus {
        site_name: "attic".into(),
        site_id: "t".repeat(26),
        state: SiteState::Connecting,
        error: Some("timed out".into()),
        endpoints: Vec::new(),
        channels: Vec::new(),
        apps: Vec::new(),
        ..office()
    }
}

fn listeners() -> Vec<ListenerStatus> {
    let bound = ListenerStatus {
        app: "office/ssh".into(),
        local_socket: "tcp:127.0.0.1:2222".into(),
        bound: Some("127.0.0.1:2222".into()),
        state: "listening",
        error: None,
        provider_state: "available",
    };
    let failed = ListenerStatus {
        app: "attic/desk".into(),
        local_socket: "tcp:127.0.0.1:5901".into(),
        bound: None,
        state: "failed",
        error: Some("address in use".into()),
        provider_state: "noPath",
    };
    vec![bound, failed]
}
