//! A channel from its acceptance to its end: the control stream, and the streams that the peer opens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::peer::{KeyId, SignedStatement};
use crate::tunnel::admitted::{Admitted, holds_one_of, judge};
use crate::tunnel::catalogue::{self, Catalogue};
use crate::tunnel::channel::{Channel, CloseCode, Direction};
use crate::tunnel::frame::{self, Binary, Control, FrameError, KEY_IDS_MAX};
use crate::tunnel::handshake::{Authenticated, key_proof_message};
use crate::tunnel::pulse::{DEAD_AFTER, Pulse};
use crate::tunnel::shared::Shared;

/// Frames read ahead of their handling.
const FRAMES_AHEAD: usize = 16;
/// How long streams of a lost channel get to tell their sockets, before they are aborted.
const STREAMS_END_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the accepting side of a drained channel waits for the dialler to close it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a channel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The connection was closed by the peer or lost.
    Lost,
    /// The peer answered no ping for too long.
    Dead,
    /// All its streams ended after a go-away.
    Drained,
    /// The peer's key, name or mesh key is no longer accepted.
    Revoked,
    /// The peer broke the protocol.
    Protocol,
    /// The agent ends.
    Shutdown,
}

impl End {
    /// The labels of those after which the site is dialled again, or dials.
    pub(super) const LABELS: [&'static str; 5] = ["lost", "dead", "drained", "revoked", "protocol"];

    fn label(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Dead => "dead",
            Self::Drained => "drained",
            Self::Revoked => "revoked",
            Self::Protocol => "protocol",
            Self::Shutdown => "shutdown",
        }
    }

    fn code(self) -> CloseCode {
        match self {
            Self::Lost | Self::Drained | Self::Shutdown => CloseCode::Done,
            Self::Dead => CloseCode::Dead,
            Self::Revoked => CloseCode::Revoked,
            Self::Protocol => CloseCode::Refused,
        }
    }
}

/// Runs an accepted channel until it ends, its streams included.
pub(super) async fn run(shared: &Arc<Shared>, channel: &Arc<Channel>, authenticated: Authenticated) {
    let peer = channel.peer();
    tracing::info!(
        site = %peer.name, peer = %peer.site, channel = channel.id(), agent = %peer.agent,
        remote_addr = %channel.remote_address(), dialled = channel.direction() == Direction::Dialled,
        slot = channel.slot().ordinal, ipv6 = channel.slot().ipv6,
        "data channel is up"
    );
    let Authenticated { statement, key_id, send, recv, .. } = authenticated;
    channel.add_proven_key(key_id);
    let (frames_in, frames) = mpsc::channel(FRAMES_AHEAD);
    let mut control = ControlStream::new(shared, channel, statement, send, frames);
    let mut streams = JoinSet::new();
    let end = tokio::select! {
        end = control.run() => end,
        () = read_frames(recv, frames_in) => End::Lost,
        () = serve_streams(shared, channel, &mut streams) => End::Lost,
    };
    // Closing replaces the reason that the library tells.
    let cause = channel.connection().close_reason().map(|reason| reason.to_string()).unwrap_or_default();
    channel.close(end.code());
    shared.registry.changed();
    shared.metrics.channels_ended.with_label_values(&[end.label()]).inc();
    if end != End::Shutdown {
        shared.metrics.ends.note(peer.name.as_str(), end.label());
    }
    tracing::info!(
        site = %peer.name, peer = %peer.site, channel = channel.id(), reason = end.label(), cause,
        elapsed_ms = channel.since().elapsed().as_millis(), "data channel is gone"
    );
    finish_streams(&mut streams).await;
}

/// Reads frames until the stream ends. The error itself is told by the connection.
async fn read_frames(mut recv: quinn::RecvStream, frames: mpsc::Sender<Result<Control, FrameError>>) {
    loop {
        let frame = match frame::read(&mut recv).await {
            Err(FrameError::Ended) => {
                // Without its control stream a channel is worth nothing, but its connection says why it ended.
                return std::future::pending().await;
            }
            read => read.and_then(|body| frame::decode(&body)),
        };
        if frames.send(frame).await.is_err() {
            return;
        }
    }
}

async fn serve_streams(shared: &Shared, channel: &Arc<Channel>, streams: &mut JoinSet<()>) {
    while let Some(incoming) = channel.accept(&shared.registry).await {
        streams.spawn_on((shared.serve)(incoming), channel.runtime());
        // A panic of a stream was counted and logged by the process's panic hook.
        while streams.try_join_next().is_some() {}
    }
}

async fn finish_streams(streams: &mut JoinSet<()>) {
    let all = async { while streams.join_next().await.is_some() {} };
    if timeout(STREAMS_END_TIMEOUT, all).await.is_err() {
        tracing::warn!(streams = streams.len(), "streams of a lost channel did not end and are aborted");
        streams.shutdown().await;
    }
}

