//! Serves the streams of other sites: header, access, dial, answer, copy.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use wovenet_config::app::ExposedApp;
use wovenet_config::name::AppName;
use wovenet_config::socket::AppSocket;

use crate::forward::access;
use crate::forward::app_stream::AppStream;
use crate::forward::audit::Audit;
use crate::forward::copy::{Abort, Copy};
use crate::forward::live::{LiveApp, LiveStream};
use crate::forward::metrics::{Role, StreamResult};
use crate::forward::proxy_protocol;
use crate::forward::shared::Shared;
use crate::tunnel::stream_header::HeaderError;
use crate::tunnel::{Answer, IncomingStream, ResetCode, StreamHeader};

/// How long a peer may take for the whole header (PROTOCOL §6).
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the answer may wait for the channel's flow control.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The most dials at a time, over all apps (PROTOCOL §6).
pub const DIALS_MAX: usize = 512;
/// The most dials at a time to one app (PROTOCOL §6).
pub const APP_DIALS_MAX: usize = 64;

/// Tells this node's own addresses; asked for each stream of a range app.
pub type NodeAddresses = Arc<dyn Fn() -> Vec<IpAddr> + Send + Sync>;

/// The exposed apps, and what serves them.
pub(super) struct Connector {
    shared: Arc<Shared>,
    node_addresses: NodeAddresses,
    apps: ArcSwap<BTreeMap<AppName, Arc<Exposed>>>,
    audit: Audit,
    dials: Semaphore,
}

struct Exposed {
    app: ExposedApp,
    live: Arc<LiveApp>,
    dials: Arc<Semaphore>,
}

/// A stream that may proceed.
struct Admitted {
    exposed: Arc<Exposed>,
    stream: LiveStream,
    target: AppSocket,
    header: StreamHeader,
    since: Instant,
}

impl Connector {
    pub(super) fn new(shared: Arc<Shared>, node_addresses: NodeAddresses) -> Arc<Self> {
        let dials = Semaphore::new(DIALS_MAX);
        Arc::new(Self { shared, node_addresses, apps: ArcSwap::default(), audit: Audit::default(), dials })
    }

    /// Replaces the exposed apps. Streams that the new ones do not allow are reset; all others go on.
    pub(super) fn apply(&self, apps: &[ExposedApp]) {
        let old = self.apps.load_full();
        let new: BTreeMap<_, _> =
            apps.iter().map(|app| (app.name.clone(), Arc::new(self.expose(app.clone(), old.get(&app.name))))).collect();
        let new = Arc::new(new);
        self.apps.store(Arc::clone(&new));
        for (name, exposed) in old.iter() {
            match new.get(name) {
                None => exposed.live.revoke(),
                Some(now) => exposed.live.revoke_others(|name, id| now.app.allowed_sites.admits(name, id)),
            }
        }
    }

    fn expose(&self, app: ExposedApp, before: Option<&Arc<Exposed>>) -> Exposed {
        match before {
            Some(before) => Exposed { app, live: Arc::clone(&before.live), dials: Arc::clone(&before.dials) },
            None => {
                let metrics = self.shared.metrics.app(Role::Exposed, app.name.as_str());
                let live = LiveApp::new(metrics, &self.shared.revoked);
                Exposed { app, live, dials: Arc::new(Semaphore::new(APP_DIALS_MAX)) }
            }
        }
    }

    /// Returns each app's name and streams.
    pub(super) fn live(&self) -> Vec<(String, Arc<LiveApp>)> {
        self.apps.load().iter().map(|(name, exposed)| (name.to_string(), Arc::clone(&exposed.live))).collect()
    }

