//! The configuration of a Site's agents: a document, its revision, and since when each part of it says what it says.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use wovenet_config::Document;
use wovenet_config::document::{ExposedApp, RemoteApp};

use crate::names;

/// A revision that an agent tells above this is no revision: an agent may lie, and there must be room above it.
pub const REVISION_MAX: u64 = u64::MAX / 2;

/// The configuration of a Site's agents, with its revision. Two are equal when agents would read the same.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The document without its revision, its apps in order of their names, its remote apps of their local sockets.
    pub document: Document,
    /// The revision.
    pub revision: u64,
    since: Since,
}

/// The revision since which each part says what it says. Not stored: who reads a Secret knows only that all of it is so
/// since the revision in it.
#[derive(Clone, Debug, Default)]
struct Since {
    site: Option<u64>,
    exposed: BTreeMap<String, u64>,
    remote: BTreeMap<String, u64>,
}

impl PartialEq for Configuration {
    fn eq(&self, other: &Self) -> bool {
        (self.revision, &self.document) == (other.revision, &other.document)
    }
}

impl Configuration {
    /// Follows `before` with another document and a higher revision.
    pub fn following(before: Option<&Self>, document: Document, revision: u64) -> Self {
        let since = |known: Option<u64>| known.unwrap_or(revision);
        let exposed = document.local_exposed_apps.iter().filter_map(|app| {
            let known = before.and_then(|before| before.exposed_since(app));
            Some((app.app_name.clone()?, since(known)))
        });
        let remote = document.remote_apps.iter().filter_map(|app| {
            let known = before.and_then(|before| before.remote_since(app));
            Some((app.local_socket.clone()?, since(known)))
        });
        let same_site = before.filter(|before| without_apps(&before.document) == without_apps(&document));
        let since = Since {
            site: Some(since(same_site.map(Self::site_since))),
            exposed: exposed.collect(),
            remote: remote.collect(),
        };
        Self { document, revision, since }
    }

    /// Writes the document as the agent reads it. JSON is YAML too.
    pub fn to_bytes(&self) -> Vec<u8> {
        let whole = Document { revision: Some(self.revision), ..self.document.clone() };
        // Strings and numbers only: it cannot fail.
        serde_json::to_vec(&whole).unwrap_or_default()
    }

    /// Reads what is in a Site's Secret.
    pub fn read(secret: &Secret) -> Option<Self> {
        let document = Document::read(&secret.data.as_ref()?.get(names::CONFIG_FIELD)?.0).ok()?;
        let revision = document.revision?;
        Some(Self { revision, document: Document { revision: None, ..document }, since: Since::default() })
    }

    /// Tells since which revision everything but the apps is as it is.
    pub fn site_since(&self) -> u64 {
        self.since.site.unwrap_or(self.revision)
    }

    /// Tells since which revision the document says this of an exposed app; `None` when it does not.
    pub fn exposed_since(&self, app: &ExposedApp) -> Option<u64> {
        let apps = &self.document.local_exposed_apps;
        let place = apps.binary_search_by(|known| known.app_name.cmp(&app.app_name)).ok()?;
        let since = || self.since.exposed.get(app.app_name.as_ref()?).copied();
        (apps[place] == *app).then(|| since().unwrap_or(self.revision))
    }

    /// Tells since which revision the document says this of a local socket; `None` when it does not.
    pub fn remote_since(&self, app: &RemoteApp) -> Option<u64> {
        let apps = &self.document.remote_apps;
        let place = apps.binary_search_by(|known| known.local_socket.cmp(&app.local_socket)).ok()?;
        let since = || self.since.remote.get(app.local_socket.as_ref()?).copied();
        (apps[place] == *app).then(|| since().unwrap_or(self.revision))
    }
}

fn without_apps(document: &Document) -> Document {
    Document { local_exposed_apps: Vec::new(), remote_apps: Vec::new(), ..document.clone() }
}
