//! Where the agent's API is and what to show it: from the command line, else from the agent's configuration file.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use url::Url;
use wovenet_config::api::Api;
use zeroize::Zeroizing;

use super::StatusArguments;
use crate::cli::default_file;

/// Holds the password of `--user`.
const PASSWORD_VARIABLE: &str = "WOVENET_API_PASSWORD";
/// What to add to a file that enables no API.
const EXAMPLE: &str = "restfulApi:\n  enabled: true\n  listenAddr: 127.0.0.1:9443\n";

/// An API and how to talk to it.
pub(super) struct Endpoint {
    /// An IP address or a name.
    pub host: String,
    pub port: u16,
    pub trust: Trust,
    /// The `Authorization` header.
    pub authorization: Option<Zeroizing<String>>,
}

/// What proves that the API is the right one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing: plain HTTP.
    Plain,
    /// The system's certificate authorities.
    System,
    /// The certificate authorities of a file.
    Authorities(PathBuf),
    /// The very certificate of a file, whatever names it has: the agent's own.
    Certificate(PathBuf),
}

type Environment = BTreeMap<String, String>;

impl Endpoint {
    /// Finds the API of `arguments`, reading the files that they name.
    pub fn find(arguments: &StatusArguments, environment: &Environment) -> anyhow::Result<Self> {
        let shown = shown_credentials(arguments, environment)?;
        match &arguments.api {
            Some(url) => Self::from_url(url, arguments.ca.as_deref(), shown),
            None => {
                let file = file(arguments, environment)?;
                let api = configured(&file, environment)?;
                Self::from_config(&api, &file, arguments.ca.as_deref(), shown)
            }
        }
    }

    fn from_url(url: &Url, ca: Option<&Path>, authorization: Option<Zeroizing<String>>) -> anyhow::Result<Self> {
        let trust = match (url.scheme(), ca) {
            ("http", _) => Trust::Plain,
            ("https", None) => Trust::System,
            ("https", Some(file)) => Trust::Authorities(file.to_owned()),
            _ => bail!("--api {url}: write it like http://127.0.0.1:9443 or https://host:9443"),
        };
        let host = url.host_str().with_context(|| format!("--api {url}: names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port_or_known_default().unwrap_or_default(), trust, authorization })
    }

    fn from_config(
        api: &Api,
        file: &Path,
        ca: Option<&Path>,
        shown: Option<Zeroizing<String>>,
    ) -> anyhow::Result<Self> {
        let file = file.display();
        if api.listen.port() == 0 {
            bail!("restfulApi.listenAddr of {file} has port 0: name the address that the agent logged with --api");
        }
        let authorization = shown.or_else(|| configured_credentials(api));
        if authorization.is_none() && api.operator_key.is_some() {
            bail!(
                "the API of {file} is for the operator only: add restfulApi.auth.bearerTokens or basicAuth for people"
            );
        }
        let trust = match (&api.tls, ca) {
            (None, _) => Trust::Plain,
            (Some(_), Some(ca)) => Trust::Authorities(ca.to_owned()),
            (Some(files), None) => Trust::Certificate(files.certificate.clone()),
        };
        let address = reachable(api.listen);
        Ok(Self { host: address.ip().to_string(), port: address.port(), trust, authorization })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Turns "every address" into this host's own one; `[::]` is open on both families.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip().is_unspecified() {
        true => (Ipv4Addr::LOCALHOST, listen.port()).into(),
        false => listen,
    }
}

fn file(arguments: &StatusArguments, environment: &Environment) -> anyhow::Result<PathBuf> {
    if let Some(file) = &arguments.config {
        return Ok(file.clone());
    }
    let home =
        environment.get("HOME").context("HOME is not set: name the file with --config, or the API with --api")?;
    default_file(Path::new(home)).map_err(|error| anyhow::anyhow!("{error}; or name the API with --api"))
}

fn configured(file: &Path, environment: &Environment) -> anyhow::Result<Api> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file)
        .with_context(|| format!("cannot read {name}: name the file with --config, or the API with --api"))?;
    let loaded = wovenet_config::load(&name, &bytes, environment).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{name} is not valid; name the API with --api\n{}", lines.join("\n"))
    })?;
    let missing = || format!("{name} enables no API; add this and start the agent anew:\n\n{EXAMPLE}");
    loaded.config.api.with_context(missing)
}

fn configured_credentials(api: &Api) -> Option<Zeroizing<String>> {
    let token = api.tokens.first().map(|token| bearer(token.expose()));
    token.or_else(|| api.users.first().map(|(user, password)| basic(user, password.expose())))
}

fn shown_credentials(
    arguments: &StatusArguments,
    environment: &Environment,
) -> anyhow::Result<Option<Zeroizing<String>>> {
    if let Some(file) = &arguments.token_file {
        return Ok(Some(bearer(&secret(file)?)));
    }
    let Some(user) = &arguments.user else { return Ok(None) };
    let password = match (&arguments.password_file, environment.get(PASSWORD_VARIABLE)) {
        (Some(file), _) => secret(file)?,
        (None, Some(password)) => Zeroizing::new(password.clone()),
        (None, None) => bail!("--user needs a password: set --password-file or the variable {PASSWORD_VARIABLE}"),
    };
    Ok(Some(basic(user, &password)))
}

fn secret(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Zeroizing::new(Zeroizing::new(text).trim_end().to_owned()))
}

fn bearer(token: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("Bearer {token}"))
}

fn basic(user: &str, password: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{user}:{password}"));
    Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())))
}

#[cfg(test)]
mod tests;
