//! One data channel to one agent of a peer site: its handle, its counts and its health.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use quinn::VarInt;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use wovenet_config::name::AppName;

use crate::peer::{KeyId, PeerIdentity};
use crate::tunnel::claims::Claims;
use crate::tunnel::frame::{CatalogueEntry, Slot};
use crate::tunnel::lagging::{ChannelCredit, Lag, LaggingCredit};
use crate::tunnel::open::{IncomingStream, OpenedStream};
use crate::tunnel::reassembly::Budget;
use crate::tunnel::registry::Registry;
use crate::tunnel::repeat::{Claim, Course};
use crate::tunnel::stream::{RecvHalf, SendHalf};

/// The label under which the name of a channel is exported from TLS.
const NAME_LABEL: &[u8] = b"EXPORTER-wovenet-channel-v1";

/// Round trips that are shorter count alike: the streams of near channels are spread by their number alone.
const ROUND_TRIP_ALIKE: Duration = Duration::from_millis(5);
/// The loss of one packet in so many counts as a doubled round trip.
const LOSS_DOUBLES_AT: u64 = 10;

/// Returns the cost of a stream on a path, in microseconds of round trip: prolonged by what was lost of the packets sent.
fn cost(round_trip: Duration, lost: u64, sent: u64) -> u64 {
    let round_trip = round_trip.max(ROUND_TRIP_ALIKE).as_micros() as u64;
    round_trip + round_trip * LOSS_DOUBLES_AT * lost.min(sent) / sent.max(1)
}

/// Names a channel at both ends.
pub(super) type ChannelName = [u8; 16];

/// Tells the channels of this process apart, in logs and status.
pub type ChannelId = u64;

/// Which side made the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This agent dialled.
    Dialled,
    /// The peer dialled.
    Accepted,
}

/// Why a channel is closed, as told to the peer: codes without detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// Drained, or the agent ends.
    Done,
    /// Not accepted, whatever the cause.
    Refused,
    /// A newer channel took its place.
    Replaced,
    /// The peer does not answer.
    Dead,
    /// The peer may no longer be here.
    Revoked,
}

impl CloseCode {
    fn code(self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Replaced => 2,
            Self::Dead => 3,
            Self::Revoked => 4,
        })
    }

    /// Closes a connection with this code and nothing more.
    pub fn close(self, connection: &quinn::Connection) {
        connection.close(self.code(), b"");
    }

    /// Closes every connection of an endpoint with this code.
    pub(super) fn close_all(self, endpoint: &quinn::Endpoint) {
        endpoint.close(self.code(), b"");
    }
}

/// How well a channel answers its pings, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Answers in time.
    Good,
    /// Its last ping is late; new streams prefer another channel.
    Doubtful,
    /// Late for so long that it gets no new streams.
    Suspect,
}

/// What is fixed when a channel is made.
#[derive(Debug)]
pub(super) struct ChannelParts {
    pub(super) id: ChannelId,
    pub(super) peer: PeerIdentity,
    pub(super) generation: u64,
    pub(super) slot: Slot,
    pub(super) direction: Direction,
    pub(super) connection: quinn::Connection,
    pub(super) runtime: Handle,
    /// The window that the peer has, in bytes; as much may wait for its turn.
    pub(super) receive_window: u32,
    pub(super) lagging: LaggingCredit,
}

/// A live channel.
#[derive(Debug)]
pub struct Channel {
    parts: ChannelParts,
    since: Instant,
    health: AtomicU8,
    doubted: AtomicBool,
    cost: AtomicU64,
    draining: AtomicBool,
    drain_wanted: Notify,
    name: Option<ChannelName>,
    claims: Mutex<Claims>,
    streams: Arc<StreamCounts>,
    catalogue: RwLock<Option<BTreeMap<AppName, CatalogueEntry>>>,
    proven_keys: RwLock<BTreeSet<KeyId>>,
}

/// Streams of one channel, both ways.
#[derive(Debug, Default)]
pub(super) struct StreamCounts {
    active: AtomicU64,
    opening: AtomicU64,
    opened: AtomicU64,
    accepted: AtomicU64,
    ended: Notify,
    reassembly: Budget,
    credit: Option<Arc<ChannelCredit>>,
}

/// Counts a stream as active for as long as one of its halves lives.
#[derive(Debug)]
pub(super) struct StreamGuard(Arc<StreamCounts>);

impl StreamGuard {
    fn new(counts: &Arc<StreamCounts>) -> Arc<Self> {
        counts.active.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self(counts.clone()))
    }

    /// Returns what the channel's streams may hold before its turn.
    pub(super) fn budget(&self) -> &Budget {
        &self.0.reassembly
    }

    /// Notes that the stream's local end lags; `None` when too many do.
    pub(super) fn lag(&self) -> Option<Lag> {
        self.0.credit.as_ref().map_or_else(|| Some(Lag::alone()), ChannelCredit::lag)
    }
}

