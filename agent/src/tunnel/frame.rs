//! Frames of the control stream: `u16 length | JSON body` (docs/protocol.md §4).

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use wovenet_config::name::{AppName, PortName};

use crate::peer::{KeyId, SignedStatement, StatementError};

/// The longest frame body, in bytes.
pub(super) const FRAME_MAX_BYTES: usize = 4_096;
/// The most key ids of one Hello.
pub(super) const KEY_IDS_MAX: usize = 8;
/// Bytes of a nonce.
pub(super) const NONCE_BYTES: usize = 32;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Empty, or longer than allowed.
    #[error("a control frame has a length of {0} bytes")]
    Length(usize),
    /// Not the frame that was expected, or not a frame at all.
    #[error("a control frame cannot be read")]
    Malformed,
    /// A statement inside is not acceptable.
    #[error("a statement {0}")]
    Statement(#[from] StatementError),
    /// The stream or its channel is gone.
    #[error("the control stream ended")]
    Ended,
}

/// Binary data as base64 text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binary(pub(super) Vec<u8>);

impl Serialize for Binary {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::BASE64_NOPAD.encode(&self.0))
    }
}
impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        data_encoding::BASE64_NOPAD.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}
impl Binary {
    pub(super) fn statement(&self) -> Result<SignedStatement, FrameError> {
        Ok(SignedStatement::from_bytes(&self.0)?)
    }

    pub(super) fn key_id(&self) -> Option<KeyId> {
        self.0.as_slice().try_into().ok().map(KeyId)
    }
}
impl From<&SignedStatement> for Binary {
    fn from(statement: &SignedStatement) -> Self {
        Self(statement.to_bytes())
    }
}
impl From<KeyId> for Binary {
    fn from(id: KeyId) -> Self {
        Self(id.0.to_vec())
    }
}

/// Tells apart the channels between two agents (docs/protocol.md §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The transport.
    pub transport: crate::peer::Transport,
    /// Whether the channel runs over IPv6.
    pub ipv6: bool,
    /// Counts the channels of one transport and family.
    pub ordinal: u16,
}

/// D→L: who dials, and with which keys it could prove membership.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) versions: Vec<u16>,
    #[serde(default)]
    pub(super) features: Vec<String>,
    pub(super) key_ids: Vec<Binary>,
    pub(super) statement: Binary,
    pub(super) slot: Slot,
    pub(super) nonce: Binary,
}

/// L→D: which version and key to use.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Challenge {
    pub(super) version: u16,
    pub(super) key_id: Binary,
    pub(super) nonce: Binary,
}

/// D→L: the dialler's proof of membership.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Finish {
    pub(super) proof: Binary,
}

/// L→D: who listens, with its proof. The channel is up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Accepted {
    pub(super) statement: Binary,
    pub(super) proof: Binary,
    pub(super) limits: Limits,
}

/// What the listener lets the dialler do.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Limits {
    #[serde(default)]
    pub(super) streams: u32,
}

/// An app that the receiver of the catalogue may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// The app.
    pub name: AppName,
    /// Its named ports; empty for an app with one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortName>,
    /// `tcp` today.
    pub protocol: String,
    /// Whether the user chooses a member of a range.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub range: bool,
    /// Whether the exposing site finds it healthy.
    pub healthy: bool,
}

/// What an accepted channel's control stream carries.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum Control {
    /// Is the far side alive?
    Ping { number: u64 },
    /// Yes.
    Pong { number: u64 },
    /// A page of apps added or changed, and the names of those removed; `complete` ends a set of pages.
    Catalogue {
        #[serde(default)]
        entries: Vec<CatalogueEntry>,
        #[serde(default)]
        removed: Vec<AppName>,
        complete: bool,
    },
    /// A fresh statement of the sender.
    Statement { statement: Binary },
    /// The sender opens no more streams here; it has opened `opened` in all.
    GoAway { opened: u64 },
    /// After go-away on both sides: every stream has ended here, and the receiver may close once it says so too.
    Drained {},
    /// Where the sender sees the receiver.
    Observed { address: SocketAddr },
    /// Proof of another mesh key on this channel, for rotation.
    KeyProof { key_id: Binary, proof: Binary },
    /// A frame of a later version.
    #[serde(other)]
    Unknown,
}

/// Encodes a frame.
pub(super) fn encode<T: Serialize>(frame: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0u8; 2];
    serde_json::to_writer(&mut bytes, frame).map_err(|_| FrameError::Malformed)?;
    let length = bytes.len() - 2;
    if length > FRAME_MAX_BYTES {
        return Err(FrameError::Length(length));
    }
    let prefix = u16::try_from(length).map_err(|_| FrameError::Length(length))?;
    bytes[..2].copy_from_slice(&prefix.to_be_bytes());
    Ok(bytes)
}

/// Decodes the body of a frame.
pub(super) fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(|_| FrameError::Malformed)
}

/// Writes one frame.
pub(super) async fn write<T: Serialize>(stream: &mut quinn::SendStream, frame: &T) -> Result<Vec<u8>, FrameError> {
    let bytes = encode(frame)?;
    stream.write_all(&bytes).await.map_err(|_| FrameError::Ended)?;
    Ok(bytes)
}

/// Reads the body of one frame. Not cancel-safe.
pub(super) async fn read(stream: &mut quinn::RecvStream) -> Result<Vec<u8>, FrameError> {
    let mut prefix = [0u8; 2];
    stream.read_exact(&mut prefix).await.map_err(|_| FrameError::Ended)?;
    let length = usize::from(u16::from_be_bytes(prefix));
    if length == 0 || length > FRAME_MAX_BYTES {
        return Err(FrameError::Length(length));
    }
    let mut body = vec![0u8; length];
    stream.read_exact(&mut body).await.map_err(|_| FrameError::Ended)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_of_a_later_version_is_unknown_and_not_an_error() {
        assert!(matches!(decode(br#"{"type":"newThing","a":[1]}"#), Ok(Control::Unknown)));
    }

    #[test]
    fn an_oversized_frame_is_never_written() {
        let entries = vec![
            CatalogueEntry {
                name: "a".repeat(200).parse().unwrap(),
                ports: vec![],
                protocol: "tcp".into(),
                range: false,
                healthy: true
            };
            30
        ];
        let frame = Control::Catalogue { entries, removed: vec![], complete: true };
        assert!(matches!(encode(&frame), Err(FrameError::Length(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _: Result<Control, _> = decode(&body);
            let _: Result<Hello, _> = decode(&body);
        }
    }
}
