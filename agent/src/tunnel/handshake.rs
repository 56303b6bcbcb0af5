//! The exchange that turns a TLS connection into a channel: the dialler proves membership first, and a stranger learns
//! nothing (docs/protocol.md §4).

use aws_lc_rs::digest;
use wovenet_config::key::PublicKey;
use wovenet_identity::tls::OWN_KEY;

use crate::peer::statement::PROTOCOL_VERSION;
use crate::peer::{KeyId, MeshKey, MeshKeyRing, SignedStatement, site_key};
use crate::tunnel::frame::{
    self, Accepted, Binary, Challenge, Finish, FrameError, Hello, KEY_IDS_MAX, Limits, NONCE_BYTES, Slot,
};

/// What the membership proof covers before anything else.
const PROOF_LABEL: &[u8] = b"wovenet tunnel v1";
/// The label under which keying material is exported from TLS.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-wovenet-tunnel-v1";
/// Bytes of exported keying material.
const EXPORTER_BYTES: usize = 32;

/// Why a peer was not accepted. Stays in the local log and metric, never told to the peer.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// A frame was wrong or missing.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The other side holds none of our mesh keys.
    #[error("no common mesh key")]
    KeyMismatch,
    /// No common protocol version.
    #[error("no common protocol version (theirs: {0:?})")]
    Version(Vec<u16>),
    /// The proof of membership is wrong.
    #[error("the membership proof is wrong")]
    Proof,
    /// The statement is not of the key that TLS was made with.
    #[error("the statement is not of the connection's key")]
    OtherKey,
    /// The peer is this site itself.
    #[error("the peer is this site itself")]
    Own,
    /// The directory refuses the peer.
    #[error("refused: {0}")]
    Refused(String),
    /// TLS gave no peer key or no keying material.
    #[error("TLS told no peer key")]
    NoIdentity,
    /// The exchange took too long.
    #[error("timed out")]
    Timeout,
    /// The connection could not be made or was lost.
    #[error("the connection failed: {0}")]
    Connection(#[from] quinn::ConnectionError),
}

impl HandshakeError {
    /// Tells a dial that led back to this site from other failures.
    pub(super) fn of_dial(error: quinn::ConnectionError) -> Self {
        match &error {
            quinn::ConnectionError::TransportError(cause) if cause.reason.contains(OWN_KEY) => Self::Own,
            _ => Self::Connection(error),
        }
    }

    /// Returns the error's class, as a metric label.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Frame(_) => "malformed",
            Self::KeyMismatch => "key_mismatch",
            Self::Version(_) => "version",
            Self::Proof => "proof",
            Self::OtherKey => "other_key",
            Self::Own => "own",
            Self::Refused(_) => "refused",
            Self::NoIdentity => "no_identity",
            Self::Timeout => "timeout",
            Self::Connection(_) => "connection",
        }
    }
}

/// What this side brings to the exchange.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) key: PublicKey,
    pub(super) ring: MeshKeyRing,
    pub(super) statement: SignedStatement,
}

/// Tells whether an authenticated statement is acceptable: not denied, its name not bound to another key.
pub(super) type Judge<'a> = &'a (dyn Fn(&SignedStatement) -> Result<(), String> + Sync);

/// What the exchange yields.
#[derive(Debug)]
pub(super) struct Authenticated {
    pub(super) statement: SignedStatement,
    pub(super) key_id: KeyId,
    pub(super) slot: Slot,
    pub(super) send: quinn::SendStream,
    pub(super) recv: quinn::RecvStream,
}

/// The two ends of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Dialler,
    Listener,
}

impl Role {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Dialler => b"dialler",
            Self::Listener => b"listener",
        }
    }
}

/// What both proofs are bound to.
pub(super) struct Transcript {
    exporter: [u8; EXPORTER_BYTES],
    frames: [u8; 32],
    dialler: PublicKey,
    listener: PublicKey,
}

impl Transcript {
    pub(super) fn new(
        connection: &quinn::Connection,
        frames: [&[u8]; 2],
        [dialler, listener]: [PublicKey; 2],
    ) -> Result<Self, HandshakeError> {
        let mut exporter = [0u8; EXPORTER_BYTES];
        connection
            .export_keying_material(&mut exporter, EXPORTER_LABEL, b"")
            .map_err(|_| HandshakeError::NoIdentity)?;
        let mut hash = digest::Context::new(&digest::SHA256);
        frames.iter().for_each(|frame| hash.update(frame));
        let mut digest = [0u8; 32];
        digest.copy_from_slice(hash.finish().as_ref());
        Ok(Self { exporter, frames: digest, dialler, listener })
    }

    fn message(&self, role: Role, statement: &[u8]) -> Vec<u8> {
        [
            PROOF_LABEL,
            role.label(),
            &self.exporter,
            &self.frames,
            &site_key::spki(&self.dialler),
            &site_key::spki(&self.listener),
            statement,
        ]
        .concat()
    }
}

