//! Two plain relays in a row.

use std::net::SocketAddr;
use std::process::Command;

use wovenet_tests::process::Process;

use super::place::Place;

pub(super) fn start(place: &Place) -> anyhow::Result<Vec<Process>> {
    let program = std::env::current_exe()?;
    let far = relay(place.world.far(&program), place.far_hop(), place.app());
    let near = relay(place.world.near(&program), place.local, place.far_hop());
    Ok(vec![place.start(far, "far")?, place.start(near, "near")?])
}

fn relay(mut command: Command, listen: SocketAddr, to: SocketAddr) -> Command {
    command.args(["relay", "--listen", &listen.to_string(), "--to", &to.to_string()]);
    command
}
