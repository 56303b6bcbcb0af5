//! Tests of the access policy.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use wovenet_config::app::{AllowedSites, SiteReference};
use wovenet_config::key::SiteId;

use super::*;

const NODE: &str = "10.9.9.9";

fn peer() -> PeerIdentity {
    crate::forward::testing::identity("berlin")
}

fn app(target: Target) -> ExposedApp {
    crate::forward::testing::exposed("app", target)
}

fn range(addresses: &[&str], ports: std::ops::RangeInclusive<u16>) -> Target {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Target::Range(TargetRange { addresses, ports: vec![ports] })
}

fn header(port: Option<&str>, target: Option<&str>) -> StreamHeader {
    StreamHeader {
        app: "app".parse().unwrap(),
        port: port.map(|port| port.parse().unwrap()),
        target: target.map(str::to_owned),
        client: None,
        repeats: None,
    }
}

fn decide_range(addresses: &[&str], target: &str) -> Result<AppSocket, Cause> {
    let app = app(range(addresses, 1..=65535));
    decide(Some(&app), &peer(), &header(None, Some(target)), || Some(vec![NODE.parse().unwrap()]))
}

fn tcp(text: &str) -> AppSocket {
    AppSocket::Tcp(text.parse().unwrap())
}

#[test]
fn an_unknown_app_and_a_site_that_is_not_listed_are_refused() {
    let header = header(None, None);
    assert_eq!(decide(None, &peer(), &header, || Some(Vec::new())), Err(Cause::UnknownApp));
    let mut app = app(Target::Single(tcp("127.0.0.1:80")));
    app.allowed_sites = AllowedSites::Only(BTreeSet::from([SiteReference::Name("paris".parse().unwrap())]));
    assert_eq!(decide(Some(&app), &peer(), &header, || Some(Vec::new())), Err(Cause::SiteNotAllowed));
    let other = SiteId::from_hash(&[9; 32]);
    app.allowed_sites = AllowedSites::Only(BTreeSet::from([SiteReference::Id(other)]));
    assert_eq!(decide(Some(&app), &peer(), &header, || Some(Vec::new())), Err(Cause::SiteNotAllowed));
    app.allowed_sites = AllowedSites::Only(BTreeSet::from([SiteReference::Id(peer().site)]));
    assert_eq!(decide(Some(&app), &peer(), &header, || Some(Vec::new())), Ok(tcp("127.0.0.1:80")));
    assert_eq!(app.connect_timeout, Duration::from_secs(10));
}

#[test]
fn a_port_name_selects_among_several_and_any_name_means_the_only_one() {
    let ports = vec![("http".parse().unwrap(), tcp("10.0.0.1:80")), ("grpc".parse().unwrap(), tcp("10.0.0.1:90"))];
    let several = app(Target::Ports(ports));
    let single = app(Target::Single(tcp("10.0.0.1:80")));
    let ask = |app: &ExposedApp, port| decide(Some(app), &peer(), &header(port, None), || Some(Vec::new()));
    assert_eq!(ask(&several, Some("grpc")), Ok(tcp("10.0.0.1:90")));
    assert_eq!(ask(&several, Some("ssh")), Err(Cause::NoSuchPort));
    assert_eq!(ask(&several, None), Err(Cause::NoSuchPort));
    assert_eq!(ask(&single, Some("http")), ask(&single, None));
}

#[test]
fn fault_67_a_member_of_a_range_is_dialled_as_parsed_and_folded() {
    for text in ["10.0.2.7:5900", "tcp:10.0.2.7:5900", "[::ffff:10.0.2.7]:5900", "tcp:[::ffff:a00:207]:5900"] {
        assert_eq!(decide_range(&["10.0.2.0/24"], text), Ok(tcp("10.0.2.7:5900")), "{text}");
    }
}

