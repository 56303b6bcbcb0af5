//! A status as the client reads it. What an older agent does not tell is empty; what a newer one adds is ignored.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StatusView {
    pub version: String,
    pub site_name: String,
    pub site_id: String,
    pub public_key: String,
    pub agent: String,
    pub revision: u64,
    pub ready: bool,
    pub draining: bool,
    pub endpoints: Vec<String>,
    pub tunnel_sockets: Vec<TunnelSocketView>,
    pub brokers: Vec<BrokerView>,
    pub sites: Vec<SiteView>,
    pub listeners: Vec<ListenerView>,
    pub traffic: Vec<TrafficView>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TunnelSocketView {
    pub listen: String,
    pub bound: Option<String>,
    pub error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BrokerView {
    pub url: String,
    pub connected: bool,
    pub error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SiteView {
    pub site_name: String,
    pub state: String,
    pub error: Option<String>,
    pub channels: Vec<ChannelView>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ChannelView {
    pub agent: String,
    pub remote_address: String,
    pub state: String,
    pub round_trip_ms: f64,
    pub loss: f64,
    pub streams: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub up_seconds: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListenerView {
    pub app: String,
    pub local_socket: String,
    pub bound: Option<String>,
    pub state: String,
    pub error: Option<String>,
    pub provider_state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TrafficView {
    pub app: String,
    pub role: String,
    pub streams: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}
