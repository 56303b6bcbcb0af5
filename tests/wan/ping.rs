//! Small requests: who answers and who asks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Bytes of a request and of its answer.
const REQUEST_BYTES: usize = 64;
/// The bulk stream beside it starts up meanwhile.
const WARM_UP: Duration = Duration::from_secs(4);
const MEASURE: Duration = Duration::from_secs(6);

/// Answers every connection until the process is killed.
pub fn echo(listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen)?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        std::thread::spawn(move || {
            let mut request = [0; REQUEST_BYTES];
            while stream.read_exact(&mut request).is_ok() && stream.write_all(&request).is_ok() {}
        });
    }
    Ok(())
}

/// Asks again and again and returns the median time to the answer.
pub fn ping(target: SocketAddr) -> anyhow::Result<Duration> {
    let mut stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < WARM_UP + MEASURE {
        let asked = Instant::now();
        stream.write_all(&[1; REQUEST_BYTES])?;
        stream.read_exact(&mut [0; REQUEST_BYTES])?;
        if start.elapsed() > WARM_UP {
            times.push(asked.elapsed());
        }
    }
    times.sort();
    anyhow::ensure!(!times.is_empty(), "no answer came");
    Ok(times[times.len() / 2])
}
