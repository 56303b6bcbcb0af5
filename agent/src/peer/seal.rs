//! The sealed envelope of everything on the message channel (docs/protocol.md §3): who lacks the mesh key learns only a key id.

use aws_lc_rs::rand;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::peer::mesh_key::{KEY_ID_BYTES, KeyId, MeshKey, MeshKeyRing};

/// The sizes that plaintexts are padded to, in bytes, so that lengths tell little.
pub const PADDED_BYTES: [usize; 3] = [512, 1_024, 2_048];
/// Bytes of an envelope before its ciphertext.
pub const HEADER_BYTES: usize = 2 + 1 + 1 + 1 + 1 + KEY_ID_BYTES + NONCE_BYTES;
/// The longest envelope, in bytes.
pub const ENVELOPE_MAX_BYTES: usize = HEADER_BYTES + PADDED_BYTES[2] + TAG_BYTES;
/// The longest content of an envelope, in bytes.
pub const CONTENT_MAX_BYTES: usize = PADDED_BYTES[2] - LENGTH_BYTES;

const MAGIC: [u8; 2] = *b"WV";
const VERSION: u8 = 1;
/// XChaCha20-Poly1305, the only suite.
const SUITE: u8 = 1;
const FLAGS_NONE: u8 = 0;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const LENGTH_BYTES: usize = 2;
const KEY_ID_AT: usize = 6;
const NONCE_AT: usize = KEY_ID_AT + KEY_ID_BYTES;

/// What an envelope carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A signed statement, for all.
    Announcement,
    /// A hint that an agent came or went.
    Status,
    /// A signed statement, for one site.
    Answer,
    /// A site that just connected asks who is there.
    Hello,
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Announcement => 1,
            Self::Status => 2,
            Self::Answer => 3,
            Self::Hello => 4,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Announcement, Self::Status, Self::Answer, Self::Hello].into_iter().find(|kind| kind.to_byte() == byte)
    }
}

/// Why an envelope could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// More than [`CONTENT_MAX_BYTES`].
    #[error("the content is too long to be sealed")]
    TooLong,
    /// The system gave no random bytes, or the cipher failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// Why an envelope was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not one of the sizes that envelopes have.
    #[error("has no size of an envelope")]
    Size,
    /// Not an envelope of a version, suite and kind that is known here.
    #[error("is no envelope of this version")]
    Header,
    /// Sealed with a mesh key that is not ours: another mesh on this topic, or one of us has a wrong key.
    #[error("is sealed with the unknown mesh key {0}")]
    UnknownKey(KeyId),
    /// Changed, or meant for another topic.
    #[error("is damaged or meant for another topic")]
    Seal,
}

/// The content of an envelope that was sealed by a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What it carries.
    pub kind: Kind,
    /// The key it was sealed with.
    pub key_id: KeyId,
    /// What was sealed, without the padding.
    pub content: Vec<u8>,
}

/// Seals `content` for `topic`.
///
/// # Errors
/// [`SealError`] when it is too long or the library fails.
pub fn seal(key: &MeshKey, kind: Kind, topic: &str, content: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut envelope = Vec::with_capacity(ENVELOPE_MAX_BYTES);
    envelope.extend_from_slice(&MAGIC);
    envelope.extend_from_slice(&[VERSION, SUITE, kind.to_byte(), FLAGS_NONE]);
    envelope.extend_from_slice(&key.id().0);
    let mut nonce = [0u8; NONCE_BYTES];
    rand::fill(&mut nonce).map_err(|_| SealError::Crypto)?;
    envelope.extend_from_slice(&nonce);
    let plaintext = pad(content)?;
    let payload = Payload { msg: &plaintext, aad: &associated_data(&envelope, topic) };
    let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Crypto)?;
    envelope.extend_from_slice(&sealed);
    Ok(envelope)
}

/// Opens an envelope that came on `topic`: size, then header and key id, then the seal.
///
/// # Errors
/// [`OpenError`] names the first check that failed.
pub fn open(ring: &MeshKeyRing, topic: &str, envelope: &[u8]) -> Result<Opened, OpenError> {
    if !PADDED_BYTES.iter().any(|padded| envelope.len() == HEADER_BYTES + padded + TAG_BYTES) {
        return Err(OpenError::Size);
    }
    let (header, sealed) = envelope.split_at_checked(HEADER_BYTES).ok_or(OpenError::Size)?;
    let (kind, key_id, nonce) = read_header(header).ok_or(OpenError::Header)?;
    let key = ring.find(key_id).ok_or(OpenError::UnknownKey(key_id))?;
    let payload = Payload { msg: sealed, aad: &associated_data(header, topic) };
    let plaintext = cipher(key).decrypt(&nonce, payload).map_err(|_| OpenError::Seal)?;
    Ok(Opened { kind, key_id, content: unpad(&plaintext).ok_or(OpenError::Seal)?.to_vec() })
}

