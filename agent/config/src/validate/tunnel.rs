//! Judges tunnel sockets and settings.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Url;

use crate::document::{self, Document};
use crate::peer::HostPort;
use crate::problem::shown;
use crate::tunnel::{
    CHANNELS_PER_SITE_DEFAULT, CHANNELS_PER_SITE_MAX, CongestionControl, LOCAL_SOCKETS_MAX, LocalSocket,
    NODE_ADDRESSES_MAX, PublicAddress, STUN_PORT, STUN_SERVERS_MAX, Scope, Tunnel, WORKERS_MAX,
};

use super::report::Report;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    DedicatedAddress,
    PortForwarding,
    NatTraversal,
}

const MODES: &[(&str, Mode)] = &[
    ("dedicated-address", Mode::DedicatedAddress),
    ("port-forwarding", Mode::PortForwarding),
    ("nat-traversal", Mode::NatTraversal),
];
const DETECTIONS: &[&str] = &["autoHttpDetect", "autoStunDetect"];

pub(super) fn tunnel(document: &Document, report: &mut Report) -> Option<Tunnel> {
    let written = document.tunnel.clone().unwrap_or_default();
    report.at_most("tunnel.localSockets", written.local_sockets.len(), LOCAL_SOCKETS_MAX);
    let local_sockets: Vec<(usize, LocalSocket)> = written
        .local_sockets
        .iter()
        .take(LOCAL_SOCKETS_MAX)
        .enumerate()
        .filter_map(|(index, socket)| {
            let path = format!("tunnel.localSockets[{index}]");
            Some((index, SocketJudge { path, socket, stun: &document.stun, report }.judge()?))
        })
        .collect();
    check_unique(&local_sockets, report);
    let channels = report.number("tunnel.channelsPerSite", written.channels_per_site, 1..=CHANNELS_PER_SITE_MAX);
    let words =
        [("model", CongestionControl::Model), ("cubic", CongestionControl::Cubic), ("bbr", CongestionControl::Bbr)];
    let control = super::filled(written.congestion_control.as_deref());
    let control = report.word_of_any_case("tunnel.congestionControl", control, &words);
    let workers = report.number("tunnel.workers", written.workers, 1..=WORKERS_MAX);
    Some(Tunnel {
        local_sockets: local_sockets.into_iter().map(|(_, socket)| socket).collect(),
        channels_per_site: channels?.unwrap_or(CHANNELS_PER_SITE_DEFAULT),
        congestion_control: control?.unwrap_or_default(),
        workers: workers?,
    })
}

fn check_unique(sockets: &[(usize, LocalSocket)], report: &mut Report) {
    for (position, (index, socket)) in sockets.iter().enumerate() {
        if let Some((first, _)) = sockets[..position].iter().find(|(_, other)| clash(other.listen, socket.listen)) {
            let message = format!("{} is already taken by tunnel.localSockets[{first}]", socket.listen);
            report.error(format!("tunnel.localSockets[{index}].listenPort"), message);
        }
    }
}

/// An unspecified address takes its port on every address, IPv4 and IPv6.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// The ports of a socket: dialled, and bound.
struct Ports {
    public: u16,
    listen: u16,
}

struct SocketJudge<'a> {
    path: String,
    socket: &'a document::LocalSocket,
    stun: &'a [String],
    report: &'a mut Report,
}

