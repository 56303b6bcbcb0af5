//! Clients.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::socket::{Connection, SocketName, outcome};
use crate::{now_ms, tell};

/// How long a read or write of a client may take that has no limit of its own.
const LIMIT: Duration = Duration::from_secs(25);
/// Time between two tries of [`reach`].
const REACH_EVERY: Duration = Duration::from_millis(5);
/// Bytes of a block of [`pump`]; the sockets on the way hold more than one.
const BLOCK_BYTES: usize = 64 * 1024;
/// Time between two progress reports of [`pump`].
const REPORT_EVERY: Duration = Duration::from_millis(200);

pub fn reach(to: &SocketName, limit_ms: u64) -> anyhow::Result<()> {
    let start = Instant::now();
    let limit = Duration::from_millis(limit_ms);
    while let Err(error) = Connection::open(to, limit) {
        if start.elapsed() > limit {
            tell(&json!({"event": "reached", "outcome": outcome(&error)}));
            return Ok(());
        }
        thread::sleep(REACH_EVERY);
    }
    tell(&json!({"event": "reached", "outcome": "ok"}));
    Ok(())
}

pub fn fetch(to: &SocketName) -> anyhow::Result<()> {
    once("fetched", || {
        let mut server = Connection::open(to, LIMIT)?;
        server.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        server.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(body.to_owned())
    })
}

pub fn greeting(to: &SocketName) -> anyhow::Result<()> {
    once("greeted", || {
        let mut line = String::new();
        BufReader::new(Connection::open(to, LIMIT)?).read_line(&mut line)?;
        if line.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(line.trim_end().to_owned()) }
    })
}

pub fn exec(to: &SocketName) -> anyhow::Result<()> {
    once("executed", || {
        let mut server = Connection::open(to, LIMIT)?;
        server
            .write_all(b"POST /exec/1/start HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")?;
        server.write_all(&[b'x'; 100_000])?;
        server.finish_writing()?;
        let mut answer = String::new();
        server.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        if head.starts_with("HTTP/1.1 101") { Ok(body.to_owned()) } else { Err(io::ErrorKind::InvalidData.into()) }
    })
}

/// Does something once and tells how it went.
fn once(event: &str, act: impl FnOnce() -> io::Result<String>) -> anyhow::Result<()> {
    let (at_ms, start) = (now_ms(), Instant::now());
    let done = act();
    let text = done.as_deref().unwrap_or_default();
    let outcome = done.as_ref().map_or_else(outcome, |_| "ok".to_owned());
    tell(&json!({"event": event, "outcome": outcome, "text": text, "at_ms": at_ms, "ms": millis(start)}));
    Ok(())
}

pub fn connect_loop(to: &SocketName, every_ms: u64, limit_ms: u64) -> anyhow::Result<()> {
    let limit = Duration::from_millis(limit_ms);
    for number in 0u64.. {
        let to = to.clone();
        thread::spawn(move || {
            let (at_ms, start) = (now_ms(), Instant::now());
            let tried = Connection::open(&to, limit).and_then(|mut server| exchange(&mut server, number));
            let outcome = tried.as_ref().map_or_else(outcome, |()| "ok".to_owned());
            tell(&json!({"event": "tried", "number": number, "outcome": outcome, "at_ms": at_ms, "ms": millis(start)}));
        });
        thread::sleep(Duration::from_millis(every_ms));
    }
    Ok(())
}

pub fn hold(to: &SocketName, count: u64, every_ms: u64) -> anyhow::Result<()> {
    let pause = Duration::from_millis(every_ms);
    let held: Vec<_> = (0..count)
        .map(|number| {
            let to = to.clone();
            thread::spawn(move || {
                let start = Instant::now();
                let error = hold_one(&to, number, pause);
                let outcome = outcome(&error);
                tell(&json!({"event": "ended", "number": number, "outcome": outcome, "at_ms": now_ms(), "ms": millis(start)}));
            })
        })
        .collect();
    held.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

fn hold_one(to: &SocketName, number: u64, pause: Duration) -> io::Error {
    let mut server = match Connection::open(to, LIMIT) {
        Ok(server) => server,
        Err(error) => return error,
    };
    let mut first = true;
    loop {
        if let Err(error) = exchange(&mut server, number) {
            return error;
        }
        if std::mem::take(&mut first) {
            tell(&json!({"event": "held", "number": number}));
        }
        thread::sleep(pause);
    }
}

/// Sends a line and wants it back.
fn exchange(server: &mut Connection, number: u64) -> io::Result<()> {
    let line = format!("line {number} of a test\n").into_bytes();
    server.write_all(&line)?;
    let mut back = vec![0; line.len()];
    server.read_exact(&mut back)?;
    if back == line { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

pub fn pump(to: &SocketName, for_ms: u64, every_ms: u64) -> anyhow::Result<()> {
    let mut report = Report { start: Instant::now(), last: Instant::now(), bytes: 0, stall: Duration::ZERO };
    let pumped = pump_all(to, Duration::from_millis(for_ms), Duration::from_millis(every_ms), &mut report);
    let outcome = pumped.as_ref().map_or_else(outcome, |()| "ok".to_owned());
    tell(&report.event("pumped", &outcome));
    Ok(())
}

struct Report {
    start: Instant,
    last: Instant,
    bytes: u64,
    stall: Duration,
}

impl Report {
    fn event(&self, event: &str, outcome: &str) -> Value {
        let stall_ms = u64::try_from(self.stall.as_millis()).unwrap_or(u64::MAX);
        json!({"event": event, "outcome": outcome, "bytes": self.bytes, "stall_ms": stall_ms, "at_ms": now_ms(), "ms": millis(self.start)})
    }
}

fn pump_all(to: &SocketName, length: Duration, pause: Duration, report: &mut Report) -> io::Result<()> {
    let mut server = Connection::open(to, LIMIT)?;
    let (mut back, mut number) = (vec![0; BLOCK_BYTES], 0u32);
    while report.start.elapsed() < length {
        let block: Vec<u8> = (0..BLOCK_BYTES).map(|at| (at as u32 ^ number.wrapping_mul(0x9e37_79b9)) as u8).collect();
        let sent = Instant::now();
        server.write_all(&block)?;
        server.read_exact(&mut back)?;
        if back != block {
            return Err(io::ErrorKind::InvalidData.into());
        }
        number += 1;
        report.bytes += BLOCK_BYTES as u64;
        report.stall = report.stall.max(sent.elapsed());
        if number == 1 || report.last.elapsed() > REPORT_EVERY {
            report.last = Instant::now();
            tell(&report.event("progress", "ok"));
        }
        thread::sleep(pause);
    }
    server.finish_writing()?;
    match server.read(&mut back)? {
        0 => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn millis(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
