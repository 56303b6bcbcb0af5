//! `ssh -L` with the cipher that this processor is best at.

use std::process::Command;

use wovenet_tests::process::Process;

use super::place::{Place, program, run};
use crate::world::World;

pub(super) fn start(place: &Place) -> anyhow::Result<Vec<Process>> {
    std::fs::create_dir_all("/run/sshd")?;
    for name in ["host", "user"] {
        let mut generate = Command::new(program("ssh-keygen")?);
        run(generate.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(place.directory.join(name)))?;
    }
    std::fs::copy(place.directory.join("user.pub"), place.directory.join("authorized"))?;
    Ok(vec![place.start(daemon(place)?, "daemon")?, place.start(client(place)?, "client")?])
}

fn daemon(place: &Place) -> anyhow::Result<Command> {
    let mut daemon = place.world.far(program("sshd")?);
    daemon.args(["-D", "-e", "-f", "/dev/null", "-p", &place.hop_port.to_string()]);
    options(
        &mut daemon,
        &[
            &format!("HostKey={}", place.directory.join("host").display()),
            &format!("AuthorizedKeysFile={}", place.directory.join("authorized").display()),
            "StrictModes=no",
            "PermitRootLogin=yes",
            "UsePAM=no",
            "MaxSessions=100000",
            // A session whose client was killed behind a cut line ends soon.
            "ClientAliveInterval=10",
            "ClientAliveCountMax=3",
        ],
    );
    Ok(daemon)
}

fn client(place: &Place) -> anyhow::Result<Command> {
    let mut client = place.world.near(program("ssh")?);
    client.args(["-N", "-c", "aes128-gcm@openssh.com", "-p", &place.hop_port.to_string()]);
    options(
        &mut client,
        &[
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "ExitOnForwardFailure=yes",
            "ConnectionAttempts=20",
        ],
    );
    client.arg("-i").arg(place.directory.join("user"));
    client.args(["-L", &format!("{}:{}", place.local, place.app()), &format!("root@{}", World::FAR)]);
    Ok(client)
}

fn options(command: &mut Command, options: &[&str]) {
    for option in options {
        command.args(["-o", option]);
    }
}
