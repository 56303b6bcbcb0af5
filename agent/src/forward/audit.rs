//! The audit log of refused streams, limited so that a peer cannot flood the disk.

use tokio_util::sync::CancellationToken;
use wovenet_config::key::SiteId;
use wovenet_config::name::{AppName, SiteName};

use crate::limited_log::LimitedLog;
use crate::peer::PeerIdentity;
use crate::telemetry::AUDIT_TARGET;

/// The most combinations that are told apart; further ones are only counted by the metric.
const KEYS_MAX: usize = 4_096;
/// Causes of streams that end before an app is asked for. Others are [`crate::forward::access::Cause`].
pub(super) const HEADER_MALFORMED: &str = "header_malformed";
pub(super) const HEADER_TIMEOUT: &str = "header_timeout";

/// Who was refused what and why. An app that is not configured here has no key of its own: a peer could name many.
type Key = (SiteId, Option<AppName>, &'static str);

/// Writes the audit log.
#[derive(Debug)]
pub(super) struct Audit {
    log: LimitedLog<Key, Refusal>,
}

/// One line.
#[derive(Debug)]
struct Refusal {
    site: SiteName,
    peer: SiteId,
    app: Option<AppName>,
    cause: &'static str,
}

impl Audit {
    pub(super) fn new() -> Self {
        Self { log: LimitedLog::new(KEYS_MAX, write) }
    }

    /// Tells of a refused stream. `known` tells that an app of this name is exposed here.
    pub(super) fn refused(&self, peer: &PeerIdentity, app: &AppName, known: bool, cause: &'static str) {
        let key = (peer.site, known.then(|| app.clone()), cause);
        self.log.line(key, || Refusal::new(peer, Some(app), cause));
    }

    /// Tells of a stream that did not come to name an app.
    pub(super) fn refused_header(&self, peer: &PeerIdentity, cause: &'static str) {
        self.log.line((peer.site, None, cause), || Refusal::new(peer, None, cause));
    }

    /// Writes what was held back, until `stop`.
    pub(super) async fn run(&self, stop: CancellationToken) {
        self.log.run(stop).await;
    }
}

impl Refusal {
    fn new(peer: &PeerIdentity, app: Option<&AppName>, cause: &'static str) -> Self {
        Self { site: peer.name.clone(), peer: peer.site, app: app.cloned(), cause }
    }
}

fn write(refusal: &Refusal, suppressed: u64) {
    let Refusal { site, peer, app, cause } = refusal;
    let app = app.as_ref().map(AppName::as_str);
    tracing::info!(target: AUDIT_TARGET, %site, %peer, app, cause, suppressed, "stream refused");
}
