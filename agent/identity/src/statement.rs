//! What a site's agent states about itself, signed with the site key (docs/protocol.md §3).

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use wovenet_config::key::{PublicKey, SiteId};
use wovenet_config::name::SiteName;
use wovenet_config::tunnel::Scope;

use crate::site_key::{self, AgentId, SIGNATURE_BYTES, SiteKey};

/// The longest statement, in bytes: what is left of 2 KiB after the length, the key and the signature.
pub const STATEMENT_MAX_BYTES: usize = 2_048 - 2 - 32 - SIGNATURE_BYTES;
/// The most endpoints of one statement.
pub const ENDPOINTS_MAX: usize = 16;
/// How long a statement is meant to be acted on, in seconds.
pub const TTL_SECONDS: u32 = 24 * 60 * 60;
/// The version of the tunnel protocol that this agent speaks.
pub const PROTOCOL_VERSION: u16 = 1;
/// What a signature covers before the statement's bytes.
const SIGNATURE_LABEL: &[u8] = b"wovenet statement v1\0";
/// The longest host name that a statement carries, in bytes.
const HOST_MAX_BYTES: usize = 253;

/// Why a statement was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Longer than [`STATEMENT_MAX_BYTES`].
    #[error("is too long")]
    TooLong,
    /// Shorter than its fixed part.
    #[error("is cut off")]
    CutOff,
    /// Not made with the key it carries.
    #[error("has a wrong signature")]
    Signature,
    /// Not a statement.
    #[error("cannot be read")]
    Malformed,
    /// The site id is not that of the key.
    #[error("claims another site's id")]
    SiteId,
    /// More than [`ENDPOINTS_MAX`] endpoints, or another list over its bound.
    #[error("lists too much")]
    TooMany,
}

/// Which transport an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// QUIC version 1 (RFC 9000).
    Quic,
    /// One that this version does not know.
    #[serde(other)]
    Unknown,
}

/// How an agent came to know its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Learned {
    /// Written in the configuration.
    Configured,
    /// An address of the host's interfaces.
    Interface,
    /// A web page told it.
    Http,
    /// A STUN server told it.
    Stun,
    /// A way that this version does not know.
    #[serde(other)]
    Unknown,
}

/// One address at which an agent, or its site, can be dialled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EndpointAddress {
    /// The transport.
    #[serde(rename = "t")]
    pub transport: Transport,
    /// The address.
    #[serde(rename = "a")]
    pub address: IpAddr,
    /// The UDP port.
    #[serde(rename = "p")]
    pub port: u16,
    /// Who answers there.
    #[serde(rename = "s", default)]
    pub scope: Scope,
    /// How it is known.
    #[serde(rename = "l")]
    pub learned: Learned,
    /// Lower is tried first.
    #[serde(rename = "r", default)]
    pub priority: u16,
}

impl EndpointAddress {
    /// Returns address and port, IPv4-mapped IPv6 folded.
    pub fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.to_canonical(), self.port)
    }
}

/// What one agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The site, as its key's hash.
    pub site: SiteId,
    /// The site's name.
    pub name: SiteName,
    /// The agent.
    pub agent: AgentId,
    /// The node or host that the agent runs on, for people.
    #[serde(default)]
    pub host: String,
    /// Grows with each start of the agent.
    pub generation: u64,
    /// Grows with each statement of one start.
    pub sequence: u64,
    /// How long to act on it, in seconds.
    pub ttl: u32,
    /// Where the agent can be dialled; empty for one that only dials.
    #[serde(default)]
    pub endpoints: Vec<EndpointAddress>,
    /// Tunnel protocol versions that the agent speaks.
    #[serde(default)]
    pub versions: Vec<u16>,
    /// Short-lived keys of the agent; empty in this version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<serde_json::Value>,
    /// The nonce of the hello that this answers, base32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
}

impl Statement {
    /// Returns the mark by which statements of one agent are ordered.
    pub fn mark(&self) -> (u64, u64) {
        (self.generation, self.sequence)
    }
}

/// A statement with the signature that makes it the site's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedStatement {
    key: PublicKey,
    signature: [u8; SIGNATURE_BYTES],
    bytes: Vec<u8>,
    statement: Statement,
}

impl SignedStatement {
    /// Signs a statement.
    ///
    /// # Errors
    /// [`StatementError::TooLong`] or [`StatementError::TooMany`] when it would be refused by its readers.
    pub fn sign(key: &SiteKey, statement: Statement) -> Result<Self, StatementError> {
        let bytes = serde_json::to_vec(&statement).map_err(|_| StatementError::Malformed)?;
        check_bounds(&bytes, &statement)?;
        let signature = key.sign(&signed_message(&bytes));
        Ok(Self { key: key.public(), signature, bytes, statement })
    }

