//! Two ends of a connection in one process, for the tests of this crate.

pub(crate) mod link;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};

use crate::peer::SiteKey;
use crate::tunnel::channel::StreamGuard;
use crate::tunnel::{RecvHalf, SendHalf};
use wovenet_identity::tls;

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
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let keys = Keys::generate();
        let listening = quinn::Endpoint::server(keys.server(transport), any).unwrap();
        let dialling = quinn::Endpoint::client(any).unwrap();
        Self::join(dialling, listening, keys.client(quinn::TransportConfig::default())).await
    }

    /// Connects over a link in memory; the clock of the test must be paused.
    pub(crate) async fn connect_over(delay: Duration, loss: f64, transport: fn() -> quinn::TransportConfig) -> Self {
        let keys = Keys::generate();
        let [dialling, listening] = link::link(delay, loss);
        let endpoint = |server, end| {
            let time = Arc::new(link::VirtualTime);
            quinn::Endpoint::new_with_abstract_socket(quinn::EndpointConfig::default(), server, end, time).unwrap()
        };
        let listening = endpoint(Some(keys.server(transport())), listening);
        Self::join(endpoint(None, dialling), listening, keys.client(transport())).await
    }

    async fn join(dialling: quinn::Endpoint, listening: quinn::Endpoint, client: quinn::ClientConfig) -> Self {
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

struct Keys {
    dialler: SiteKey,
    listener: SiteKey,
}

impl Keys {
    fn generate() -> Self {
        Self { dialler: SiteKey::generate().unwrap(), listener: SiteKey::generate().unwrap() }
    }

    fn server(&self, transport: quinn::TransportConfig) -> quinn::ServerConfig {
        let server = tls::server_config(&self.listener, Arc::new(|_| true)).unwrap();
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).unwrap()));
        server.transport_config(Arc::new(transport));
        server
    }

    fn client(&self, transport: quinn::TransportConfig) -> quinn::ClientConfig {
        let client = tls::client_config(&self.dialler, self.listener.public()).unwrap();
        let mut client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap()));
        client.transport_config(Arc::new(transport));
        client
    }
}

pub(crate) fn halves(send: quinn::SendStream, recv: quinn::RecvStream) -> Halves {
    let guard = StreamGuard::detached();
    (SendHalf::new(send, guard.clone()), RecvHalf::new(recv, guard))
}
