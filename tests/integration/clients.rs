//! Clients of remote apps.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use wovenet_tests::until::{PATIENCE, until};

/// Connects; whatever the connection is asked for later comes in time or fails.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request and its end, and returns the whole answer.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Waits until the app echoes, and returns how long that took.
pub(crate) fn echoes(address: SocketAddr) -> Duration {
    until("the app echoes", PATIENCE, || ask(address, b"hello").ok().filter(|answer| answer == b"hello")).unwrap().1
}

/// Sends a few bytes and reads them back.
pub(crate) fn exchange(stream: &mut TcpStream) {
    stream.write_all(b"ping").unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ping");
}

/// Reads until the connection ends, which must be by a reset; returns how long that took.
pub(crate) fn expect_reset(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let ended = stream.read_to_end(&mut Vec::new());
    let error = ended.expect_err("a reset, not an end of file");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    begun.elapsed()
}

/// Connects and expects a reset, which may come before the connection is even seen as open.
pub(crate) fn refused(address: SocketAddr) -> Duration {
    let begun = Instant::now();
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(mut stream) => {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            expect_reset(&mut stream);
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    begun.elapsed()
}

/// Ends the connection by a reset.
pub(crate) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Tries up to three times whether something takes less than `limit`, as a busy machine may pause any one of them.
pub(crate) fn expect_within(limit: Duration, mut measure: impl FnMut() -> Duration) {
    let took: Vec<Duration> = (0..3).map_while(|_| Some(measure()).filter(|took| *took >= limit)).collect();
    assert!(took.len() < 3, "never within {limit:?}: {took:?}");
}
