//! A WebSocket of binary messages (RFC 6455), both ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use aws_lc_rs::digest;

/// What the server appends to the client's key (RFC 6455, 1.3).
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The client's key; the example of the specification.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The first byte of a whole binary message.
const BINARY: u8 = 0x82;
/// The first byte of a close frame.
const CLOSE: u8 = 0x88;

fn accept(key: &str) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{MAGIC}").as_bytes());
    data_encoding::BASE64.encode(hash.as_ref())
}

/// Reads the head of a request or answer.
fn head(reader: &mut impl BufRead) -> Vec<String> {
    reader.lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect()
}

fn write_frame(stream: &mut impl Write, first: u8, message: &[u8], mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match message.len() {
        short @ 0..=125 => frame.push(masked | short as u8),
        medium @ 126..=65_535 => {
            frame.push(masked | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
        long => {
            frame.push(masked | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    let mask_bytes = mask.unwrap_or_default();
    frame.extend(mask.into_iter().flatten());
    frame.extend(message.iter().zip(mask_bytes.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    stream.write_all(&frame).unwrap();
}

/// Reads a frame: its first byte and its message.
fn read_frame(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut start = [0; 2];
    stream.read_exact(&mut start).unwrap();
    let mut length = [0; 8];
    let length = match start[1] & 0x7F {
        126 => stream.read_exact(&mut length[6..]).map(|()| u64::from_be_bytes(length)).unwrap(),
        127 => stream.read_exact(&mut length).map(|()| u64::from_be_bytes(length)).unwrap(),
        short => u64::from(short),
    };
    let mut mask = [0; 4];
    if start[1] & 0x80 != 0 {
        stream.read_exact(&mut mask).unwrap();
    }
    let mut message = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut message).unwrap();
    message.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    (start[0], message)
}

/// The server: sends every message back until the client closes.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let request = head(&mut reader);
    let Some(key) = request.iter().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")) else { return };
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade";
    write!(stream, "{upgrade}\r\nSec-WebSocket-Accept: {}\r\n\r\n", accept(key)).unwrap();
    loop {
        let (first, message) = read_frame(&mut reader);
        write_frame(&mut stream, first, &message, None);
        if first == CLOSE {
            return;
        }
    }
}

/// The client.
pub(crate) struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn open(mut stream: TcpStream) -> Self {
        let upgrade = "GET / HTTP/1.1\r\nHost: app\r\nUpgrade: websocket\r\nConnection: Upgrade";
        write!(stream, "{upgrade}\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let answer = head(&mut reader);
        assert!(answer[0].contains("101"), "{answer:?}");
        assert!(answer.contains(&format!("Sec-WebSocket-Accept: {}", accept(KEY))), "{answer:?}");
        Self { stream, reader }
    }

    pub(crate) fn send(&mut self, message: &[u8]) {
        write_frame(&mut self.stream, BINARY, message, Some([1, 2, 3, 4]));
    }

    /// Returns the next message; `None` when the server has closed.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let (first, message) = read_frame(&mut self.reader);
        (first == BINARY).then_some(message)
    }

    pub(crate) fn close(&mut self) {
        write_frame(&mut self.stream, CLOSE, &[], Some([1, 2, 3, 4]));
    }
}