/// Proves a mesh key on a running channel (rotation): bound to the channel's TLS session and to the prover's key.
pub(super) fn key_proof_message(connection: &quinn::Connection, prover: &PublicKey) -> Option<Vec<u8>> {
    let mut exporter = [0u8; EXPORTER_BYTES];
    connection.export_keying_material(&mut exporter, EXPORTER_LABEL, b"key proof").ok()?;
    Some([PROOF_LABEL, b" key proof", &exporter[..], &site_key::spki(prover)].concat())
}

/// Runs the dialler's side. The whole exchange is bounded by the caller.
pub(super) async fn dial(
    connection: &quinn::Connection,
    credentials: &Credentials,
    slot: Slot,
    judge: Judge<'_>,
) -> Result<Authenticated, HandshakeError> {
    let peer = peer_key(connection)?;
    let (mut send, mut recv) = connection.open_bi().await?;
    let hello = Hello {
        versions: vec![PROTOCOL_VERSION],
        features: vec![],
        key_ids: credentials.ring.keys().iter().map(|key| key.id().into()).collect(),
        statement: Binary::from(&credentials.statement),
        slot,
        nonce: nonce(),
    };
    let hello = frame::write(&mut send, &hello).await?;
    let challenge_body = frame::read(&mut recv).await?;
    let challenge: Challenge = frame::decode(&challenge_body)?;
    if challenge.version != PROTOCOL_VERSION {
        return Err(HandshakeError::Version(vec![challenge.version]));
    }
    let key = challenge.key_id.key_id().and_then(|id| credentials.ring.find(id)).ok_or(HandshakeError::KeyMismatch)?;
    let transcript = Transcript::new(connection, [&hello[2..], &challenge_body], [credentials.key, peer])?;
    let proof = Binary(key.prove(&transcript.message(Role::Dialler, &[])).to_vec());
    frame::write(&mut send, &Finish { proof }).await?;
    let accepted: Accepted = frame::decode(&frame::read(&mut recv).await?)?;
    verify(key, &transcript.message(Role::Listener, &accepted.statement.0), &accepted.proof)?;
    let statement = accepted.statement.statement()?;
    check_owner(&statement, peer, credentials)?;
    judge(&statement).map_err(HandshakeError::Refused)?;
    Ok(Authenticated { statement, key_id: key.id(), slot, send, recv })
}

/// Runs the listener's side. The whole exchange is bounded by the caller.
pub(super) async fn listen(
    connection: &quinn::Connection,
    credentials: &Credentials,
    judge: Judge<'_>,
) -> Result<Authenticated, HandshakeError> {
    let peer = peer_key(connection)?;
    let (mut send, mut recv) = connection.accept_bi().await?;
    let hello_body = frame::read(&mut recv).await?;
    let hello: Hello = frame::decode(&hello_body)?;
    if !hello.versions.contains(&PROTOCOL_VERSION) {
        return Err(HandshakeError::Version(hello.versions));
    }
    let theirs: Vec<KeyId> = hello.key_ids.iter().take(KEY_IDS_MAX).filter_map(Binary::key_id).collect();
    let key = credentials.ring.best_common(&theirs).ok_or(HandshakeError::KeyMismatch)?;
    let challenge = Challenge { version: PROTOCOL_VERSION, key_id: key.id().into(), nonce: nonce() };
    let challenge = frame::write(&mut send, &challenge).await?;
    let finish: Finish = frame::decode(&frame::read(&mut recv).await?)?;
    let transcript = Transcript::new(connection, [&hello_body, &challenge[2..]], [peer, credentials.key])?;
    verify(key, &transcript.message(Role::Dialler, &[]), &finish.proof)?;
    let statement = hello.statement.statement()?;
    check_owner(&statement, peer, credentials)?;
    judge(&statement).map_err(HandshakeError::Refused)?;
    let own = Binary::from(&credentials.statement);
    let proof = Binary(key.prove(&transcript.message(Role::Listener, &own.0)).to_vec());
    let limits = Limits { streams: super::endpoint::STREAMS_PER_CHANNEL };
    frame::write(&mut send, &Accepted { statement: own, proof, limits }).await?;
    Ok(Authenticated { statement, key_id: key.id(), slot: hello.slot, send, recv })
}

/// Returns the Ed25519 key that the peer made TLS with.
pub(super) fn peer_key(connection: &quinn::Connection) -> Result<PublicKey, HandshakeError> {
    let identity = connection.peer_identity().ok_or(HandshakeError::NoIdentity)?;
    let chain = identity
        .downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>()
        .map_err(|_| HandshakeError::NoIdentity)?;
    chain.first().and_then(|spki| site_key::from_spki(spki)).ok_or(HandshakeError::NoIdentity)
}

fn verify(key: &MeshKey, message: &[u8], proof: &Binary) -> Result<(), HandshakeError> {
    if key.verify(message, &proof.0) { Ok(()) } else { Err(HandshakeError::Proof) }
}

fn check_owner(statement: &SignedStatement, peer: PublicKey, own: &Credentials) -> Result<(), HandshakeError> {
    if statement.key() != peer {
        return Err(HandshakeError::OtherKey);
    }
    if peer == own.key {
        return Err(HandshakeError::Own);
    }
    Ok(())
}

fn nonce() -> Binary {
    Binary(rand::random::<[u8; NONCE_BYTES]>().to_vec())
}
