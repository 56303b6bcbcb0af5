//! rathole over TLS or Noise. The clients' side is the server, and the application's side dials it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use wovenet_tests::process::Process;

use super::place::{Place, program, run};
use super::{Kind, certificate};
use crate::arguments::RunArguments;

pub(super) fn missing(kind: Kind, arguments: &RunArguments) -> Option<String> {
    let openssl = program("openssl");
    let checked = rathole(arguments).and_then(|rathole| match kind {
        Kind::RatholeNoise => keys(rathole).map(drop),
        _ => openssl.map(drop),
    });
    checked.err().map(|error| format!("{error:#}"))
}

pub(super) fn start(place: &Place, kind: Kind) -> anyhow::Result<Vec<Process>> {
    let [server, client] = match kind {
        Kind::RatholeNoise => noise(place)?,
        _ => tls(place)?,
    };
    let (hop, program) = (place.near_hop(), rathole(place.arguments)?);
    let server = format!(
        "[server]\nbind_addr = \"{hop}\"\ndefault_token = \"bench\"\n[server.services.app]\nbind_addr = \"{}\"\n\
         [server.transport]\n{server}",
        place.local
    );
    let client = format!(
        "[client]\nremote_addr = \"{hop}\"\ndefault_token = \"bench\"\n[client.services.app]\nlocal_addr = \"{}\"\n\
         [client.transport]\n{client}",
        place.app()
    );
    let mut near = place.world.near(&program);
    near.arg("--server").arg(place.write("server.toml", &server)?).env("RUST_LOG", "warn");
    let mut far = place.world.far(&program);
    far.arg("--client").arg(place.write("client.toml", &client)?).env("RUST_LOG", "warn");
    Ok(vec![place.start(near, "server")?, place.start(far, "client")?])
}

fn rathole(arguments: &RunArguments) -> anyhow::Result<PathBuf> {
    let Some(given) = &arguments.rathole else { return program("rathole") };
    anyhow::ensure!(given.is_file(), "there is no program {}", given.display());
    Ok(given.clone())
}

/// Returns the transports of the server and of the client.
fn tls(place: &Place) -> anyhow::Result<[String; 2]> {
    let certificate = certificate::make(&place.directory)?;
    let identity = certificate.pkcs12(&place.directory)?;
    let server = format!(
        "type = \"tls\"\n[server.transport.tls]\npkcs12 = \"{}\"\npkcs12_password = \"{}\"\n",
        identity.display(),
        certificate::PASSWORD
    );
    let client = format!(
        "type = \"tls\"\n[client.transport.tls]\ntrusted_root = \"{}\"\nhostname = \"{}\"\n",
        certificate.certificate.display(),
        certificate::NAME
    );
    Ok([server, client])
}

fn noise(place: &Place) -> anyhow::Result<[String; 2]> {
    let [private, public] = keys(rathole(place.arguments)?)?;
    let server = format!("type = \"noise\"\n[server.transport.noise]\nlocal_private_key = \"{private}\"\n");
    let client = format!("type = \"noise\"\n[client.transport.noise]\nremote_public_key = \"{public}\"\n");
    Ok([server, client])
}

/// Returns a private key and its public key, each below a title in the program's output.
fn keys(rathole: PathBuf) -> anyhow::Result<[String; 2]> {
    let output = run(Command::new(rathole).arg("--genkey")).context("rathole was built without noise")?;
    let mut lines = output.lines();
    let mut below = |title: &str| {
        lines.find(|line| line.contains(title)).context("rathole was built without noise")?;
        lines.next().map(|line| line.trim().to_owned()).context("rathole made no keys")
    };
    Ok([below("Private Key")?, below("Public Key")?])
}
