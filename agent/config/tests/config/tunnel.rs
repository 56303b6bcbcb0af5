//! Tunnel sockets: §4.

use crate::support::{bad, good, has, warnings};
use wovenet_config::tunnel::{CongestionControl, LocalSocket, PublicAddress, Scope};

fn yaml(keys: &str) -> String {
    format!("tunnel: {{localSockets: [{{{keys}}}]}}\n")
}

fn socket(keys: &str) -> LocalSocket {
    good(&yaml(&format!("transportProtocol: quic, {keys}"))).tunnel.local_sockets.remove(0)
}

fn refused(keys: &str) -> String {
    bad(&yaml(&format!("transportProtocol: quic, {keys}")))
}

#[test]
fn a_dedicated_address_copies_the_missing_port_and_address() {
    for ports in ["publicPort: 7", "listenPort: 7", "publicPort: 7, listenPort: 7", "publicPort: 7, listenPort: 0"] {
        let socket = socket(&format!("mode: dedicated-address, publicAddress: 192.0.2.1, {ports}"));
        assert_eq!(socket.public, PublicAddress::Fixed("192.0.2.1".parse().expect("address")));
        assert_eq!((socket.listen.to_string().as_str(), socket.public_port), ("0.0.0.0:7", 7));
    }
    let socket = socket("mode: dedicated-address, listenAddress: 192.0.2.1, publicPort: 7");
    assert_eq!((socket.listen.to_string().as_str(), socket.public), ("192.0.2.1:7", PublicAddress::Listen));
}

#[test]
fn a_public_ipv6_address_listens_on_ipv6() {
    let socket = socket("mode: dedicated-address, publicAddress: '2001:db8::1', publicPort: 7");
    assert_eq!(socket.listen.to_string(), "[::]:7");
    assert_eq!(socket.scope, Scope::Agent);
}

#[test]
fn a_dedicated_address_needs_an_address_a_port_and_equal_ports() {
    has(
        &refused("mode: dedicated-address, publicPort: 7"),
        &["publicAddress: is required, unless listenAddress is set"],
    );
    has(&refused("mode: dedicated-address, publicAddress: 192.0.2.1"), &["publicPort: is required, unless listenPort"]);
    has(
        &refused("mode: dedicated-address, publicAddress: 192.0.2.1, publicPort: 7, listenPort: 8"),
        &["publicPort: is 7, but listenPort is 8: both must be equal"],
    );
}

#[test]
fn port_forwarding_needs_all_three() {
    let socket = socket("mode: port-forwarding, publicAddress: 192.0.2.1, publicPort: 7, listenPort: 8, scope: site");
    assert_eq!((socket.listen.to_string().as_str(), socket.public_port), ("0.0.0.0:8", 7));
    assert_eq!(socket.scope, Scope::Site);
    let text = refused("mode: port-forwarding");
    has(
        &text,
        &["publicAddress: is required with port-forwarding", "publicPort: is required", "listenPort: is required"],
    );
}

#[test]
fn http_detection_needs_a_real_url() {
    for mode in ["dedicated-address, listenPort: 7", "port-forwarding, publicPort: 7, listenPort: 7"] {
        let socket = socket(&format!(
            "mode: {mode}, publicAddress: autoHttpDetect, httpDetector: {{url: 'https://ip.example/ip'}}"
        ));
        assert_eq!(socket.public, PublicAddress::Http("https://ip.example/ip".parse().expect("url")));
        assert_eq!(socket.listen.to_string(), "0.0.0.0:7");
    }
    let with = |detector: &str| {
        refused(&format!("mode: dedicated-address, listenPort: 7, publicAddress: autoHttpDetect{detector}"))
    };
    has(&with(""), &["httpDetector.url: is required with autoHttpDetect"]);
    has(&with(", httpDetector: {url: ''}"), &["httpDetector.url: is required"]);
    has(&with(", httpDetector: {url: 'ftp://a/'}"), &["\"ftp://a/\" is no URL that starts with http:// or https://"]);
    has(&with(", httpDetector: {url: ip.example}"), &["is no URL"]);
}

