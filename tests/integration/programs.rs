//! Real programs through a tunnel.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use aws_lc_rs::digest::{Context, SHA256};
use wovenet_tests::mesh::{Mesh, Site};
use wovenet_tests::ports::free_tcp_port;
use wovenet_tests::process::Process;
use wovenet_tests::until::{PATIENCE, until};

use crate::apps;
use crate::clients::connect;
use crate::websocket;

/// Exposes the program that listens on `port` at one site and returns the other, which uses it as `office/app`.
fn tunnel_to(mesh: &Mesh, port: u16) -> [Site; 2] {
    let office = mesh.run(mesh.site("office").unwrap().listening().unwrap().exposes("app", port)).unwrap();
    let home = mesh.run(mesh.site("home").unwrap().uses("office", "app").unwrap()).unwrap();
    home.ready().unwrap();
    [home, office]
}

fn start(mesh: &Mesh, command: Command, port: u16) -> Process {
    let process = Process::start(command, &mesh.directory().join("program.log")).unwrap();
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
    until("the program listens", PATIENCE, listens).map(drop).unwrap_or_else(|_| panic!("{}", process.output()));
    process
}

fn succeeds(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {errors}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn iperf3_runs_both_ways_and_with_parallel_streams() {
    let mesh = Mesh::start().unwrap();
    let port = free_tcp_port().unwrap();
    let mut server = Command::new("iperf3");
    server.args(["-s", "-p", &port.to_string()]);
    let _server = Process::start(server, &mesh.directory().join("iperf3.log")).unwrap();
    let [home, _office] = tunnel_to(&mesh, port);
    let local = home.local("office/app").port().to_string();
    // The server takes one test at a time, so that a look whether it listens would be one. What it refuses is no failure of
    // the client, but has no figure.
    let run = |options: &[&str]| {
        let mut client = Command::new("iperf3");
        client.args(["-c", "127.0.0.1", "-p", &local, "-t", "1", "-J"]).args(options);
        let mut received = || {
            let report: serde_json::Value = serde_json::from_slice(&client.output().ok()?.stdout).ok()?;
            report["end"]["sum_received"]["bytes"].as_u64()
        };
        until("iperf3 runs", PATIENCE, &mut received).unwrap().0
    };
    for options in [[].as_slice(), &["-R"], &["-P", "4"]] {
        assert!(run(options) > 1_000_000, "{options:?}");
    }
}

#[test]
fn redis_is_benchmarked_with_fifty_connections() {
    let mesh = Mesh::start().unwrap();
    let port = free_tcp_port().unwrap();
    let mut server = Command::new("redis-server");
    server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
    server.arg(mesh.directory());
    let _server = start(&mesh, server, port);
    let [home, _office] = tunnel_to(&mesh, port);
    let local = home.local("office/app").port().to_string();
    let report = succeeds(Command::new("redis-benchmark").args([
        "-h",
        "127.0.0.1",
        "-p",
        &local,
        "-n",
        "5000",
        "-c",
        "50",
        "-t",
        "set,get",
        "-q",
    ]));
    assert!(report.contains("SET:") && report.contains("GET:"), "{report}");
    let cli = |arguments: &[&str]| succeeds(Command::new("redis-cli").args(["-p", &local]).args(arguments));
    assert_eq!(cli(&["set", "key", "value"]).trim(), "OK");
    assert_eq!(cli(&["get", "key"]).trim(), "value");
}

#[test]
fn a_hundred_megabytes_are_copied_with_scp_unchanged() {
    let mesh = Mesh::start().unwrap();
    let at = |name: &str| mesh.directory().join(name);
    let (sent, received) = (at("sent"), at("received"));
    write_random(&sent, 100);
    let port = free_tcp_port().unwrap();
    let _server = start(&mesh, sshd(&mesh, port), port);
    let [home, _office] = tunnel_to(&mesh, port);
    let local = home.local("office/app").port().to_string();
    let user = succeeds(Command::new("id").arg("-un"));
    let mut copy = Command::new("scp");
    copy.args(["-q", "-F", "none", "-P", &local, "-i"]).arg(at("user_key"));
    for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"] {
        copy.args(["-o", option]);
    }
    copy.arg(&sent).arg(format!("{}@127.0.0.1:{}", user.trim(), received.display()));
    succeeds(&mut copy);
    let sums = succeeds(Command::new("sha256sum").args([&sent, &received]));
    let sums: Vec<&str> = sums.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(sums[0], sums[1]);
}

