//! Two agents. The broker through which they meet belongs to the world.

use wovenet_tests::agent::Agent;
use wovenet_tests::process::{Process, sibling};

use super::place::Place;
use crate::world::World;

pub(super) fn start(place: &Place) -> anyhow::Result<Vec<Process>> {
    let program = place.arguments.agent.clone().map_or_else(|| sibling("wovenet-agent"), Ok)?;
    let workers = place.arguments.workers.map(|count| format!("  workers: {count}\n")).unwrap_or_default();
    let key = wovenet_agent::peer::mesh_key::generate()?;
    let common = format!(
        "crypto: {{key: {}}}\nmessageChannel: {{protocol: mqtt, mqtt: {{brokerServer: 'mqtt://{}'}}}}\n",
        key.as_str(),
        World::broker()
    );
    let far = format!(
        "siteName: far\n{common}tunnel:\n{workers}  localSockets:\n    - {{mode: dedicated-address, transportProtocol: \
         quic, publicAddress: {}, publicPort: {}}}\nlocalExposedApps:\n  - {{appName: app, appSocket: 'tcp:{}', \
         allowedSites: [near]}}\n",
        World::FAR,
        place.hop_port,
        place.app()
    );
    let near = format!(
        "siteName: near\n{common}tunnel:\n{workers}  localSockets: []\nremoteApps:\n  - {{siteName: far, appName: app, \
         localSocket: 'tcp:{}'}}\n",
        place.local
    );
    let commands = [("far", far, place.world.far(&program)), ("near", near, place.world.near(&program))];
    commands.into_iter().map(|(name, text, command)| agent(place, name, &text, command)).collect()
}

fn agent(place: &Place, name: &str, text: &str, mut command: std::process::Command) -> anyhow::Result<Process> {
    let agent = Agent::new(&place.directory, name, text)?;
    command.args(["run", "--config"]).arg(agent.configuration());
    command.env("HOME", agent.directory()).current_dir(agent.directory());
    place.start(command, name)
}
