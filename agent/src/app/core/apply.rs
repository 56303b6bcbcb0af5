//! Applies another configuration to the running agent: validated whole, only the difference, one change at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::timeout;
use wovenet_config::{AgentConfig, Document, load, validate};

use crate::api::agent::{Agent, Applied, ApplyError, Origin, Status};
use crate::app::core::{Core, Parts};
use crate::app::in_force::{InForce, check_revision, check_unchangeable, derive_ring, lines, topic};
use crate::app::saved::{self, Saved};
use crate::app::status;
use crate::environment;
use crate::forward::ListenerState;
use crate::peer::store::render_peers;

/// How long an answer to a new configuration waits for its local sockets to be bound.
const BIND_WAIT: Duration = Duration::from_secs(1);

impl Core {
    /// Reads the file again. `forced` applies it even when its content did not change, as files that it names may have; then
    /// what the API changed since holds.
    pub(in crate::app) async fn reload(self: &Arc<Self>, file: &Path, forced: bool) {
        let content = match std::fs::read(file) {
            Ok(content) => content,
            Err(error) => return tracing::error!(file = %file.display(), %error, "cannot read the configuration file"),
        };
        let hash = saved::hash(&content);
        let is_same = *self.file_hash.lock() == hash;
        if is_same && !forced {
            return self.own_metrics.note_current();
        }
        let loaded = match load(&file.display().to_string(), &content, &environment::variables()) {
            Ok(loaded) => loaded,
            Err(problems) => {
                problems.iter().for_each(|problem| tracing::error!(%problem, "wrong configuration"));
                self.own_metrics.note_refused();
                self.own_metrics.note_stale();
                return tracing::error!(file = %file.display(), "the configuration is refused, the running one stays");
            }
        };
        loaded.warnings.iter().for_each(|problem| tracing::warn!(%problem, "doubtful configuration"));
        let now = self.in_force();
        let document = if is_same && now.from_api { now.document.as_ref().clone() } else { loaded.document };
        match self.apply_document(document, Origin::File).await {
            Ok(_) => *self.file_hash.lock() = hash,
            Err(error) => {
                self.own_metrics.note_refused();
                self.own_metrics.note_stale();
                tracing::error!(file = %file.display(), %error, "the configuration is refused, the running one stays");
            }
        }
    }

    async fn apply_document(self: &Arc<Self>, mut document: Document, origin: Origin) -> Result<Applied, ApplyError> {
        let mut parts = self.parts.lock().await;
        let (before, begun) = (self.in_force(), Instant::now());
        check_revision(&before, &document, origin)?;
        if origin == Origin::Person {
            document.revision = before.document.revision;
        }
        let validated = validate(&document).map_err(ApplyError::Invalid)?;
        check_unchangeable(&before.config, &validated.config)?;
        let config = Arc::new(validated.config);
        let keys_differ = (&before.config.keys, topic(&before.config)) != (&config.keys, topic(&config));
        if keys_differ {
            let ring = derive_ring(&config).await.map_err(|error| ApplyError::Failed(error.to_string()))?;
            self.ring.send_replace(ring);
        }
        self.apply_parts(&mut parts, &before.config, &config).await;
        if origin != Origin::File {
            self.save_document(&document);
        }
        let warnings = Arc::new(lines(&validated.warnings));
        let from_api = origin != Origin::File || (before.from_api && *before.document == document);
        *self.in_force.write() = InForce { document: Arc::new(document), config: config.clone(), warnings, from_api };
        drop(parts);
        self.changed();
        self.own_metrics.note_applied(config.revision, source(origin), begun.elapsed());
        tracing::info!(revision = config.revision, ?origin, "the configuration is applied");
        self.wait_bound().await;
        Ok(Applied { revision: config.revision, listeners: status::listeners(self), warnings: self.warnings() })
    }

    async fn apply_parts(&self, parts: &mut Parts, before: &AgentConfig, config: &AgentConfig) {
        if before.logger.level != config.logger.level {
            self.level.set(config.logger.level);
        }
        if (before.trust, &before.peers, &before.denied_keys) != (config.trust, &config.peers, &config.denied_keys) {
            self.peers.update(|directory| directory.reconfigure(config.trust, &config.peers, &config.denied_keys));
        }
        if before.unpin != config.unpin {
            self.peers.update(|directory| directory.unpin(&config.unpin));
        }
        if before.tunnel != config.tunnel {
            if let Some(tunnels) = &mut parts.tunnels {
                tunnels.apply(&config.tunnel);
            }
            parts.tunnel.send_replace(config.tunnel.clone());
        }
        self.forward.apply(&config.remote_apps, &config.exposed_apps);
        if before.exposed_apps != config.exposed_apps {
            self.exposed.send_replace(Arc::new(config.exposed_apps.clone()));
        }
        if before.mqtt != config.mqtt {
            if let Some(discovery) = parts.discovery.take() {
                discovery.shutdown().await;
            }
            self.start_discovery(parts, config);
        }
    }

    fn save_document(&self, document: &Document) {
        let saved = Saved { file_hash: self.file_hash.lock().clone(), document: document.clone() };
        let kept = serde_json::to_vec(&saved).is_ok_and(|json| self.store.save_api_changes(&json));
        if !kept {
            tracing::warn!("a configuration that came over the API is not saved; a restart forgets it");
        }
    }

    async fn wait_bound(&self) {
        let mut changes = self.forward.changes();
        let bound = async {
            let starting = |core: &Self| {
                core.forward.status().iter().any(|listener| matches!(listener.state, ListenerState::Starting))
            };
            while starting(self) && changes.changed().await.is_ok() {}
        };
        // A socket that takes longer is told as starting.
        timeout(BIND_WAIT, bound).await.ok();
    }
}

/// Names where a configuration came from, as a metric label.
fn source(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "file",
        Origin::Operator => "operator",
        Origin::Person => "api",
    }
}

impl Agent for Arc<Core> {
    fn document(&self) -> Arc<Document> {
        self.in_force().document
    }

    fn apply(&self, document: Document, origin: Origin) -> BoxFuture<'static, Result<Applied, ApplyError>> {
        let core = self.clone();
        // A client that goes away must not stop a change half-way.
        let applying = tokio::spawn(async move {
            let applied = core.apply_document(document, origin).await;
            if let Err(error) = &applied {
                core.own_metrics.note_refused();
                // A person has been told, and asks again or not; an older revision is not what anybody wants.
                if origin == Origin::Operator && !matches!(error, ApplyError::Outdated { .. }) {
                    core.own_metrics.note_stale();
                }
            }
            applied
        });
        Box::pin(async move { applying.await.unwrap_or_else(|error| Err(ApplyError::Failed(error.to_string()))) })
    }

    fn status(&self) -> Status {
        status::status(self)
    }

    fn known_peers(&self) -> Vec<u8> {
        self.peers.read(render_peers)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.watch_changes()
    }

    fn ready(&self) -> bool {
        self.is_ready()
    }
}