#[test]
fn stun_detection_uses_the_servers_of_the_socket_or_of_the_file() {
    let keys = "transportProtocol: quic, mode: dedicated-address, listenPort: 7, publicAddress: autoStunDetect";
    let own = good(&format!("{}stun: other\n", yaml(&format!("{keys}, stunDetector: {{servers: [a, 'b:1']}}"))));
    assert_eq!(own.tunnel.local_sockets[0].public, PublicAddress::Stun(vec!["a:3478".into(), "b:1".into()]));
    let shared = good(&format!("{}stun: 'c,d:2'\n", yaml(keys)));
    assert_eq!(shared.tunnel.local_sockets[0].public, PublicAddress::Stun(vec!["c:3478".into(), "d:2".into()]));
    has(&bad(&yaml(keys)), &["stunDetector.servers: is required with autoStunDetect"]);
    has(&bad(&format!("{}stun: ['a:b']\n", yaml(keys))), &["config.yaml:5: error: stun[0]: \"a:b\" has no valid port"]);
}

#[test]
fn addresses_are_literals_or_detections() {
    let with = |address: &str| refused(&format!("mode: dedicated-address, publicPort: 7, publicAddress: '{address}'"));
    has(&with("autoHttpDetct"), &["\"autoHttpDetct\" is no IP address; did you mean autoHttpDetect?"]);
    has(&with("gw.example.com"), &["host names are not supported"]);
    has(&with("[::1]"), &["without brackets"]);
    has(&with("fe80::1%eth0"), &["zones are not supported"]);
    let text = refused("mode: dedicated-address, publicPort: 7, listenAddress: eth0");
    has(&text, &["listenAddress: \"eth0\" is no IP address"]);
}

#[test]
fn a_public_wildcard_means_the_bound_addresses_and_is_told() {
    let more = yaml("transportProtocol: quic, mode: dedicated-address, publicPort: 7, publicAddress: 0.0.0.0");
    has(&warnings(&more), &["publicAddress: 0.0.0.0 cannot be dialled"]);
    assert_eq!(good(&more).tunnel.local_sockets[0].public, PublicAddress::Listen);
    has(
        &refused("mode: port-forwarding, publicPort: 7, listenPort: 7, publicAddress: '::'"),
        &[":: cannot be dialled"],
    );
}

#[test]
fn planned_modes_and_transports_are_not_yet_available() {
    has(&bad(&yaml("mode: nat-traversal, transportProtocol: quic")), &["mode: \"nat-traversal\" is not yet available"]);
    for transport in ["tls", "sctp", "SCTP"] {
        let text = bad(&yaml(&format!(
            "mode: dedicated-address, transportProtocol: {transport}, listenAddress: '::', listenPort: 7"
        )));
        has(&text, &["transportProtocol: ", "is not yet available; use quic"]);
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn modes_and_transports_are_case_sensitive_and_suggest_the_right_one() {
    has(
        &refused("mode: Dedicated-Address"),
        &["\"Dedicated-Address\" is not supported; did you mean dedicated-address?"],
    );
    has(&bad(&yaml("mode: port-forwarding, transportProtocol: QUIC")), &["did you mean quic?"]);
    has(&bad(&yaml("mode: port-forwarding")), &["transportProtocol: is required: quic"]);
    has(&refused("scope: agent"), &["mode: is required"]);
    has(&refused("scope: node"), &["scope: \"node\" is not supported; valid: agent, site"]);
}

#[test]
fn two_sockets_on_one_port_are_an_error() {
    let one = "{transportProtocol: quic, mode: dedicated-address, publicAddress: 192.0.2.1, publicPort: 7}";
    has(&bad(&format!("tunnel: {{localSockets: [{one}, {one}]}}\n")), &["already taken by tunnel.localSockets[0]"]);
    let many = vec![one; 17].join(", ");
    has(&bad(&format!("tunnel: {{localSockets: [{many}]}}\n")), &["has 17 entries, at most 16 are allowed"]);
}

#[test]
fn settings_of_the_tunnel_have_defaults_and_ranges() {
    let tunnel = good("").tunnel;
    assert_eq!((tunnel.channels_per_site, tunnel.workers), (2, None));
    assert_eq!(tunnel.congestion_control, CongestionControl::Model);
    let tunnel = good("tunnel: {channelsPerSite: 4, congestionControl: BBR, workers: 8}\n").tunnel;
    assert_eq!((tunnel.channels_per_site, tunnel.workers), (4, Some(8)));
    assert_eq!(tunnel.congestion_control, CongestionControl::Bbr);
    let text = bad("tunnel: {channelsPerSite: 17, congestionControl: reno, workers: 0}\n");
    has(
        &text,
        &[
            "17 is out of range: 1 to 16",
            "\"reno\" is not supported; valid: model, cubic, bbr",
            "0 is out of range: 1 to 64",
        ],
    );
}