    /// Reads and verifies what [`SignedStatement::to_bytes`] wrote: length, then signature, then content.
    ///
    /// # Errors
    /// [`StatementError`] names the first check that failed.
    pub fn from_bytes(all: &[u8]) -> Result<Self, StatementError> {
        let (key, rest) = all.split_first_chunk().ok_or(StatementError::CutOff)?;
        let (signature, bytes) = rest.split_first_chunk::<SIGNATURE_BYTES>().ok_or(StatementError::CutOff)?;
        if bytes.len() > STATEMENT_MAX_BYTES {
            return Err(StatementError::TooLong);
        }
        let key = PublicKey(*key);
        if !site_key::verify(&key, &signed_message(bytes), signature) {
            return Err(StatementError::Signature);
        }
        let statement: Statement = serde_json::from_slice(bytes).map_err(|_| StatementError::Malformed)?;
        check_bounds(bytes, &statement)?;
        if statement.site != site_key::site_id(&key) {
            return Err(StatementError::SiteId);
        }
        Ok(Self { key, signature: *signature, bytes: bytes.to_vec(), statement })
    }

    /// Returns key ‖ signature ‖ statement.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.key.0[..], &self.signature[..], &self.bytes[..]].concat()
    }

    /// Returns the site's public key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Returns what was stated.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
}

fn signed_message(bytes: &[u8]) -> Vec<u8> {
    [SIGNATURE_LABEL, bytes].concat()
}

fn check_bounds(bytes: &[u8], statement: &Statement) -> Result<(), StatementError> {
    if bytes.len() > STATEMENT_MAX_BYTES {
        return Err(StatementError::TooLong);
    }
    let too_many = statement.endpoints.len() > ENDPOINTS_MAX
        || statement.versions.len() > ENDPOINTS_MAX
        || statement.host.len() > HOST_MAX_BYTES;
    if too_many { Err(StatementError::TooMany) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn statement(key: &SiteKey) -> Statement {
        Statement {
            site: key.site_id(),
            name: "home".parse().unwrap(),
            agent: key.agent_id("node-1"),
            host: "node-1".into(),
            generation: 1,
            sequence: 2,
            ttl: TTL_SECONDS,
            endpoints: vec![EndpointAddress {
                transport: Transport::Quic,
                address: "192.0.2.1".parse().unwrap(),
                port: 51820,
                scope: Scope::Agent,
                learned: Learned::Configured,
                priority: 0,
            }],
            versions: vec![PROTOCOL_VERSION],
            delegations: vec![],
            in_reply_to: None,
        }
    }

    #[test]
    fn a_signed_statement_survives_the_wire() {
        let key = SiteKey::generate().unwrap();
        let signed = SignedStatement::sign(&key, statement(&key)).unwrap();
        assert_eq!(SignedStatement::from_bytes(&signed.to_bytes()), Ok(signed));
    }

    #[test]
    fn fault_9_one_site_cannot_state_for_another() {
        let (key, other) = (SiteKey::generate().unwrap(), SiteKey::generate().unwrap());
        let signed = SignedStatement::sign(&other, statement(&key)).unwrap();
        assert_eq!(SignedStatement::from_bytes(&signed.to_bytes()), Err(StatementError::SiteId));
    }

    #[test]
    fn too_many_endpoints_are_refused() {
        let key = SiteKey::generate().unwrap();
        let mut many = statement(&key);
        many.endpoints = vec![many.endpoints[0].clone(); ENDPOINTS_MAX + 1];
        assert_eq!(SignedStatement::sign(&key, many), Err(StatementError::TooMany));
    }

    #[test]
    fn fields_of_a_later_version_are_ignored() {
        let key = SiteKey::generate().unwrap();
        let mut value = serde_json::to_value(statement(&key)).unwrap();
        value["newField"] = serde_json::json!({"a": [1, 2]});
        value["endpoints"][0]["t"] = "carrier-pigeon".into();
        let bytes = serde_json::to_vec(&value).unwrap();
        let signature = key.sign(&signed_message(&bytes));
        let all = [&key.public().0[..], &signature[..], &bytes[..]].concat();
        let read = SignedStatement::from_bytes(&all).unwrap();
        assert_eq!(read.statement().endpoints[0].transport, Transport::Unknown);
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_refused(index in 0usize..400, flip in 1u8..=255) {
            let key = SiteKey::from_seed(&[3; 32]).unwrap();
            let mut bytes = SignedStatement::sign(&key, statement(&key)).unwrap().to_bytes();
            let index = index % bytes.len();
            bytes[index] ^= flip;
            prop_assert!(SignedStatement::from_bytes(&bytes).is_err());
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(SignedStatement::from_bytes(&bytes).is_err());
        }
    }
}
