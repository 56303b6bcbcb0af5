//! The application behind every tunnel: the first byte says what the client wants.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Count what comes until its end, and answer with the count.
pub(crate) const BULK: u8 = b'B';
/// Send the next byte back.
pub(crate) const ECHO: u8 = b'E';

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

async fn answer(mut client: TcpStream) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    match client.read_u8().await? {
        BULK => {
            let mut buffer = vec![0; 256 * 1024];
            let mut total = 0u64;
            loop {
                match client.read(&mut buffer).await? {
                    0 => return client.write_u64(total).await,
                    count => total += count as u64,
                }
            }
        }
        ECHO => {
            let byte = client.read_u8().await?;
            client.write_u8(byte).await?;
            // The client closes first.
            client.read(&mut [0]).await.map(drop)
        }
        _ => client.read(&mut [0]).await.map(drop),
    }
}
