//! Text forms of keys: a prefix that tells what it is, then base32 of the bytes and a checksum.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, Encoding, Specification};
use zeroize::Zeroizing;

/// The prefix of a generated mesh key (docs/protocol.md §1).
pub const MESH_KEY_PREFIX: &str = "wvk1_";
/// The prefix of a site's public key.
pub const PUBLIC_KEY_PREFIX: &str = "wvp1_";
/// The length of a mesh key and of an Ed25519 public key, in bytes.
pub const KEY_BYTES: usize = 32;
/// The length of a site id in characters: the first 130 bits of a SHA-256 in base32.
pub const SITE_ID_CHARS: usize = 26;

/// Why a key's text form was refused. Never holds the text itself, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// Another kind of text.
    #[error("does not start with {0}")]
    Prefix(&'static str),
    /// Not base32, or not the right number of characters.
    #[error("is damaged: it must be the prefix and 58 characters a-z, 2-7")]
    Encoding,
    /// One or more characters are wrong.
    #[error("is damaged: the checksum does not match (was it copied whole?)")]
    Checksum,
}

/// Writes 32 bytes in the form `prefix` + base32(bytes ‖ CRC-32).
pub fn encode_key(prefix: &str, bytes: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let mut all = Zeroizing::new([0u8; KEY_BYTES + 4]);
    all[..KEY_BYTES].copy_from_slice(bytes);
    all[KEY_BYTES..].copy_from_slice(&crc32fast::hash(bytes).to_be_bytes());
    Zeroizing::new(format!("{prefix}{}", base32().encode(&all[..])))
}

/// Reads what [`encode_key`] wrote; surrounding white space is tolerated, upper case too.
///
/// # Errors
/// [`KeyTextError`] says which part is wrong.
pub fn decode_key(prefix: &'static str, text: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyTextError> {
    let lower = Zeroizing::new(text.trim().to_ascii_lowercase());
    let body = lower.strip_prefix(prefix).ok_or(KeyTextError::Prefix(prefix))?;
    let all = Zeroizing::new(base32().decode(body.as_bytes()).map_err(|_| KeyTextError::Encoding)?);
    let (bytes, sum) = all.split_at_checked(KEY_BYTES).ok_or(KeyTextError::Encoding)?;
    let sum: [u8; 4] = sum.try_into().map_err(|_| KeyTextError::Encoding)?;
    if sum != crc32fast::hash(bytes).to_be_bytes() {
        return Err(KeyTextError::Checksum);
    }
    let mut key = Zeroizing::new([0u8; KEY_BYTES]);
    key.copy_from_slice(bytes);
    Ok(key)
}

/// Returns lower-case base32 without padding (RFC 4648 §6), the alphabet of all our ids.
pub fn base32() -> &'static Encoding {
    static LOWER: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
        let mut specification: Specification = BASE32_NOPAD.specification();
        specification.symbols = specification.symbols.to_ascii_lowercase();
        specification.encoding().unwrap_or(BASE32_NOPAD)
    });
    &LOWER
}

/// A site's Ed25519 public key (32 bytes, RFC 8032); written as `wvp1_…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; KEY_BYTES]);

impl FromStr for PublicKey {
    type Err = KeyTextError;
    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        decode_key(PUBLIC_KEY_PREFIX, text).map(|bytes| Self(*bytes))
    }
}
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_key(PUBLIC_KEY_PREFIX, &self.0))
    }
}
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A site id: the first 26 base32 characters of SHA-256 of the site's public key (docs/protocol.md §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId([u8; SITE_ID_CHARS]);

/// Why a text is no site id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {SITE_ID_CHARS} characters a-z, 2-7")]
pub struct SiteIdError;

