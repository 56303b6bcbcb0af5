//! `autoStunDetect`: a STUN Binding client (RFC 8489 §6), which needs nothing but XOR-MAPPED-ADDRESS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::net::{UdpSocket, lookup_host};
use tokio::task::JoinSet;
use wovenet_config::tunnel::STUN_SERVERS_MAX;

use super::{DETECT_TIMEOUT, DetectError};

/// The first wait before a request is sent again; it doubles (RFC 8489 §6.2.1).
const RETRANSMIT: Duration = Duration::from_millis(500);
const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: u32 = 0x2112_a442;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FAMILY_V4: u8 = 1;
const FAMILY_V6: u8 = 2;
/// Longer answers are no answers to a request without options.
const ANSWER_MAX_BYTES: usize = 1_500;

type TransactionId = [u8; 12];

/// Asks all servers (`host:port`) at once; the first valid answer counts.
///
/// # Errors
/// [`DetectError`] when none comes within [`DETECT_TIMEOUT`].
pub async fn detect(servers: &[String]) -> Result<SocketAddr, DetectError> {
    let mut asking: JoinSet<_> = servers.iter().take(STUN_SERVERS_MAX).cloned().map(ask).collect();
    let first = async {
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok(Ok(address)) => return Ok(address),
                Ok(Err(error)) => tracing::debug!(%error, "a STUN server did not answer properly"),
                Err(error) => tracing::error!(%error, "a STUN client failed"),
            }
        }
        Err(DetectError::NoServer)
    };
    tokio::time::timeout(DETECT_TIMEOUT, first).await.map_err(|_| DetectError::Timeout)?
}

async fn ask(server: String) -> Result<SocketAddr, DetectError> {
    let server = lookup_host(server).await?.next().ok_or(DetectError::NoServer)?;
    let unspecified: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((unspecified, 0)).await?;
    socket.connect(server).await?;
    let mut id = TransactionId::default();
    rand::fill(&mut id).map_err(|_| DetectError::NoServer)?;
    let mut wait = RETRANSMIT;
    loop {
        socket.send(&request(&id)).await?;
        if let Ok(answer) = tokio::time::timeout(wait, receive(&socket, &id)).await {
            return answer;
        }
        wait *= 2;
    }
}

async fn receive(socket: &UdpSocket, id: &TransactionId) -> Result<SocketAddr, DetectError> {
    let mut buffer = [0u8; ANSWER_MAX_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(address) = parse_answer(&buffer[..length], id) {
            return Ok(address);
        }
    }
}

/// Writes a Binding request.
fn request(id: &TransactionId) -> [u8; HEADER_BYTES] {
    let mut bytes = [0u8; HEADER_BYTES];
    bytes[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
    bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    bytes[8..].copy_from_slice(id);
    bytes
}

/// Reads the mapped address of a Binding success response; `None` for anything else.
pub fn parse_answer(bytes: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES)?;
    let expected = [&BINDING_SUCCESS.to_be_bytes()[..], &u16::try_from(body.len()).ok()?.to_be_bytes()].concat();
    if header[..4] != expected[..] || header[4..8] != MAGIC_COOKIE.to_be_bytes() || header[8..] != id[..] {
        return None;
    }
    let mut rest = body;
    while let Some((kind, after)) = split_u16(rest) {
        let (length, after) = split_u16(after)?;
        let (value, _) = after.split_at_checked(usize::from(length))?;
        if kind == XOR_MAPPED_ADDRESS {
            return xor_address(value, id);
        }
        rest = after.get(usize::from(length).next_multiple_of(4)..)?;
    }
    None
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    bytes.split_first_chunk().map(|(first, rest)| (u16::from_be_bytes(*first), rest))
}

fn xor_address(value: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let (&[_, family, port_high, port_low], address) = value.split_first_chunk()?;
    let cookie = MAGIC_COOKIE.to_be_bytes();
    let port = u16::from_be_bytes([port_high ^ cookie[0], port_low ^ cookie[1]]);
    let mask = [&cookie[..], &id[..]].concat();
    let plain: Vec<u8> = address.iter().zip(&mask).map(|(byte, mask)| byte ^ mask).collect();
    let address: IpAddr = match (family, address.len()) {
        (FAMILY_V4, 4) => <[u8; 4]>::try_from(plain).ok()?.into(),
        (FAMILY_V6, 16) => <[u8; 16]>::try_from(plain).ok()?.into(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(id: &TransactionId, address: SocketAddr) -> Vec<u8> {
        let mask = [&MAGIC_COOKIE.to_be_bytes()[..], &id[..]].concat();
        let (family, octets) = match address.ip() {
            IpAddr::V4(v4) => (FAMILY_V4, v4.octets().to_vec()),
            IpAddr::V6(v6) => (FAMILY_V6, v6.octets().to_vec()),
        };
        let mut value = vec![0, family];
        value.extend((address.port() ^ 0x2112).to_be_bytes());
        value.extend(octets.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
        // A SOFTWARE attribute of odd length first, so that its padding is passed over.
        let mut body = vec![0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        body.extend([0, 0x20, 0, value.len() as u8]);
        body.extend(value);
        let mut bytes = request(id).to_vec();
        bytes[..2].copy_from_slice(&BINDING_SUCCESS.to_be_bytes());
        bytes[2..4].copy_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    /// Serves Binding requests: the first `ignored` get no answer, then each gets a false one and a true one.
    async fn serve(ignored: usize, address: &'static str) -> String {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let name = socket.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut buffer = [0; 100];
            for count in 0.. {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let id: TransactionId = buffer[8..length].try_into().unwrap();
                if count >= ignored {
                    let forged = answer(&[9; 12], "192.0.2.66:1".parse().unwrap());
                    socket.send_to(&forged, from).await.unwrap();
                    socket.send_to(&answer(&id, address.parse().unwrap()), from).await.unwrap();
                }
            }
        });
        name
    }

    #[tokio::test]
    async fn the_first_valid_answer_of_several_servers_counts() {
        let servers = [serve(1_000, "192.0.2.1:1").await, serve(0, "203.0.113.7:4000").await];
        assert_eq!(detect(&servers).await.unwrap(), "203.0.113.7:4000".parse().unwrap());
    }

    #[tokio::test]
    async fn a_lost_request_is_sent_again() {
        let servers = [serve(1, "[2001:db8::7]:4000").await];
        assert_eq!(detect(&servers).await.unwrap(), "[2001:db8::7]:4000".parse().unwrap());
    }

    #[tokio::test]
    async fn servers_that_hang_cost_the_timeout_and_none_is_an_error() {
        let servers = [serve(1_000, "192.0.2.1:1").await];
        assert!(matches!(detect(&servers).await, Err(DetectError::Timeout)));
        assert!(matches!(detect(&[]).await, Err(DetectError::NoServer)));
    }

    proptest! {
        #[test]
        fn every_address_survives_the_wire(ip: IpAddr, port: u16, id: TransactionId) {
            let address = SocketAddr::new(ip, port);
            prop_assert_eq!(parse_answer(&answer(&id, address), &id), Some(address));
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut answer = bytes;
            prop_assert_eq!(parse_answer(&answer, &[0; 12]), None);
            if answer.len() >= HEADER_BYTES {
                let length = (answer.len() - HEADER_BYTES) as u16;
                answer[..2].copy_from_slice(&BINDING_SUCCESS.to_be_bytes());
                answer[2..4].copy_from_slice(&length.to_be_bytes());
                answer[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
                let id = answer[8..HEADER_BYTES].try_into().unwrap();
                let _ = parse_answer(&answer, &id);
            }
        }
    }
}