#[cfg(test)]
impl StreamGuard {
    /// Makes a guard that counts for no channel.
    pub(super) fn detached() -> Arc<Self> {
        Self::new(&Arc::default())
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.notify_one();
    }
}

/// Counts a stream that is just being opened.
struct Opening<'a>(&'a StreamCounts);

impl<'a> Opening<'a> {
    fn new(counts: &'a StreamCounts) -> Self {
        counts.opening.fetch_add(1, Ordering::SeqCst);
        Self(counts)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify_one();
    }
}

impl Channel {
    pub(super) fn new(parts: ChannelParts) -> Arc<Self> {
        let reassembly = Budget::new(parts.receive_window);
        let credit = Some(ChannelCredit::new(parts.connection.clone(), parts.lagging.clone()));
        let mut exported = ChannelName::default();
        let name = parts.connection.export_keying_material(&mut exported, NAME_LABEL, b"").ok().map(|()| exported);
        Arc::new(Self {
            parts,
            since: Instant::now(),
            health: AtomicU8::new(0),
            doubted: AtomicBool::new(false),
            cost: AtomicU64::new(cost(Duration::ZERO, 0, 0)),
            draining: AtomicBool::new(false),
            name,
            claims: Mutex::default(),
            drain_wanted: Notify::new(),
            streams: Arc::new(StreamCounts { reassembly, credit, ..StreamCounts::default() }),
            catalogue: RwLock::new(None),
            proven_keys: RwLock::default(),
        })
    }

    /// Returns the id within this process.
    pub fn id(&self) -> ChannelId {
        self.parts.id
    }

    /// Returns the name that both ends know, and no one else does.
    pub(super) fn name(&self) -> Option<ChannelName> {
        self.name
    }

    /// Returns which of the peer's streams are served.
    pub(super) fn claims(&self) -> &Mutex<Claims> {
        &self.claims
    }

    /// Returns who is at the other end.
    pub fn peer(&self) -> &PeerIdentity {
        &self.parts.peer
    }

    /// Returns the slot.
    pub fn slot(&self) -> Slot {
        self.parts.slot
    }

    /// Returns the peer's generation: which start of its process this is.
    pub fn generation(&self) -> u64 {
        self.parts.generation
    }

    /// Returns which side dialled.
    pub fn direction(&self) -> Direction {
        self.parts.direction
    }

    /// Returns the peer's address as seen here.
    pub fn remote_address(&self) -> SocketAddr {
        let address = self.parts.connection.remote_address();
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }

    /// Returns when the channel came up.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Returns the number of streams that are open on the channel.
    pub fn active_streams(&self) -> u64 {
        self.streams.active.load(Ordering::Relaxed)
    }

    /// Returns the library's statistics.
    pub fn stats(&self) -> quinn::ConnectionStats {
        self.parts.connection.stats()
    }

    /// Returns the round trip time that the library estimates.
    pub fn round_trip(&self) -> Duration {
        self.parts.connection.rtt()
    }