impl SiteId {
    /// Builds the id from the SHA-256 of a site's SPKI.
    pub fn from_hash(sha256: &[u8; 32]) -> Self {
        let text = base32().encode(sha256);
        let mut id = [b'a'; SITE_ID_CHARS];
        id.copy_from_slice(&text.as_bytes()[..SITE_ID_CHARS]);
        Self(id)
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
impl FromStr for SiteId {
    type Err = SiteIdError;
    fn from_str(text: &str) -> Result<Self, SiteIdError> {
        let bytes: [u8; SITE_ID_CHARS] = text.as_bytes().try_into().map_err(|_| SiteIdError)?;
        let valid = bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
        if valid { Ok(Self(bytes)) } else { Err(SiteIdError) }
    }
}
impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl serde::Serialize for SiteId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> serde::Deserialize<'de> for SiteId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The key that makes a mesh, as configured: generated bytes, or a passphrase still to be stretched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeshKeyText {
    /// `wvk1_…`: 32 random bytes.
    Generated(crate::secret::SecretBytes),
    /// Anything else of at least [`PASSPHRASE_MIN_BYTES`] bytes.
    Passphrase(crate::secret::SecretText),
}

/// The shortest passphrase, in bytes; shorter ones are an error.
pub const PASSPHRASE_MIN_BYTES: usize = 8;
/// The longest passphrase, in bytes.
pub const PASSPHRASE_MAX_BYTES: usize = 255;
/// A passphrase below this length, in bytes, is a warning.
pub const PASSPHRASE_ADVISED_BYTES: usize = 16;

/// Why a mesh key was refused. Never holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MeshKeyError {
    /// Starts like a generated key and is damaged.
    #[error("is a generated key that {0}")]
    Generated(#[from] KeyTextError),
    /// Too few bytes.
    #[error("is too short: {0} bytes, at least {PASSPHRASE_MIN_BYTES} are needed")]
    TooShort(usize),
    /// Too many bytes.
    #[error("is too long: {0} bytes, at most {PASSPHRASE_MAX_BYTES} are allowed")]
    TooLong(usize),
}

impl MeshKeyText {
    /// Reads a mesh key; line ends after it, as files have them, do not belong to it.
    ///
    /// # Errors
    /// [`MeshKeyError`] when a generated key is damaged or a passphrase has a wrong length.
    pub fn parse(text: &str) -> Result<Self, MeshKeyError> {
        let text = text.trim_end_matches(['\r', '\n']);
        // A prefix in upper case is a generated key too: it must not become a passphrase by a slip.
        let head = text.trim_start().get(..MESH_KEY_PREFIX.len());
        if head.is_some_and(|head| head.eq_ignore_ascii_case(MESH_KEY_PREFIX)) {
            let bytes = decode_key(MESH_KEY_PREFIX, text)?;
            return Ok(Self::Generated(crate::secret::SecretBytes::new(bytes)));
        }
        match text.len() {
            bytes if bytes < PASSPHRASE_MIN_BYTES => Err(MeshKeyError::TooShort(bytes)),
            bytes if bytes > PASSPHRASE_MAX_BYTES => Err(MeshKeyError::TooLong(bytes)),
            _ => Ok(Self::Passphrase(crate::secret::SecretText::new(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passphrases_have_8_to_255_bytes_without_the_last_line_end() {
        assert_eq!(MeshKeyText::parse("1234567\r\n"), Err(MeshKeyError::TooShort(7)));
        assert_eq!(
            MeshKeyText::parse("12345678\n"),
            Ok(MeshKeyText::Passphrase(crate::secret::SecretText::new("12345678")))
        );
        assert!(MeshKeyText::parse(&"a".repeat(255)).is_ok());
        assert_eq!(MeshKeyText::parse(&"a".repeat(256)), Err(MeshKeyError::TooLong(256)));
    }

    #[test]
    fn a_damaged_generated_key_never_becomes_a_passphrase() {
        let mut text = encode_key(MESH_KEY_PREFIX, &[7; KEY_BYTES]).to_string();
        assert!(matches!(MeshKeyText::parse(&text), Ok(MeshKeyText::Generated(_))));
        assert!(matches!(MeshKeyText::parse(&text.to_ascii_uppercase()), Ok(MeshKeyText::Generated(_))));
        text.pop();
        assert_eq!(MeshKeyText::parse(&text), Err(MeshKeyError::Generated(KeyTextError::Encoding)));
    }

    proptest! {
        #[test]
        fn keys_read_back(bytes: [u8; KEY_BYTES]) {
            let text = encode_key(PUBLIC_KEY_PREFIX, &bytes);
            prop_assert_eq!(text.parse::<PublicKey>(), Ok(PublicKey(bytes)));
        }

        #[test]
        fn one_changed_character_is_noticed(bytes: [u8; KEY_BYTES], at in 5usize..62, by in 1u8..32) {
            let text = encode_key(PUBLIC_KEY_PREFIX, &bytes);
            let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
            let mut changed = text.as_bytes().to_vec();
            let index = alphabet.iter().position(|c| *c == changed[at]).expect("alphabet");
            changed[at] = alphabet[(index + usize::from(by)) % 32];
            let changed = String::from_utf8(changed).expect("ascii");
            prop_assert!(changed.parse::<PublicKey>().is_err());
        }

        #[test]
        fn no_text_panics(text in "wvk1_\\PC{0,70}|\\PC{0,300}") {
            let _ = (MeshKeyText::parse(&text), text.parse::<PublicKey>(), text.parse::<SiteId>());
        }
    }
}
