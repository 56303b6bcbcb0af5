//! Forwarding end to end: real sockets at both ends of a real QUIC connection.

mod abort;
mod copying;
mod lifecycle;
mod limits;
mod providers;
mod refusal;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::forward::testing::patiently;

async fn connect(address: SocketAddr) -> TcpStream {
    patiently(TcpStream::connect(address)).await.unwrap()
}

/// Reads until the connection ends; it must end by a reset.
async fn expect_reset(stream: &mut TcpStream) {
    let mut received = Vec::new();
    let error = patiently(stream.read_to_end(&mut received)).await.expect_err("a reset, not an end of file");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// Sends `request` and its end, and returns the whole answer.
async fn ask(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut client = connect(address).await;
    client.write_all(request).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    patiently(client.read_to_end(&mut answer)).await.unwrap();
    answer
}

/// An app's part: returns what it reads, to the end.
async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    // The client may be gone.
    if tokio::io::copy(&mut read, &mut write).await.is_ok() {
        stream.shutdown().await.ok();
    }
}

fn reset_now(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Bytes that show any loss, repetition or swap.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}
