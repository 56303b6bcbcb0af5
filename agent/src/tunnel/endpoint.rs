//! UDP sockets and the QUIC endpoints on them: every QUIC setting of the agent is here.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use quinn::congestion::{BbrConfig, CubicConfig};
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Handle;
use wovenet_config::key::PublicKey;
use wovenet_config::tunnel::CongestionControl;

use crate::peer::{SiteKey, SiteKeyError};
use crate::tunnel::congestion::ModelConfig;
use crate::tunnel::connection_id::KeyedConnectionIds;
use crate::tunnel::windows::Windows;
use wovenet_identity::tls::{self, AdmitKey, TlsError};

/// A connection without packets for this long is lost (docs/protocol.md §6).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Both sides send something at least this often (docs/protocol.md §6).
pub const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// Bytes that a peer may send before it is accepted (docs/protocol.md §6).
pub const WINDOW_BEFORE_ACCEPTED: u32 = 16 * 1024;
/// Streams that an accepted peer may have open on a channel (docs/protocol.md §6).
pub const STREAMS_PER_CHANNEL: u32 = 16_384;
/// What is asked of the system for the send and receive buffers of a UDP socket, in bytes (docs/protocol.md §6).
pub const UDP_BUFFER_BYTES: usize = 7 * 1024 * 1024;
/// Handshakes that wait to be looked at, over the whole endpoint (docs/protocol.md §6).
const INCOMING_MAX: usize = 64;
/// Bytes kept of each handshake that waits.
const INCOMING_BUFFER_BYTES: u64 = 16 * 1024;

/// Why an endpoint could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The UDP socket could not be bound.
    #[error("cannot bind the tunnel socket {address}: {source}")]
    Bind {
        /// Where it should have been bound.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// TLS could not be prepared.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS lacks what QUIC needs.
    #[error("cannot prepare TLS for QUIC: {0}")]
    Cipher(#[from] NoInitialCipherSuite),
    /// A key could not be derived.
    #[error(transparent)]
    Key(#[from] SiteKeyError),
}

/// A QUIC endpoint. Connections are made and accepted only on the runtime that it was bound on.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The library's endpoint.
    pub quic: quinn::Endpoint,
    /// Bytes of the receive buffer that the system granted.
    pub granted_receive_buffer: usize,
}

/// What all endpoints of an agent share.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// The site key: TLS identity, connection ids and reset keys come from it.
    pub site_key: SiteKey,
    /// This agent's id, which tells apart the endpoints of agents that share a key.
    pub agent: crate::peer::AgentId,
    /// The congestion controller.
    pub congestion_control: CongestionControl,
    /// The windows of accepted peers.
    pub windows: Windows,
}

impl EndpointSettings {
    /// Binds a socket that other sites dial.
    ///
    /// # Errors
    /// [`EndpointError`] when the port is taken or TLS cannot be prepared.
    pub fn listen(&self, address: SocketAddr, admit: AdmitKey, runtime: Handle) -> Result<Endpoint, EndpointError> {
        let crypto = QuicServerConfig::try_from(tls::server_config(&self.site_key, admit)?)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        server.transport_config(Arc::new(self.transport(1)));
        server.max_incoming(INCOMING_MAX);
        server.incoming_buffer_size(INCOMING_BUFFER_BYTES);
        server.incoming_buffer_size_total(INCOMING_BUFFER_BYTES * INCOMING_MAX as u64);
        server.migration(true);
        let socket = bind(address).map_err(|source| EndpointError::Bind { address, source })?;
        self.endpoint(socket, Some(server), &address.to_string(), runtime)
    }

    /// Binds a socket on a port of the system's choice, to dial from.
    ///
    /// # Errors
    /// [`EndpointError`] when no socket can be had.
    pub fn dial(&self, runtime: Handle) -> Result<Endpoint, EndpointError> {
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let socket = bind(address).map_err(|source| EndpointError::Bind { address, source })?;
        let fresh: [u8; 16] = rand::random();
        self.endpoint(socket, None, &data_encoding::HEXLOWER.encode(&fresh), runtime)
    }

    /// Builds the configuration of one dial to the owner of `pinned`.
    ///
    /// # Errors
    /// [`EndpointError`] when TLS cannot be prepared.
    pub fn client_config(&self, pinned: PublicKey) -> Result<quinn::ClientConfig, EndpointError> {
        let crypto = QuicClientConfig::try_from(tls::client_config(&self.site_key, pinned)?)?;
        let mut client = quinn::ClientConfig::new(Arc::new(crypto));
        client.transport_config(Arc::new(self.transport(0)));
        Ok(client)
    }

    fn endpoint(
        &self,
        socket: UdpSocket,
        server: Option<quinn::ServerConfig>,
        label: &str,
        runtime: Handle,
    ) -> Result<Endpoint, EndpointError> {
        let granted_receive_buffer = socket2::SockRef::from(&socket).recv_buffer_size().unwrap_or(0);
        let parts = [self.agent.as_str().as_bytes(), label.as_bytes()];
        let reset_key = self.site_key.derive("quic-reset", &parts)?;
        let ids = KeyedConnectionIds::new(&self.site_key.derive("quic-connection-id", &parts)?[..]);
        let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &reset_key[..])));
        config.cid_generator(move || Box::new(ids.clone()));
        // All packets keep the fixed bit, so that other protocols can share the socket (RFC 9443).
        config.grease_quic_bit(false);
        let quic = {
            let _context = runtime.enter();
            quinn::Endpoint::new(config, server, socket, Arc::new(quinn::TokioRuntime))
                .map_err(|source| EndpointError::Bind { address: (Ipv6Addr::UNSPECIFIED, 0).into(), source })?
        };
        Ok(Endpoint { quic, granted_receive_buffer })
    }

    fn transport(&self, streams_before_accepted: u32) -> TransportConfig {
        let mut transport = TransportConfig::default();
        transport
            .max_idle_timeout(IdleTimeout::try_from(IDLE_TIMEOUT).ok())
            .keep_alive_interval(Some(KEEP_ALIVE))
            .max_concurrent_bidi_streams(VarInt::from_u32(streams_before_accepted))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .receive_window(VarInt::from_u32(WINDOW_BEFORE_ACCEPTED))
            .stream_receive_window(VarInt::from_u32(self.windows.receive))
            .send_window(self.windows.send)
            .datagram_receive_buffer_size(None);
        match self.congestion_control {
            CongestionControl::Model => transport.congestion_controller_factory(Arc::new(ModelConfig)),
            CongestionControl::Cubic => transport.congestion_controller_factory(Arc::new(CubicConfig::default())),
            CongestionControl::Bbr => transport.congestion_controller_factory(Arc::new(BbrConfig::default())),
        };
        transport
    }
}

/// Raises a connection's limits once its peer is accepted.
pub(super) fn raise_limits(connection: &quinn::Connection, windows: Windows) {
    connection.set_receive_window(VarInt::from_u32(windows.receive));
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(STREAMS_PER_CHANNEL));
}

/// Binds a UDP socket with large buffers. A wildcard takes both address families where the system has IPv6.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    if !address.ip().is_unspecified() {
        return bind_exactly(address);
    }
    let dual_stack = SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()));
    bind_exactly(dual_stack).or_else(|error| match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL) => {
            bind_exactly(SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, address.port())))
        }
        _ => Err(error),
    })
}

fn bind_exactly(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // The system grants what it allows; what it granted is a metric.
    socket.set_recv_buffer_size(UDP_BUFFER_BYTES)?;
    socket.set_send_buffer_size(UDP_BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
