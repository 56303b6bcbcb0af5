//! Changes of single apps in a document. Pure: a document and an app in, the next document out.

use wovenet_config::Problem;
use wovenet_config::document::{Document, ExposedApp, RemoteApp};

use super::refusal::Refusal;

/// Names a remote app by its first provider, and by its local socket where several have the same.
#[derive(Clone, Debug)]
pub(super) struct RemoteAppReference {
    pub site: String,
    pub app: String,
    pub local_socket: Option<String>,
}

/// Returns the site and app names of a remote app's first provider.
pub(super) fn provider(app: &RemoteApp) -> (&str, &str) {
    let (site, name) = match app.providers.first() {
        Some(provider) => (&provider.site_name, &provider.app_name),
        None => (&app.site_name, &app.app_name),
    };
    (site.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default())
}

/// Adds an exposed app.
pub(super) fn add_exposed(document: &Document, app: ExposedApp) -> Result<Document, Refusal> {
    let name = required("appName", app.app_name.as_deref())?;
    if document.local_exposed_apps.iter().any(|other| other.app_name.as_deref() == Some(name)) {
        return Err(Refusal::conflict(format!("local exposed app: {name} exists already")));
    }
    let mut changed = document.clone();
    changed.local_exposed_apps.push(app);
    Ok(changed)
}

/// Replaces the exposed app `name`, which stays its name.
pub(super) fn replace_exposed(document: &Document, name: &str, mut app: ExposedApp) -> Result<Document, Refusal> {
    let index = exposed_index(document, name)?;
    same("appName", app.app_name.get_or_insert_with(|| name.to_owned()), name)?;
    let mut changed = document.clone();
    changed.local_exposed_apps[index] = app;
    Ok(changed)
}

/// Removes the exposed app `name`.
pub(super) fn remove_exposed(document: &Document, name: &str) -> Result<Document, Refusal> {
    let index = exposed_index(document, name)?;
    let mut changed = document.clone();
    changed.local_exposed_apps.remove(index);
    Ok(changed)
}

/// Adds a remote app. Several may use one app through different ports or targets.
pub(super) fn add_remote(document: &Document, app: RemoteApp) -> Result<Document, Refusal> {
    let (site, name) = provider(&app);
    required("siteName", Some(site))?;
    required("appName", Some(name))?;
    let is_same = |other: &&RemoteApp| {
        provider(other) == (site, name) && other.port == app.port && other.app_socket == app.app_socket
    };
    if let Some(other) = document.remote_apps.iter().find(is_same) {
        let socket = other.local_socket.as_deref().unwrap_or_default();
        return Err(Refusal::conflict(format!("remote app: {site}/{name} exists already, at {socket}")));
    }
    let mut changed = document.clone();
    changed.remote_apps.push(app);
    Ok(changed)
}

/// Replaces a remote app, which stays with its first provider.
pub(super) fn replace_remote(
    document: &Document,
    reference: &RemoteAppReference,
    mut app: RemoteApp,
) -> Result<Document, Refusal> {
    let index = remote_index(document, reference)?;
    if app.providers.is_empty() {
        app.site_name.get_or_insert_with(|| reference.site.clone());
        app.app_name.get_or_insert_with(|| reference.app.clone());
    }
    let (site, name) = provider(&app);
    same("siteName", site, &reference.site)?;
    same("appName", name, &reference.app)?;
    let mut changed = document.clone();
    changed.remote_apps[index] = app;
    Ok(changed)
}

/// Removes a remote app.
pub(super) fn remove_remote(document: &Document, reference: &RemoteAppReference) -> Result<Document, Refusal> {
    let index = remote_index(document, reference)?;
    let mut changed = document.clone();
    changed.remote_apps.remove(index);
    Ok(changed)
}

fn exposed_index(document: &Document, name: &str) -> Result<usize, Refusal> {
    let mut apps = document.local_exposed_apps.iter();
    let index = apps.position(|app| app.app_name.as_deref() == Some(name));
    index.ok_or_else(|| Refusal::not_found(format!("local exposed app: {name} not found")))
}

fn remote_index(document: &Document, reference: &RemoteAppReference) -> Result<usize, Refusal> {
    let RemoteAppReference { site, app, local_socket } = reference;
    let is_meant = |other: &RemoteApp| {
        provider(other) == (site, app) && (local_socket.is_none() || other.local_socket == *local_socket)
    };
    let apps = document.remote_apps.iter().enumerate();
    let meant: Vec<usize> = apps.filter(|(_, app)| is_meant(app)).map(|(index, _)| index).collect();
    match meant.as_slice() {
        [] => Err(Refusal::not_found(format!("remote app: {site}/{app} not found"))),
        [index] => Ok(*index),
        _ => Err(Refusal::conflict(format!(
            "remote app: {site}/{app} is used through several local sockets; name one with ?localSocket="
        ))),
    }
}

fn required<'a>(key: &str, text: Option<&'a str>) -> Result<&'a str, Refusal> {
    let text = text.filter(|text| !text.is_empty());
    text.ok_or_else(|| Refusal::invalid(vec![Problem::error(key, "is required")]))
}

fn same(key: &str, written: &str, addressed: &str) -> Result<(), Refusal> {
    if written == addressed {
        return Ok(());
    }
    let message = format!("must be {addressed:?} as in the address; delete and create the app to rename it");
    Err(Refusal::invalid(vec![Problem::error(key, message)]))
}
