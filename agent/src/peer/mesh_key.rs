//! The mesh key and what is derived from it (docs/protocol.md §1).

use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{digest, hkdf, hmac, rand};
use wovenet_config::agent::MeshKeys;
use wovenet_config::key::{KEY_BYTES, MESH_KEY_PREFIX, MeshKeyText, base32, encode_key};
use zeroize::Zeroizing;

/// The length of a key id in bytes.
pub const KEY_ID_BYTES: usize = 16;
/// Argon2id passes over memory for a passphrase.
const ARGON2_PASSES: u32 = 3;
/// Argon2id memory for a passphrase, in KiB.
const ARGON2_MEMORY_KIB: u32 = 64 * 1024;
/// Argon2id lanes for a passphrase.
const ARGON2_LANES: u32 = 4;
/// What a passphrase's salt begins with.
const PASSPHRASE_SALT_LABEL: &[u8] = b"wovenet passphrase v1";
/// Characters of a derived topic name.
const TOPIC_CHARS: usize = 26;
/// Characters of the derived part of an MQTT client id.
const CLIENT_ID_CHARS: usize = 8;

/// Why a mesh key could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum MeshKeyError {
    /// Argon2id failed, in practice for want of memory.
    #[error("cannot stretch the passphrase: {0}")]
    Stretch(argon2::Error),
    /// The system gave no random bytes, or a derivation failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl From<aws_lc_rs::error::Unspecified> for MeshKeyError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}

/// Names a mesh key on the wire without telling it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; KEY_ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32().encode(&self.0))
    }
}
impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One mesh key, ready for use. Its uses are derived apart, so that no use can stand in for another.
#[derive(Clone)]
pub struct MeshKey {
    id: KeyId,
    seal: Zeroizing<[u8; KEY_BYTES]>,
    topic: String,
    client_id_prefix: String,
    proof: hmac::Key,
}

impl MeshKey {
    /// Derives a mesh key. A passphrase is stretched first, which takes some 100 ms and 64 MiB.
    ///
    /// # Errors
    /// [`MeshKeyError`] when memory or the cryptographic library fails.
    pub fn derive(text: &MeshKeyText, configured_topic: Option<&str>) -> Result<Self, MeshKeyError> {
        match text {
            MeshKeyText::Generated(bytes) => Self::from_bytes(bytes.expose()),
            MeshKeyText::Passphrase(words) => Self::from_bytes(&*stretch(words.expose(), configured_topic)?),
        }
    }

    fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Result<Self, MeshKeyError> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(bytes);
        let id: Zeroizing<[u8; KEY_BYTES]> = expand(&root, b"key-id")?;
        let mut key_id = [0u8; KEY_ID_BYTES];
        key_id.copy_from_slice(&id[..KEY_ID_BYTES]);
        let topic = base32().encode(&*expand(&root, b"topic")?);
        let client_id = base32().encode(&*expand(&root, b"client-id")?);
        let proof = expand(&root, b"tunnel-proof")?;
        Ok(Self {
            id: KeyId(key_id),
            seal: expand(&root, b"mqtt-seal")?,
            topic: topic[..TOPIC_CHARS].to_owned(),
            client_id_prefix: client_id[..CLIENT_ID_CHARS].to_owned(),
            proof: hmac::Key::new(hmac::HMAC_SHA256, &proof[..]),
        })
    }

    /// Returns the id that names this key on the wire.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Returns the XChaCha20-Poly1305 key that seals announcements.
    pub fn seal_key(&self) -> &[u8; KEY_BYTES] {
        &self.seal
    }

    /// Returns the last part of the derived base topic, `wovenet/<this>`.
    pub fn topic_suffix(&self) -> &str {
        &self.topic
    }

    /// Returns the derived beginning of MQTT client ids.
    pub fn client_id_prefix(&self) -> &str {
        &self.client_id_prefix
    }

    /// Computes the membership proof over `transcript` (docs/protocol.md §4).
    pub fn prove(&self, transcript: &[u8]) -> [u8; KEY_BYTES] {
        let mut proof = [0u8; KEY_BYTES];
        proof.copy_from_slice(hmac::sign(&self.proof, transcript).as_ref());
        proof
    }

    /// Tells in constant time whether `proof` is what [`MeshKey::prove`] returns for `transcript`.
    pub fn verify(&self, transcript: &[u8], proof: &[u8]) -> bool {
        hmac::verify(&self.proof, transcript, proof).is_ok()
    }
}

impl fmt::Debug for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MeshKey({})", self.id)
    }
}

/// The mesh keys that are accepted now: the primary one, then the second one during a rotation.
#[derive(Clone, Debug)]
pub struct MeshKeyRing {
    keys: Arc<[MeshKey]>,
}

impl MeshKeyRing {
    /// Derives every configured key.
    ///
    /// # Errors
    /// [`MeshKeyError`] as [`MeshKey::derive`].
    pub fn derive(keys: &MeshKeys, configured_topic: Option<&str>) -> Result<Self, MeshKeyError> {
        let mut ring = vec![MeshKey::derive(&keys.primary, configured_topic)?];
        if let Some(secondary) = &keys.secondary {
            ring.push(MeshKey::derive(secondary, configured_topic)?);
        }
        ring.dedup_by_key(|key| key.id);
        Ok(Self { keys: ring.into() })
    }

