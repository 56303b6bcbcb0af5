//! Clients that load a tunnel and print one number.

use std::io::Read;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::app::{BULK, ECHO};

/// What a held connection says: nothing follows.
const HOLD: u8 = b'H';

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Prints the bytes per second that arrived at the application.
pub(crate) fn bulk(to: SocketAddr, time: Duration, streams: usize) -> anyhow::Result<()> {
    block_on(async {
        let start = Instant::now();
        let mut senders = JoinSet::new();
        for _ in 0..streams {
            senders.spawn(send(to, start + time));
        }
        let mut total = 0;
        while let Some(arrived) = senders.join_next().await {
            total += arrived??;
        }
        println!("{}", total as f64 / start.elapsed().as_secs_f64());
        Ok(())
    })
}

async fn send(to: SocketAddr, end: Instant) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_u8(BULK).await?;
    let block = vec![0x5a; 256 * 1024];
    while Instant::now() < end {
        stream.write_all(&block).await?;
    }
    stream.shutdown().await?;
    Ok(stream.read_u64().await?)
}

/// Prints finished connections per second.
pub(crate) fn connects(to: SocketAddr, time: Duration, at_once: usize) -> anyhow::Result<()> {
    block_on(async {
        let start = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..at_once {
            clients.spawn(connect_again(to, start + time));
        }
        let mut total = 0;
        while let Some(count) = clients.join_next().await {
            total += count??;
        }
        println!("{}", f64::from(total) / start.elapsed().as_secs_f64());
        Ok(())
    })
}

async fn connect_again(to: SocketAddr, end: Instant) -> anyhow::Result<u32> {
    let mut count = 0;
    while Instant::now() < end {
        let mut stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&[ECHO, 7]).await?;
        anyhow::ensure!(stream.read_u8().await? == 7, "another byte came back");
        // Without a reset at the end the client's ports run out within seconds.
        stream.set_zero_linger()?;
        count += 1;
    }
    Ok(count)
}

/// Holds connections until standard input ends; prints a line when all are up.
pub(crate) fn hold(to: SocketAddr, count: usize) -> anyhow::Result<()> {
    block_on(async {
        let mut held = Vec::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(to).await?;
            stream.write_all(&[HOLD]).await?;
            held.push(stream);
        }
        println!("held");
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}
