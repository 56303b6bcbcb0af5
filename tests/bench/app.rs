//! The application behind every tunnel: the first byte says what the client wants.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bulk::{self, Window};

/// Two numbers of milliseconds follow, a [`Window`]. Count what comes meanwhile, and answer with both counts.
pub(crate) const UPLOAD: u8 = b'U';
/// Send without end.
pub(crate) const DOWNLOAD: u8 = b'D';
/// Send back whatever comes.
pub(crate) const ECHO: u8 = b'E';

/// Bytes of the longest request that is sent back at once.
const ECHO_MAX_BYTES: usize = 4096;

/// Serves until killed.
pub(crate) fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(async move { drop(answer(client).await) });
        }
    })
}

async fn answer(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    match client.read_u8().await? {
        UPLOAD => upload(client).await,
        DOWNLOAD => Err(bulk::fill(&mut client).await),
        ECHO => echo(client).await,
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn upload(mut client: TcpStream) -> io::Result<()> {
    let warm_up = Duration::from_millis(client.read_u32().await?.into());
    let time = Duration::from_millis(client.read_u32().await?.into());
    let received = bulk::count(&mut client, Window { warm_up, time }).await?;
    client.write_u64(received.counted).await?;
    client.write_u64(received.total).await?;
    // The client ends the connection: a reset from here could overtake the answer.
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop)
}

async fn echo(mut client: TcpStream) -> io::Result<()> {
    let mut buffer = [0; ECHO_MAX_BYTES];
    loop {
        match client.read(&mut buffer).await? {
            0 => return Ok(()),
            bytes => client.write_all(&buffer[..bytes]).await?,
        }
    }
}
