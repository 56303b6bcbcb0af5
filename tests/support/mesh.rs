//! Sites of one mesh on loopback: configuration out of a few words, processes, and what they tell of themselves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use crate::agent::Agent;
use crate::broker::Broker;
use crate::http;
use crate::ports::{free_tcp_port, free_udp_port};
use crate::process::sibling;
use crate::until::{PATIENCE, until};

/// Lines of an agent's log that a failed test shows.
const LOG_LINES_SHOWN: usize = 60;
/// Open files that a site with many connections is allowed; the usual hard limit is higher.
pub const MANY_FILES: usize = 16_384;

/// What the sites have in common.
#[derive(Debug)]
pub struct Mesh {
    directory: tempfile::TempDir,
    /// The message channel; none when sites list each other as peers.
    pub broker: Option<Broker>,
    /// The mesh key.
    pub key: String,
}

impl Mesh {
    /// Starts a broker for sites that find each other.
    ///
    /// # Errors
    /// When the broker does not start.
    pub fn start() -> anyhow::Result<Self> {
        let mut mesh = Self::without_broker()?;
        mesh.broker = Some(Broker::start(mesh.directory.path())?);
        Ok(mesh)
    }

    /// Makes a mesh of sites that list each other as peers.
    ///
    /// # Errors
    /// The system's error.
    pub fn without_broker() -> anyhow::Result<Self> {
        let key = wovenet_agent::peer::mesh_key::generate()?.as_str().to_owned();
        Ok(Self { directory: tempfile::tempdir()?, broker: None, key })
    }

    /// Returns the directory of everything that belongs to the mesh.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the killed broker again, at its port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart_broker(&mut self) -> anyhow::Result<()> {
        let port = self.broker.as_ref().context("no broker")?.port();
        self.broker = Some(Broker::start_at(self.directory.path(), port)?);
        Ok(())
    }

    /// Kills the broker.
    ///
    /// # Errors
    /// The system's error.
    pub fn kill_broker(&mut self) -> anyhow::Result<()> {
        self.broker.as_mut().context("no broker")?.kill()
    }

    /// Returns the configuration of a site that only dials and neither exposes nor uses anything yet.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn site(&self, name: &str) -> anyhow::Result<SiteConfiguration> {
        Ok(SiteConfiguration {
            name: name.to_owned(),
            key: self.key.clone(),
            broker: self.broker.as_ref().map(|broker| format!("mqtt://127.0.0.1:{}", broker.port())),
            mqtt: String::new(),
            tunnel: None,
            exposed: Vec::new(),
            remote: Vec::new(),
            peers: Vec::new(),
            level: "debug",
            health: free_tcp_port()?,
            api: free_tcp_port()?,
            api_settings: String::new(),
            extra: String::new(),
            locals: BTreeMap::new(),
        })
    }

    /// Writes the configuration and starts the site.
    ///
    /// # Errors
    /// When the agent cannot be started.
    pub fn run(&self, configuration: SiteConfiguration) -> anyhow::Result<Site> {
        let mut site = self.prepare(configuration)?;
        site.start()?;
        Ok(site)
    }

    /// Writes the configuration without starting the site.
    ///
    /// # Errors
    /// The system's error.
    pub fn prepare(&self, configuration: SiteConfiguration) -> anyhow::Result<Site> {
        let agent = Agent::new(self.directory.path(), &configuration.name, &configuration.render())?;
        Ok(Site { agent, configuration })
    }
}

/// What a site's configuration file says. Entries of lists are YAML flow maps.
#[derive(Clone, Debug)]
pub struct SiteConfiguration {
    /// The site's name.
    pub name: String,
    /// The mesh key.
    pub key: String,
    /// The broker's URL.
    pub broker: Option<String>,
    /// Further lines of the mqtt section, unindented.
    pub mqtt: String,
    /// The port of the tunnel socket.
    pub tunnel: Option<u16>,
    /// Entries of `localExposedApps`.
    pub exposed: Vec<String>,
    /// Entries of `remoteApps`.
    pub remote: Vec<String>,
    /// Entries of `peers`.
    pub peers: Vec<String>,
    /// The level of the log.
    pub level: &'static str,
    /// The health port.
    pub health: u16,
    /// The API's port.
    pub api: u16,
    /// Further keys of the API's section, as a part of a YAML flow map.
    pub api_settings: String,
    /// Further top-level lines.
    pub extra: String,
    /// Local sockets by `site/app`.
    pub locals: BTreeMap<String, u16>,
}

