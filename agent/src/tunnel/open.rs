//! The seam between forwarding and tunnels: streams opened towards a site, and streams that come in.

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use wovenet_config::name::{AppName, SiteName};

use crate::peer::PeerIdentity;
use crate::tunnel::repeat::{Claim, Course};
use crate::tunnel::stream::{RecvHalf, SendHalf};

/// A stream that was opened towards a site. Nothing has been written to it.
#[derive(Debug)]
pub struct OpenedStream {
    /// What goes to the far side.
    pub send: SendHalf,
    /// What comes from it.
    pub recv: RecvHalf,
    /// The runtime that drives the stream's channel; the tasks that move its bytes belong there.
    pub runtime: Handle,
    /// Who answers.
    pub peer: PeerIdentity,
    /// What it takes to open the stream again on another channel.
    pub course: Option<Course>,
}

/// A stream that a peer opened. Its header has not been read.
#[derive(Debug)]
pub struct IncomingStream {
    /// What goes back to the peer.
    pub send: SendHalf,
    /// What comes from it.
    pub recv: RecvHalf,
    /// The authenticated peer.
    pub peer: PeerIdentity,
    /// To be taken before the stream is served.
    pub claim: Option<Claim>,
}

/// Serves one incoming stream to its end, on the runtime that drives its channel.
pub type ServeStream = std::sync::Arc<dyn Fn(IncomingStream) -> BoxFuture<'static, ()> + Send + Sync>;

/// What is known of one provider of an app, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProviderState {
    /// A channel is up, and the site exposes the app to us and says that it is healthy.
    Available,
    /// A channel is up, but the app is said to be unhealthy.
    Unhealthy,
    /// A channel is up, but the site does not expose the app to us.
    NotExposed,
    /// No channel is up.
    NoPath,
}

/// Why no stream could be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No site of that name is known.
    #[error("the site is not known")]
    UnknownSite,
    /// The site is known, but no channel to it is up.
    #[error("no channel to the site is up")]
    NoPath,
    /// The agent is shutting down.
    #[error("the agent is shutting down")]
    ShuttingDown,
}

/// The channel that a new stream to a site gets, if it is opened now.
pub struct ReadyChannel {
    /// The runtime that drives it; a stream is opened and used most cheaply there.
    pub runtime: Handle,
    /// Opens the stream; `None` when the channel has gone meanwhile.
    pub opening: BoxFuture<'static, Option<OpenedStream>>,
}

/// Opens streams towards sites.
pub trait StreamOpener: Send + Sync + 'static {
    /// Tells what is known of `app` at `site`, without waiting.
    fn state(&self, site: &SiteName, app: &AppName) -> ProviderState;

    /// Chooses the best channel to `site`, without waiting.
    fn ready(&self, site: &SiteName) -> Option<ReadyChannel>;

    /// Opens a stream on the best channel to `site`, waiting for one while none is up. The caller bounds the wait;
    /// dropping the future gives up.
    fn open(&self, site: SiteName) -> BoxFuture<'static, Result<OpenedStream, OpenError>>;
}
