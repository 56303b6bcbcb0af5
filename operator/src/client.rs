//! How the API server is reached: every wait for it has an end.

use std::time::Duration;

use kube::{Client, Config};

/// How long a connection and its handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer, or the next piece of it, may take. A watch that has nothing to tell is ended sooner by the server.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns a client for the cluster that this process runs in, or of the kubeconfig.
///
/// # Errors
/// When neither says how the API server is reached.
pub async fn client() -> anyhow::Result<Client> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // The time for which a connection lay unused does not count.
    config.reset_reader_on_write = true;
    Ok(Client::try_from(config)?)
}
