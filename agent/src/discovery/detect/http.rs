//! `autoHttpDetect`: a web page that answers with the caller's address. Proxies of the environment are not used: the
//! tunnel does not pass through them, so their address is of no use.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Position, Url};

use super::{DETECT_TIMEOUT, DetectError};
use crate::discovery::mqtt_options::{client_config, native_roots};

/// The longest answer, in bytes.
pub const BODY_MAX_BYTES: usize = 256;
/// The most redirects that are followed.
pub const REDIRECTS_MAX: usize = 5;

/// Asks a web page.
///
/// # Errors
/// [`DetectError`] unless a 200 with nothing but an address comes within [`DETECT_TIMEOUT`].
pub async fn detect(url: &Url) -> Result<IpAddr, DetectError> {
    tokio::time::timeout(DETECT_TIMEOUT, follow(url.clone())).await.map_err(|_| DetectError::Timeout)?
}

async fn follow(mut url: Url) -> Result<IpAddr, DetectError> {
    for _ in 0..=REDIRECTS_MAX {
        let location = match ask(&url).await? {
            Answer::Address(address) => return Ok(address),
            Answer::Redirect(location) => location,
        };
        let next = url.join(&location).map_err(|error| DetectError::Url(error.to_string()))?;
        if url.scheme() == "https" && next.scheme() != "https" {
            return Err(DetectError::Url("redirects from https to http".into()));
        }
        url = next;
    }
    Err(DetectError::Redirects)
}

enum Answer {
    Address(IpAddr),
    Redirect(String),
}

async fn ask(url: &Url) -> Result<Answer, DetectError> {
    let invalid = |what: &str| DetectError::Url(what.to_owned());
    let host = url.host_str().ok_or_else(|| invalid("has no host"))?.trim_matches(['[', ']']);
    let port = url.port_or_known_default().ok_or_else(|| invalid("has no port"))?;
    match url.scheme() {
        "http" => converse(url, TcpStream::connect((host, port)).await?).await,
        "https" => {
            let roots = native_roots().map_err(|error| DetectError::Tls(error.text))?;
            let config = client_config(roots).map_err(|error| DetectError::Tls(error.to_string()))?;
            let name = ServerName::try_from(host.to_owned()).map_err(|error| DetectError::Tls(error.to_string()))?;
            let stream = TcpStream::connect((host, port)).await?;
            converse(url, TlsConnector::from(Arc::new(config)).connect(name, stream).await?).await
        }
        _ => Err(invalid("is neither http nor https")),
    }
}

/// Sends the request and reads the answer, while the connection is driven beside.
async fn converse(url: &Url, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Answer, DetectError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, concat!("wovenet/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| DetectError::Url(error.to_string()))?;
    let mut answer = pin!(async { read_answer(sender.send_request(request).await?).await });
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = connection => {
            ended?;
            answer.await
        }
    }
}

async fn read_answer(response: Response<Incoming>) -> Result<Answer, DetectError> {
    let status = response.status();
    if status.is_redirection() {
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        return location.map(|to| Answer::Redirect(to.to_owned())).ok_or(DetectError::Status(status.as_u16()));
    }
    if status != StatusCode::OK {
        return Err(DetectError::Status(status.as_u16()));
    }
    let body = Limited::new(response.into_body(), BODY_MAX_BYTES).collect().await;
    let body =
        body.map_err(|error| if error.is::<LengthLimitError>() { DetectError::TooLong } else { broken(&*error) })?;
    let bytes = body.to_bytes();
    let text = std::str::from_utf8(&bytes).map_err(|_| DetectError::NoAddress)?;
    text.trim().parse().map(Answer::Address).map_err(|_| DetectError::NoAddress)
}

fn broken(error: &(dyn std::error::Error + Send + Sync)) -> DetectError {
    DetectError::Network(std::io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Serves each connection with the same bytes, repeated for as long as the client takes them.
    async fn serve(answer: &'static [u8], times: usize) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ip?x=1", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                for _ in 0..times {
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            }
        });
        url
    }

    #[tokio::test]
    async fn an_address_is_trimmed_and_taken() {
        let url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n 203.0.113.7\r\n", 1).await;
        assert_eq!(detect(&url).await.unwrap(), "203.0.113.7".parse::<IpAddr>().unwrap());
    }

    #[tokio::test]
    async fn fault_42_a_web_page_is_no_address() {
        let url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>", 1).await;
        assert!(matches!(detect(&url).await, Err(DetectError::NoAddress)));
    }

    #[tokio::test]
    async fn only_status_200_counts() {
        let url = serve(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\n1.2.3.4", 1).await;
        assert!(matches!(detect(&url).await, Err(DetectError::Status(403))));
    }

    #[tokio::test]
    async fn fault_42_a_gigabyte_is_cut_off_after_256_bytes() {
        const HEAD: &[u8] =
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n1111111111111111111111111111111111111";
        let url = serve(HEAD, 20_000_000).await;
        assert!(matches!(detect(&url).await, Err(DetectError::TooLong)));
    }

    #[tokio::test]
    async fn endless_redirects_are_given_up() {
        let url = serve(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n", 1).await;
        assert!(matches!(detect(&url).await, Err(DetectError::Redirects)));
    }

    #[tokio::test]
    async fn fault_42_a_server_that_hangs_costs_the_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        assert!(matches!(detect(&url).await, Err(DetectError::Timeout)));
    }
}
