//! ghostunnel: one TLS connection for each that it forwards.

use std::process::Command;

use wovenet_tests::process::Process;

use super::certificate;
use super::place::{Place, program};

pub(super) fn start(place: &Place) -> anyhow::Result<Vec<Process>> {
    let files = certificate::make(&place.directory)?;
    let ghostunnel = program("ghostunnel")?;
    let common = |mut command: Command, role: &str, listen: String, target: String| {
        command.args([role, "--listen", &listen, "--target", &target, "--disable-authentication", "--quiet=conns"]);
        command.arg("--cacert").arg(&files.certificate);
        command
    };
    let (near, far) = (place.world.near(&ghostunnel), place.world.far(&ghostunnel));
    let mut near = common(near, "client", place.local.to_string(), place.far_hop().to_string());
    near.args(["--override-server-name", certificate::NAME]);
    let mut far = common(far, "server", place.far_hop().to_string(), place.app().to_string());
    far.arg("--cert").arg(&files.certificate).arg("--key").arg(&files.key);
    Ok(vec![place.start(far, "far")?, place.start(near, "near")?])
}
