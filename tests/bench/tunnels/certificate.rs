//! A certificate for the tunnels over TLS, signed by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::{program, run};

/// The name in it.
pub(super) const NAME: &str = "bench.example";
/// The password of the PKCS #12 file.
pub(super) const PASSWORD: &str = "bench";

/// The files.
pub(super) struct Certificate {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// Makes it in a directory.
pub(super) fn make(directory: &Path) -> anyhow::Result<Certificate> {
    let (certificate, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
    let mut request = Command::new(program("openssl")?);
    request.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
    request.args(["-subj", &format!("/CN={NAME}"), "-addext", &format!("subjectAltName=DNS:{NAME}")]);
    run(request.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
    Ok(Certificate { certificate, key })
}

impl Certificate {
    /// Puts both into a PKCS #12 file in a directory.
    pub(super) fn pkcs12(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        let file = directory.join("identity.p12");
        let mut export = Command::new(program("openssl")?);
        export.args(["pkcs12", "-export", "-passout", &format!("pass:{PASSWORD}")]);
        run(export.arg("-inkey").arg(&self.key).arg("-in").arg(&self.certificate).arg("-out").arg(&file))?;
        Ok(file)
    }
}
