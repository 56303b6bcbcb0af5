//! A long-distance link between two network namespaces: delay, jitter, loss, a bottleneck and its queue, without the
//! kernel's own emulator. Packets are read from one TUN device, judged by [`Shape`], and written to the other in time.

mod shape;
mod tun;

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context;

pub use shape::{Fate, Shape, ShapeSettings};

/// The device's name in both namespaces.
pub const DEVICE: &str = "em0";
/// Packets under way in one direction; more are dropped as by a full queue.
const UNDER_WAY_MAX: usize = 1 << 16;
/// Longer than any packet.
const PACKET_MAX_BYTES: usize = 1 << 16;

/// One end: the namespace and the address with its prefix length.
#[derive(Clone, Debug)]
pub struct End {
    /// As in ip-netns(8).
    pub namespace: String,
    /// For example `10.99.0.1/24`.
    pub address: String,
}

/// What crossed one direction.
#[derive(Debug, Default)]
pub struct Counts {
    packets: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// Returns the counts as a line for people.
    pub fn line(&self) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{} packets, {:.1} MB, {} lost, {} dropped by the queue",
            count(&self.packets),
            count(&self.bytes) as f64 / 1e6,
            count(&self.lost),
            count(&self.dropped)
        )
    }
}

/// Joins two namespaces until the process ends; returns the counts of both directions.
///
/// # Errors
/// Without the rights for TUN devices and namespaces.
pub fn join(ends: [&End; 2], settings: ShapeSettings, seed: u64) -> anyhow::Result<[Arc<Counts>; 2]> {
    let [one, other] = [device(ends[0], 0)?, device(ends[1], 1)?];
    let there = direction(one.try_clone()?, other.try_clone()?, Shape::new(settings, seed));
    let back = direction(other, one, Shape::new(settings, seed ^ 0x9e37_79b9_7f4a_7c15));
    Ok([there, back])
}

/// Makes a TUN device here and moves it; the file stays connected to it.
fn device(end: &End, number: u32) -> anyhow::Result<File> {
    let name = format!("wl{}-{number}", std::process::id());
    let file = tun::open(&name).with_context(|| format!("cannot make the TUN device {name}"))?;
    let namespace = end.namespace.as_str();
    ip(&["link", "set", &name, "netns", namespace, "name", DEVICE])?;
    ip(&["-n", namespace, "addr", "add", &end.address, "dev", DEVICE])?;
    ip(&["-n", namespace, "link", "set", DEVICE, "txqueuelen", "10000", "up"])?;
    Ok(file)
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("ip").args(arguments).status().context("cannot run ip")?;
    anyhow::ensure!(status.success(), "ip {} failed", arguments.join(" "));
    Ok(())
}

fn direction(from: File, to: File, shape: Shape) -> Arc<Counts> {
    let counts = Arc::new(Counts::default());
    let (send, due) = sync_channel(UNDER_WAY_MAX);
    let read = counts.clone();
    std::thread::spawn(move || take(from, shape, &send, &read));
    std::thread::spawn(move || deliver(to, &due));
    counts
}

fn take(mut from: File, mut shape: Shape, send: &SyncSender<(Instant, Box<[u8]>)>, counts: &Counts) {
    let mut buffer = vec![0; PACKET_MAX_BYTES];
    while let Ok(length) = from.read(&mut buffer) {
        counts.packets.fetch_add(1, Ordering::Relaxed);
        counts.bytes.fetch_add(length as u64, Ordering::Relaxed);
        match shape.judge(Instant::now(), length) {
            Fate::Lost => _ = counts.lost.fetch_add(1, Ordering::Relaxed),
            Fate::Dropped => _ = counts.dropped.fetch_add(1, Ordering::Relaxed),
            Fate::Due(at) => {
                if send.try_send((at, buffer[..length].into())).is_err() {
                    counts.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

fn deliver(mut to: File, due: &Receiver<(Instant, Box<[u8]>)>) {
    while let Ok((at, packet)) = due.recv() {
        let wait = at.saturating_duration_since(Instant::now());
        if wait > Duration::ZERO {
            std::thread::sleep(wait);
        }
        // A device that is down loses packets, as a cable would.
        to.write_all(&packet).ok();
    }
}