/// This side's half of the control stream, and what it knows of the other half.
struct ControlStream<'a> {
    shared: &'a Arc<Shared>,
    channel: &'a Arc<Channel>,
    statement: SignedStatement,
    send: quinn::SendStream,
    frames: mpsc::Receiver<Result<Control, FrameError>>,
    pulse: Pulse,
    /// Packets that were sent, and lost, when the path was last measured.
    measured: (u64, u64),
    told: Option<Catalogue>,
    known: Catalogue,
    unproven: Vec<(KeyId, Binary)>,
    said_go_away: bool,
    heard_go_away: Option<u64>,
    said_drained: bool,
    heard_drained: bool,
}

impl<'a> ControlStream<'a> {
    fn new(
        shared: &'a Arc<Shared>,
        channel: &'a Arc<Channel>,
        statement: SignedStatement,
        send: quinn::SendStream,
        frames: mpsc::Receiver<Result<Control, FrameError>>,
    ) -> Self {
        Self {
            shared,
            channel,
            statement,
            send,
            frames,
            pulse: Pulse::new(Instant::now()),
            measured: (0, 0),
            told: None,
            known: Catalogue::new(),
            unproven: Vec::new(),
            said_go_away: false,
            heard_go_away: None,
            said_drained: false,
            heard_drained: false,
        }
    }