impl SiteConfiguration {
    /// Lets other sites dial this one.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn listening(mut self) -> anyhow::Result<Self> {
        self.tunnel = Some(free_udp_port()?);
        Ok(self)
    }

    /// Exposes the app at a TCP port of loopback to every site.
    #[must_use]
    pub fn exposes(mut self, app: &str, port: u16) -> Self {
        self.exposed.push(format!(r#"{{appName: {app}, appSocket: "tcp:127.0.0.1:{port}", allowedSites: ["*"]}}"#));
        self
    }

    /// Gives the app of another site a local socket.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn uses(self, site: &str, app: &str) -> anyhow::Result<Self> {
        self.uses_with(site, app, "")
    }

    /// As [`Self::uses`], with further keys such as `, connectTimeout: 1s`.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn uses_with(mut self, site: &str, app: &str, keys: &str) -> anyhow::Result<Self> {
        let port = free_tcp_port()?;
        self.remote.push(format!(r#"{{siteName: {site}, appName: {app}, localSocket: "tcp:127.0.0.1:{port}"{keys}}}"#));
        self.locals.insert(format!("{site}/{app}"), port);
        Ok(self)
    }

    /// Lists a peer by its public key and tunnel port.
    #[must_use]
    pub fn knows(mut self, site: &str, public_key: &str, port: u16) -> Self {
        self.peers.push(format!(r#"{{siteName: {site}, publicKey: {public_key}, addresses: ["127.0.0.1:{port}"]}}"#));
        self
    }

    /// Returns the local socket of `site/app`.
    pub fn local(&self, app: &str) -> SocketAddr {
        loopback(self.locals.get(app).copied().unwrap_or_default())
    }

    /// Renders the file.
    pub fn render(&self) -> String {
        let mut text =
            format!("siteName: {}\ncrypto:\n  key: {}\nlogger: {{level: {}}}\n", self.name, self.key, self.level);
        let Self { health, api, api_settings, .. } = self;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "health: {{enabled: true, listenAddr: \"127.0.0.1:{health}\"}}");
        let _ = writeln!(text, "restfulApi: {{enabled: true, listenAddr: \"127.0.0.1:{api}\"{api_settings}}}");
        if let Some(broker) = &self.broker {
            let _ = writeln!(text, "messageChannel:\n  protocol: mqtt\n  mqtt:\n    brokerServer: {broker}");
            text.extend(self.mqtt.lines().map(|line| format!("    {line}\n")));
        }
        if let Some(port) = self.tunnel {
            let socket = "mode: dedicated-address, transportProtocol: quic, publicAddress: 127.0.0.1";
            let _ =
                writeln!(text, "tunnel:\n  localSockets:\n  - {{{socket}, listenPort: {port}, publicPort: {port}}}");
        }
        for (key, entries) in
            [("localExposedApps", &self.exposed), ("remoteApps", &self.remote), ("peers", &self.peers)]
        {
            if !entries.is_empty() {
                let _ = writeln!(text, "{key}:");
                text.extend(entries.iter().map(|entry| format!("- {entry}\n")));
            }
        }
        text.push_str(&self.extra);
        text
    }
}

/// A site with one agent. A test that fails shows the end of its log.
#[derive(Debug)]
pub struct Site {
    /// Its process.
    pub agent: Agent,
    /// What it was last told.
    pub configuration: SiteConfiguration,
}

impl Site {
    /// Starts the agent, for the first time or again.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.agent.start()
    }

    /// Starts the agent with room for [`MANY_FILES`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with_many_files(&mut self) -> anyhow::Result<()> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {MANY_FILES} && exec \"$@\""), "sh"]).arg(sibling("wovenet-agent")?);
        self.agent.start_with(shell)
    }

    /// Kills the agent with SIGKILL.
    ///
    /// # Errors
    /// The system's error.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.agent.process()?.kill()
    }

    /// Writes another configuration into the file that the agent watches.
    ///
    /// # Errors
    /// The system's error.
    pub fn configure(&mut self, configuration: SiteConfiguration) -> anyhow::Result<()> {
        self.agent.configure(&configuration.render())?;
        self.configuration = configuration;
        Ok(())
    }

    /// Waits until the agent says that it is ready: sockets bound, sites of its remote apps connected.
    ///
    /// # Errors
    /// When it never does.
    pub fn ready(&self) -> anyhow::Result<()> {
        let health = loopback(self.configuration.health);
        let what = format!("{} is ready", self.configuration.name);
        until(&what, PATIENCE, || http::get(health, "/readyz").ok()).map(drop)
    }

    /// Returns the local socket of `site/app`.
    pub fn local(&self, app: &str) -> SocketAddr {
        self.configuration.local(app)
    }

    /// Sends a request to the API.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn api(&self, method: &str, path: &str, body: &str) -> anyhow::Result<http::Reply> {
        let headers: &[&str] = if body.is_empty() { &[] } else { &["Content-Type: application/json"] };
        http::request(loopback(self.configuration.api), method, &format!("/api/v1{path}"), headers, body)
    }

    /// Returns the status.
    ///
    /// # Errors
    /// When there is none.
    pub fn status(&self) -> anyhow::Result<Value> {
        let reply = self.api("GET", "/status", "")?;
        serde_json::from_str(&reply.body).with_context(|| format!("{} {}", reply.status, reply.body))
    }

    /// Waits until the status is as wanted, and returns it.
    ///
    /// # Errors
    /// When it never is; with the last one.
    pub fn sees(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let mut last = None;
        let found = until(what, PATIENCE, || {
            last = self.status().ok();
            last.clone().filter(|status| wanted(status))
        });
        Ok(found.with_context(|| format!("status of {}: {last:?}", self.configuration.name))?.0)
    }

    /// Waits until `site` has exactly `channels` good channels, and returns what the status tells of it.
    ///
    /// # Errors
    /// When it never has.
    pub fn connected(&self, site: &str, channels: usize) -> anyhow::Result<Value> {
        let good = |status: &Value| {
            let known = of_site(status, site);
            let list = known["channels"].as_array().map(Vec::as_slice).unwrap_or_default();
            known["state"] == "connected" && list.len() == channels && list.iter().all(|one| one["state"] == "good")
        };
        self.sees(&format!("{channels} channels to {site}"), good).map(|status| of_site(&status, site))
    }

    /// Waits until this site and another have the same `channels` good ones, and returns what this one tells of the other.
    /// Where both dialled, channels that give way to others are gone by then.
    ///
    /// # Errors
    /// When they never agree.
    pub fn agrees_with(&self, other: &Self, channels: usize) -> anyhow::Result<Value> {
        let dialled = |site: &Value| {
            let list = site["channels"].as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter(|channel| channel["dialled"] == true).count()
        };
        let agreed = || {
            let there = self.connected(&other.configuration.name, channels).ok()?;
            let here = other.connected(&self.configuration.name, channels).ok()?;
            (dialled(&there) + dialled(&here) == channels).then_some(there)
        };
        Ok(until("both agree on their channels", PATIENCE, agreed)?.0)
    }

    /// Waits until no stream is open.
    ///
    /// # Errors
    /// When some stay.
    pub fn quiet(&self) -> anyhow::Result<()> {
        let none = |status: &Value| {
            status["traffic"].as_array().is_some_and(|apps| apps.iter().all(|app| app["streams"] == 0))
        };
        self.sees("no stream is open", none).map(drop)
    }

    /// Returns the names of all metrics without the prefix of agents.
    ///
    /// # Errors
    /// When metrics cannot be fetched.
    pub fn metrics(&self) -> anyhow::Result<Vec<String>> {
        let text = http::get(loopback(self.configuration.health), "/metrics")?;
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE wovenet_agent_")?.split(' ').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Returns a metric, summed over the series whose line contains all of `labels`, such as `result="ok"`.
    ///
    /// # Errors
    /// When metrics cannot be fetched.
    pub fn metric(&self, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
        let text = http::get(loopback(self.configuration.health), "/metrics")?;
        let of_metric = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        Ok(text.lines().filter(of_metric).filter_map(value).sum())
    }

    /// Returns how many files the agent has open.
    ///
    /// # Errors
    /// When it does not run.
    pub fn open_files(&mut self) -> anyhow::Result<usize> {
        let id = self.agent.process()?.id();
        Ok(std::fs::read_dir(format!("/proc/{id}/fd"))?.count())
    }

    /// Returns the public key that the running agent tells.
    ///
    /// # Errors
    /// When there is no status.
    pub fn public_key_of_running(&self) -> anyhow::Result<String> {
        let status = self.sees("a public key", |status| status["publicKey"].is_string())?;
        Ok(status["publicKey"].as_str().unwrap_or_default().to_owned())
    }

    /// Returns the public key of an agent that does not run; it is made when there is none yet.
    ///
    /// # Errors
    /// When the agent's program cannot tell.
    pub fn public_key(&self) -> anyhow::Result<String> {
        let output = self.agent.command("identity")?.output()?;
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().find_map(|line| line.strip_prefix("publicKey: "));
        Ok(line
            .with_context(|| format!("no public key: {}", String::from_utf8_lossy(&output.stderr)))?
            .trim()
            .to_owned())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.agent.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
            // Nothing can be done without standard error.
            drop(std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("--- end of the log of {}\n{shown}\n", self.configuration.name),
            ));
        }
    }
}

/// Returns what a status tells of the site `name`; null when it tells nothing.
pub fn of_site(status: &Value, name: &str) -> Value {
    let sites = status["sites"].as_array().map(Vec::as_slice).unwrap_or_default();
    sites.iter().find(|site| site["siteName"] == name).cloned().unwrap_or_default()
}

/// Returns what a status tells of the local socket of `site/app`; null when it tells nothing.
pub fn of_listener(status: &Value, app: &str) -> Value {
    let listeners = status["listeners"].as_array().map(Vec::as_slice).unwrap_or_default();
    listeners.iter().find(|listener| listener["app"] == app).cloned().unwrap_or_default()
}

/// Returns an address of loopback.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
