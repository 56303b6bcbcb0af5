//! Two network namespaces joined by an emulated link, an agent in each, a broker and the measured programs.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use wovenet_tests::agent::Agent;
use wovenet_tests::process::{Process, sibling};
use wovenet_tests::until::{PATIENCE, until};

/// Where the far side is on the link.
pub const DIRECT_ADDRESS: &str = "10.99.0.2";
/// Servers of the far side for TCP alone: cubic and BBR.
pub const DIRECT_PORTS: [u16; 2] = [5201, 5202];
/// The near side's ports of the agent: bulk and requests.
pub const AGENT_PORTS: [u16; 2] = [5301, 5302];
/// Behind the far agent: bulk and requests.
const APP_PORTS: [u16; 2] = [5203, 5204];
/// TCP may have as much under way as the agents: the kernel's default would hold BBR back on such a link.
const TCP_BUFFERS: &str = "4096 131072 67108864";

/// The link.
#[derive(Clone, Copy, Debug)]
pub struct LinkSettings {
    /// Milliseconds.
    pub round_trip: f64,
    /// Milliseconds.
    pub queue: f64,
    /// Percent.
    pub loss: f64,
    /// Mbit/s.
    pub rate: f64,
}

/// Everything that runs. Dropped, it is gone.
pub struct World {
    agents: Vec<Agent>,
    processes: Vec<Process>,
    link: Child,
    link_input: Option<ChildStdin>,
    link_output: BufReader<ChildStdout>,
    near: Namespace,
    _far: Namespace,
    directory: tempfile::TempDir,
}

/// A network namespace of this process.
struct Namespace(String);

impl Namespace {
    fn new(side: &str) -> anyhow::Result<Self> {
        let name = format!("wan{}-{side}", std::process::id());
        run(&mut ip(&["netns", "add", &name]))?;
        let namespace = Self(name);
        run(&mut ip(&["-n", &namespace.0, "link", "set", "lo", "up"]))?;
        for key in ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"] {
            run(namespace.command("sysctl").args(["-qw", &format!("{key}={TCP_BUFFERS}")]))?;
        }
        Ok(namespace)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = ip(&["netns", "exec", &self.0]);
        command.arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.0]).status().ok();
    }
}

fn ip(arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(arguments);
    command
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?} failed; it needs root");
    Ok(())
}

impl World {
    /// Builds it and waits until a stream passes through both agents.
    pub fn start(agent: Option<&std::path::Path>, link: LinkSettings) -> anyhow::Result<Self> {
        let (near, far) = (Namespace::new("near")?, Namespace::new("far")?);
        let (mut link, link_input, link_output) = start_link(&near, &far, link)?;
        let directory = tempfile::tempdir()?;
        let started = programs(&far, directory.path())
            .and_then(|processes| Ok((processes, agents(agent, [&near, &far], directory.path())?)));
        let (processes, agents) = match started {
            Ok(started) => started,
            Err(error) => {
                link.kill().ok();
                link.wait().ok();
                return Err(error);
            }
        };
        let link_input = Some(link_input);
        let world = Self { agents, processes, link, link_input, link_output, near, _far: far, directory };
        until("a stream passes", PATIENCE, || world.ping_once().ok()).with_context(|| world.logs())?;
        Ok(world)
    }

    /// Returns the start of a command on the near side.
    pub fn client(&self) -> Command {
        ip(&["netns", "exec", &self.near.0])
    }

    /// Returns the median time of small requests over some seconds.
    pub fn ping(&self) -> anyhow::Result<Duration> {
        let mut command = self.near.command(std::env::current_exe()?);
        command.args(["ping", &format!("127.0.0.1:{}", AGENT_PORTS[1])]);
        let output = command.output()?;
        let median: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().context("no answer to requests")?;
        Ok(Duration::try_from_secs_f64(median / 1e3)?)
    }

    /// Ends all and returns what the link counted.
    pub fn stop(&mut self) -> anyhow::Result<String> {
        for agent in &mut self.agents {
            agent.process()?.terminate(PATIENCE)?;
        }
        self.processes.clear();
        drop(self.link_input.take());
        let mut counts = String::new();
        self.link_output.read_to_string(&mut counts)?;
        Ok(counts.trim_end().to_owned())
    }

