//! Keys and statements for tests.

use wovenet_config::agent::MeshKeys;
use wovenet_config::key::MeshKeyText;
use wovenet_config::secret::SecretBytes;
use wovenet_config::tunnel::Scope;
use zeroize::Zeroizing;

use crate::peer::{
    EndpointAddress, Learned, MeshKeyRing, SignedStatement, SiteKey, Statement, Transport,
    statement::{PROTOCOL_VERSION, TTL_SECONDS},
};

/// Returns the ring of a mesh key that is one byte repeated, and of a second one.
pub(crate) fn ring(primary: u8, secondary: Option<u8>) -> MeshKeyRing {
    let text = |byte| MeshKeyText::Generated(SecretBytes::new(Zeroizing::new([byte; 32])));
    MeshKeyRing::derive(&MeshKeys { primary: text(primary), secondary: secondary.map(text) }, None).unwrap()
}

/// Returns a site key by number.
pub(crate) fn site_key(number: u32) -> SiteKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    SiteKey::from_seed(&seed).unwrap()
}

/// Returns an endpoint that can be dialled.
pub(crate) fn endpoint(address: &str) -> EndpointAddress {
    EndpointAddress {
        transport: Transport::Quic,
        address: address.parse().unwrap(),
        port: 51820,
        scope: Scope::Agent,
        learned: Learned::Configured,
        priority: 0,
    }
}

/// Returns what the agent on `host` of the site of `key` states.
pub(crate) fn statement(key: &SiteKey, name: &str, host: &str, mark: (u64, u64)) -> Statement {
    Statement {
        site: key.site_id(),
        name: name.parse().unwrap(),
        agent: key.agent_id(host),
        host: host.to_owned(),
        generation: mark.0,
        sequence: mark.1,
        ttl: TTL_SECONDS,
        endpoints: vec![endpoint("192.0.2.1")],
        versions: vec![PROTOCOL_VERSION],
        delegations: vec![],
        in_reply_to: None,
    }
}

/// Signs [`statement`].
pub(crate) fn signed(key: &SiteKey, name: &str, host: &str, mark: (u64, u64)) -> SignedStatement {
    SignedStatement::sign(key, statement(key, name, host, mark)).unwrap()
}
