//! A client that speaks HTTP byte by byte.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A client's address.
pub(crate) const HERE: [u8; 4] = [127, 0, 0, 1];
/// The address of another client.
pub(crate) const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Returns a header's value, empty when it is absent.
    pub fn header(&self, name: &str) -> String {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).unwrap_or_default()
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends `METHOD PATH` with further header lines and a body, and reads the answer.
pub(crate) async fn ask(address: SocketAddr, line: &str, headers: &[&str], body: &str) -> Answer {
    ask_on(TcpStream::connect(address).await.expect("connect"), line, headers, body).await
}

/// The same without headers and body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path}"), &[], "").await
}

/// The same on a connection that exists. A `Host` among the headers replaces the usual one.
pub(crate) async fn ask_on<S>(mut stream: S, line: &str, headers: &[&str], body: &str) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let host = if headers.iter().any(|header| header.starts_with("Host:")) { "" } else { "Host: localhost\r\n" };
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await.expect("send");
    read_answer(&mut stream).await
}

/// Connects from an address of this host.
pub(crate) async fn client(server: SocketAddr, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("socket");
    socket.bind((from, 0).into()).expect("bind");
    socket.connect(server).await.expect("connect")
}

/// Checks that a connection ends without a word, be it by a reset.
pub(crate) async fn assert_closed_unserved(mut stream: TcpStream) {
    match stream.read(&mut [0; 1]).await {
        Ok(length) => assert_eq!(length, 0, "something was said"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

/// Reads to the end of the connection.
pub(crate) async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("answer");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
