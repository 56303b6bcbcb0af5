//! Makes one channel: addresses are tried staggered and side by side, and the first that completes TLS with the pinned
//! key gets to prove membership (after RFC 8305).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wovenet_config::key::PublicKey;

use crate::peer::Transport;
use crate::tunnel::channel::{Channel, Direction};
use crate::tunnel::dial_pool::DialPool;
use crate::tunnel::endpoint::{Endpoint, EndpointError};
use crate::tunnel::frame::Slot;
use crate::tunnel::handshake::{self, Authenticated, HandshakeError};
use crate::tunnel::listen::HANDSHAKE_TIMEOUT;
use crate::tunnel::plan::{Candidate, Dial};
use crate::tunnel::shard::Shard;
use crate::tunnel::shared::{ACCEPT_TIMEOUT, Shared};

/// Time before the next address is tried beside the ones under way (RFC 8305 §5).
pub const ATTEMPT_STAGGER: Duration = Duration::from_millis(250);
/// The most addresses tried at a time.
pub const ATTEMPTS_AT_ONCE: usize = 4;

/// How long the port that is dialled from waits for an answer before another one is tried beside it: longer than a round trip
/// and a lost packet.
pub const FRESH_PORT_AFTER: Duration = Duration::from_secs(1);

/// Why no address led to a channel.
#[derive(Debug, thiserror::Error)]
enum RaceError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("{0}")]
    Connect(#[from] quinn::ConnectError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

/// One channel to make.
pub(super) struct Race {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Arc<DialPool>,
    pub(super) key: PublicKey,
    pub(super) dial: Dial,
    pub(super) shard: Shard,
}

impl Race {
    /// Makes the channel, tells how that went, and runs the channel to its end.
    pub(super) async fn run(self, told: oneshot::Sender<Result<Arc<Channel>, String>>) {
        let started = Instant::now();
        let (connection, authenticated) = match self.win().await {
            Ok(won) => won,
            // Nobody listens any more when the dialler was stopped.
            Err(error) => return drop(told.send(Err(error))),
        };
        let metrics = &self.shared.metrics;
        metrics.connects.with_label_values(&["dialler", "ok"]).inc();
        metrics.handshake_seconds.with_label_values(&["dialler"]).observe(started.elapsed().as_secs_f64());
        let mut told = Some(told);
        let up = |channel| drop(told.take().map(|told| told.send(Ok(channel))));
        let (shared, runtime) = (self.shared.clone(), self.shard.runtime.clone());
        let run = shared.run_channel(connection.clone(), runtime, Direction::Dialled, authenticated, up).await;
        if let Err(error) = run {
            self.shared.refuse(&connection, "dialler", &error);
            drop(told.take().map(|told| told.send(Err(error.to_string()))));
        }
    }

    async fn win(&self) -> Result<(quinn::Connection, Authenticated), String> {
        let mut waiting = self.dial.candidates.iter();
        let mut attempts = FuturesUnordered::new();
        let mut next_start = Instant::now();
        let mut errors = Vec::new();
        loop {
            let may_start = waiting.len() > 0 && attempts.len() < ATTEMPTS_AT_ONCE;
            tokio::select! {
                Some((candidate, outcome)) = attempts.next() => {
                    let outcome = match outcome {
                        Ok(connection) => self.authenticate(connection).await,
                        Err(error) => Err(error),
                    };
                    match outcome {
                        Ok(won) => return Ok(won),
                        Err(error) => {
                            self.note_failure(candidate, &error);
                            errors.push(format!("{}: {error}", candidate.address));
                            next_start = Instant::now();
                        }
                    }
                }
                () = tokio::time::sleep_until(next_start.into()), if may_start => {
                    if let Some(candidate) = waiting.next() {
                        attempts.push(async move { (candidate, self.connect(candidate).await) });
                        next_start = Instant::now() + ATTEMPT_STAGGER;
                    }
                }
                else => return Err(errors.join("; ")),
            }
        }
    }

    /// Connects from a pooled socket, and when no answer came for a while from a fresh one beside it: a router on the way
    /// may have lost what it knew of the first one's port, or remember it wrongly for as long as packets come from there.
    async fn connect(&self, candidate: &Candidate) -> Result<quinn::Connection, RaceError> {
        let pooled = self.connect_from(self.pool.endpoint(candidate.scope, &self.shard)?, candidate);
        let from_fresh = async {
            tokio::time::sleep(FRESH_PORT_AFTER).await;
            self.connect_from(self.pool.fresh(&self.shard)?, candidate).await
        };
        let both = async {
            tokio::pin!(pooled, from_fresh);
            tokio::select! {
                outcome = &mut pooled => outcome,
                outcome = &mut from_fresh => match outcome {
                    Ok(connection) => Ok(connection),
                    Err(_) => pooled.await,
                },
            }
        };
        timeout(HANDSHAKE_TIMEOUT, both).await.unwrap_or_else(|_| Err(HandshakeError::Timeout.into()))
    }

    async fn connect_from(&self, endpoint: Endpoint, candidate: &Candidate) -> Result<quinn::Connection, RaceError> {
        let config = self.pool.settings.client_config(self.key)?;
        let connecting = endpoint.quic.connect_with(config, candidate.address, "wovenet")?;
        Ok(connecting.await.map_err(HandshakeError::of_dial)?)
    }

    async fn authenticate(
        &self,
        connection: quinn::Connection,
    ) -> Result<(quinn::Connection, Authenticated), RaceError> {
        let ipv6 = is_ipv6(connection.remote_address());
        let slot = Slot { transport: Transport::Quic, ipv6, ordinal: self.dial.ordinal(ipv6) };
        let judge = |statement: &_| self.shared.judge(statement);
        let credentials = self.shared.credentials();
        let exchange = handshake::dial(&connection, &credentials, slot, &judge);
        let outcome = timeout(ACCEPT_TIMEOUT, exchange).await.unwrap_or(Err(HandshakeError::Timeout));
        match outcome {
            Ok(authenticated) => Ok((connection, authenticated)),
            Err(error) => {
                self.shared.refuse(&connection, "dialler", &error);
                Err(error.into())
            }
        }
    }

    fn note_failure(&self, candidate: &Candidate, error: &RaceError) {
        if let RaceError::Handshake(
            error @ (HandshakeError::Connection(_) | HandshakeError::Timeout | HandshakeError::Own),
        ) = error
        {
            self.shared.metrics.failed("dialler", error);
        }
        if matches!(error, RaceError::Handshake(HandshakeError::Own)) {
            self.shared.reflections.lock().note(candidate.address, Instant::now());
        }
        tracing::debug!(remote_addr = %candidate.address, %error, "an address did not lead to a channel");
    }
}

fn is_ipv6(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_ipv6()
}
