//! The streams of one app that are open now: counted, and ended when access is withdrawn.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use wovenet_config::key::SiteId;
use wovenet_config::name::SiteName;

use crate::forward::metrics::AppMetrics;
use crate::peer::PeerIdentity;

/// One app and its open streams.
pub(super) struct LiveApp {
    pub(super) metrics: Arc<AppMetrics>,
    revoked: CancellationToken,
    open: AtomicUsize,
    sites: Mutex<BTreeMap<SiteId, LiveSite>>,
    /// Open streams by the address of their client, where that is limited.
    clients: Mutex<HashMap<IpAddr, usize>>,
}

struct LiveSite {
    name: SiteName,
    revoked: CancellationToken,
    streams: usize,
}

/// One open stream; it is counted until it is dropped.
pub(super) struct LiveStream {
    app: Arc<LiveApp>,
    site: Option<SiteId>,
    client: Option<IpAddr>,
    /// The number of open streams of the app, this one included, when it began.
    pub(super) ordinal: usize,
    /// Cancelled when the stream must end at once.
    pub(super) revoked: CancellationToken,
}

impl LiveApp {
    /// Makes an app without streams. All of them end with `parent`.
    pub(super) fn new(metrics: Arc<AppMetrics>, parent: &CancellationToken) -> Arc<Self> {
        let revoked = parent.child_token();
        Arc::new(Self {
            metrics,
            revoked,
            open: AtomicUsize::new(0),
            sites: Mutex::default(),
            clients: Mutex::default(),
        })
    }

    /// Begins a stream of a client here.
    pub(super) fn begin(self: &Arc<Self>) -> LiveStream {
        self.begin_with(None, self.revoked.clone())
    }

    /// Begins a stream of another site.
    pub(super) fn begin_for(self: &Arc<Self>, peer: &PeerIdentity) -> LiveStream {
        let mut sites = self.sites.lock();
        let site = sites.entry(peer.site).or_insert_with(|| LiveSite {
            name: peer.name.clone(),
            revoked: self.revoked.child_token(),
            streams: 0,
        });
        site.streams += 1;
        self.begin_with(Some(peer.site), site.revoked.clone())
    }

    fn begin_with(self: &Arc<Self>, site: Option<SiteId>, revoked: CancellationToken) -> LiveStream {
        self.metrics.open.inc();
        let ordinal = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        LiveStream { app: Arc::clone(self), site, client: None, ordinal, revoked }
    }

    /// Returns the number of open streams.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Returns what ends every stream when cancelled, without keeping the app's metrics.
    pub(super) fn revocation(&self) -> CancellationToken {
        self.revoked.clone()
    }

    /// Ends every stream.
    pub(super) fn revoke(&self) {
        self.revoked.cancel();
    }

    /// Ends the streams of sites that `admits` no longer admits.
    pub(super) fn revoke_others(&self, admits: impl Fn(&SiteName, &SiteId) -> bool) {
        self.sites.lock().retain(|id, site| {
            let admitted = admits(&site.name, id);
            if !admitted {
                site.revoked.cancel();
            }
            admitted
        });
    }
}

impl LiveStream {
    pub(super) fn metrics(&self) -> &Arc<AppMetrics> {
        &self.app.metrics
    }

    /// Counts the stream for the address of its client, and returns how many that has, this one included.
    pub(super) fn count_for(&mut self, client: IpAddr) -> usize {
        self.client = Some(client);
        let mut clients = self.app.clients.lock();
        let count = clients.entry(client).or_default();
        *count += 1;
        *count
    }

    fn leave_client(&self, client: IpAddr) {
        let mut clients = self.app.clients.lock();
        let Some(count) = clients.get_mut(&client) else { return };
        *count -= 1;
        if *count == 0 {
            clients.remove(&client);
        }
    }

    fn leave_site(&self, id: SiteId) {
        let mut sites = self.app.sites.lock();
        let Some(site) = sites.get_mut(&id) else { return };
        // A revoked site is gone from the map; one that came back since then has its own count.
        if self.revoked.is_cancelled() {
            return;
        }
        site.streams -= 1;
        if site.streams == 0 {
            sites.remove(&id);
        }
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        self.app.open.fetch_sub(1, Ordering::Relaxed);
        self.app.metrics.open.dec();
        if let Some(client) = self.client {
            self.leave_client(client);
        }
        if let Some(id) = self.site {
            self.leave_site(id);
        }
    }
}
