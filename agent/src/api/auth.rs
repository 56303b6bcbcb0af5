//! Who may use the API: people by bearer token or HTTP basic auth, the operator by its key.

use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::{Choice, ConstantTimeEq};
use wovenet_config::api::Api;
use zeroize::Zeroizing;

use super::attempts::FORGIVEN_AFTER;
use super::door::{Peer, Side};
use super::refusal::Refusal;
use super::shared::Shared;

const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"Authorization Required\"");

/// Hashes of what people may show, so that comparing takes the same time whatever is shown.
#[derive(Default)]
pub(super) struct Credentials {
    users: Vec<[u8; 32]>,
    tokens: Vec<[u8; 32]>,
    has_operator: bool,
}

impl Credentials {
    pub fn new(config: &Api) -> Self {
        let users = config.users.iter();
        Self {
            users: users.map(|(user, password)| hash(&user_and_password(user, password.expose()))).collect(),
            tokens: config.tokens.iter().map(|token| hash(token.expose())).collect(),
            has_operator: config.operator_key.is_some(),
        }
    }

    /// Tells whether nobody needs to show anything. Such an API listens on loopback only.
    pub fn are_not_needed(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty() && !self.has_operator
    }

    /// Tells whether a user's password is right.
    pub fn know_user(&self, user: &str, password: &str) -> bool {
        !user.contains(':') && is_one_of(&self.users, &user_and_password(user, password))
    }

    fn admit(&self, headers: &HeaderMap) -> bool {
        let Some((scheme, rest)) = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().split_once(' '))
        else {
            return false;
        };
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => is_one_of(&self.tokens, rest.trim()),
            "basic" => decoded(rest.trim()).is_some_and(|pair| is_one_of(&self.users, &pair)),
            _ => false,
        }
    }
}

/// Lets a request through to `/api/v1` or answers 401.
pub(super) async fn require(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if peer.side == Side::Operator || shared.credentials.are_not_needed() {
        return next.run(request).await;
    }
    let (address, now) = (peer.remote.ip(), Instant::now());
    if !shared.attempts.may_try(address, now) {
        return too_many();
    }
    if shared.credentials.admit(request.headers()) {
        return next.run(request).await;
    }
    if request.headers().contains_key(header::AUTHORIZATION) {
        shared.attempts.failed(address, now);
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, CHALLENGE)]).into_response()
}

/// Answers an address that has shown wrong credentials too often.
pub(super) fn too_many() -> Response {
    let wait = FORGIVEN_AFTER.as_secs();
    let message = format!("this address has shown wrong credentials too often: try again in {wait} s");
    let retry = [(header::RETRY_AFTER, HeaderValue::from(wait))];
    (retry, Refusal::new(StatusCode::TOO_MANY_REQUESTS, message)).into_response()
}

fn user_and_password(user: &str, password: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{user}:{password}"))
}

fn decoded(basic: &str) -> Option<Zeroizing<String>> {
    let bytes = BASE64_STANDARD.decode(basic).ok()?;
    String::from_utf8(bytes).ok().map(Zeroizing::new)
}

fn hash(text: &str) -> [u8; 32] {
    let mut hash = [0u8; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

/// Compares with every known hash, so that the time tells nothing of which one matched.
fn is_one_of(known: &[[u8; 32]], shown: &str) -> bool {
    let shown = hash(shown);
    known.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&shown)).into()
}
