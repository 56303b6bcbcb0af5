//! The files of examples/ as they are, in networks with the addresses that they name.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use wovenet_tests::agent::Agent;
use wovenet_tests::log;
use wovenet_tests::netns::{Gateway, Host, Lab, TestPeer};
use wovenet_tests::process::Process;
use wovenet_tests::until::{PATIENCE, until};

use crate::measured;
use crate::pair::UP;

/// The home line is back this long after its address changed.
const BACK_WITHIN: Duration = Duration::from_secs(15);
/// What each family must carry of the ten connections, in percent.
const LEAST_SHARE: u64 = 10;
/// A member outside the range is refused within a round trip; the processes need some time too.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Reads a file of an example.
fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn run(host: &Host, name: &str) -> Agent {
    host.run_agent(&file(name)).unwrap()
}

/// Asks until the answer is well, and returns its text.
fn ask(host: &Host, question: &[&str]) -> String {
    let asked = until(&format!("{question:?} is answered"), PATIENCE, || {
        host.ask(question).ok().filter(|event| event.outcome() == "ok")
    });
    asked.unwrap().0.text().to_owned()
}

/// The page that tells the caller's address, at 192.0.2.2.
fn detector(lab: &Lab) -> (Host, TestPeer) {
    let host = lab.public_host("detector", &["192.0.2.2"]).unwrap();
    let page = host.serve("web", "tcp:192.0.2.2:80", &["--page", "{client}\n"]).unwrap();
    (host, page)
}

/// A home network as the examples describe it: UDP 26726 is forwarded to port 16875 of the host inside.
fn home(lab: &Lab, addresses: &[&str], lan: &[&str]) -> Gateway {
    let gateway = lab.gateway("gateway", addresses, lan).unwrap();
    gateway.forward_udp(26726, "192.168.1.2:16875").unwrap();
    gateway
}

#[test]
fn release_public_ip_carries_data_over_both_families_and_follows_the_home_address() {
    let lab = Lab::new().unwrap();
    let _broker = lab.broker().unwrap();
    let _detector = detector(&lab);
    let gateway = home(&lab, &["203.0.113.20", "2001:db8::20"], &["192.168.1.1/24", "fd00::1/64"]);
    let aws = lab.public_host("aws", &["2001:db8::a:1", "198.51.100.7"]).unwrap();
    let local = gateway.host("local", &["192.168.1.2/24", "fd00::2/64"]).unwrap();
    let _server = aws.start("iperf3", &["-s", "-B", "127.0.0.1"]).unwrap();
    aws.reach("tcp:127.0.0.1:5201").unwrap();
    let _aws = run(&aws, "release-public-ip/aws.yaml");
    let agent = run(&local, "release-public-ip/local.yaml");
    for family in ["[", "1"] {
        log::wait_for(&agent, 0, UP, |line| line.field("remote_addr").starts_with(family)).unwrap();
    }
    let shares = shares_of_iperf(&aws, &local);
    measured("release-public-ip: bytes of iperf3 -P 10 over IPv4 and IPv6", shares);
    let all = shares.0 + shares.1;
    assert!(shares.0 * 100 > all * LEAST_SHARE && shares.1 * 100 > all * LEAST_SHARE, "{shares:?}");
    address_changes(&gateway, &aws, &agent);
}

fn shares_of_iperf(aws: &Host, local: &Host) -> (u64, u64) {
    let count = "counter ipv4\ncounter ipv6\n\
                 input meta nfproto ipv4 meta l4proto udp counter name ipv4\n\
                 input meta nfproto ipv6 meta l4proto udp counter name ipv6";
    aws.namespace().fault(count).unwrap();
    let mut client = local.start("iperf3", &["-c", "127.0.0.1", "-P", "10", "-t", "3"]).unwrap();
    let status = client.wait(PATIENCE).unwrap();
    assert!(status.success(), "{}", client.output());
    let bytes = |counter| aws.namespace().counted_bytes(counter).unwrap();
    (bytes("ipv4"), bytes("ipv6"))
}

/// The channel over IPv4 is back at the new address, and clients are served all the time from then on.
fn address_changes(gateway: &Gateway, aws: &Host, agent: &Agent) {
    let from = log::length(agent);
    let start = std::time::Instant::now();
    gateway.change_address("203.0.113.20", "203.0.113.21").unwrap();
    let announced = |line: &log::Line| line.field("endpoints").contains("203.0.113.21");
    log::wait_for(agent, from, "this agent's addresses changed", announced).unwrap();
    let known = start.elapsed();
    aws.namespace().heal().unwrap();
    aws.namespace().fault("counter back\ninput ip saddr 203.0.113.21 meta l4proto udp counter name back").unwrap();
    until("data comes from the new address", PATIENCE, || {
        aws.namespace().counted_bytes("back").ok().filter(|bytes| *bytes > 0)
    })
    .unwrap();
    measured(
        "release-public-ip: after a change of the home address, it is known and IPv4 is back",
        (known, start.elapsed()),
    );
    assert!(start.elapsed() <= BACK_WITHIN, "{:?}", start.elapsed());
}