    async fn run(&mut self) -> End {
        match self.try_run().await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn try_run(&mut self) -> Result<End, End> {
        let shared = self.shared.clone();
        let (mut exposed, mut statement) = (shared.exposed.clone(), shared.statement.clone());
        let (mut ring, mut peers) = (shared.ring.clone(), shared.peers.subscribe());
        self.judge_again()?;
        self.send(&Control::Observed { address: self.channel.remote_address() }).await?;
        let now_exposed = exposed.borrow_and_update().clone();
        self.tell_catalogue(&now_exposed).await?;
        self.prove_keys().await?;
        loop {
            let (channel, connection) = (self.channel.clone(), self.channel.connection().clone());
            let deadline = self.pulse.deadline(Instant::now(), channel.round_trip());
            tokio::select! {
                biased;
                () = shared.cancel.cancelled() => return Ok(End::Shutdown),
                _ = connection.closed() => return Ok(End::Lost),
                frame = self.frames.recv() => self.handle(frame).await?,
                () = tokio::time::sleep_until(deadline.into()) => self.beat().await?,
                () = channel.drain_wanted() => {}
                () = channel.stream_ended(), if channel.is_draining() => {}
                Ok(()) = exposed.changed() => {
                    let now_exposed = exposed.borrow_and_update().clone();
                    self.tell_catalogue(&now_exposed).await?;
                }
                Ok(()) = statement.changed() => {
                    let statement = Binary::from(&*statement.borrow_and_update());
                    self.send(&Control::Statement { statement }).await?;
                }
                Ok(()) = ring.changed() => { ring.mark_unchanged(); self.change_keys().await? }
                Ok(()) = peers.changed() => { peers.mark_unchanged(); self.judge_again()? }
            }
            if self.drained().await? {
                return Ok(self.end_drained().await);
            }
        }
    }

    /// Writes a frame. A peer that takes none for as long as a dead one is dead, and is cut off as soon as it is no longer
    /// admitted.
    async fn send(&mut self, frame: &Control) -> Result<(), End> {
        let admitted = Admitted {
            shared: self.shared,
            channel: self.channel,
            statement: &self.statement,
            unproven: &self.unproven,
        };
        let written = tokio::select! {
            biased;
            written = timeout(DEAD_AFTER, frame::write(&mut self.send, frame)) => written,
            () = admitted.ended() => return Err(End::Revoked),
        };
        match written {
            Err(_) => Err(End::Dead),
            Ok(Err(FrameError::Ended)) => Err(End::Lost),
            Ok(Err(error)) => {
                tracing::error!(channel = self.channel.id(), %error, "cannot write a control frame");
                Err(End::Protocol)
            }
            Ok(Ok(_)) => Ok(()),
        }
    }

    async fn beat(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let health = self.pulse.health(now, self.channel.round_trip()).ok_or(End::Dead)?;
        self.set_health(health);
        match self.pulse.ping(now) {
            Some(number) => self.send(&Control::Ping { number }).await,
            None => Ok(()),
        }
    }

    fn set_health(&self, health: crate::tunnel::channel::Health) {
        if self.channel.set_health(health) {
            tracing::debug!(site = %self.channel.peer().name, channel = self.channel.id(), ?health, "channel health changed");
            self.shared.registry.changed();
        }
    }

    async fn handle(&mut self, frame: Option<Result<Control, FrameError>>) -> Result<(), End> {
        let frame = frame.ok_or(End::Lost)?.map_err(|error| self.violation(&error))?;
        match frame {
            Control::Ping { number } => self.send(&Control::Pong { number }).await?,
            Control::Pong { number } => {
                self.pulse.pong(number);
                self.channel.trust();
                self.measured = self.channel.measure(self.measured);
                let health = self.pulse.health(Instant::now(), self.channel.round_trip()).ok_or(End::Dead)?;
                self.set_health(health);
            }
            Control::Catalogue { entries, removed, complete } => {
                catalogue::apply(&mut self.known, entries, &removed);
                if complete {
                    self.channel.set_catalogue(self.known.clone());
                    self.shared.registry.changed();
                }
            }
            Control::Statement { statement } => self.take_statement(&statement)?,
            Control::GoAway { opened } => {
                self.heard_go_away = Some(opened);
                self.channel.drain();
                self.shared.registry.changed();
            }
            Control::Drained {} => self.heard_drained = true,
            Control::Observed { address } => {
                tracing::debug!(channel = self.channel.id(), %address, "the peer sees this agent's address");
            }
            Control::KeyProof { key_id, proof } => self.take_proof(&key_id, proof),
            Control::Unknown => {}
        }
        Ok(())
    }

    fn violation(&self, error: &FrameError) -> End {
        tracing::warn!(site = %self.channel.peer().name, channel = self.channel.id(), %error, "the peer broke the protocol");
        End::Protocol
    }

    /// Takes a fresh statement of the peer's site; a site states only for itself.
    fn take_statement(&mut self, statement: &Binary) -> Result<(), End> {
        let statement = statement.statement().map_err(|error| self.violation(&error))?;
        if statement.key() != self.statement.key() {
            return Err(self.violation(&FrameError::Malformed));
        }
        self.shared.learn(&statement);
        Ok(())
    }

    async fn tell_catalogue(&mut self, exposed: &[wovenet_config::app::ExposedApp]) -> Result<(), End> {
        let current = catalogue::for_peer(exposed, self.channel.peer());
        for frame in catalogue::changes(self.told.as_ref(), &current) {
            self.send(&frame).await?;
        }
        self.told = Some(current);
        Ok(())
    }

    /// Proves every mesh key that this side holds, so that a rotation drops no channel.
    async fn prove_keys(&mut self) -> Result<(), End> {
        let ring = self.shared.ring.borrow().clone();
        let own = self.shared.site_key.public();
        let Some(message) = key_proof_message(self.channel.connection(), &own) else { return Ok(()) };
        for key in ring.keys() {
            let proof = Binary(key.prove(&message).to_vec());
            self.send(&Control::KeyProof { key_id: key.id().into(), proof }).await?;
        }
        Ok(())
    }

    fn take_proof(&mut self, key_id: &Binary, proof: Binary) {
        let Some(key_id) = key_id.key_id() else { return };
        let ring = self.shared.ring.borrow().clone();
        let message = key_proof_message(self.channel.connection(), &self.statement.key());
        match (ring.find(key_id), message) {
            (Some(key), Some(message)) if key.verify(&message, &proof.0) => {
                self.channel.add_proven_key(key_id);
                self.shared.registry.changed();
            }
            // A key that this side may get later, in a rotation that began at the other side.
            (None, _) if self.unproven.len() < KEY_IDS_MAX => self.unproven.push((key_id, proof)),
            _ => {}
        }
    }

    /// Acts on a changed set of mesh keys: a peer that has proven none of them is cut off.
    async fn change_keys(&mut self) -> Result<(), End> {
        for (key_id, proof) in std::mem::take(&mut self.unproven) {
            self.take_proof(&key_id.into(), proof);
        }
        if !holds_one_of(&self.shared.ring.borrow(), self.channel.proven_keys()) {
            return Err(End::Revoked);
        }
        self.prove_keys().await
    }

    /// Acts on a changed directory: a denied or renamed peer is cut off.
    fn judge_again(&self) -> Result<(), End> {
        if judge(self.shared, self.channel, &self.statement) { Ok(()) } else { Err(End::Revoked) }
    }

    /// Says go-away when this side drains, and tells whether every stream has ended at both sides: at one alone, its last
    /// bytes may still be on their way.
    async fn drained(&mut self) -> Result<bool, End> {
        if !self.channel.is_draining() {
            return Ok(false);
        }
        if !self.said_go_away && !self.channel.is_opening() {
            self.said_go_away = true;
            self.send(&Control::GoAway { opened: self.channel.opened_streams() }).await?;
            self.shared.registry.changed();
        }
        let heard_all = self.heard_go_away.is_some_and(|opened| self.channel.accepted_streams() >= opened);
        let drained = self.said_go_away && heard_all && self.channel.active_streams() == 0;
        if drained && !self.said_drained {
            self.said_drained = true;
            self.send(&Control::Drained {}).await?;
        }
        Ok(drained && self.heard_drained)
    }

    /// Ends a drained channel: the dialler closes it, so that the last frames of both sides arrive.
    async fn end_drained(&mut self) -> End {
        if self.channel.direction() == Direction::Accepted {
            let closed = timeout(CLOSE_TIMEOUT, self.channel.connection().closed()).await;
            tracing::debug!(channel = self.channel.id(), by_peer = closed.is_ok(), "drained channel closed");
        }
        End::Drained
    }
}
