//! Serves the streams of other sites: header, access, dial, answer, copy.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use wovenet_config::app::ExposedApp;
use wovenet_config::name::{AppName, SiteName};
use wovenet_config::socket::AppSocket;

use crate::forward::access::{self, Cause};
use crate::forward::answer::{answer, decline, give_up};
use crate::forward::app_stream::AppStream;
use crate::forward::audit::{self, Audit};
use crate::forward::copy::Copy;
use crate::forward::dialler::{APP_DIALS_MAX, Declined, Dialler};
use crate::forward::live::{LiveApp, LiveStream};
use crate::forward::metrics::{Role, StreamResult};
use crate::forward::shared::Shared;
use crate::peer::PeerIdentity;
use crate::tunnel::{Answer, Claimed, IncomingStream, ResetCode, StreamHeader};

/// How long a peer may take for the whole header (docs/protocol.md §6).
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells this node's own addresses, once they are known; asked for each stream of a range app.
pub type NodeAddresses = Arc<dyn Fn() -> Option<Vec<IpAddr>> + Send + Sync>;

/// The exposed apps, and what serves them.
pub(super) struct Connector {
    shared: Arc<Shared>,
    node_addresses: NodeAddresses,
    apps: ArcSwap<BTreeMap<AppName, Arc<Exposed>>>,
    audit: Audit,
    dialler: Dialler,
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
    site: SiteName,
    since: Instant,
}

