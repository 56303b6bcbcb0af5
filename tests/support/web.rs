//! A small web app.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

/// Serves `page` on a free port of loopback for as long as the process lives, and returns the port.
///
/// # Errors
/// When no port can be had.
pub fn serve(page: String) -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let page = page.clone();
            // A client that goes away early is its own business.
            thread::spawn(move || drop(answer(client, &page)));
        }
    });
    Ok(port)
}

fn answer(mut client: TcpStream, page: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
}
