//! The certificate that people's clients see, read again when its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tracing::{info, warn};
use wovenet_config::api::ApiTls;

use super::error::ApiError;
use wovenet_identity::tls;

/// The application protocol of people's clients (RFC 7301).
const HTTP_ALPN: &[u8] = b"http/1.1";

/// Certificate files and the TLS settings made of them.
pub(super) struct Certificates {
    files: ApiTls,
    current: Mutex<Loaded>,
}

struct Loaded {
    stamp: Stamp,
    config: Arc<ServerConfig>,
}

/// Tells one state of both files from another.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// Reads both files.
    ///
    /// # Errors
    /// [`ApiError`] names the file.
    pub async fn load(files: ApiTls) -> Result<Self, ApiError> {
        let stamp = stamp(&files).await;
        let config = read(&files).await?;
        Ok(Self { files, current: Mutex::new(Loaded { stamp, config }) })
    }

    /// Returns the settings for the next handshake. Files that became unreadable leave the last good ones in use.
    pub async fn config(&self) -> Arc<ServerConfig> {
        let stamp = stamp(&self.files).await;
        if self.current.lock().stamp == stamp {
            return self.current.lock().config.clone();
        }
        let read = read(&self.files).await;
        let mut current = self.current.lock();
        current.stamp = stamp;
        match read {
            Ok(config) => {
                info!(path = %self.files.certificate.display(), "the certificate of the API was read again");
                current.config = config;
            }
            Err(error) => warn!(%error, "the API keeps its last certificate"),
        }
        current.config.clone()
    }
}

async fn stamp(files: &ApiTls) -> Stamp {
    let mut stamp = [None; 2];
    for (slot, path) in stamp.iter_mut().zip([&files.certificate, &files.key]) {
        let metadata = tokio::fs::metadata(path).await.ok();
        *slot = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
    }
    stamp
}

async fn read(files: &ApiTls) -> Result<Arc<ServerConfig>, ApiError> {
    let pem = |path: &PathBuf| {
        let path = path.clone();
        move |source| ApiError::Pem { path, source }
    };
    let chain = CertificateDer::pem_slice_iter(&bytes(&files.certificate).await?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(pem(&files.certificate))?;
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key).await?).map_err(pem(&files.key))?;
    server_config(chain, key).map(Arc::new).map_err(|source| ApiError::Certificate {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    })
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP_ALPN.to_vec()];
    Ok(config)
}

async fn bytes(path: &Path) -> Result<Vec<u8>, ApiError> {
    tokio::fs::read(path).await.map_err(|source| ApiError::File { path: path.to_owned(), source })
}
