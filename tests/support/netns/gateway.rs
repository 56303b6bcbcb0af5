//! A NAT gateway between the internet and an inner network, as people have at home.

use std::cell::Cell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{Host, Namespace, lab};

/// A gateway that hides its inner network behind its own addresses.
pub struct Gateway {
    namespace: Namespace,
    lan: Vec<String>,
    directory: PathBuf,
    ports: Cell<u32>,
}

impl Gateway {
    pub(super) fn new(namespace: Namespace, lan: &[&str], directory: &Path) -> anyhow::Result<Self> {
        namespace.ip("link add lan type bridge stp_state 0 mcast_snooping 0\nlink set lan up")?;
        for address in lan {
            namespace.ip(&format!("addr add {address} dev lan{}", nodad(address)))?;
        }
        namespace.sysctl("net/ipv4/ip_forward", "1")?;
        namespace.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        namespace.nft(
            "add table inet nat\n\
             add chain inet nat prerouting { type nat hook prerouting priority dstnat; }\n\
             add chain inet nat postrouting { type nat hook postrouting priority srcnat; }\n\
             add rule inet nat postrouting oifname wan masquerade\n",
        )?;
        let lan = lan.iter().map(ToString::to_string).collect();
        Ok(Self { namespace, lan, directory: directory.to_owned(), ports: Cell::new(0) })
    }

    /// Returns the gateway's own namespace, for faults on the way.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Makes a host of the inner network; addresses have a prefix length.
    ///
    /// # Errors
    /// The system's error.
    pub fn host(&self, name: &str, addresses: &[&str]) -> anyhow::Result<Host> {
        let host = Namespace::new(name)?;
        let port = self.ports.replace(self.ports.get() + 1);
        host.plug("lan", &self.namespace, "lan", &format!("lan{port}"))?;
        for address in addresses {
            host.ip(&format!("addr add {address} dev lan{}", nodad(address)))?;
        }
        for gateway in &self.lan {
            let address = gateway.split('/').next().unwrap_or_default();
            if addresses.iter().any(|own| own.contains(':') == address.contains(':')) {
                host.ip(&format!("route add default via {address}"))?;
            }
        }
        Host::new(host, name, &self.directory)
    }

    /// Returns the gateway itself as a host, for programs that run on it.
    ///
    /// # Errors
    /// The system's error.
    pub fn beside(&self, name: &str) -> anyhow::Result<Host> {
        Host::new(self.namespace.clone(), name, &self.directory)
    }

    /// Forwards a UDP port of the outer IPv4 address to an inner host.
    ///
    /// # Errors
    /// When nft refuses.
    pub fn forward_udp(&self, port: u16, to: &str) -> anyhow::Result<()> {
        self.namespace.nft(&format!("add rule inet nat prerouting iifname wan udp dport {port} dnat ip to {to}\n"))
    }

    /// Replaces an outer address, as a provider does overnight. What came through the old one is cut.
    ///
    /// # Errors
    /// The system's error.
    pub fn change_address(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let whole = if from.parse::<IpAddr>()?.is_ipv6() { 128 } else { 32 };
        self.namespace.ip(&format!("addr del {from}/{whole} dev wan"))?;
        lab::address_internet(&self.namespace, &[to])?;
        // The provider routes nothing of the old address any more.
        self.namespace.nft(&format!(
            "add table inet moved\n\
             add chain inet moved out {{ type filter hook postrouting priority 300; }}\n\
             add rule inet moved out ip saddr {from} drop\n"
        ))
    }
}

fn nodad(address: &str) -> &'static str {
    if address.contains(':') { " nodad" } else { "" }
}
