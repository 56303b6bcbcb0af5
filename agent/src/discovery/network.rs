//! Changes of the host's links, addresses and routes, as the kernel tells them (rtnetlink(7)), and the addresses that
//! the host has now.

mod interface_address;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::BytesMut;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use interface_address::{Dump, InterfaceAddress, dump_request, parse};

/// How long the network must be quiet before a change is told.
pub const DEBOUNCE: Duration = Duration::from_millis(200);
/// The longest delay of a change while the network never gets quiet.
const DEBOUNCE_MAX: Duration = Duration::from_secs(2);
/// The longest wait for the kernel's list of addresses.
const DUMP_TIMEOUT: Duration = Duration::from_secs(2);
const BUFFER_BYTES: usize = 64 * 1_024;
/// RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE (linux/rtnetlink.h).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// Watches the network until dropped.
#[derive(Debug)]
pub struct NetworkWatch {
    changes: watch::Receiver<u64>,
    _task: JoinSet<()>,
}

impl NetworkWatch {
    /// Starts watching. Where the kernel does not tell, no change is ever seen, with a warning.
    pub fn start() -> Self {
        let (sender, changes) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = watch_changes(&sender).await {
                tracing::warn!(%error, "cannot watch the network, its changes are noticed by polling only");
            }
            // Receivers see no change, rather than an end.
            sender.closed().await;
        });
        Self { changes, _task: task }
    }

    /// Returns a counter that moves with each change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

async fn watch_changes(sender: &watch::Sender<u64>) -> io::Result<()> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
    loop {
        receive(&socket).await?;
        let quiet = async { while tokio::time::timeout(DEBOUNCE, receive(&socket)).await.is_ok() {} };
        let _ = tokio::time::timeout(DEBOUNCE_MAX, quiet).await;
        tracing::debug!("the network changed");
        sender.send_modify(|count| *count += 1);
    }
}

/// Waits for a message; one that the kernel had to drop (ENOBUFS) is a message too.
async fn receive(socket: &TokioSocket) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
    match socket.recv(&mut buffer).await {
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
        result => result,
    }
}

/// Returns the addresses of this host that other hosts may reach, and loopback.
///
/// # Errors
/// When the kernel does not answer.
pub async fn reachable_addresses() -> io::Result<Vec<IpAddr>> {
    list(InterfaceAddress::is_reachable).await
}

/// Returns every address at which this host meets itself, those of its bridges to containers included.
///
/// # Errors
/// When the kernel does not answer.
pub async fn own_addresses() -> io::Result<Vec<IpAddr>> {
    list(InterfaceAddress::is_of_host).await
}

async fn list(wanted: fn(&InterfaceAddress) -> bool) -> io::Result<Vec<IpAddr>> {
    let listed =
        tokio::time::timeout(DUMP_TIMEOUT, dump()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    Ok(listed?.into_iter().filter(wanted).map(|one| one.address).collect())
}

async fn dump() -> io::Result<Vec<InterfaceAddress>> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind_auto()?;
    socket.socket_ref().connect(&SocketAddr::new(0, 0))?;
    socket.send(&dump_request()).await?;
    let mut addresses = Vec::new();
    loop {
        let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
        socket.recv(&mut buffer).await?;
        match parse(&buffer, &mut addresses) {
            Dump::More => {}
            Dump::Done => return Ok(addresses),
            Dump::Failed => return Err(io::Error::other("the kernel does not list addresses")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_lists_the_loopback_address() {
        let addresses = own_addresses().await.unwrap();
        assert!(addresses.iter().any(IpAddr::is_loopback), "{addresses:?}");
    }

    #[tokio::test]
    async fn a_watch_starts_without_a_change() {
        let watch = NetworkWatch::start();
        assert_eq!(*watch.subscribe().borrow(), 0);
    }
}
