//! The small signed bodies of hello and status messages. Like a statement: key ‖ signature ‖ JSON.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wovenet_config::key::{PublicKey, SiteId};

use crate::peer::site_key::{self, AgentId, SIGNATURE_BYTES, SiteKey};

/// The longest body, in bytes.
const NOTE_MAX_BYTES: usize = 400;
const HELLO_LABEL: &[u8] = b"wovenet hello v1\0";
const STATUS_LABEL: &[u8] = b"wovenet status v1\0";

/// An agent that just connected asks who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) site: SiteId,
    pub(super) agent: AgentId,
    /// Returned in the answer, base32.
    pub(super) nonce: String,
}

/// A hint that an agent came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Status {
    pub(super) site: SiteId,
    pub(super) agent: AgentId,
    pub(super) generation: u64,
    pub(super) online: bool,
}

/// A body that its site signed.
pub(super) trait Note: Serialize + DeserializeOwned {
    const LABEL: &'static [u8];
    fn site(&self) -> SiteId;

    /// Signs the body.
    fn sign(&self, key: &SiteKey) -> Vec<u8> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let signature = key.sign(&[Self::LABEL, &bytes[..]].concat());
        [&key.public().0[..], &signature[..], &bytes[..]].concat()
    }

    /// Reads and verifies a body; `None` for anything but what the named site signed.
    fn read(all: &[u8]) -> Result<(PublicKey, Self), NoteError> {
        let (key, rest) = all.split_first_chunk().ok_or(NoteError::Malformed)?;
        let (signature, bytes) = rest.split_first_chunk::<SIGNATURE_BYTES>().ok_or(NoteError::Malformed)?;
        if bytes.len() > NOTE_MAX_BYTES {
            return Err(NoteError::Malformed);
        }
        let key = PublicKey(*key);
        if !site_key::verify(&key, &[Self::LABEL, bytes].concat(), signature) {
            return Err(NoteError::Signature);
        }
        let note: Self = serde_json::from_slice(bytes).map_err(|_| NoteError::Malformed)?;
        if note.site() == site_key::site_id(&key) { Ok((key, note)) } else { Err(NoteError::Signature) }
    }
}

/// Why a body was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoteError {
    Malformed,
    Signature,
}

impl Note for Hello {
    const LABEL: &'static [u8] = HELLO_LABEL;
    fn site(&self) -> SiteId {
        self.site
    }
}

impl Note for Status {
    const LABEL: &'static [u8] = STATUS_LABEL;
    fn site(&self) -> SiteId {
        self.site
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::site_key;
    use proptest::prelude::*;

    fn status(key: &SiteKey) -> Status {
        Status { site: key.site_id(), agent: key.agent_id("node-1"), generation: u64::MAX, online: true }
    }

    #[test]
    fn a_note_survives_the_wire_and_is_no_note_of_another_kind() {
        let key = site_key(1);
        let bytes = status(&key).sign(&key);
        assert_eq!(Status::read(&bytes), Ok((key.public(), status(&key))));
        assert_eq!(Hello::read(&bytes), Err(NoteError::Signature));
    }

    #[test]
    fn one_site_cannot_speak_for_another() {
        assert_eq!(Status::read(&status(&site_key(1)).sign(&site_key(2))), Err(NoteError::Signature));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Hello::read(&bytes).is_err());
        }
    }
}