fn read_header(header: &[u8]) -> Option<(Kind, KeyId, XNonce)> {
    let known = header.strip_prefix(&MAGIC)?.starts_with(&[VERSION, SUITE]) && header.get(5) == Some(&FLAGS_NONE);
    let kind = known.then(|| header.get(4).copied()).flatten().and_then(Kind::from_byte)?;
    let key_id: [u8; KEY_ID_BYTES] = header.get(KEY_ID_AT..NONCE_AT)?.try_into().ok()?;
    let nonce: [u8; NONCE_BYTES] = header.get(NONCE_AT..HEADER_BYTES)?.try_into().ok()?;
    Some((kind, KeyId(key_id), XNonce::from(nonce)))
}

fn cipher(key: &MeshKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.seal_key().into())
}

fn associated_data(header: &[u8], topic: &str) -> Vec<u8> {
    let length = u16::try_from(topic.len()).unwrap_or(u16::MAX);
    [header, &length.to_be_bytes(), topic.as_bytes()].concat()
}

fn pad(content: &[u8]) -> Result<Vec<u8>, SealError> {
    let length = u16::try_from(content.len()).map_err(|_| SealError::TooLong)?;
    let needed = LENGTH_BYTES + content.len();
    let padded = PADDED_BYTES.into_iter().find(|size| *size >= needed).ok_or(SealError::TooLong)?;
    let mut plaintext = Vec::with_capacity(padded);
    plaintext.extend_from_slice(&length.to_be_bytes());
    plaintext.extend_from_slice(content);
    plaintext.resize(padded, 0);
    Ok(plaintext)
}

fn unpad(plaintext: &[u8]) -> Option<&[u8]> {
    let (length, rest) = plaintext.split_first_chunk::<LENGTH_BYTES>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::ring;
    use proptest::prelude::*;

    #[test]
    fn what_is_sealed_opens_on_its_topic_only() {
        let ring = ring(1, None);
        let envelope = seal(&ring.keys()[0], Kind::Announcement, "mesh/v1/a/b/ann", b"content").unwrap();
        let opened = open(&ring, "mesh/v1/a/b/ann", &envelope).unwrap();
        assert_eq!((opened.kind, &opened.content[..]), (Kind::Announcement, &b"content"[..]));
        assert_eq!(open(&ring, "mesh/v1/c/b/ann", &envelope), Err(OpenError::Seal));
    }

    #[test]
    fn an_unknown_mesh_key_is_told_apart_from_damage() {
        let (ours, theirs) = (ring(1, None), ring(2, None));
        let envelope = seal(&theirs.keys()[0], Kind::Hello, "t", b"").unwrap();
        assert_eq!(open(&ours, "t", &envelope), Err(OpenError::UnknownKey(theirs.keys()[0].id())));
    }

    #[test]
    fn both_keys_open_during_a_rotation() {
        let both = ring(2, Some(1));
        for key in both.keys() {
            let envelope = seal(key, Kind::Status, "t", b"x").unwrap();
            assert_eq!(open(&both, "t", &envelope).unwrap().key_id, key.id());
        }
    }

    #[test]
    fn contents_beyond_the_largest_padding_are_refused() {
        let ring = ring(1, None);
        assert!(seal(&ring.keys()[0], Kind::Answer, "t", &[0; CONTENT_MAX_BYTES]).is_ok());
        assert_eq!(seal(&ring.keys()[0], Kind::Answer, "t", &[0; CONTENT_MAX_BYTES + 1]), Err(SealError::TooLong));
    }

    proptest! {
        #[test]
        fn any_content_survives_and_its_length_stays_hidden(content in proptest::collection::vec(any::<u8>(), 0..=2046)) {
            let ring = ring(1, None);
            let envelope = seal(&ring.keys()[0], Kind::Answer, "t", &content).unwrap();
            prop_assert!(PADDED_BYTES.contains(&(envelope.len() - HEADER_BYTES - TAG_BYTES)));
            prop_assert_eq!(open(&ring, "t", &envelope).unwrap().content, content);
        }

        #[test]
        fn any_changed_byte_is_refused(at in 0usize..HEADER_BYTES + 512 + TAG_BYTES, flip in 1u8..=255) {
            let ring = ring(1, None);
            let mut envelope = seal(&ring.keys()[0], Kind::Answer, "t", b"content").unwrap();
            envelope[at] ^= flip;
            prop_assert!(open(&ring, "t", &envelope).is_err());
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(open(&ring(1, None), "t", &bytes).is_err());
        }
    }
}