    /// Returns the keys, best first.
    pub fn keys(&self) -> &[MeshKey] {
        &self.keys
    }

    /// Finds a key by its id.
    pub fn find(&self, id: KeyId) -> Option<&MeshKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Returns the best of our keys that the other side also has.
    pub fn best_common(&self, theirs: &[KeyId]) -> Option<&MeshKey> {
        self.keys.iter().find(|key| theirs.contains(&key.id))
    }
}

/// Makes a new random mesh key in its text form.
///
/// # Errors
/// [`MeshKeyError::Crypto`] when the system gives no random bytes.
pub fn generate() -> Result<Zeroizing<String>, MeshKeyError> {
    let mut bytes = Zeroizing::new([0u8; KEY_BYTES]);
    rand::fill(&mut bytes[..])?;
    Ok(encode_key(MESH_KEY_PREFIX, &bytes))
}

/// Converts a passphrase to the text form of the key that it stretches to.
///
/// # Errors
/// [`MeshKeyError::Stretch`] when memory is short.
pub fn from_passphrase(words: &str, configured_topic: Option<&str>) -> Result<Zeroizing<String>, MeshKeyError> {
    Ok(encode_key(MESH_KEY_PREFIX, &*stretch(words, configured_topic)?))
}

fn stretch(words: &str, configured_topic: Option<&str>) -> Result<Zeroizing<[u8; KEY_BYTES]>, MeshKeyError> {
    let params =
        Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, Some(KEY_BYTES)).map_err(MeshKeyError::Stretch)?;
    let mut salt = digest::Context::new(&digest::SHA256);
    salt.update(PASSPHRASE_SALT_LABEL);
    salt.update(configured_topic.unwrap_or_default().as_bytes());
    let mut key = Zeroizing::new([0u8; KEY_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(words.as_bytes(), &salt.finish().as_ref()[..16], &mut key[..])
        .map_err(MeshKeyError::Stretch)?;
    Ok(key)
}

fn expand(root: &hkdf::Prk, label: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, MeshKeyError> {
    let mut out = Zeroizing::new([0u8; KEY_BYTES]);
    root.expand(&[label], hkdf::HKDF_SHA256)?.fill(&mut out[..])?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wovenet_config::key::decode_key;
    use wovenet_config::secret::{SecretBytes, SecretText};

    fn generated(byte: u8) -> MeshKeyText {
        MeshKeyText::Generated(SecretBytes::new(Zeroizing::new([byte; 32])))
    }

    #[test]
    fn each_use_of_one_key_gets_its_own_secret() {
        let key = MeshKey::derive(&generated(7), None).unwrap();
        let proof = key.prove(b"transcript");
        assert_ne!(&proof, key.seal_key());
        assert!(key.verify(b"transcript", &proof));
        assert!(!key.verify(b"another", &proof));
        assert!(!key.verify(b"transcript", &proof[..31]));
    }

    #[test]
    fn other_keys_have_other_ids_topics_and_proofs() {
        let (a, b) = (MeshKey::derive(&generated(1), None).unwrap(), MeshKey::derive(&generated(2), None).unwrap());
        assert_ne!(a.id(), b.id());
        assert_ne!(a.topic_suffix(), b.topic_suffix());
        assert!(!b.verify(b"t", &a.prove(b"t")));
    }

    #[test]
    fn a_passphrase_converts_to_a_generated_key_of_the_same_mesh() {
        let words = "correct horse battery staple";
        let text = from_passphrase(words, Some("home/mesh")).unwrap();
        let bytes = decode_key(MESH_KEY_PREFIX, &text).unwrap();
        let converted = MeshKey::derive(&MeshKeyText::Generated(SecretBytes::new(bytes)), None).unwrap();
        let direct = MeshKey::derive(&MeshKeyText::Passphrase(SecretText::new(words)), Some("home/mesh")).unwrap();
        assert_eq!(converted.id(), direct.id());
        let elsewhere = MeshKey::derive(&MeshKeyText::Passphrase(SecretText::new(words)), Some("other")).unwrap();
        assert_ne!(elsewhere.id(), direct.id());
    }

    #[test]
    fn during_a_rotation_the_best_common_key_is_chosen() {
        let ring = |primary, secondary: Option<u8>| {
            let keys = MeshKeys { primary: generated(primary), secondary: secondary.map(generated) };
            MeshKeyRing::derive(&keys, None).unwrap()
        };
        let (old, both, new) = (ring(1, None), ring(2, Some(1)), ring(2, None));
        let ids = |ring: &MeshKeyRing| ring.keys().iter().map(MeshKey::id).collect::<Vec<_>>();
        assert_eq!(both.best_common(&ids(&old)).unwrap().id(), old.keys()[0].id());
        assert_eq!(both.best_common(&ids(&new)).unwrap().id(), new.keys()[0].id());
        assert!(new.best_common(&ids(&old)).is_none());
    }

    #[test]
    fn a_generated_key_never_shows_in_debug_output() {
        let key = MeshKey::derive(&generated(9), None).unwrap();
        let shown = format!("{key:?}");
        assert!(!shown.contains(&base32().encode(key.seal_key())));
    }
}
