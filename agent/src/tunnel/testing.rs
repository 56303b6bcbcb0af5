//! Two ends of a connection in one process, for the tests of this crate.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};

use crate::peer::SiteKey;
use crate::tunnel::channel::StreamGuard;
use crate::tunnel::{RecvHalf, SendHalf, tls};

/// A live QUIC connection between two endpoints on loopback; both endpoints live as long as the pair.
pub(crate) struct Pair {
    pub(crate) dialler: quinn::Connection,
    pub(crate) listener: quinn::Connection,
    _endpoints: [quinn::Endpoint; 2],
}

/// The two halves that one side holds.
pub(crate) type Halves = (SendHalf, RecvHalf);

impl Pair {
    pub(crate) async fn connect() -> Self {
        Self::connect_with(quinn::TransportConfig::default()).await
    }

    /// Connects with the listener's limits and windows as given.
    pub(crate) async fn connect_with(transport: quinn::TransportConfig) -> Self {
        let (dialler_key, listener_key) = (SiteKey::generate().unwrap(), SiteKey::generate().unwrap());
        let server = tls::server_config(&listener_key, Arc::new(|_| true)).unwrap();
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).unwrap()));
        server.transport_config(Arc::new(transport));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listening = quinn::Endpoint::server(server, any).unwrap();
        let dialling = quinn::Endpoint::client(any).unwrap();
        let client = tls::client_config(&dialler_key, listener_key.public()).unwrap();
        let client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap()));
        let connecting = dialling.connect_with(client, listening.local_addr().unwrap(), "wovenet").unwrap();
        let accepting = async { listening.accept().await.unwrap().await.unwrap() };
        let (dialler, listener) = tokio::join!(connecting, accepting);
        Self { dialler: dialler.unwrap(), listener, _endpoints: [dialling, listening] }
    }

    /// Opens a stream from the dialler; `first` is written so that the listener sees it.
    pub(crate) async fn open(&self, first: &[u8]) -> (Halves, Halves) {
        let (mut send, recv) = self.dialler.open_bi().await.unwrap();
        send.write_all(first).await.unwrap();
        let (their_send, their_recv) = self.listener.accept_bi().await.unwrap();
        (halves(send, recv), halves(their_send, their_recv))
    }
}

pub(crate) fn halves(send: quinn::SendStream, recv: quinn::RecvStream) -> Halves {
    let guard = StreamGuard::detached();
    (SendHalf::new(send, guard.clone()), RecvHalf::new(recv, guard))
}
