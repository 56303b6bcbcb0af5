//! One client of a remote app: finds it a provider that serves it, and hands both to the copy.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout_at};
use wovenet_config::app::{Provider, RemoteApp};

use crate::forward::app_stream::{AppStream, DetachedStream};
use crate::forward::copy::Copy;
use crate::forward::introduction::{Introduction, NotServed, Served};
use crate::forward::live::LiveStream;
use crate::forward::metrics::StreamResult;
use crate::forward::provider;
use crate::forward::shared::Shared;
use crate::tunnel::{OpenError, OpenedStream, ProviderState, ReadyChannel, RecvHalf, SendHalf, StreamHeader};

/// How often a client that waits looks for a better provider.
const RECHOOSE_INTERVAL: Duration = Duration::from_millis(200);

/// A client that was accepted.
pub(super) struct Client {
    shared: Arc<Shared>,
    app: Arc<RemoteApp>,
    stream: LiveStream,
    /// The provider that is best at first, with a channel to it.
    ready: Option<(usize, ReadyChannel)>,
    since: Instant,
    deadline: Instant,
}

/// A client on its way to a provider.
struct Seeking {
    shared: Arc<Shared>,
    app: Arc<RemoteApp>,
    socket: AppStream,
    stream: LiveStream,
    since: Instant,
    deadline: Instant,
}

/// A stream that the app has accepted, and what is still to be sent on it.
struct Opened {
    stream: OpenedStream,
    unsent: Bytes,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, app: Arc<RemoteApp>, stream: LiveStream) -> Self {
        let since = Instant::now();
        let deadline = since + app.connect_timeout;
        let candidates = candidates(&shared, &app.providers);
        let best = provider::choose(&candidates, rand::random());
        let ready = best.and_then(|index| Some((index, shared.opener.ready(&app.providers[index].site)?)));
        Self { shared, app, stream, ready, since, deadline }
    }

    /// Returns where the client is served best: where its stream will be.
    pub(super) fn runtime(&self) -> Option<&Handle> {
        self.ready.as_ref().map(|(_, channel)| &channel.runtime)
    }

    /// Serves the client up to the copy, which is a task of the stream's own runtime. A client that cannot be served
    /// is reset by dropping its socket.
    pub(super) async fn run(self, socket: DetachedStream) {
        let Self { shared, app, stream, ready, since, deadline } = self;
        let socket = match socket.attach() {
            Ok(socket) => socket,
            Err(error) => return end(&app, &stream, since, StreamResult::Reset, Some(&error)),
        };
        let seeking = Seeking { shared, app, socket, stream, since, deadline };
        let opened = tokio::select! {
            biased;
            () = seeking.stream.revoked.cancelled() => Err(StreamResult::Reset),
            opened = seeking.open(ready) => opened,
        };
        match opened {
            Ok(opened) => seeking.hand_over(opened),
            Err(result) => end(&seeking.app, &seeking.stream, since, result, Some(&result.label())),
        }
    }
}

impl Seeking {
    /// Opens a stream to the first provider that serves it.
    async fn open(&self, mut ready: Option<(usize, ReadyChannel)>) -> Result<Opened, StreamResult> {
        let mut untried: Vec<&Provider> = self.app.providers.iter().collect();
        let mut last = StreamResult::NoPath;
        while !untried.is_empty() {
            let (index, stream) = self.reach(&untried, ready.take()).await?;
            match self.introduction(untried[index]).run(stream).await {
                Ok(Served { stream, unsent, said }) => {
                    self.stream.metrics().open_seconds.observe(self.since.elapsed().as_secs_f64());
                    self.stream.metrics().tx.inc_by(said as u64);
                    return Ok(Opened { stream, unsent });
                }
                Err(NotServed::Here(result)) => last = result,
                Err(NotServed::Anywhere(result)) => return Err(result),
            }
            untried.remove(index);
        }
        Err(last)
    }

    /// Opens a stream on the channel that is ready, or to the best of `providers`, choosing again while none is there.
    async fn reach(
        &self,
        providers: &[&Provider],
        ready: Option<(usize, ReadyChannel)>,
    ) -> Result<(usize, OpenedStream), StreamResult> {
        let reached = timeout_at(self.deadline, async {
            if let Some((index, channel)) = ready
                && let Some(stream) = channel.opening.await
            {
                return Ok((index, stream));
            }
            loop {
                if let Some(reached) = self.try_reach(providers).await? {
                    return Ok(reached);
                }
            }
        });
        tokio::select! {
            biased;
            reached = reached => reached.unwrap_or(Err(StreamResult::NoPath)),
            () = self.socket.abandoned() => Err(StreamResult::Reset),
        }
    }