    fn ping_once(&self) -> anyhow::Result<()> {
        let mut command = self.near.command("iperf3");
        let port = AGENT_PORTS[0].to_string();
        command.args(["--client", "127.0.0.1", "--port", &port, "--bytes", "1K", "--connect-timeout", "2000"]);
        run(command.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    fn logs(&self) -> String {
        let path = self.directory.path().display();
        let logs: Vec<_> = self.agents.iter().map(Agent::log).collect();
        format!("in {path}:\n{}", logs.join("\n---\n"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.link.kill().ok();
        self.link.wait().ok();
    }
}

fn start_link(
    near: &Namespace,
    far: &Namespace,
    link: LinkSettings,
) -> anyhow::Result<(Child, ChildStdin, BufReader<ChildStdout>)> {
    let mut command = Command::new(sibling("wovenet-test-link")?);
    command.args(["--namespaces", &near.0, &far.0, "--round-trip", &link.round_trip.to_string()]);
    command.args(["--queue", &link.queue.to_string(), "--loss", &link.loss.to_string()]);
    command.args(["--rate", &link.rate.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let input = child.stdin.take().context("the link has no input")?;
    let mut output = BufReader::new(child.stdout.take().context("the link has no output")?);
    let mut line = String::new();
    output.read_line(&mut line)?;
    anyhow::ensure!(line.trim() == "ready", "the link was not made; it needs root and /dev/net/tun");
    Ok((child, input, output))
}

fn programs(far: &Namespace, directory: &std::path::Path) -> anyhow::Result<Vec<Process>> {
    let mut broker = far.command(sibling("wovenet-test-broker")?);
    broker.args(["--listen", &format!("{DIRECT_ADDRESS}:1883")]);
    let mut echo = far.command(std::env::current_exe()?);
    echo.args(["echo", &format!("127.0.0.1:{}", APP_PORTS[1])]);
    let mut commands = vec![broker, echo];
    for port in [DIRECT_PORTS[0], DIRECT_PORTS[1], APP_PORTS[0]] {
        let mut server = far.command("iperf3");
        server.args(["--server", "--port", &port.to_string()]);
        commands.push(server);
    }
    commands.into_iter().map(|command| Process::start(command, &directory.join("programs.log"))).collect()
}

fn agents(
    program: Option<&std::path::Path>,
    namespaces: [&Namespace; 2],
    directory: &std::path::Path,
) -> anyhow::Result<Vec<Agent>> {
    let program = program.map_or_else(|| sibling("wovenet-agent"), |program| Ok(program.to_owned()))?;
    let key = wovenet_agent::peer::mesh_key::generate()?;
    let texts = [("near", near_configuration(&key)), ("far", far_configuration(&key))];
    let mut agents = Vec::new();
    for (namespace, (name, text)) in namespaces.into_iter().zip(texts) {
        let mut agent = Agent::new(directory, name, &text)?;
        agent.start_with(namespace.command(&program))?;
        agents.push(agent);
    }
    Ok(agents)
}

fn common(name: &str, key: &str) -> String {
    let broker = format!("mqtt://{DIRECT_ADDRESS}:1883");
    format!(
        "siteName: {name}\ncrypto: {{key: {key}}}\nmessageChannel: {{protocol: mqtt, mqtt: {{brokerServer: \"{broker}\"}}}}\n"
    )
}

fn near_configuration(key: &str) -> String {
    let [bulk, echo] = AGENT_PORTS;
    let common = common("near", key);
    format!(
        "{common}remoteApps:\n- {{siteName: far, appName: bulk, localSocket: \"tcp:127.0.0.1:{bulk}\"}}\n\
         - {{siteName: far, appName: echo, localSocket: \"tcp:127.0.0.1:{echo}\"}}\n"
    )
}

fn far_configuration(key: &str) -> String {
    let [bulk, echo] = APP_PORTS;
    let common = common("far", key);
    format!(
        "{common}tunnel:\n  localSockets:\n  - {{mode: dedicated-address, transportProtocol: quic, \
         publicAddress: {DIRECT_ADDRESS}, publicPort: 51820}}\nlocalExposedApps:\n\
         - {{appName: bulk, appSocket: \"tcp:127.0.0.1:{bulk}\", allowedSites: [near]}}\n\
         - {{appName: echo, appSocket: \"tcp:127.0.0.1:{echo}\", allowedSites: [near]}}\n"
    )
}