#[test]
fn reverse_proxy_shows_a_page_and_an_ssh_server_to_a_fourth_host() {
    let lab = Lab::new().unwrap();
    let _broker = lab.broker().unwrap();
    let public = lab.public_host("public", &["203.0.113.7"]).unwrap();
    let fourth = lab.public_host("fourth", &["198.51.100.9"]).unwrap();
    let gateways = ["198.51.100.1", "198.51.100.2"]
        .map(|address| lab.gateway(&format!("gateway-{address}"), &[address], &["192.168.1.1/24"]).unwrap());
    let first = gateways[0].host("private-01", &["192.168.1.2/24"]).unwrap();
    let second = gateways[1].host("private-02", &["192.168.1.2/24"]).unwrap();
    let _web = first.serve("web", "tcp:127.0.0.1:80", &["--page", "the page of private-01"]).unwrap();
    let _ssh = ssh_server(&second);
    let _public = run(&public, "reverse-proxy/public.yaml");
    let mut private = run(&first, "reverse-proxy/private-01.yaml");
    let _other = run(&second, "reverse-proxy/private-02.yaml");
    let fetch = ["fetch", "--to", "tcp:203.0.113.7:8080"];
    let greet = ["greeting", "--to", "tcp:203.0.113.7:8022"];
    assert_eq!(ask(&fourth, &fetch), "the page of private-01");
    let banner = ask(&fourth, &greet);
    measured("reverse-proxy: the banner that a fourth host sees", &banner);
    assert!(banner.starts_with("SSH-2.0-"), "{banner}");
    // As the README says: without its agent the one port resets, and the other goes on.
    private.process().unwrap().terminate(PATIENCE).unwrap();
    let tried = fourth.ask(&fetch).unwrap();
    assert_eq!(tried.outcome(), "reset", "{tried:?}");
    assert!(tried.took() <= crate::service::LONGEST_WAIT, "{tried:?}");
    assert!(ask(&fourth, &greet).starts_with("SSH-2.0-"));
    first.start_agent(&mut private).unwrap();
    assert_eq!(ask(&fourth, &fetch), "the page of private-01");
}

fn ssh_server(host: &Host) -> Process {
    let key = host.directory().join("host_key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    // Where Debian's sshd keeps its privileges apart.
    std::fs::create_dir_all("/run/sshd").unwrap();
    let key = format!("HostKey={}", key.display());
    let options = ["-D", "-e", "-f", "/dev/null", "-o", &key, "-o", "ListenAddress=127.0.0.1:22", "-o", "PidFile=none"];
    let server = host.start("/usr/sbin/sshd", &options).unwrap();
    host.reach("tcp:127.0.0.1:22").unwrap();
    server
}

#[test]
fn multiple_port_gives_each_client_its_own_member_and_nothing_outside() {
    let lab = Lab::new().unwrap();
    let _broker = lab.broker().unwrap();
    let data_center = lab.gateway("center", &["198.51.100.30"], &["10.0.2.1/16"]).unwrap();
    let machines = data_center.host("machines", &["10.0.2.15/16", "10.0.2.16/16", "10.0.3.1/16"]).unwrap();
    let members = ["10.0.2.15:5900", "10.0.2.15:5901", "10.0.2.16:5900"];
    let outside = ["10.0.3.1:5900", "10.0.2.15:6000"];
    let _servers: Vec<_> = members
        .iter()
        .chain(&outside)
        .map(|at| machines.serve("banner", &format!("tcp:{at}"), &["--text", &format!("RFB of {at}")]).unwrap())
        .collect();
    let center = data_center.beside("data-center").unwrap();
    let agent = run(&center, "multiple-port/data-center.yaml");
    let greet = ["greeting", "--to", "tcp:127.0.0.1:5900"];
    let mut clients = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let name = format!("client{}", number + 1);
        let client = lab.public_host(&name, &[&format!("203.0.113.{}", number + 1)]).unwrap();
        let agent = run(&client, &format!("multiple-port/{name}.yaml"));
        assert_eq!(ask(&client, &greet), format!("RFB of {member}"));
        clients.push((agent, client));
    }
    let (first, client) = &mut clients[0];
    for at in outside {
        first.process().unwrap().terminate(PATIENCE).unwrap();
        first.configure(&file("multiple-port/client1.yaml").replace(members[0], at)).unwrap();
        let from = log::length(first);
        client.start_agent(first).unwrap();
        log::wait_for(first, from, UP, |_| true).unwrap();
        let refused = client.ask(&greet).unwrap();
        measured(&format!("multiple-port: {at}, outside the range, is reset after"), refused.took());
        assert_eq!(refused.outcome(), "reset", "{refused:?}");
        assert!(refused.took() <= AT_ONCE, "{refused:?}");
    }
    assert!(!log::lines(&agent, 0, "stream refused").is_empty(), "{}", agent.log());
}

#[test]
fn convert_unix_to_tcp_carries_http_and_a_half_close() {
    let lab = Lab::new().unwrap();
    let _broker = lab.broker().unwrap();
    let _detector = detector(&lab);
    let gateway = home(&lab, &["203.0.113.20"], &["192.168.1.1/24"]);
    let server = gateway.host("docker-server", &["192.168.1.2/24"]).unwrap();
    let client = lab.public_host("docker-client", &["198.51.100.8"]).unwrap();
    // The one replacement: this machine's own Docker is left alone.
    let socket = server.directory().join("docker.sock").display().to_string();
    let _docker = server.serve("web", &format!("unix:{socket}"), &["--page", "[]"]).unwrap();
    let configuration = file("convert-unix-to-tcp/docker-server.yaml").replace("/var/run/docker.sock", &socket);
    let _server = server.run_agent(&configuration).unwrap();
    let _client = run(&client, "convert-unix-to-tcp/docker-client.yaml");
    assert_eq!(ask(&client, &["fetch", "--to", "tcp:127.0.0.1:2375"]), "[]");
    let answer = ask(&client, &["exec", "--to", "tcp:127.0.0.1:2375"]);
    assert_eq!(answer, "100000 bytes of input");
    let clients = client.peer(&["fetch", "--to", "tcp:127.0.0.1:2375"]).unwrap();
    measured("convert-unix-to-tcp: a page over it", clients.wait_for("fetched").unwrap().took());
}