/// A server for one key and one user: the one who runs the test.
fn sshd(mesh: &Mesh, port: u16) -> Command {
    let at = |name: &str| mesh.directory().join(name);
    for key in ["host_key", "user_key"] {
        succeeds(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(key)));
    }
    std::fs::copy(at("user_key.pub"), at("authorized")).unwrap();
    let configuration = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
         PidFile none\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n",
        at("host_key").display(),
        at("authorized").display()
    );
    std::fs::write(at("sshd_config"), configuration).unwrap();
    // Where root runs the test the server insists on this directory; elsewhere it needs none.
    std::fs::create_dir_all("/run/sshd").ok();
    let mut server = Command::new("/usr/sbin/sshd");
    server.args(["-D", "-e", "-f"]).arg(at("sshd_config"));
    server
}

fn write_random(path: &Path, megabytes: u64) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut random = std::fs::File::open("/dev/urandom").unwrap().take(megabytes << 20);
    std::io::copy(&mut random, &mut file).unwrap();
}

/// Bytes of the large download.
const DOWNLOAD_BYTES: u64 = 1 << 30;
/// Bytes of each of its parts, which all differ.
const PART_BYTES: usize = 1 << 20;

#[test]
fn a_gigabyte_is_fetched_with_curl_unchanged() {
    let (sum_sent, sent) = std::sync::mpsc::channel();
    let port = apps::serve(move |mut client| {
        let mut request = [0; 4096];
        let read = client.read(&mut request).unwrap();
        if !request[..read].starts_with(b"GET ") {
            return;
        }
        write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {DOWNLOAD_BYTES}\r\nConnection: close\r\n\r\n").unwrap();
        let mut part: Vec<u8> = vec![0; PART_BYTES];
        std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut part).unwrap();
        let mut sum = Context::new(&SHA256);
        for number in 0..DOWNLOAD_BYTES / PART_BYTES as u64 {
            part[..8].copy_from_slice(&number.to_be_bytes());
            sum.update(&part);
            client.write_all(&part).unwrap();
        }
        sum_sent.send(sum.finish()).unwrap();
    });
    let mesh = Mesh::start().unwrap();
    let [home, office] = tunnel_to(&mesh, port);
    let url = format!("http://{}/", home.local("office/app"));
    let mut curl = Command::new("curl").args(["-sSf", "--noproxy", "*", &url]).stdout(Stdio::piped()).spawn().unwrap();
    let mut received = curl.stdout.take().unwrap();
    let (mut sum, mut bytes, mut buffer) = (Context::new(&SHA256), 0, vec![0; PART_BYTES]);
    loop {
        let read = received.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        bytes += read as u64;
        sum.update(&buffer[..read]);
    }
    assert!(curl.wait().unwrap().success());
    assert_eq!(bytes, DOWNLOAD_BYTES);
    assert_eq!(sum.finish().as_ref(), sent.recv_timeout(PATIENCE).unwrap().as_ref());
    home.quiet().unwrap();
    office.quiet().unwrap();
}

#[test]
fn a_websocket_echoes_messages_of_every_size_and_closes_in_order() {
    let mesh = Mesh::start().unwrap();
    let [home, _office] = tunnel_to(&mesh, apps::serve(websocket::echo));
    let mut client = websocket::Client::open(connect(home.local("office/app")));
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let message: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        client.send(&message);
        assert_eq!(client.receive(), Some(message));
    }
    client.close();
    assert_eq!(client.receive(), None);
}