    /// Returns the health.
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Good,
            1 => Health::Doubtful,
            _ => Health::Suspect,
        }
    }

    /// Returns what one more stream costs here: its round trips, and who shares them.
    pub(super) fn load(&self) -> u64 {
        self.cost.load(Ordering::Relaxed).saturating_mul(self.active_streams() + 1)
    }

    /// Measures the path anew; `before` and the result are what was sent and lost so far.
    pub(super) fn measure(&self, before: (u64, u64)) -> (u64, u64) {
        let path = self.stats().path;
        let (sent, lost) = (path.sent_packets.saturating_sub(before.0), path.lost_packets.saturating_sub(before.1));
        self.cost.store(cost(path.rtt, lost, sent), Ordering::Relaxed);
        (path.sent_packets, path.lost_packets)
    }

    /// Sets the health, no better than doubts allow, and tells whether it changed.
    pub(super) fn set_health(&self, health: Health) -> bool {
        let doubted = self.doubted.load(Ordering::Relaxed);
        let value = health.max(if doubted { Health::Doubtful } else { Health::Good }) as u8;
        self.health.swap(value, Ordering::Relaxed) != value
    }

    /// Prefers other channels until the peer answers a ping here: a stream got no answer, and did on another channel.
    pub(super) fn doubt(&self) -> bool {
        self.doubted.store(true, Ordering::Relaxed);
        self.set_health(self.health())
    }

    /// The peer has answered.
    pub(super) fn trust(&self) {
        self.doubted.store(false, Ordering::Relaxed);
    }

    /// Tells whether the channel takes no new streams and ends when its streams have.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Tells whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.parts.connection.close_reason().is_some()
    }

    /// Takes no new streams from now on; the control stream tells the peer.
    pub(super) fn drain(&self) {
        if !self.draining.swap(true, Ordering::SeqCst) {
            self.drain_wanted.notify_one();
        }
    }

    /// Resolves once after each [`Channel::drain`].
    pub(super) async fn drain_wanted(&self) {
        self.drain_wanted.notified().await;
    }

    /// Resolves when a stream has ended since the last call.
    pub(super) async fn stream_ended(&self) {
        self.streams.ended.notified().await;
    }

    pub(super) fn opened_streams(&self) -> u64 {
        self.streams.opened.load(Ordering::Acquire)
    }

    pub(super) fn accepted_streams(&self) -> u64 {
        self.streams.accepted.load(Ordering::Acquire)
    }

    pub(super) fn close(&self, code: CloseCode) {
        code.close(&self.parts.connection);
    }

    pub(super) fn connection(&self) -> &quinn::Connection {
        &self.parts.connection
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.parts.runtime
    }

    /// Tells whether a stream is just being opened: the count of opened streams is then not yet final.
    pub(super) fn is_opening(&self) -> bool {
        self.streams.opening.load(Ordering::SeqCst) > 0
    }

    /// Counts a stream that is about to be opened, so that who chooses next sees it.
    pub(super) fn reserve(&self) -> Arc<StreamGuard> {
        StreamGuard::new(&self.streams)
    }

    /// Opens a stream that was counted; `None` when the channel is gone or draining.
    pub(super) async fn open(self: &Arc<Self>, guard: Arc<StreamGuard>, registry: &Registry) -> Option<OpenedStream> {
        let opening = Opening::new(&self.streams);
        if self.is_draining() {
            return None;
        }
        let (send, recv) = self.parts.connection.open_bi().await.ok()?;
        self.streams.opened.fetch_add(1, Ordering::SeqCst);
        drop(opening);
        let index = send.id().index();
        Some(OpenedStream {
            course: Some(Course::new(self.clone(), index, registry.clone())),
            send: SendHalf::new(send, guard.clone()),
            recv: RecvHalf::new(recv, guard),
            runtime: self.parts.runtime.clone(),
            peer: self.parts.peer.clone(),
        })
    }

    /// Waits for the next stream that the peer opens; `None` when the channel is gone.
    pub(super) async fn accept(self: &Arc<Self>, registry: &Registry) -> Option<IncomingStream> {
        let (send, recv) = self.parts.connection.accept_bi().await.ok()?;
        self.streams.accepted.fetch_add(1, Ordering::AcqRel);
        let guard = StreamGuard::new(&self.streams);
        let claim = Claim::new(self.clone(), send.id().index(), registry.clone());
        Some(IncomingStream {
            claim: Some(claim),
            send: SendHalf::new(send, guard.clone()),
            recv: RecvHalf::new(recv, guard),
            peer: self.parts.peer.clone(),
        })
    }

    /// Returns what the peer lets this site use; `None` until it has told.
    pub fn catalogue(&self) -> Option<BTreeMap<AppName, CatalogueEntry>> {
        self.catalogue.read().clone()
    }

    /// Looks one app up; the outer `None` is a catalogue not yet told.
    pub fn entry(&self, app: &AppName) -> Option<Option<CatalogueEntry>> {
        self.catalogue.read().as_ref().map(|apps| apps.get(app).cloned())
    }

    /// Returns the mesh keys that the peer has proven to hold on this channel.
    pub fn proven_keys(&self) -> BTreeSet<KeyId> {
        self.proven_keys.read().clone()
    }

    pub(super) fn add_proven_key(&self, id: KeyId) {
        self.proven_keys.write().insert(id);
    }

    pub(super) fn set_catalogue(&self, catalogue: BTreeMap<AppName, CatalogueEntry>) {
        *self.catalogue.write() = Some(catalogue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_far_or_lossy_path_costs_more_and_near_ones_cost_the_same() {
        assert_eq!(cost(ms(1), 0, 100), cost(ms(4), 0, 100));
        assert_eq!(cost(ms(100), 0, 0), 2 * cost(ms(50), 0, 0));
        assert_eq!(cost(ms(50), 10, 100), 2 * cost(ms(50), 0, 100));
    }

    #[test]
    fn a_path_on_which_all_was_lost_is_not_out_of_reach() {
        assert_eq!(cost(ms(50), 7, 5), 11 * cost(ms(50), 0, 5));
    }
}
