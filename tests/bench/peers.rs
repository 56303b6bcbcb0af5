//! The tunnels that are compared, each with the same application behind it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use wovenet_tests::process::{Process, sibling};

use crate::topology::Topology;

/// Local ports beside the clients, one for each tunnel.
const WOVENET_PORT: u16 = 9001;
const SSH_PORT: u16 = 9002;
const RATHOLE_PORT: u16 = 9003;

/// One tunnel, running.
pub(crate) struct Contender {
    name: &'static str,
    address: SocketAddr,
    processes: Vec<Process>,
    first_byte: Option<f64>,
    /// What must run as well, but is not measured.
    _others: Vec<Process>,
}

impl Contender {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn has_processes(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Returns the CPU seconds of the two ends so far, children included.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.pids().iter().filter_map(|pid| cpu_seconds(*pid)).sum()
    }

    /// Returns the resident memory of each end.
    pub(crate) fn resident_bytes(&self) -> Vec<u64> {
        self.pids().iter().map(|pid| resident_bytes(*pid).unwrap_or(0)).collect()
    }

    /// Returns the seconds from the start of both ends to the first byte, once.
    pub(crate) fn start_to_first_byte(&mut self) -> Option<anyhow::Result<f64>> {
        self.first_byte.take().map(Ok)
    }

    fn pids(&self) -> Vec<u32> {
        let own: Vec<u32> = self.processes.iter().map(Process::id).collect();
        let mut all = own.clone();
        own.iter().for_each(|pid| descendants(*pid, &mut all));
        all
    }
}

/// Starts every tunnel.
pub(crate) fn contenders(
    topology: &Topology,
    app: Process,
    rathole: Option<PathBuf>,
    workers: Option<u8>,
) -> anyhow::Result<Vec<Contender>> {
    let mut all = vec![wovenet(topology, app, workers)?, ssh(topology)?];
    if let Some(program) = rathole {
        all.push(rathole_tls(topology, &program)?);
    }
    Ok(all)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The application's process is kept here, as it must live as long as the first contender.
fn wovenet(topology: &Topology, app: Process, workers: Option<u8>) -> anyhow::Result<Contender> {
    let directory = topology.directory();
    let key = wovenet_agent::peer::mesh_key::generate()?;
    let mut command = topology.far(sibling("wovenet-test-broker")?);
    command.args(["--listen", &format!("{}:1883", Topology::FAR)]);
    let broker = Process::start(command, &directory.join("broker.log"))?;
    let workers = workers.map(|count| format!("  workers: {count}\n")).unwrap_or_default();
    let common = format!(
        "crypto: {{key: {}}}\nmessageChannel: {{protocol: mqtt, mqtt: {{brokerServer: 'mqtt://{}:1883'}}}}\n",
        key.as_str(),
        Topology::FAR
    );
    let far = format!(
        "siteName: far\n{common}tunnel:\n{workers}  localSockets:\n    - {{mode: dedicated-address, transportProtocol: \
         quic, publicAddress: {}, publicPort: 51820}}\nlocalExposedApps:\n  - {{appName: app, appSocket: \
         'tcp:127.0.0.1:9000', allowedSites: [near]}}\n",
        Topology::FAR
    );
    let near = format!(
        "siteName: near\n{common}tunnel:\n{workers}  localSockets: []\nremoteApps:\n  - {{siteName: far, appName: app, \
         localSocket: 'tcp:127.0.0.1:{WOVENET_PORT}'}}\n"
    );
    let started = std::time::Instant::now();
    let mut processes = Vec::new();
    for (name, text) in [("far", far), ("near", near)] {
        let home = directory.join(name);
        std::fs::create_dir_all(&home)?;
        std::fs::write(home.join("config.yaml"), text)?;
        let program = sibling("wovenet-agent")?;
        let mut command = if name == "far" { topology.far(program) } else { topology.near(program) };
        command.args(["run", "--config"]).arg(home.join("config.yaml")).env("HOME", &home);
        processes.push(Process::start(command, &home.join("agent.log"))?);
    }
    topology.wait_ready("wovenet", local(WOVENET_PORT))?;
    let first_byte = Some(started.elapsed().as_secs_f64());
    Ok(Contender { name: "wovenet", address: local(WOVENET_PORT), processes, first_byte, _others: vec![app, broker] })
}

fn ssh(topology: &Topology) -> anyhow::Result<Contender> {
    let directory = topology.directory().join("ssh");
    std::fs::create_dir_all(&directory)?;
    std::fs::create_dir_all("/run/sshd")?;
    for name in ["host", "user"] {
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(directory.join(name)))?;
    }
    std::fs::copy(directory.join("user.pub"), directory.join("authorized"))?;
    let mut daemon = topology.far("/usr/sbin/sshd");
    daemon.args(["-D", "-e", "-f", "/dev/null", "-p", "2222"]);
    for option in [
        format!("HostKey={}", directory.join("host").display()),
        format!("AuthorizedKeysFile={}", directory.join("authorized").display()),
        "StrictModes=no".to_owned(),
        "PermitRootLogin=yes".to_owned(),
        "UsePAM=no".to_owned(),
        "MaxSessions=100000".to_owned(),
    ] {
        daemon.args(["-o", &option]);
    }
    let mut client = topology.near("ssh");
    client.args(["-N", "-c", "aes128-gcm@openssh.com", "-p", "2222", "-o", "StrictHostKeyChecking=no"]);
    client.args([
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "ExitOnForwardFailure=yes",
        "-o",
        "ConnectionAttempts=20",
        "-i",
    ]);
    client.arg(directory.join("user"));
    client.args(["-L", &format!("{}:127.0.0.1:9000", local(SSH_PORT)), &format!("root@{}", Topology::FAR)]);
    let processes =
        vec![Process::start(daemon, &directory.join("sshd.log"))?, Process::start(client, &directory.join("ssh.log"))?];
    topology.wait_ready("ssh", local(SSH_PORT))?;
    Ok(Contender { name: "ssh -L", address: local(SSH_PORT), processes, first_byte: None, _others: vec![] })
}