impl Connector {
    pub(super) fn new(shared: Arc<Shared>, node_addresses: NodeAddresses) -> Arc<Self> {
        let dialler = Dialler::new(Arc::clone(&shared.metrics));
        Arc::new(Self { shared, node_addresses, apps: ArcSwap::default(), audit: Audit::new(), dialler })
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

    /// Writes the audit log of what was held back, until `stop`.
    pub(super) async fn run_audit(self: Arc<Self>, stop: CancellationToken) {
        self.audit.run(stop).await;
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

    /// Everything before the copy is boxed apart, as it is over when the long part begins.
    async fn serve_stream(&self, incoming: IncomingStream) {
        let since = Instant::now();
        let Some((admitted, copy)) = Box::pin(self.prepare(incoming, since)).await else { return };
        let copied = copy.run().await;
        admitted.stream.metrics().count_life(since.elapsed());
        match copied {
            Ok(()) => admitted.end(StreamResult::Ok, None),
            Err(abort) => admitted.end(abort.result(), Some(&abort)),
        }
    }

    /// Reads the header, decides, dials and answers; `None` when the stream is over with that.
    async fn prepare(&self, mut incoming: IncomingStream, since: Instant) -> Option<(Admitted, Copy)> {
        let header = self.read_header(&mut incoming).await?;
        match incoming.claim.take().map(|claim| claim.take(header.repeats.as_ref())) {
            None | Some(Claimed::Served) => {}
            Some(Claimed::Repeated) => {
                decline(&mut incoming, Answer::Served).await;
                return None;
            }
            Some(Claimed::Replaced) => {
                give_up(&mut incoming, ResetCode::NotWanted);
                return None;
            }
        }
        let (admitted, target) = match self.admit(&incoming.peer, &header, since) {
            Ok(admitted) => admitted,
            Err(answer) => {
                decline(&mut incoming, answer).await;
                return None;
            }
        };
        match self.connect_and_answer(&mut incoming, &admitted, &target, header.client).await {
            Ok(socket) => Some(admitted.into_copy(incoming, socket)),
            Err(Declined { code, answer, result, error }) => {
                match answer {
                    Some(answer) => decline(&mut incoming, answer).await,
                    None => give_up(&mut incoming, code),
                }
                admitted.end(result, Some(&error));
                None
            }
        }
    }

    async fn read_header(&self, incoming: &mut IncomingStream) -> Option<StreamHeader> {
        let header = tokio::select! {
            biased;
            () = self.shared.revoked.cancelled() => {
                give_up(incoming, ResetCode::Revoked);
                return None;
            }
            header = timeout(HEADER_TIMEOUT, StreamHeader::read(&mut incoming.recv)) => header,
        };
        let Ok(header) = header else {
            self.audit.refused_header(&incoming.peer, audit::HEADER_TIMEOUT);
            give_up(incoming, ResetCode::Timeout);
            return None;
        };
        if let Err(error) = &header {
            tracing::debug!(site = %incoming.peer.name, %error, "stream header refused");
            self.audit.refused_header(&incoming.peer, audit::HEADER_MALFORMED);
            self.shared.metrics.count_refused_without_app();
            give_up(incoming, ResetCode::Refused);
        }
        header.ok()
    }

    /// Decides on a stream. It is registered before it is judged, so that a withdrawal in between still reaches it.
    fn admit(
        &self,
        peer: &PeerIdentity,
        header: &StreamHeader,
        since: Instant,
    ) -> Result<(Admitted, AppSocket), Answer> {
        let stream = self.apps.load().get(&header.app).map(|exposed| exposed.live.begin_for(peer));
        let exposed = self.apps.load().get(&header.app).map(Arc::clone);
        let app = exposed.as_ref().map(|exposed| &exposed.app);
        let decision = access::decide(app, peer, header, || (self.node_addresses)());
        let target = decision.map_err(|cause| self.refuse(peer, &header.app, exposed.as_deref(), cause))?;
        // An app that was exposed only this moment is asked for again.
        let (Some(exposed), Some(stream)) = (exposed, stream) else { return Err(Answer::Busy) };
        let full = exposed.app.max_connections.is_some_and(|most| stream.ordinal > most as usize);
        if full {
            stream.metrics().count(StreamResult::Busy);
            return Err(Answer::Busy);
        }
        Ok((Admitted { exposed, stream, site: peer.name.clone(), since }, target))
    }

    fn refuse(&self, peer: &PeerIdentity, app: &AppName, exposed: Option<&Exposed>, cause: Cause) -> Answer {
        self.audit.refused(peer, app, exposed.is_some(), cause.label());
        match exposed {
            Some(exposed) => exposed.live.metrics.count(StreamResult::Refused),
            None => self.shared.metrics.count_refused_without_app(),
        }
        Answer::Refused
    }

    async fn connect_and_answer(
        &self,
        incoming: &mut IncomingStream,
        admitted: &Admitted,
        target: &AppSocket,
        client: Option<SocketAddr>,
    ) -> Result<AppStream, Declined> {
        let stopped = incoming.send.stopped();
        let socket = tokio::select! {
            biased;
            () = admitted.stream.revoked.cancelled() => return Err(Declined::reset(ResetCode::Revoked, "the stream was revoked")),
            _ = stopped => return Err(Declined::reset(ResetCode::AppReset, "the client gave up")),
            connected = self.dialler.connect(&admitted.exposed.app, &admitted.exposed.dials, target, client) => connected?,
        };
        if !answer(incoming, Answer::Ok).await {
            return Err(Declined::reset(ResetCode::Timeout, "the answer could not be sent"));
        }
        admitted.stream.metrics().open_seconds.observe(admitted.since.elapsed().as_secs_f64());
        Ok(socket)
    }
}

impl Admitted {
    fn into_copy(self, incoming: IncomingStream, socket: AppStream) -> (Self, Copy) {
        let copy = Copy {
            socket,
            send: incoming.send,
            recv: incoming.recv,
            revoked: self.stream.revoked.clone(),
            idle_timeout: self.exposed.app.idle_timeout,
            unsent: Bytes::new(),
            metrics: Arc::clone(self.stream.metrics()),
        };
        (self, copy)
    }

    /// Counts the stream and writes its one line.
    fn end(self, result: StreamResult, error: Option<&dyn Display>) {
        self.stream.metrics().count(result);
        let elapsed_ms = self.since.elapsed().as_millis() as u64;
        let (site, app) = (&self.site, self.exposed.app.name.as_str());
        let error = error.map(tracing::field::display);
        tracing::debug!(%site, app, result = result.label(), elapsed_ms, error, "stream ended");
    }
}
