//! Names that people give to sites, apps and ports.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest site or app name, in bytes (as in wovenet's own configuration).
pub const NAME_MAX_BYTES: usize = 255;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text has more than [`NAME_MAX_BYTES`] bytes.
    #[error("is {0} bytes long, at most {NAME_MAX_BYTES} are allowed")]
    TooLong(usize),
    /// The text has a control character, which would corrupt logs and terminals.
    #[error("must not contain control characters")]
    Control,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// The name of a site: a label, unique in its mesh, 1 to 255 bytes.
    SiteName
);
name!(
    /// The name of an app at the site that exposes it, 1 to 255 bytes.
    AppName
);
name!(
    /// The name of one port of an app that has several, 1 to 255 bytes.
    PortName
);

fn check(text: &str) -> Result<(), NameError> {
    match text {
        "" => Err(NameError::Empty),
        _ if text.len() > NAME_MAX_BYTES => Err(NameError::TooLong(text.len())),
        _ if text.chars().any(char::is_control) => Err(NameError::Control),
        _ => Ok(()),
    }
}
