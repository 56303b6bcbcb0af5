//! A site's own Ed25519 key and the ids that follow from it (docs/protocol.md §2).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use aws_lc_rs::{digest, hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use wovenet_config::key::{KEY_BYTES, PublicKey, SiteId, base32};
use zeroize::Zeroizing;

/// DER before the 32 key bytes of an Ed25519 SubjectPublicKeyInfo (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// DER before the 32 seed bytes of an Ed25519 PKCS #8 v1 document (RFC 8410 §7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Bytes of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of an agent id before it is written as base32.
const AGENT_ID_BYTES: usize = 16;
/// Characters of an agent id.
const AGENT_ID_CHARS: usize = 26;

/// Why a site key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum SiteKeyError {
    /// Not the PKCS #8 document of an Ed25519 key.
    #[error("is not a PKCS #8 Ed25519 private key")]
    Malformed,
    /// The system gave no random bytes, or a derivation failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// A site's private key. Agents of one site share it.
#[derive(Clone)]
pub struct SiteKey {
    pair: Arc<Ed25519KeyPair>,
    seed: Zeroizing<[u8; KEY_BYTES]>,
    public: PublicKey,
}

impl SiteKey {
    /// Makes a new random key.
    ///
    /// # Errors
    /// [`SiteKeyError::Crypto`] when the system gives no random bytes.
    pub fn generate() -> Result<Self, SiteKeyError> {
        let mut seed = Zeroizing::new([0u8; KEY_BYTES]);
        aws_lc_rs::rand::fill(&mut seed[..]).map_err(|_| SiteKeyError::Crypto)?;
        Self::from_seed(&seed)
    }

    /// Builds the key from its 32 byte seed (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// [`SiteKeyError::Malformed`] when the library refuses the seed.
    pub fn from_seed(seed: &[u8; KEY_BYTES]) -> Result<Self, SiteKeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SiteKeyError::Malformed)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| SiteKeyError::Malformed)?;
        Ok(Self { pair: Arc::new(pair), seed: Zeroizing::new(*seed), public: PublicKey(public) })
    }

    /// Reads a PKCS #8 document (DER).
    ///
    /// # Errors
    /// [`SiteKeyError::Malformed`] for anything but an Ed25519 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SiteKeyError> {
        let seed = der.strip_prefix(&PKCS8_PREFIX[..]).ok_or(SiteKeyError::Malformed)?;
        Self::from_seed(seed.try_into().map_err(|_| SiteKeyError::Malformed)?)
    }

    /// Returns the key as a PKCS #8 v1 document (DER).
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&PKCS8_PREFIX[..], &self.seed[..]].concat())
    }

    /// Reads a PKCS #8 PEM file.
    ///
    /// # Errors
    /// [`SiteKeyError::Malformed`] for anything but an Ed25519 key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SiteKeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| SiteKeyError::Malformed)?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    /// Returns the key as a PKCS #8 PEM file.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let body = Zeroizing::new(STANDARD.encode(&*self.to_pkcs8()));
        Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *body))
    }

    /// Returns the key in the form that TLS takes.
    pub fn to_tls(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.to_pkcs8().to_vec()))
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Returns the site id of this key.
    pub fn site_id(&self) -> SiteId {
        site_id(&self.public)
    }

    /// Derives the id of the agent on the node or host `host`: stable over restarts, telling a broker nothing.
    pub fn agent_id(&self, host: &str) -> AgentId {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.seed[..]), host.as_bytes());
        AgentId(base32().encode(&tag.as_ref()[..AGENT_ID_BYTES]))
    }

    /// Derives 32 bytes for one purpose of one agent, such as the connection ids of one socket.
    ///
    /// # Errors
    /// [`SiteKeyError::Crypto`] when the derivation fails.
    pub fn derive(&self, label: &str, parts: &[&[u8]]) -> Result<Zeroizing<[u8; KEY_BYTES]>, SiteKeyError> {
        let mut info = vec![label.as_bytes()];
        info.extend_from_slice(parts);
        let mut out = Zeroizing::new([0u8; KEY_BYTES]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(&self.seed[..])
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut out[..]))
            .map_err(|_| SiteKeyError::Crypto)?;
        Ok(out)
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut signature = [0u8; SIGNATURE_BYTES];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteKey({})", self.site_id())
    }
}

/// Names one agent of a site, 26 base32 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentId(String);

/// Why a text is no agent id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {AGENT_ID_CHARS} characters a-z, 2-7")]
pub struct AgentIdError;

impl AgentId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl TryFrom<String> for AgentId {
    type Error = AgentIdError;
    fn try_from(text: String) -> Result<Self, AgentIdError> {
        let valid = text.len() == AGENT_ID_CHARS && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
        if valid { Ok(Self(text)) } else { Err(AgentIdError) }
    }
}
impl From<AgentId> for String {
    fn from(id: AgentId) -> String {
        id.0
    }
}
impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the SubjectPublicKeyInfo of an Ed25519 key (RFC 8410), as TLS raw public keys carry it.
pub fn spki(key: &PublicKey) -> Vec<u8> {
    [&SPKI_PREFIX[..], &key.0[..]].concat()
}

/// Reads an Ed25519 SubjectPublicKeyInfo; `None` for any other algorithm or length.
pub fn from_spki(der: &[u8]) -> Option<PublicKey> {
    der.strip_prefix(&SPKI_PREFIX[..])?.try_into().ok().map(PublicKey)
}

/// Returns the id of the site that owns `key`.
pub fn site_id(key: &PublicKey) -> SiteId {
    let hash = digest::digest(&digest::SHA256, &spki(key));
    let mut bytes = [0u8; KEY_BYTES];
    bytes.copy_from_slice(hash.as_ref());
    SiteId::from_hash(&bytes)
}

/// Tells whether `signature` over `message` was made with the private half of `key`.
pub fn verify(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, &key.0).verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_being_written_and_read() {
        let key = SiteKey::generate().unwrap();
        let read = SiteKey::from_pkcs8(&key.to_pkcs8()).unwrap();
        assert_eq!(read.public(), key.public());
        assert!(verify(&key.public(), b"m", &read.sign(b"m")));
        assert!(!verify(&key.public(), b"n", &read.sign(b"m")));
    }

    #[test]
    fn damaged_key_files_are_refused() {
        let der = SiteKey::generate().unwrap().to_pkcs8();
        assert!(SiteKey::from_pkcs8(&der[..der.len() - 1]).is_err());
        assert!(SiteKey::from_pkcs8(&[]).is_err());
        assert!(SiteKey::from_pkcs8(&[&der[..], &[0]].concat()).is_err());
    }

    #[test]
    fn agent_ids_are_stable_for_a_host_and_differ_between_sites() {
        let (a, b) = (SiteKey::generate().unwrap(), SiteKey::generate().unwrap());
        assert_eq!(a.agent_id("node-1"), a.agent_id("node-1"));
        assert_ne!(a.agent_id("node-1"), a.agent_id("node-2"));
        assert_ne!(a.agent_id("node-1"), b.agent_id("node-1"));
        assert!(AgentId::try_from(a.agent_id("node-1").as_str().to_owned()).is_ok());
    }

    #[test]
    fn a_public_key_survives_its_spki_and_its_text() {
        let key = SiteKey::generate().unwrap().public();
        assert_eq!(from_spki(&spki(&key)), Some(key));
        assert_eq!(key.to_string().parse(), Ok(key));
    }
}
