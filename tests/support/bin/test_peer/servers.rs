//! Servers: each client has a thread, and its end is told.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;

use serde_json::json;

use crate::socket::{Connection, Listener, SocketName, outcome};
use crate::tell;

/// Bytes that are moved at a time.
const BLOCK_BYTES: usize = 64 * 1024;

pub fn echo(listen: &SocketName) -> anyhow::Result<()> {
    serve(listen, |mut client| {
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            match client.read(&mut block)? {
                0 => return client.finish_writing(),
                count => client.write_all(&block[..count])?,
            }
        }
    })
}

/// One thread for all clients. Tells where it listens.
pub fn echoes(listen: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await?;
        tell(&json!({"event": "listening", "port": listener.local_addr()?.port()}));
        loop {
            let (mut client, _) = listener.accept().await?;
            tokio::spawn(async move {
                let (mut read, mut write) = client.split();
                // How a client ends is its own business here.
                tokio::io::copy(&mut read, &mut write).await.ok();
            });
        }
    })
}

pub fn banner(listen: &SocketName, text: &str) -> anyhow::Result<()> {
    let text = format!("{text}\r\n");
    serve(listen, move |mut client| {
        client.write_all(text.as_bytes())?;
        io::copy(&mut client, &mut io::sink()).map(drop)
    })
}

pub fn web(listen: &SocketName, page: &str) -> anyhow::Result<()> {
    let page = page.to_owned();
    serve(listen, move |client| {
        let body = page.replace("{client}", &client.client());
        let mut client = BufReader::new(client);
        let (mut request, mut line) = (String::new(), String::new());
        client.read_line(&mut request)?;
        while client.read_line(&mut line)? > 2 {
            line.clear();
        }
        if request.starts_with("POST") {
            return run_command(client);
        }
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n");
        client.get_mut().write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())
    })
}

/// Answers as an interactive command does: nothing but the upgrade until the input has ended, then the result.
fn run_command(mut client: BufReader<Connection>) -> io::Result<()> {
    client.get_mut().write_all(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")?;
    let mut input = String::new();
    client.read_to_string(&mut input)?;
    client.get_mut().write_all(format!("{} bytes of input", input.len()).as_bytes())
}

pub fn hold_udp(listen: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(listen)?;
    tell(&json!({"event": "listening"}));
    loop {
        socket.recv_from(&mut [0; 16])?;
    }
}

fn serve(
    listen: &SocketName,
    handle: impl Fn(Connection) -> io::Result<()> + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let listener = Listener::bind(listen)?;
    tell(&json!({"event": "listening"}));
    let handle = Arc::new(handle);
    loop {
        let client = listener.accept()?;
        let handle = Arc::clone(&handle);
        thread::spawn(move || {
            let ended = handle(client);
            let outcome = ended.as_ref().map_or_else(outcome, |()| "ok".to_owned());
            tell(&json!({"event": "served", "outcome": outcome}));
        });
    }
}
