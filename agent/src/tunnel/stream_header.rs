//! What a stream begins with, and how it is answered (docs/protocol.md §5).

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use wovenet_config::name::{AppName, PortName};

use crate::tunnel::frame::Binary;
use crate::tunnel::stream::{RecvHalf, StreamError};

/// The version of the header's form.
const VERSION: u8 = 1;
/// The longest header body, in bytes.
pub const HEADER_MAX_BYTES: usize = 1_024;
/// Version and length.
const PREFIX_BYTES: usize = 3;

/// Why a header or an answer could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A version that this agent does not know.
    #[error("has version {0}")]
    Version(u8),
    /// An empty body or one over [`HEADER_MAX_BYTES`].
    #[error("has a length of {0} bytes")]
    Length(usize),
    /// Not a header.
    #[error("cannot be read")]
    Malformed,
    /// An answer that this agent does not know.
    #[error("has the unknown answer {0}")]
    Answer(u8),
    /// The stream ended first.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// Names a stream at both ends of its channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamName {
    /// The channel's name: keying material exported from TLS.
    #[serde(rename = "c")]
    pub(super) channel: Binary,
    /// Which of the streams that its side opened on the channel.
    #[serde(rename = "s")]
    pub(super) index: u64,
}

/// Names the app that a stream is for. Client data follows at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHeader {
    /// The app's name at the far site.
    #[serde(rename = "a")]
    pub app: AppName,
    /// Which port of an app that has several.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortName>,
    /// Which member of a range app, `ip:port`; parsed by the far side's policy, not here.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The client's address: this site's claim.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub client: Option<SocketAddr>,
    /// The stream that this one repeats, on another channel to the same agent, as it was not answered.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<StreamName>,
}

impl StreamHeader {
    /// Writes `u8 version | u16 length | body`.
    ///
    /// # Errors
    /// [`HeaderError::Length`] when the names are too long for [`HEADER_MAX_BYTES`].
    pub fn encode(&self) -> Result<Bytes, HeaderError> {
        let body = serde_json::to_vec(self).map_err(|_| HeaderError::Malformed)?;
        let length = u16::try_from(body.len()).map_err(|_| HeaderError::Length(body.len()))?;
        check_length(body.len())?;
        let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + body.len());
        bytes.put_u8(VERSION);
        bytes.put_u16(length);
        bytes.put_slice(&body);
        Ok(bytes.freeze())
    }

    /// Reads a header and nothing beyond it.
    ///
    /// # Errors
    /// [`HeaderError`] names what is wrong.
    pub async fn read(stream: &mut RecvHalf) -> Result<Self, HeaderError> {
        let mut prefix = [0u8; PREFIX_BYTES];
        stream.read_exact(&mut prefix).await?;
        let mut body = vec![0u8; body_length(prefix)?];
        stream.read_exact(&mut body).await?;
        serde_json::from_slice(&body).map_err(|_| HeaderError::Malformed)
    }
}

fn body_length([version, high, low]: [u8; PREFIX_BYTES]) -> Result<usize, HeaderError> {
    if version != VERSION {
        return Err(HeaderError::Version(version));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    check_length(length)?;
    Ok(length)
}

fn check_length(length: usize) -> Result<(), HeaderError> {
    if (1..=HEADER_MAX_BYTES).contains(&length) { Ok(()) } else { Err(HeaderError::Length(length)) }
}

/// What the far side says to a stream before its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The app accepted.
    Ok,
    /// Not for this site, whatever the cause: the cause stays at the far side.
    Refused,
    /// The app could not be reached.
    Failed,
    /// A limit is reached.
    Busy,
    /// The stream that this one repeats is served.
    Served,
}

impl Answer {
    /// Returns the byte on the wire.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Refused => 1,
            Self::Failed => 2,
            Self::Busy => 3,
            Self::Served => 4,
        }
    }

    /// Reads the answer byte.
    ///
    /// # Errors
    /// [`HeaderError`] for an unknown byte or a stream that ended.
    pub async fn read(stream: &mut RecvHalf) -> Result<Self, HeaderError> {
        let mut byte = [0u8; 1];
        stream.read_exact(&mut byte).await?;
        match byte[0] {
            0 => Ok(Self::Ok),
            1 => Ok(Self::Refused),
            2 => Ok(Self::Failed),
            3 => Ok(Self::Busy),
            4 => Ok(Self::Served),
            other => Err(HeaderError::Answer(other)),
        }
    }
}
