//! frp over TLS, its default. The clients' side is the server, and the application's side dials it.

use wovenet_tests::process::Process;

use super::place::{Place, program};

pub(super) fn start(place: &Place) -> anyhow::Result<Vec<Process>> {
    let (hop, app) = (place.near_hop(), place.app());
    let server = format!(
        "bindAddr = \"{}\"\nbindPort = {}\nproxyBindAddr = \"{}\"\nauth.token = \"bench\"\nlog.level = \"warn\"\n",
        hop.ip(),
        hop.port(),
        place.local.ip()
    );
    let client = format!(
        "serverAddr = \"{}\"\nserverPort = {}\nauth.token = \"bench\"\nlog.level = \"warn\"\nloginFailExit = false\n\
         transport.tls.enable = true\n\n[[proxies]]\nname = \"app\"\ntype = \"tcp\"\nlocalIP = \"{}\"\n\
         localPort = {}\nremotePort = {}\n",
        hop.ip(),
        hop.port(),
        app.ip(),
        app.port(),
        place.local.port()
    );
    let mut near = place.world.near(program("frps")?);
    near.arg("-c").arg(place.write("frps.toml", &server)?);
    let mut far = place.world.far(program("frpc")?);
    far.arg("-c").arg(place.write("frpc.toml", &client)?);
    Ok(vec![place.start(near, "frps")?, place.start(far, "frpc")?])
}