    /// Serves one stream to its end.
    pub(super) fn serve(self: &Arc<Self>, incoming: IncomingStream) -> BoxFuture<'static, ()> {
        let connector = Arc::clone(self);
        Box::pin(self.shared.track(async move { connector.serve_stream(incoming).await }))
    }

    async fn serve_stream(&self, mut incoming: IncomingStream) {
        let since = Instant::now();
        let header = tokio::select! {
            biased;
            () = self.shared.revoked.cancelled() => return give_up(&mut incoming, ResetCode::Revoked),
            header = timeout(HEADER_TIMEOUT, StreamHeader::read(&mut incoming.recv)) => header,
        };
        match header {
            Ok(Ok(header)) => self.serve_header(incoming, header, since).await,
            Ok(Err(error)) => refuse_header(&mut incoming, &error),
            Err(_) => give_up(&mut incoming, ResetCode::Timeout),
        }
    }

    async fn serve_header(&self, mut incoming: IncomingStream, header: StreamHeader, since: Instant) {
        let admitted = match self.admit(&incoming, header, since) {
            Ok(admitted) => admitted,
            Err(answer) => return decline(&mut incoming, answer).await,
        };
        let metrics = Arc::clone(admitted.stream.metrics());
        let (app, site) = (admitted.exposed.app.name.clone(), incoming.peer.name.clone());
        let result = self.connect_and_copy(incoming, admitted).await;
        metrics.count(result);
        let elapsed_ms = since.elapsed().as_millis() as u64;
        tracing::debug!(%site, app = app.as_str(), result = result.label(), elapsed_ms, "stream ended");
    }

    /// Decides on a stream. It is registered before it is judged, so that a withdrawal in between still reaches it.
    fn admit(&self, incoming: &IncomingStream, header: StreamHeader, since: Instant) -> Result<Admitted, Answer> {
        let stream = self.apps.load().get(&header.app).map(|exposed| exposed.live.begin_for(&incoming.peer));
        let exposed = self.apps.load().get(&header.app).map(Arc::clone);
        let app = exposed.as_ref().map(|exposed| &exposed.app);
        let decision = access::decide(app, &incoming.peer, &header, || (self.node_addresses)());
        let target = decision.map_err(|cause| {
            self.audit.refused(&incoming.peer, &header.app, exposed.is_some(), cause);
            match &exposed {
                Some(exposed) => exposed.live.metrics.count(StreamResult::Refused),
                None => self.shared.metrics.count_unknown_app(),
            }
            Answer::Refused
        })?;
        // An app that was exposed only this moment is asked for again.
        let (Some(exposed), Some(stream)) = (exposed, stream) else { return Err(Answer::Busy) };
        let full = exposed.app.max_connections.is_some_and(|most| stream.ordinal > most as usize);
        if full || self.shared.closing.is_cancelled() {
            stream.metrics().count(StreamResult::Busy);
            return Err(Answer::Busy);
        }
        Ok(Admitted { exposed, stream, target, header, since })
    }

    async fn connect_and_copy(&self, mut incoming: IncomingStream, admitted: Admitted) -> StreamResult {
        let stopped = incoming.send.stopped();
        let connected = tokio::select! {
            biased;
            () = admitted.stream.revoked.cancelled() => Err(Declined::Reset(ResetCode::Revoked)),
            _ = stopped => Err(Declined::Reset(ResetCode::AppReset)),
            connected = self.connect(&admitted) => connected,
        };
        match connected {
            Ok(socket) => copy(incoming, admitted, socket).await,
            Err(Declined::Reset(code)) => {
                give_up(&mut incoming, code);
                StreamResult::Reset
            }
            Err(Declined::Answer(answer, result)) => {
                decline(&mut incoming, answer).await;
                result
            }
        }
    }

    async fn connect(&self, admitted: &Admitted) -> Result<AppStream, Declined> {
        let busy = |_| Declined::Answer(Answer::Busy, StreamResult::Busy);
        let _any = self.dials.try_acquire().map_err(busy)?;
        let _of_app = admitted.exposed.dials.try_acquire().map_err(busy)?;
        let begun = Instant::now();
        let app = &admitted.exposed.app;
        let dialled = timeout(app.connect_timeout, dial(admitted)).await;
        let (histogram, result) = match dialled {
            Ok(Ok(socket)) => (&self.shared.metrics.connect_ok, Ok(socket)),
            Ok(Err(error)) => {
                tracing::debug!(app = app.name.as_str(), target = %admitted.target, %error, "app cannot be reached");
                (&self.shared.metrics.connect_failed, Err(Declined::Answer(Answer::Failed, StreamResult::Failed)))
            }
            Err(_) => {
                (&self.shared.metrics.connect_timeout, Err(Declined::Answer(Answer::Failed, StreamResult::Timeout)))
            }
        };
        histogram.observe(begun.elapsed().as_secs_f64());
        result
    }
}

/// Why a stream that was admitted is not served.
enum Declined {
    Answer(Answer, StreamResult),
    Reset(ResetCode),
}

async fn dial(admitted: &Admitted) -> std::io::Result<AppStream> {
    let socket = AppStream::dial(&admitted.target).await?;
    if admitted.exposed.app.proxy_protocol {
        socket.write_all(&proxy_protocol::encode(admitted.header.client, socket.remote_addr())).await?;
    }
    Ok(socket)
}

async fn copy(mut incoming: IncomingStream, admitted: Admitted, socket: AppStream) -> StreamResult {
    if !answer(&mut incoming, Answer::Ok).await {
        give_up(&mut incoming, ResetCode::Timeout);
        return StreamResult::Reset;
    }
    let metrics = admitted.stream.metrics();
    metrics.open_seconds.observe(admitted.since.elapsed().as_secs_f64());
    let copy = Copy {
        socket,
        send: incoming.send,
        recv: incoming.recv,
        revoked: admitted.stream.revoked.clone(),
        idle_timeout: admitted.exposed.app.idle_timeout,
        answer: None,
        metrics: Arc::clone(metrics),
    };
    copy.run().await.map_or_else(|abort: Abort| abort.result(), |()| StreamResult::Ok)
}

/// Says why a stream is not served, and hears no more of it.
async fn decline(incoming: &mut IncomingStream, with: Answer) {
    if answer(incoming, with).await {
        incoming.send.finish();
        incoming.recv.stop(ResetCode::NotWanted);
    } else {
        give_up(incoming, ResetCode::Timeout);
    }
}

async fn answer(incoming: &mut IncomingStream, answer: Answer) -> bool {
    let byte = Bytes::copy_from_slice(&[answer.to_byte()]);
    matches!(timeout(ANSWER_TIMEOUT, incoming.send.write_chunk(byte)).await, Ok(Ok(())))
}

fn refuse_header(incoming: &mut IncomingStream, error: &HeaderError) {
    tracing::debug!(site = %incoming.peer.name, %error, "stream header refused");
    give_up(incoming, ResetCode::Refused);
}

fn give_up(incoming: &mut IncomingStream, code: ResetCode) {
    incoming.send.reset(code);
    incoming.recv.stop(code);
}