impl SocketJudge<'_> {
    fn judge(mut self) -> Option<LocalSocket> {
        let mode = self.mode();
        let transport = self.transport();
        let listen = self.listen_address();
        let public = self.public_address(mode);
        let ports = self.ports(mode);
        let scopes = [("agent", Scope::Agent), ("site", Scope::Site)];
        let scope = super::filled(self.socket.scope.as_deref());
        let scope = self.report.word_of_any_case(&format!("{}.scope", self.path), scope, &scopes);
        let (listen, public) = (listen?, public?);
        if listen.is_none() && public.is_none() {
            if mode == Some(Mode::DedicatedAddress) {
                self.error("publicAddress", "is required, unless listenAddress is set: the address of this host");
            }
            return None;
        }
        let public = public.unwrap_or(PublicAddress::Listen);
        let listen = listen.unwrap_or(match public {
            PublicAddress::Fixed(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        });
        let (_, ports) = ((mode?, transport?), ports?);
        let listen = SocketAddr::new(listen, ports.listen);
        Some(LocalSocket { listen, public, public_port: ports.public, scope: scope?.unwrap_or_default() })
    }

    fn error(&mut self, key: &str, message: impl Into<String>) {
        self.report.error(format!("{}.{key}", self.path), message);
    }

    fn mode(&mut self) -> Option<Mode> {
        let Some(text) = super::filled(self.socket.mode.as_deref()) else {
            self.error("mode", "is required: dedicated-address or port-forwarding");
            return None;
        };
        match self.report.word(&format!("{}.mode", self.path), Some(text), MODES)?? {
            Mode::NatTraversal => {
                self.error("mode", "\"nat-traversal\" is not yet available; use dedicated-address or port-forwarding");
                None
            }
            mode => Some(mode),
        }
    }

    fn transport(&mut self) -> Option<()> {
        let Some(text) = super::filled(self.socket.transport_protocol.as_deref()) else {
            self.error("transportProtocol", "is required: quic");
            return None;
        };
        if ["tls", "sctp"].iter().any(|planned| planned.eq_ignore_ascii_case(text)) {
            self.error("transportProtocol", format!("{} is not yet available; use quic", shown(text)));
            return None;
        }
        self.report.word(&format!("{}.transportProtocol", self.path), Some(text), &[("quic", ())])?
    }

    /// `None` is an error, `Some(None)` an absent address.
    fn listen_address(&mut self) -> Option<Option<IpAddr>> {
        let Some(text) = super::filled(self.socket.listen_address.as_deref()) else { return Some(None) };
        self.address("listenAddress", text, &[]).map(Some)
    }

    /// `None` is an error, `Some(None)` an absent address.
    fn public_address(&mut self, mode: Option<Mode>) -> Option<Option<PublicAddress>> {
        match super::filled(self.socket.public_address.as_deref()) {
            None if !self.socket.node_addresses.is_empty() => self.node_addresses().map(Some),
            None if mode == Some(Mode::PortForwarding) => {
                self.error("publicAddress", "is required with port-forwarding: the address of the gateway");
                None
            }
            None => Some(None),
            Some("autoHttpDetect") => self.http_detector().map(PublicAddress::Http).map(Some),
            Some("autoStunDetect") => self.stun_servers().map(PublicAddress::Stun).map(Some),
            Some(text) => {
                let address = self.address("publicAddress", text, DETECTIONS)?;
                if !address.is_unspecified() {
                    return Some(Some(PublicAddress::Fixed(address)));
                }
                let message = format!("{address} cannot be dialled; name one address");
                if mode == Some(Mode::PortForwarding) {
                    self.error("publicAddress", message);
                    return None;
                }
                let message = format!("{message}. The addresses that the socket is bound to are told to other sites");
                self.report.warning(format!("{}.publicAddress", self.path), message);
                Some(Some(PublicAddress::Listen))
            }
        }
    }

    fn node_addresses(&mut self) -> Option<PublicAddress> {
        let written = &self.socket.node_addresses;
        self.report.at_most(&format!("{}.nodeAddresses", self.path), written.len(), NODE_ADDRESSES_MAX);
        let mut addresses = BTreeMap::new();
        for (index, node) in written.iter().enumerate().take(NODE_ADDRESSES_MAX) {
            let address = self.address(&format!("nodeAddresses[{index}].address"), node.address.as_deref()?, &[])?;
            addresses.insert(node.node_name.clone()?, address);
        }
        Some(PublicAddress::OfNode(addresses))
    }

    fn address(&mut self, key: &str, text: &str, words: &[&str]) -> Option<IpAddr> {
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let advice = match text {
            _ if text.starts_with('[') => "write IPv6 without brackets, and the port in its own key".to_owned(),
            _ if text.contains('%') => "zones are not supported".to_owned(),
            _ if words.is_empty() => "host names are not supported".to_owned(),
            _ => match crate::nearest::nearest(text, words.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("write an address, or one of {}; host names are not supported", words.join(", ")),
            },
        };
        self.error(key, format!("{} is no IP address; {advice}", shown(text)));
        None
    }

    fn http_detector(&mut self) -> Option<Url> {
        let url = self.socket.http_detector.as_ref().and_then(|detector| detector.url.as_ref());
        let Some(url) = url.map(|url| url.expose()).filter(|url| !url.is_empty()) else {
            let message = "is required with autoHttpDetect: a page that answers with your address, http:// or https://";
            self.error("httpDetector.url", message);
            return None;
        };
        match Url::parse(url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => Some(parsed),
            _ => {
                let url = shown(&document::redact_url(url));
                self.error("httpDetector.url", format!("{url} is no URL that starts with http:// or https://"));
                None
            }
        }
    }

    fn stun_servers(&mut self) -> Option<Vec<String>> {
        let own = self.socket.stun_detector.as_ref().map_or(&[][..], |detector| &detector.servers);
        let (servers, path) = match own {
            [] => (self.stun, "stun".to_owned()),
            own => (own, format!("{}.stunDetector.servers", self.path)),
        };
        if servers.is_empty() {
            self.error("stunDetector.servers", "is required with autoStunDetect, here or as the list stun: host:port");
            return None;
        }
        self.report.at_most(&path, servers.len(), STUN_SERVERS_MAX);
        let mut parsed = Vec::new();
        for (index, text) in servers.iter().enumerate() {
            let server = HostPort::parse(text.strip_prefix("stun:").unwrap_or(text), STUN_PORT);
            parsed.push(self.report.parsed(&format!("{path}[{index}]"), text, server).map(|server| server.to_string()));
        }
        parsed.into_iter().collect()
    }

    fn ports(&mut self, mode: Option<Mode>) -> Option<Ports> {
        let public = self.port("publicPort", self.socket.public_port);
        let listen = self.port("listenPort", self.socket.listen_port);
        let (public, listen) = (public?, listen?);
        match (mode?, public, listen) {
            (Mode::PortForwarding, Some(public), Some(listen)) => Some(Ports { public, listen }),
            (Mode::PortForwarding, public, listen) => {
                if public.is_none() {
                    self.error("publicPort", "is required with port-forwarding: the port of the gateway");
                }
                if listen.is_none() {
                    self.error("listenPort", "is required with port-forwarding: the port of this host");
                }
                None
            }
            (_, None, None) => {
                self.error("publicPort", "is required, unless listenPort is set: a port from 1 to 65535");
                None
            }
            (_, Some(public), Some(listen)) if public != listen => {
                let message = format!(
                    "is {public}, but listenPort is {listen}: both must be equal with dedicated-address. \
                     Leave one out, or use port-forwarding"
                );
                self.error("publicPort", message);
                None
            }
            (_, public, listen) => {
                let port = public.or(listen)?;
                Some(Ports { public: port, listen: port })
            }
        }
    }

    /// `None` is an error, `Some(None)` an absent port; 0 counts as absent, as in wovenet.
    fn port(&mut self, key: &str, value: Option<u64>) -> Option<Option<u16>> {
        let port = self.report.number(&format!("{}.{key}", self.path), value, 0..=u16::MAX)?;
        Some(port.filter(|port| *port != 0))
    }
}