/// In rathole the clients' side is the server, and the application's side dials it.
fn rathole_tls(topology: &Topology, program: &Path) -> anyhow::Result<Contender> {
    let directory = topology.directory().join("rathole");
    std::fs::create_dir_all(&directory)?;
    certificate(&directory)?;
    let server = format!(
        "[server]\nbind_addr = \"{near}:2333\"\ndefault_token = \"bench\"\n[server.transport]\ntype = \"tls\"\n\
         [server.transport.tls]\npkcs12 = \"{identity}\"\npkcs12_password = \"bench\"\n[server.services.app]\n\
         bind_addr = \"{local}\"\n",
        near = Topology::NEAR,
        identity = directory.join("identity.p12").display(),
        local = local(RATHOLE_PORT),
    );
    let client = format!(
        "[client]\nremote_addr = \"{near}:2333\"\ndefault_token = \"bench\"\n[client.transport]\ntype = \"tls\"\n\
         [client.transport.tls]\ntrusted_root = \"{root}\"\nhostname = \"bench.example\"\n[client.services.app]\n\
         local_addr = \"127.0.0.1:9000\"\n",
        near = Topology::NEAR,
        root = directory.join("certificate.pem").display(),
    );
    let mut processes = Vec::new();
    for (name, text) in [("server", server), ("client", client)] {
        let file = directory.join(format!("{name}.toml"));
        std::fs::write(&file, text)?;
        let mut command = if name == "server" { topology.near(program) } else { topology.far(program) };
        command.arg(format!("--{name}")).arg(&file).env("RUST_LOG", "warn");
        processes.push(Process::start(command, &directory.join(format!("{name}.log")))?);
    }
    topology.wait_ready("rathole", local(RATHOLE_PORT))?;
    Ok(Contender { name: "rathole tls", address: local(RATHOLE_PORT), processes, first_byte: None, _others: vec![] })
}

fn certificate(directory: &Path) -> anyhow::Result<()> {
    run(Command::new("openssl").current_dir(directory).args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=bench.example",
        "-addext",
        "subjectAltName=DNS:bench.example",
        "-keyout",
        "key.pem",
        "-out",
        "certificate.pem",
    ]))?;
    run(Command::new("openssl").current_dir(directory).args([
        "pkcs12",
        "-export",
        "-passout",
        "pass:bench",
        "-inkey",
        "key.pem",
        "-in",
        "certificate.pem",
        "-out",
        "identity.p12",
    ]))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn descendants(pid: u32, all: &mut Vec<u32>) {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
        all.push(child);
        descendants(child, all);
    }
}

/// User and system time of a process (proc(5), fields 14 and 15), at 100 ticks a second.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
