//! Judges the REST API and the port for health and metrics.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::api::{API_PORT, Api, ApiTls, HEALTH_PORT, Health};
use crate::document::{self, RestfulApi, RestfulApiAuth};
use crate::problem::shown;
use crate::secret::SecretText;

use super::report::Report;

const LISTEN_ADDR: &str = "restfulApi.listenAddr";
/// A bearer token below this length, in bytes, is a warning.
const TOKEN_ADVISED_BYTES: usize = 16;

/// A disabled API is not judged: as in wovenet, its placeholders may stay.
pub(super) fn api(written: Option<&RestfulApi>, report: &mut Report) -> Option<Api> {
    let written = written.filter(|api| api.enabled.unwrap_or(false))?;
    let auth = written.auth.clone().unwrap_or_default();
    let users = users(&auth, report);
    let tokens = tokens(&auth, report);
    let operator_key = super::filled(auth.operator_key.as_deref())
        .and_then(|key| super::keys::public_key("restfulApi.auth.operatorKey", Some(key), report));
    let log_file = written.logger.as_ref().and_then(|logger| logger.file.as_deref());
    let log_file = super::path("restfulApi.logger.file", log_file, report);
    let tls = tls(written, report);
    let has_passwords = !auth.basic_auth.is_empty() || !auth.bearer_tokens.is_empty();
    let access = Access { anyone: !has_passwords && auth.operator_key.is_none() };
    let listen = access.listen(super::filled(written.listen_addr.as_deref()), report)?;
    if has_passwords && tls.is_none() && auth.operator_key.is_none() && !listen.ip().is_loopback() {
        report.warning("restfulApi.tls", "is not enabled: passwords and tokens travel in clear");
    }
    Some(Api { listen, log_file, tls, users, tokens, operator_key })
}

struct Access {
    anyone: bool,
}

impl Access {
    fn listen(&self, text: Option<&str>, report: &mut Report) -> Option<SocketAddr> {
        let written = text.map_or(Some(Listen { address: None, port: API_PORT }), |text| {
            listen(LISTEN_ADDR, text, API_PORT, report)
        })?;
        if written.port == 0 {
            report.warning(LISTEN_ADDR, "has port 0: the port is chosen at random and written to the log");
        }
        match written.address {
            Some(address) if self.anyone && !address.is_loopback() => {
                let message = format!(
                    "{} would let anyone use the API: set restfulApi.auth.basicAuth or bearerTokens, or listen on 127.0.0.1:{}",
                    shown(text.unwrap_or_default()),
                    written.port
                );
                report.error(LISTEN_ADDR, message);
                None
            }
            Some(address) => Some(SocketAddr::new(address, written.port)),
            None if self.anyone => {
                let message = format!(
                    "names no address and there are no credentials: the API listens on 127.0.0.1:{} only",
                    written.port
                );
                report.warning(LISTEN_ADDR, message);
                Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), written.port))
            }
            // As in Go, no address is every address of both families.
            None => Some(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), written.port)),
        }
    }
}

pub(super) fn health(written: Option<&document::Health>, report: &mut Report) -> Option<Health> {
    let written = written?;
    let text = super::filled(written.listen_addr.as_deref());
    let parsed = text.and_then(|text| listen("health.listenAddr", text, HEALTH_PORT, report));
    let address: IpAddr = match (text, parsed.as_ref(), written.enabled) {
        (_, _, Some(false)) | (Some(_), None, _) => return None,
        (_, Some(Listen { address: Some(address), .. }), _) => *address,
        (Some(_), ..) => Ipv6Addr::UNSPECIFIED.into(),
        (None, _, Some(true)) => Ipv4Addr::UNSPECIFIED.into(),
        (None, _, None) => Ipv4Addr::LOCALHOST.into(),
    };
    Some(Health { listen: SocketAddr::new(address, parsed.map_or(HEALTH_PORT, |listen| listen.port)) })
}

struct Listen {
    address: Option<IpAddr>,
    port: u16,
}

/// Reads `host:port`, `:port` or a host alone; the host is an IP address or `localhost`.
fn listen(path: &str, text: &str, default_port: u16, report: &mut Report) -> Option<Listen> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.starts_with('[') && host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port.map(str::parse) {
        None => default_port,
        Some(Ok(port)) => port,
        Some(Err(_)) => {
            report.error(path, format!("{} has no valid port; write it like 127.0.0.1:{default_port}", shown(text)));
            return None;
        }
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = match bare {
        "" => None,
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        _ => match bare.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                let message = format!(
                    "{} has no valid address; write an IP address and a port like 127.0.0.1:{default_port} or [::1]:{default_port}",
                    shown(text)
                );
                report.error(path, message);
                return None;
            }
        },
    };
    Some(Listen { address, port })
}

fn users(auth: &RestfulApiAuth, report: &mut Report) -> Vec<(String, SecretText)> {
    let mut users = Vec::new();
    let mut names = BTreeSet::new();
    for (index, written) in auth.basic_auth.iter().enumerate() {
        let path = format!("restfulApi.auth.basicAuth[{index}]");
        let user = written.user.clone().unwrap_or_default();
        let password = written.password.as_ref().map_or("", |password| password.expose());
        if user.is_empty() {
            report.error(format!("{path}.user"), "is required: a name without colon");
        } else if user.contains(':') {
            report.error(format!("{path}.user"), format!("{} has a colon, which no user name can have", shown(&user)));
        } else if !names.insert(user.clone()) {
            report.error(format!("{path}.user"), format!("{} is listed twice", shown(&user)));
        }
        if password.is_empty() {
            report.error(format!("{path}.password"), "is required and must not be empty");
        }
        users.push((user, SecretText::new(password)));
    }
    users
}

fn tokens(auth: &RestfulApiAuth, report: &mut Report) -> Vec<SecretText> {
    for (index, token) in auth.bearer_tokens.iter().enumerate() {
        let path = format!("restfulApi.auth.bearerTokens[{index}]");
        let token = token.expose();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            report.error(path, "is no bearer token: it must be printable ASCII without blanks and not empty");
        } else if token.len() < TOKEN_ADVISED_BYTES {
            report.warning(path, format!("is short and can be guessed; use at least {TOKEN_ADVISED_BYTES} characters"));
        }
    }
    auth.bearer_tokens.iter().map(|token| token.0.clone()).collect()
}

fn tls(written: &RestfulApi, report: &mut Report) -> Option<ApiTls> {
    let tls = written.tls.as_ref().filter(|tls| tls.enabled.unwrap_or(false))?;
    let key = required_path("restfulApi.tls.key", tls.key.as_deref(), report);
    let certificate = required_path("restfulApi.tls.cert", tls.cert.as_deref(), report);
    Some(ApiTls { key: key?, certificate: certificate? })
}

fn required_path(path: &str, text: Option<&str>, report: &mut Report) -> Option<PathBuf> {
    let file = super::path(path, text, report);
    if file.is_none() {
        report.error(path, "is required with restfulApi.tls.enabled: a PEM file");
    }
    file
}