#[test]
fn fault_67_what_is_no_plain_address_and_port_is_malformed() {
    let malformed = [
        "",
        ":",
        "10.0.2.7",
        "10.0.2.7:",
        "10.0.2.7:070",
        "010.0.2.7:80",
        "10.0.2.07:80",
        "10.0.2.7:70000",
        "10.0.2.7:+80",
        "10.0.2.7:-1",
        " 10.0.2.7:80",
        "10.0.2.7:80 ",
        "localhost:80",
        "app.example:80",
        "10.0.2:80",
        "0x0a.0.2.7:80",
        "167772679:80",
        "udp:10.0.2.7:80",
        "unix:/run/app.sock",
        "tcp:tcp:10.0.2.7:80",
        "TCP:10.0.2.7:80",
        "[10.0.2.7]:80",
        "[fe80::1%1]:80",
        "[::1%0]:80",
        "::1:80",
        "10.0.2.7:80\0",
        "10.0.2.7:80/x",
    ];
    for text in malformed {
        assert_eq!(decide_range(&["0.0.0.0/0", "::/0"], text), Err(Cause::TargetMalformed), "{text:?}");
    }
    let app = app(range(&["0.0.0.0/0"], 1..=65535));
    assert_eq!(decide(Some(&app), &peer(), &header(None, None), || Some(Vec::new())), Err(Cause::TargetMissing));
}

#[test]
fn fault_67_port_zero_is_outside_every_range() {
    let app = app(range(&["10.0.0.0/8"], 0..=65535));
    let answer = decide(Some(&app), &peer(), &header(None, Some("10.0.0.1:0")), || Some(Vec::new()));
    assert_eq!(answer, Err(Cause::TargetOutside));
}

#[test]
fn fault_68_special_addresses_need_to_be_named_one_by_one() {
    let special = [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.1.1",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        NODE,
        "::1",
        "::",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "fd00:ec2::254",
    ];
    for text in special {
        let address: IpAddr = text.parse().unwrap();
        let target = SocketAddr::new(address, 80).to_string();
        assert_eq!(decide_range(&["0.0.0.0/0", "::/0"], &target), Err(Cause::TargetDenied), "{text}");
        let exact = ipnet::IpNet::from(address).to_string();
        assert_eq!(decide_range(&[&exact], &target), Ok(tcp(&target)), "{text}");
    }
    assert_eq!(decide_range(&["0.0.0.0/0"], "[::ffff:127.0.0.1]:80"), Err(Cause::TargetDenied));
    assert_eq!(decide_range(&["0.0.0.0/0"], &format!("[::ffff:{NODE}]:80")), Err(Cause::TargetDenied));
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 4]>().prop_map(|v4| IpAddr::V6(std::net::Ipv4Addr::from(v4).to_ipv6_mapped())),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        any::<[u8; 2]>().prop_map(|[c, d]| IpAddr::from([10, 0, c, d])),
    ]
}

proptest! {
    #[test]
    fn fault_67_only_plain_members_of_the_range_are_ever_dialled(
        address in address(), port: u16, low: u16, span: u16, prefix in 0u8..=32,
    ) {
        let block = ipnet::Ipv4Net::new([10, 0, 2, 0].into(), prefix).unwrap().trunc();
        let ports = low..=low.saturating_add(span);
        let app = app(range(&[&block.to_string()], ports.clone()));
        let target = SocketAddr::new(address, port).to_string();
        let answer = decide(Some(&app), &peer(), &header(None, Some(&target)), || Some(vec![NODE.parse().unwrap()]));
        let folded = address.to_canonical();
        let inside = matches!(folded, IpAddr::V4(v4) if block.contains(&v4)) && ports.contains(&port) && port != 0;
        let denied = prefix < 32 && (is_special(folded) || folded.to_string() == NODE);
        let expected = match (inside, denied) {
            (false, _) => Err(Cause::TargetOutside),
            (true, true) => Err(Cause::TargetDenied),
            (true, false) => Ok(AppSocket::Tcp(SocketAddr::new(folded, port))),
        };
        prop_assert_eq!(answer, expected);
    }

    #[test]
    fn fault_67_arbitrary_text_never_reaches_beyond_the_range(text in "\\PC{0,40}") {
        match decide_range(&["10.0.2.0/24"], &text) {
            Ok(AppSocket::Tcp(address)) => prop_assert!(address.to_string().starts_with("10.0.2.")),
            Ok(other) => prop_assert!(false, "{}", other),
            Err(_) => {}
        }
    }
}

#[test]
fn until_the_nodes_addresses_are_known_a_range_is_reached_only_where_it_names_them_one_by_one() {
    let ask = |addresses: &[&str]| {
        let app = app(range(addresses, 1..=65535));
        decide(Some(&app), &peer(), &header(None, Some("10.0.2.7:80")), || None)
    };
    assert_eq!(ask(&["10.0.0.0/8"]), Err(Cause::TargetDenied));
    assert_eq!(ask(&["10.0.2.7/32"]), Ok(tcp("10.0.2.7:80")));
}
