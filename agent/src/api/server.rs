//! The REST API's server: one port for people and for the operator.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};
use wovenet_config::api::Api;

use super::acceptor::Acceptor;
use super::access_log::AccessLog;
use super::agent::Agent;
use super::attempts::Attempts;
use super::auth::Credentials;
use super::connection;
use super::door::{Door, Peer};
use super::editor::Editor;
use super::error::ApiError;
use super::limits::Limits;
use super::routes::router;
use super::shared::{Parts, Shared};
use super::socket;
use crate::peer::site_key::SiteKey;

/// A running REST API. Dropped, it ends without waiting for its requests.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

/// What the task of each connection needs.
struct Entrance {
    door: Door,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
}

impl ApiServer {
    /// Starts the API as configured. `identity` is the site's API key, which the operator pins.
    ///
    /// # Errors
    /// [`ApiError`] names the address or the file. Nothing is left running, so that the caller can try again.
    pub async fn start(config: &Api, agent: Arc<dyn Agent>, identity: Option<&SiteKey>) -> Result<Self, ApiError> {
        Self::start_within(config, agent, identity, Limits::API).await
    }

    /// Starts the API with other limits.
    pub(super) async fn start_within(
        config: &Api,
        agent: Arc<dyn Agent>,
        identity: Option<&SiteKey>,
        limits: Limits,
    ) -> Result<Self, ApiError> {
        let door = Door::prepare(config, identity).await?;
        let access_log = AccessLog::open(config.log_file.as_deref())?;
        let (listener, address) = listen(config.listen)?;
        let stop = CancellationToken::new();
        let (editor, handle) = Editor::new(agent.clone(), stop.clone());
        let shared = Shared::from(Parts {
            agent,
            editor: handle,
            credentials: Credentials::new(config),
            attempts: Attempts::default(),
            access_log,
            process: rand::random(),
            stop: stop.clone(),
        });
        let entrance = Arc::new(Entrance { door, router: router(shared), limits, stop: stop.clone() });
        let serve = move |stream, remote| entrance.clone().serve(stream, remote);
        let acceptor = Acceptor { listener, limits, stop: stop.clone(), serve };
        info!(listen_addr = %address, "the API listens");
        Ok(Self { address, stop, tasks: [tokio::spawn(acceptor.run()), tokio::spawn(editor.run())] })
    }

    /// Returns where it listens, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends long polls, finishes requests within 5 s, and closes.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        for task in &mut self.tasks {
            if let Err(error) = task.await {
                error!(%error, "a task of the API panicked");
            }
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Entrance {
    async fn serve(self: Arc<Self>, stream: TcpStream, remote: SocketAddr) {
        let admitted = tokio::time::timeout(self.limits.handshake, self.door.admit(stream)).await;
        match admitted {
            Ok(Ok((stream, side))) => {
                let peer = Peer { remote, side };
                connection::serve(stream, self.router.clone(), peer, &self.limits, &self.stop).await;
            }
            Ok(Err(error)) => debug!(remote_addr = %remote, %error, "a connection to the API was refused"),
            Err(_) => debug!(remote_addr = %remote, "a connection to the API said nothing in time"),
        }
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ApiError> {
    let failed = |source| ApiError::Listen { address, source };
    let listener = TcpListener::from_std(socket::listen(address)?).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
