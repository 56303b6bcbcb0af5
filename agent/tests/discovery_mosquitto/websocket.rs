//! MQTT over WebSocket (RFC 6455) relayed to a plain broker, as a reverse proxy does it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const BINARY_FINAL: u8 = 0x82;

/// Starts a relay and returns its port.
pub(crate) async fn relay(broker: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, broker));
        }
    });
    port
}

async fn serve(client: TcpStream, broker: u16) {
    let (read, mut write) = client.into_split();
    let mut read = BufReader::new(read);
    write.write_all(shake_hands(&mut read).await.as_bytes()).await.unwrap();
    let (from_broker, to_broker) = TcpStream::connect(("127.0.0.1", broker)).await.unwrap().into_split();
    tokio::select! {
        _ = unwrap_frames(read, to_broker) => {}
        _ = wrap_frames(from_broker, write) => {}
    }
}

async fn shake_hands(client: &mut BufReader<OwnedReadHalf>) -> String {
    let (mut line, mut key) = (String::new(), String::new());
    while client.read_line(&mut line).await.unwrap() > 2 {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("sec-websocket-key")
        {
            key = value.trim().to_owned();
        }
        line.clear();
    }
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
}

async fn unwrap_frames(mut client: BufReader<OwnedReadHalf>, mut broker: OwnedWriteHalf) -> std::io::Result<()> {
    loop {
        let _opcode = client.read_u8().await?;
        let length = match client.read_u8().await? & 0x7f {
            126 => u64::from(client.read_u16().await?),
            127 => client.read_u64().await?,
            short => u64::from(short),
        };
        let mut mask = [0; 4];
        client.read_exact(&mut mask).await?;
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        client.read_exact(&mut payload).await?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        broker.write_all(&payload).await?;
    }
}

async fn wrap_frames(mut broker: OwnedReadHalf, mut client: OwnedWriteHalf) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let length = broker.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        client.write_all(&[BINARY_FINAL, 126]).await?;
        client.write_u16(u16::try_from(length).unwrap()).await?;
        client.write_all(&buffer[..length]).await?;
    }
}
