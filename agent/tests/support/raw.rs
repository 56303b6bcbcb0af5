//! A peer that speaks the protocol by hand, from its description and not from the agent's code, so that it can break it.
#![allow(missing_docs, dead_code, unreachable_pub, clippy::unwrap_used, reason = "shared by several test programs")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use data_encoding::BASE64_NOPAD;
use quinn::crypto::rustls::QuicClientConfig;
use serde_json::{Value, json};
use wovenet_agent::peer::statement::{PROTOCOL_VERSION, TTL_SECONDS};
use wovenet_agent::peer::{MeshKey, MeshKeyRing, SignedStatement, SiteKey, Statement, site_key};
use wovenet_config::key::PublicKey;
use wovenet_identity::tls;

use super::{Agent, PATIENCE};

/// A key, a name, a socket.
pub struct RawPeer {
    pub key: SiteKey,
    pub name: &'static str,
    pub ring: MeshKeyRing,
    pub endpoint: quinn::Endpoint,
    pub transport: Arc<quinn::TransportConfig>,
}

/// What was said until the channel was accepted.
pub struct Joined {
    pub connection: quinn::Connection,
    pub send: quinn::SendStream,
    pub recv: quinn::RecvStream,
    pub hello: Vec<u8>,
    pub finish: Vec<u8>,
}

impl RawPeer {
    pub fn new(name: &'static str, ring: MeshKeyRing) -> Self {
        Self::with_key(name, ring, SiteKey::generate().unwrap())
    }

    pub fn with_key(name: &'static str, ring: MeshKeyRing, key: SiteKey) -> Self {
        let endpoint = quinn::Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        Self { key, name, ring, endpoint, transport: Arc::default() }
    }

    /// Makes a TLS connection and nothing more.
    pub async fn connect(&self, to: &Agent) -> Result<quinn::Connection, quinn::ConnectionError> {
        let tls = tls::client_config(&self.key, to.key.public()).unwrap();
        self.connect_with(tls, to.address().await).await
    }

    pub async fn connect_with(
        &self,
        tls: rustls::ClientConfig,
        address: SocketAddr,
    ) -> Result<quinn::Connection, quinn::ConnectionError> {
        let mut client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        client.transport_config(self.transport.clone());
        let connecting = self.endpoint.connect_with(client, address, "wovenet").unwrap();
        tokio::time::timeout(PATIENCE, connecting).await.unwrap()
    }

    pub fn hello(&self, ordinal: u16) -> Vec<u8> {
        let statement = Statement {
            site: self.key.site_id(),
            name: self.name.parse().unwrap(),
            agent: self.key.agent_id("host"),
            host: "host".into(),
            generation: 1,
            sequence: 1,
            ttl: TTL_SECONDS,
            endpoints: vec![],
            versions: vec![PROTOCOL_VERSION],
            delegations: vec![],
            in_reply_to: None,
        };
        let statement = SignedStatement::sign(&self.key, statement).unwrap().to_bytes();
        let key_ids: Vec<String> = self.ring.keys().iter().map(|key| BASE64_NOPAD.encode(&key.id().0)).collect();
        let hello = json!({
            "versions": [1], "features": [], "key_ids": key_ids, "statement": BASE64_NOPAD.encode(&statement),
            "slot": {"transport": "quic", "ipv6": false, "ordinal": ordinal},
            "nonce": BASE64_NOPAD.encode(&rand::random::<[u8; 32]>()),
        });
        hello.to_string().into_bytes()
    }

    /// The proof of membership as the dialler gives it.
    pub fn finish(&self, connection: &quinn::Connection, hello: &[u8], challenge: &[u8], to: &PublicKey) -> Vec<u8> {
        let message = transcript(connection, hello, challenge, "dialler", [&self.key.public(), to]);
        json!({"proof": BASE64_NOPAD.encode(&self.mesh_key().prove(&message))}).to_string().into_bytes()
    }

    fn mesh_key(&self) -> &MeshKey {
        &self.ring.keys()[0]
    }

    /// Becomes a channel in `slot`; the error says how far it came.
    pub async fn join(&self, to: &Agent, ordinal: u16) -> Result<Joined, String> {
        let connection = self.connect(to).await.map_err(|error| format!("TLS: {error}"))?;
        let (mut send, mut recv) = connection.open_bi().await.map_err(|error| format!("open: {error}"))?;
        let hello = self.hello(ordinal);
        write(&mut send, &hello).await.map_err(|error| format!("hello: {error}"))?;
        let challenge = read(&mut recv).await.map_err(|error| format!("challenge: {error}"))?;
        let finish = self.finish(&connection, &hello, &challenge, &to.key.public());
        write(&mut send, &finish).await.map_err(|error| format!("finish: {error}"))?;
        let accepted = read(&mut recv).await.map_err(|error| format!("accepted: {error}"))?;
        let accepted: Value = serde_json::from_slice(&accepted).unwrap();
        assert!(accepted["statement"].is_string() && accepted["proof"].is_string());
        Ok(Joined { connection, send, recv, hello, finish })
    }
}

fn transcript(
    connection: &quinn::Connection,
    hello: &[u8],
    challenge: &[u8],
    role: &str,
    [dialler, listener]: [&PublicKey; 2],
) -> Vec<u8> {
    let mut exporter = [0; 32];
    connection.export_keying_material(&mut exporter, b"EXPORTER-wovenet-tunnel-v1", b"").unwrap();
    let frames = digest::digest(&digest::SHA256, &[hello, challenge].concat());
    let (dialler, listener) = (site_key::spki(dialler), site_key::spki(listener));
    [b"wovenet tunnel v1", role.as_bytes(), &exporter, frames.as_ref(), &dialler, &listener].concat()
}

pub async fn write(send: &mut quinn::SendStream, body: &[u8]) -> Result<(), quinn::WriteError> {
    send.write_all(&u16::try_from(body.len()).unwrap().to_be_bytes()).await?;
    send.write_all(body).await
}

pub async fn read(recv: &mut quinn::RecvStream) -> Result<Vec<u8>, String> {
    let reading = async {
        let mut length = [0; 2];
        recv.read_exact(&mut length).await.map_err(|error| error.to_string())?;
        let mut body = vec![0; usize::from(u16::from_be_bytes(length))];
        recv.read_exact(&mut body).await.map_err(|error| error.to_string())?;
        Ok(body)
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| Err("silence".to_owned()))
}

/// Waits until the far side has closed the connection, and returns how that was told and after how long.
pub async fn closed(connection: &quinn::Connection) -> (quinn::ConnectionError, Duration) {
    let begun = std::time::Instant::now();
    let error = tokio::time::timeout(PATIENCE, connection.closed()).await.unwrap();
    (error, begun.elapsed())
}
