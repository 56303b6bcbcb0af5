//! The smallest HTTP client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    head: String,
    /// The body.
    pub body: String,
}

impl Reply {
    /// Returns a header, named in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Fetches `path` and returns the body of a 200 answer.
///
/// # Errors
/// When the connection fails or the answer is another one.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let reply = request(address, "GET", path, &[], "")?;
    anyhow::ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
    Ok(reply.body)
}

/// Sends a request with headers such as `Authorization: Bearer x` and returns the answer, whatever its status.
///
/// # Errors
/// When the connection fails or there is no answer.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> anyhow::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}{length}\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| anyhow::anyhow!("no HTTP answer"))?;
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| anyhow::anyhow!("no HTTP status: {head}"))?;
    Ok(Reply { status, head: head.to_owned(), body: body.to_owned() })
}
