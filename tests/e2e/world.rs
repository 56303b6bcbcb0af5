//! What all tests share: both clusters with our images, and a broker outside both. Brought up once, by the first test
//! that asks; tests/e2e.sh ends it.

use std::path::Path;
use std::sync::LazyLock;

use wovenet_tests::clusters::{self, Cluster};
use wovenet_tests::until::{PATIENCE, until};

use crate::steps::Steps;

/// The broker, as sites find it.
pub(crate) const BROKER: &str = "mqtt://broker.example:1883";
/// Where the broker is: an address of the internet that belongs to neither site.
const BROKER_ADDRESS: &str = "203.0.113.1";
const BROKER_CONFIGURATION: &str = "listener 1883 0.0.0.0\nallow_anonymous true\n";
/// The folder for files of this program.
pub(crate) const FILES: &str = env!("CARGO_TARGET_TMPDIR");

/// Both clusters.
#[derive(Debug)]
pub(crate) struct World {
    /// Where apps are used.
    pub(crate) a: Cluster,
    /// Where apps are.
    pub(crate) b: Cluster,
}

/// Returns the world, once it is up.
pub(crate) fn world() -> anyhow::Result<&'static World> {
    static WORLD: LazyLock<anyhow::Result<World>> = LazyLock::new(World::up);
    WORLD.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

impl World {
    fn up() -> anyhow::Result<Self> {
        let steps = Steps::begin("world");
        let ([a, b], _) = steps.step("both clusters are up", clusters::up)?;
        steps.step("images are loaded", load_images)?;
        steps.step("the broker listens", start_broker)?;
        Ok(Self { a, b })
    }
}

fn load_images() -> anyhow::Result<()> {
    let images = Path::new(FILES).with_file_name("images");
    clusters::load(&images.join("agent.tar"))?;
    clusters::load(&images.join("operator.tar"))
}

fn start_broker() -> anyhow::Result<()> {
    let file = Path::new(FILES).join("mosquitto.conf");
    std::fs::write(&file, BROKER_CONFIGURATION)?;
    clusters::serve("inet", "broker", &["mosquitto", "-c", &file.display().to_string()])?;
    clusters::name_internet_host("broker.example", BROKER_ADDRESS)?;
    let connect = format!("</dev/tcp/{BROKER_ADDRESS}/1883");
    until("the broker listens", PATIENCE, || clusters::execute("inet", &["bash", "-c", &connect]).ok())?;
    Ok(())
}