    /// Waits for the provider that is best now, until another one is better.
    async fn try_reach(&self, providers: &[&Provider]) -> Result<Option<(usize, OpenedStream)>, StreamResult> {
        let Some(index) = provider::choose(&candidates(&self.shared, providers.iter().copied()), rand::random()) else {
            return Err(StreamResult::NoPath);
        };
        let mut opening = self.shared.opener.open(providers[index].site.clone());
        loop {
            tokio::select! {
                biased;
                opened = &mut opening => match opened {
                    Ok(stream) => return Ok(Some((index, stream))),
                    Err(OpenError::ShuttingDown) => return Err(StreamResult::NoPath),
                    Err(OpenError::UnknownSite | OpenError::NoPath) => {
                        sleep(RECHOOSE_INTERVAL).await;
                        return Ok(None);
                    }
                },
                () = sleep(RECHOOSE_INTERVAL) => {
                    let candidates = candidates(&self.shared, providers.iter().copied());
                    if candidates.iter().any(|(_, state)| *state < candidates[index].1) {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn introduction(&self, provider: &Provider) -> Introduction<'_> {
        let header = StreamHeader {
            app: provider.app.clone(),
            port: self.app.port.clone(),
            target: self.app.target.as_ref().map(ToString::to_string),
            client: self.socket.remote_addr(),
            repeats: None,
        };
        let speaks_at_once = self.app.providers.len() == 1;
        Introduction { socket: &self.socket, header, speaks_at_once, deadline: self.deadline }
    }

    fn hand_over(self, opened: Opened) {
        let Self { shared, app, socket, stream, since, .. } = self;
        let OpenedStream { send, recv, runtime, .. } = opened.stream;
        let relay = Relay { app, stream, since, unsent: opened.unsent };
        if Handle::current().id() == runtime.id() {
            return shared.spawn(&runtime, relay.run(socket, send, recv));
        }
        match socket.detach() {
            Ok(socket) => shared.spawn(&runtime, relay.attach_and_run(socket, send, recv)),
            Err(error) => relay.end(StreamResult::Reset, Some(&error)),
        }
    }
}

fn candidates<'a>(
    shared: &Shared,
    providers: impl IntoIterator<Item = &'a Provider>,
) -> Vec<(&'a Provider, ProviderState)> {
    let state = |provider: &Provider| shared.opener.state(&provider.site, &provider.app);
    providers.into_iter().map(|provider| (provider, state(provider))).collect()
}

/// A client with its stream, on the stream's runtime or on the way there.
struct Relay {
    app: Arc<RemoteApp>,
    stream: LiveStream,
    since: Instant,
    unsent: Bytes,
}

impl Relay {
    async fn attach_and_run(self, socket: DetachedStream, send: SendHalf, recv: RecvHalf) {
        match socket.attach() {
            Ok(socket) => self.run(socket, send, recv).await,
            Err(error) => self.end(StreamResult::Reset, Some(&error)),
        }
    }

    async fn run(mut self, socket: AppStream, send: SendHalf, recv: RecvHalf) {
        let copy = Copy {
            socket,
            send,
            recv,
            revoked: self.stream.revoked.clone(),
            idle_timeout: self.app.idle_timeout,
            unsent: std::mem::take(&mut self.unsent),
            metrics: Arc::clone(self.stream.metrics()),
        };
        let copied = copy.run().await;
        self.stream.metrics().count_life(self.since.elapsed());
        match copied {
            Ok(()) => self.end(StreamResult::Ok, None),
            Err(abort) => self.end(abort.result(), Some(&abort)),
        }
    }

    fn end(self, result: StreamResult, error: Option<&dyn Display>) {
        end(&self.app, &self.stream, self.since, result, error);
    }
}

/// Counts the stream and writes its one line.
fn end(app: &RemoteApp, stream: &LiveStream, since: Instant, result: StreamResult, error: Option<&dyn Display>) {
    stream.metrics().count(result);
    let elapsed_ms = since.elapsed().as_millis() as u64;
    let error = error.map(tracing::field::display);
    let name = app.providers.first().map(|provider| format!("{}/{}", provider.site, provider.app)).unwrap_or_default();
    tracing::debug!(app = name, listen_addr = %app.local_socket, result = result.label(), elapsed_ms, error, "stream ended");
}
