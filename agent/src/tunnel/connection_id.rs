//! QUIC connection ids that a restarted agent recognises as its own, and nobody else can make (docs/protocol.md §2).

use aws_lc_rs::{constant_time, hmac};
use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};

/// Random bytes of a connection id.
const RANDOM_BYTES: usize = 8;
/// Authentication bytes of a connection id.
const TAG_BYTES: usize = 8;

/// Makes and recognises connection ids: 8 random bytes ‖ 8 bytes of their HMAC-SHA256.
#[derive(Clone)]
pub(super) struct KeyedConnectionIds {
    key: hmac::Key,
}

impl KeyedConnectionIds {
    pub(super) fn new(key: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    fn tag(&self, random: &[u8]) -> [u8; TAG_BYTES] {
        let mut tag = [0u8; TAG_BYTES];
        tag.copy_from_slice(&hmac::sign(&self.key, random).as_ref()[..TAG_BYTES]);
        tag
    }
}

impl ConnectionIdGenerator for KeyedConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let random: [u8; RANDOM_BYTES] = rand::random();
        ConnectionId::new(&[random, self.tag(&random)].concat())
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let (random, tag) = id.split_at_checked(RANDOM_BYTES).ok_or(InvalidCid)?;
        constant_time::verify_slices_are_equal(tag, &self.tag(random)).map_err(|_| InvalidCid)
    }

    fn cid_len(&self) -> usize {
        RANDOM_BYTES + TAG_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ids_are_recognised_after_a_restart_and_others_are_not() {
        let mut before = KeyedConnectionIds::new(b"one key");
        let after = KeyedConnectionIds::new(b"one key");
        let stranger = KeyedConnectionIds::new(b"another key");
        let id = before.generate_cid();
        assert_eq!(id.len(), before.cid_len());
        assert!(after.validate(&id).is_ok());
        assert!(stranger.validate(&id).is_err());
        assert!(after.validate(&ConnectionId::new(&[0; 16])).is_err());
        assert!(after.validate(&ConnectionId::new(&[0; 4])).is_err());
    }
}
