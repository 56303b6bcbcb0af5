//! Dials exposed apps, within limits that no peer can exceed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use wovenet_config::app::ExposedApp;
use wovenet_config::socket::AppSocket;

use crate::forward::app_stream::AppStream;
use crate::forward::metrics::{Metrics, StreamResult};
use crate::forward::proxy_protocol;
use crate::tunnel::{Answer, ResetCode};

/// The most dials at a time, over all apps (docs/protocol.md §6).
pub const DIALS_MAX: usize = 512;
/// The most dials at a time to one app (docs/protocol.md §6).
pub const APP_DIALS_MAX: usize = 64;

/// Dials for all apps.
pub(super) struct Dialler {
    metrics: Arc<Metrics>,
    dials: Semaphore,
}

/// Why a stream that was admitted is not served: with an answer, or else by a reset.
pub(super) struct Declined {
    pub(super) code: ResetCode,
    pub(super) answer: Option<Answer>,
    pub(super) result: StreamResult,
    /// Why, for the log.
    pub(super) error: String,
}

impl Declined {
    fn answer(answer: Answer, result: StreamResult, error: impl Into<String>) -> Self {
        Self { code: ResetCode::Refused, answer: Some(answer), result, error: error.into() }
    }

    pub(super) fn reset(code: ResetCode, error: &str) -> Self {
        Self { code, answer: None, result: StreamResult::Reset, error: error.to_owned() }
    }
}

impl Dialler {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, dials: Semaphore::new(DIALS_MAX) }
    }

    /// Connects with `target` and says who the client is, if the app wants that. `app_dials` limits this app alone.
    pub(super) async fn connect(
        &self,
        app: &ExposedApp,
        app_dials: &Semaphore,
        target: &AppSocket,
        client: Option<SocketAddr>,
    ) -> Result<AppStream, Declined> {
        let busy = |_| Declined::answer(Answer::Busy, StreamResult::Busy, "too many dials are under way");
        let _of_app = app_dials.try_acquire().map_err(busy)?;
        let _of_all = self.dials.try_acquire().map_err(busy)?;
        let begun = Instant::now();
        let (histogram, result) = match timeout(app.connect_timeout, dial(app, target, client)).await {
            Ok(Ok(socket)) => (&self.metrics.connect_ok, Ok(socket)),
            Ok(Err(error)) => {
                let error = format!("{target} cannot be reached: {error}");
                (&self.metrics.connect_failed, Err(Declined::answer(Answer::Failed, StreamResult::Failed, error)))
            }
            Err(_) => {
                let error = format!("{target} did not answer in time");
                (&self.metrics.connect_timeout, Err(Declined::answer(Answer::Failed, StreamResult::Timeout, error)))
            }
        };
        histogram.observe(begun.elapsed().as_secs_f64());
        result
    }
}

async fn dial(app: &ExposedApp, target: &AppSocket, client: Option<SocketAddr>) -> io::Result<AppStream> {
    let socket = AppStream::dial(target).await?;
    if app.proxy_protocol {
        socket.write_all(&proxy_protocol::encode(client, socket.remote_addr())).await?;
    }
    Ok(socket)
}
