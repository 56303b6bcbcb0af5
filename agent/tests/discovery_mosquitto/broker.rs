//! A real broker as a child process, and a stranger's client.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, Publish, PublishOptions, QoS};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;
use wovenet_config::message_channel::{Broker, BrokerTransport};

const DEADLINE: Duration = Duration::from_secs(15);
const PROGRAM: &str = "mosquitto";
const PROGRAM_PATHS: [&str; 3] = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];

/// Finds the program; without it the tests pass with a word, unless `WOVENET_REQUIRE_MOSQUITTO` is set.
pub(crate) fn program() -> Option<PathBuf> {
    let found = PROGRAM_PATHS.iter().map(PathBuf::from).find(|path| path.exists());
    assert!(
        found.is_some() || std::env::var_os("WOVENET_REQUIRE_MOSQUITTO").is_none(),
        "{PROGRAM} is required and not installed"
    );
    if found.is_none() {
        eprintln!("skipped: {PROGRAM} is not installed");
    }
    found
}

pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    pub(crate) directory: TempDir,
    program: PathBuf,
    child: Child,
}

impl Mosquitto {
    /// Starts a broker with more lines of configuration; `{dir}` in them is its directory.
    pub(crate) fn start(more: &str, prepare: impl FnOnce(&Path)) -> Option<Self> {
        let program = program()?;
        let directory = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        prepare(directory.path());
        let more = more.replace("{dir}", directory.path().to_str().unwrap());
        let log = directory.path().join("log");
        let text = format!(
            "per_listener_settings false\nuser root\nlog_type all\nlog_dest file {}\nlistener {port} 127.0.0.1\n{more}\n",
            log.display()
        );
        std::fs::write(directory.path().join("conf"), text).unwrap();
        let child = spawn(&program, directory.path(), port);
        Some(Self { port, directory, program, child })
    }

    pub(crate) fn open() -> Option<Self> {
        Self::start("allow_anonymous true", |_| {})
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Returns the distinct ids that begin with `prefix`, in the order in which they connected.
    pub(crate) fn client_ids(&self, prefix: &str) -> Vec<String> {
        let log = self.log();
        let mut ids: Vec<String> = Vec::new();
        for id in log.split_whitespace().filter(|word| word.starts_with(prefix)) {
            let id = id.trim_end_matches(['.', ',', ':']).to_owned();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// Kills the broker and starts it again at the same port, with all retained messages lost.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.program, self.directory.path(), self.port);
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn address(&self) -> Broker {
        plain(self.port)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(program: &Path, directory: &Path, port: u16) -> Child {
    let mut command = Command::new(program);
    command.arg("-c").arg(directory.join("conf")).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "{PROGRAM} does not listen");
        std::thread::yield_now();
    }
    child
}

pub(crate) fn plain(port: u16) -> Broker {
    Broker {
        transport: BrokerTransport::Tcp,
        host: "127.0.0.1".into(),
        port,
        path: String::new(),
        credentials: None,
        ca_file: None,
    }
}

/// A client that knows no key.
pub(crate) struct Stranger {
    pub(crate) client: AsyncClient,
    pub(crate) messages: tokio::sync::mpsc::UnboundedReceiver<Publish>,
    driver: JoinHandle<()>,
}

impl Stranger {
    pub(crate) fn connect(port: u16, id: &str) -> Self {
        let mut options = MqttOptions::new(id, ("127.0.0.1", port));
        options.set_max_packet_size(Some(16 << 20));
        let (client, mut events) = AsyncClient::builder(options).capacity(1_000).build();
        let (sender, messages) = tokio::sync::mpsc::unbounded_channel();
        let driver = tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(Packet::Publish(publish)) = event {
                    let _ = sender.send(publish);
                }
            }
        });
        Self { client, messages, driver }
    }

    pub(crate) async fn publish(&self, topic: &str, payload: Vec<u8>, retain: bool) {
        let options = PublishOptions::at_least_once().retain(retain);
        let notice = self.client.publish_tracked(topic, payload, options).await.unwrap();
        tokio::time::timeout(DEADLINE, notice.wait_completion_async()).await.unwrap().unwrap();
    }

    pub(crate) async fn subscribe(&self, filter: &str) {
        let notice = self.client.subscribe_tracked(filter, QoS::AtLeastOnce).await.unwrap();
        tokio::time::timeout(DEADLINE, notice.wait_completion_async()).await.unwrap().unwrap();
    }

    pub(crate) async fn next(&mut self, wanted: impl Fn(&Publish) -> bool) -> Publish {
        let found = async {
            loop {
                let message = self.messages.recv().await.expect("the broker stays");
                if wanted(&message) {
                    return message;
                }
            }
        };
        tokio::time::timeout(DEADLINE, found).await.expect("a message in time")
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Returns the byte that follows a topic filter in a SUBSCRIBE packet.
pub(crate) async fn options_of_filter(stream: &mut tokio::net::TcpStream, filter: &[u8]) -> u8 {
    let mut bytes = Vec::new();
    loop {
        let at = bytes.windows(filter.len()).position(|window| window == filter);
        if let Some(options) = at.and_then(|at| bytes.get(at + filter.len())) {
            return *options;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the client subscribes");
    }
}
