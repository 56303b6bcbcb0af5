//! The RTM_GETADDR dump of rtnetlink(7): request and answers. Pure.

use std::net::IpAddr;

const MESSAGE_HEADER_BYTES: usize = 16;
const ADDRESS_HEADER_BYTES: usize = 8;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST_DUMP: u16 = 0x1 | 0x300;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_FLAGS: u16 = 8;
/// IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TENTATIVE: addresses that cannot be used, or not for long.
const UNUSABLE: u32 = 0x08 | 0x20 | 0x40;
/// Interfaces of container networks, which no other site reaches.
const CONTAINER_INTERFACES: [&str; 10] =
    ["docker", "br-", "cni", "flannel", "cali", "cilium", "veth", "virbr", SERVICES_INTERFACE, "nodelocaldns"];
/// Holds the addresses of a cluster's Services, which lead elsewhere.
const SERVICES_INTERFACE: &str = "kube-ipvs";

/// One address of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InterfaceAddress {
    pub(super) address: IpAddr,
    /// The interface's name; the kernel tells it for IPv4 alone.
    label: Vec<u8>,
    /// Neither in the making nor on its way out.
    is_usable: bool,
}

impl InterfaceAddress {
    /// Tells whether other hosts may reach this one at it.
    pub(super) fn is_reachable(&self) -> bool {
        self.is_usable && !CONTAINER_INTERFACES.iter().any(|prefix| self.label.starts_with(prefix.as_bytes()))
    }

    /// Tells whether what is sent to it arrives at this host.
    pub(super) fn is_of_host(&self) -> bool {
        !self.label.starts_with(SERVICES_INTERFACE.as_bytes())
    }
}

/// Whether the kernel has more to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dump {
    More,
    Done,
    Failed,
}

/// Writes the request for all addresses of all families.
pub(super) fn dump_request() -> Vec<u8> {
    let length = (MESSAGE_HEADER_BYTES + ADDRESS_HEADER_BYTES) as u32;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(RTM_GETADDR.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    bytes.resize(MESSAGE_HEADER_BYTES + ADDRESS_HEADER_BYTES, 0);
    bytes
}

/// Reads a datagram of answers and appends the addresses in it.
pub(super) fn parse(mut bytes: &[u8], addresses: &mut Vec<InterfaceAddress>) -> Dump {
    while let Some((message, rest)) = split_message(bytes) {
        match message.kind {
            NLMSG_DONE => return Dump::Done,
            NLMSG_ERROR => return Dump::Failed,
            RTM_NEWADDR => addresses.extend(read_address(message.body)),
            _ => {}
        }
        bytes = rest;
    }
    Dump::More
}

struct Message<'a> {
    kind: u16,
    body: &'a [u8],
}

fn split_message(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(MESSAGE_HEADER_BYTES..length)?;
    Some((Message { kind, body }, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn read_address(body: &[u8]) -> Option<InterfaceAddress> {
    let mut flags = u32::from(*body.get(2)?);
    let (mut address, mut local, mut label) = (None, None, Vec::new());
    let mut rest = body.get(ADDRESS_HEADER_BYTES..)?;
    while let Some((kind, value, after)) = split_attribute(rest) {
        match kind {
            IFA_ADDRESS => address = to_address(value),
            IFA_LOCAL => local = to_address(value),
            IFA_FLAGS => flags = u32::from_ne_bytes(*value.first_chunk()?),
            IFA_LABEL => label = value.to_vec(),
            _ => {}
        }
        rest = after;
    }
    local.or(address).map(|address| InterfaceAddress { address, label, is_usable: flags & UNUSABLE == 0 })
}

fn split_attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
    Some((kind, bytes.get(4..length)?, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn to_address(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
        let body = [vec![0; ADDRESS_HEADER_BYTES], attributes.concat()].concat();
        let mut bytes = ((MESSAGE_HEADER_BYTES + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(MESSAGE_HEADER_BYTES, 0);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn every_address_is_read_and_told_whether_others_reach_it_and_whether_it_leads_here() {
        let eth0 = message(RTM_NEWADDR, &[attribute(IFA_LOCAL, &[192, 0, 2, 1]), attribute(IFA_LABEL, b"eth0\0")]);
        let docker =
            message(RTM_NEWADDR, &[attribute(IFA_LOCAL, &[172, 17, 0, 1]), attribute(IFA_LABEL, b"docker0\0")]);
        let old = attribute(IFA_FLAGS, &0x20u32.to_ne_bytes());
        let deprecated = message(RTM_NEWADDR, &[attribute(IFA_ADDRESS, &[0x20; 16]), old]);
        let mut addresses = Vec::new();
        let service =
            message(RTM_NEWADDR, &[attribute(IFA_LOCAL, &[10, 96, 0, 1]), attribute(IFA_LABEL, b"kube-ipvs0\0")]);
        let all = [eth0, docker, deprecated, service, message(NLMSG_DONE, &[])].concat();
        assert_eq!(parse(&all, &mut addresses), Dump::Done);
        let told: Vec<_> = addresses.iter().map(|one| (one.is_reachable(), one.is_of_host())).collect();
        assert_eq!(told, [(true, true), (false, true), (false, true), (false, false)]);
        assert_eq!(addresses[1].address, IpAddr::from([172, 17, 0, 1]));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes, &mut Vec::new());
        }
    }
}
