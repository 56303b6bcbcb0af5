//! stunnel: one TLS connection for each that it forwards.

use wovenet_tests::process::Process;

use super::certificate;
use super::place::{Place, program};

/// Of both ends: in the foreground, and without waiting for more to send.
const COMMON: &str = "foreground = yes\nsyslog = no\npid =\ndebug = warning\nsocket = l:TCP_NODELAY=1\n\
                      socket = r:TCP_NODELAY=1\nciphersuites = TLS_AES_128_GCM_SHA256\n";

pub(super) fn start(place: &Place) -> anyhow::Result<Vec<Process>> {
    let certificate = certificate::make(&place.directory)?;
    let root = certificate.certificate.display();
    let far = format!(
        "{COMMON}[app]\naccept = {}\nconnect = {}\ncert = {root}\nkey = {}\n",
        place.far_hop(),
        place.app(),
        certificate.key.display()
    );
    let near = format!(
        "{COMMON}[app]\nclient = yes\naccept = {}\nconnect = {}\nCAfile = {root}\nverifyChain = yes\ncheckHost = {}\n",
        place.local,
        place.far_hop(),
        certificate::NAME
    );
    let stunnel = program("stunnel")?;
    let (mut near_end, mut far_end) = (place.world.near(&stunnel), place.world.far(&stunnel));
    near_end.arg(place.write("near.conf", &near)?);
    far_end.arg(place.write("far.conf", &far)?);
    Ok(vec![place.start(far_end, "far")?, place.start(near_end, "near")?])
}
