//! Keeps web pages of others from using the API through a person's browser.
//!
//! Without credentials, a page whose name was made to point at this host (DNS rebinding) is told by its `Host`. With or
//! without, a page elsewhere that sends a change is told by its `Origin`.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;
use super::shared::Shared;

/// Refuses what only a web page of someone else would send.
pub(super) async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if shared.credentials.are_not_needed() && !is_loopback(request.uri(), request.headers()) {
        return Refusal::forbidden("without credentials the API answers to localhost only").into_response();
    }
    if !request.method().is_safe() && !is_same_site(request.headers()) {
        return Refusal::forbidden("a web page of another site cannot change anything here").into_response();
    }
    next.run(request).await
}

fn is_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let target = uri.authority().map(|authority| authority.as_str());
    host.is_some_and(is_loopback_host) && target.is_none_or(is_loopback_host)
}

fn is_loopback_host(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Programs send no `Origin`. A browser sends its page's, which is ours only when host and port are those it talks to.
fn is_same_site(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    origin.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_host_are_loopback() {
        for host in ["localhost", "LOCALHOST:9443", "127.0.0.1:1", "127.1.2.3", "[::1]:9443", "[::1]"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "example.org",
            "localhost.example.org:80",
            "127.0.0.1.nip.io",
            "10.0.0.1",
            "[::2]:80",
            "user@localhost",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
