//! What every part of the tunnels works with.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wovenet_config::app::ExposedApp;

use crate::peer::directory::Source;
use crate::peer::{AgentId, MeshKeyRing, Peers, SignedStatement, SiteKey};
use crate::tunnel::channel::{Channel, ChannelParts, CloseCode, Direction};
use crate::tunnel::handshake::{Authenticated, Credentials, HandshakeError};
use crate::tunnel::lagging::LaggingCredit;
use crate::tunnel::metrics::Metrics;
use crate::tunnel::open::ServeStream;
use crate::tunnel::reflections::Reflections;
use crate::tunnel::refusals::Refusals;
use crate::tunnel::registry::{RETURN_GRACE, Registry};
use crate::tunnel::windows::Windows;
use crate::tunnel::{control, endpoint};

/// From the start of the control stream to the accepted channel (docs/protocol.md §6).
pub const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Identity, directory, registry and what the configuration says now.
pub(super) struct Shared {
    pub(super) site_key: SiteKey,
    pub(super) agent: AgentId,
    pub(super) peers: Peers,
    pub(super) ring: watch::Receiver<MeshKeyRing>,
    pub(super) statement: watch::Receiver<SignedStatement>,
    pub(super) exposed: watch::Receiver<Arc<Vec<ExposedApp>>>,
    pub(super) channels_per_site: watch::Receiver<usize>,
    pub(super) registry: Registry,
    pub(super) reflections: Mutex<Reflections>,
    pub(super) serve: ServeStream,
    pub(super) metrics: Metrics,
    pub(super) refusals: Refusals,
    pub(super) windows: Windows,
    pub(super) lagging: LaggingCredit,
    pub(super) cancel: CancellationToken,
    /// Cancelled when this agent goes away: no channel comes up from then on, those that are up drain.
    pub(super) draining: CancellationToken,
    /// Owns the tasks of the channels.
    pub(super) tasks: TaskTracker,
}

impl Shared {
    pub(super) fn credentials(&self) -> Credentials {
        Credentials {
            key: self.site_key.public(),
            ring: self.ring.borrow().clone(),
            statement: self.statement.borrow().clone(),
        }
    }

    /// Judges an authenticated statement by the directory.
    pub(super) fn judge(&self, signed: &SignedStatement) -> Result<(), String> {
        let (key, name) = (signed.key(), &signed.statement().name);
        self.peers.read(|directory| directory.check(&key, name)).map_err(|refusal| refusal.to_string())
    }

    /// Makes an authenticated connection a channel and runs it to its end.
    pub(super) async fn run_channel(
        self: Arc<Self>,
        connection: quinn::Connection,
        runtime: tokio::runtime::Handle,
        direction: Direction,
        authenticated: Authenticated,
        up: impl FnOnce(Arc<Channel>),
    ) -> Result<(), HandshakeError> {
        let statement = authenticated.statement.statement();
        let (name, key) = (statement.name.clone(), authenticated.statement.key());
        let channel = Channel::new(ChannelParts {
            id: self.registry.next_id(),
            peer: crate::peer::PeerIdentity {
                site: statement.site,
                name: name.clone(),
                agent: statement.agent.clone(),
            },
            generation: statement.generation,
            slot: authenticated.slot,
            direction,
            connection: connection.clone(),
            runtime,
            receive_window: self.windows.receive,
            lagging: self.lagging.clone(),
        });
        let bound = self.peers.update(|directory| directory.bind(&name, &key));
        bound.map_err(|refusal| HandshakeError::Refused(refusal.to_string()))?;
        let per_agent_max = 2 * *self.channels_per_site.borrow();
        self.registry
            .insert(&channel, per_agent_max)
            .map_err(|refusal| HandshakeError::Refused(refusal.to_string()))?;
        if self.draining.is_cancelled() {
            channel.drain();
        }
        endpoint::raise_limits(&connection, self.windows);
        self.learn(&authenticated.statement);
        self.peers.update(|directory| directory.set_connected(statement.site, true));
        up(channel.clone());
        control::run(&self, &channel, authenticated).await;
        self.registry.remove(&channel);
        if self.registry.channels(&channel.peer().site).is_empty() {
            self.peers.update(|directory| directory.set_connected(channel.peer().site, false));
        }
        if channel.is_draining() {
            // Then it is told that the site has not come back, if it has not.
            tokio::select! {
                () = self.cancel.cancelled() => {}
                () = sleep(RETURN_GRACE) => self.registry.changed(),
            }
        }
        Ok(())
    }

    /// Takes a statement that came over an authenticated channel. One that is refused as old is normal.
    pub(super) fn learn(&self, statement: &SignedStatement) {
        if let Err(refusal) = self.peers.learn(statement, Source::ControlStream) {
            tracing::debug!(site = %statement.statement().site, cause = %refusal, "statement not taken");
        }
    }

    /// Counts, logs and closes a connection that was not accepted.
    pub(super) fn refuse(&self, connection: &quinn::Connection, role: &'static str, error: &HandshakeError) {
        self.metrics.failed(role, error);
        self.refusals.note(connection.remote_address(), role, error);
        CloseCode::Refused.close(connection);
    }
}
