//! Judges the sites that are known by key.

use std::collections::BTreeMap;

use crate::document::{self, Document};
use crate::key::PublicKey;
use crate::name::SiteName;
use crate::peer::{HostPort, PEER_ADDRESSES_MAX, PEERS_MAX, Peer, Pin, Trust};
use crate::tunnel::TUNNEL_PORT;

use super::keys::public_key;
use super::report::Report;

pub(super) fn trust(document: &Document, report: &mut Report) -> Option<Trust> {
    let words = [("SharedKey", Trust::SharedKey), ("Pinned", Trust::Pinned)];
    let trust = report.word_of_any_case("trust", super::filled(document.trust.as_deref()), &words)?.unwrap_or_default();
    if trust == Trust::Pinned && document.peers.is_empty() {
        report.error("trust", "is Pinned, but there are no peers, so that no site could join; list them under peers");
    }
    Some(trust)
}

pub(super) fn peers(
    peers: &[document::Peer],
    own_name: Option<&SiteName>,
    denied: &[PublicKey],
    report: &mut Report,
) -> Vec<Peer> {
    report.at_most("peers", peers.len(), PEERS_MAX);
    let peers: Vec<(usize, Peer)> = peers
        .iter()
        .enumerate()
        .filter_map(|(index, written)| Some((index, peer(&format!("peers[{index}]"), written, own_name, report)?)))
        .collect();
    check_unique(&peers, report);
    for (index, peer) in peers.iter().filter(|(_, peer)| denied.contains(&peer.public_key)) {
        let message = format!("{:?} has a key that deniedKeys refuses, so that it cannot join", peer.site);
        report.warning(format!("peers[{index}].publicKey"), message);
    }
    peers.into_iter().map(|(_, peer)| peer).collect()
}

/// Judges the bindings that no longer stand. One that is listed under `peers` stands all the same.
pub(super) fn unpin(pins: &[document::Pin], peers: &[Peer], report: &mut Report) -> Vec<Pin> {
    report.at_most("unpin", pins.len(), PEERS_MAX);
    let read = |(index, written): (usize, &document::Pin)| {
        let site: Option<SiteName> = report.name(&format!("unpin[{index}].siteName"), written.site_name.as_deref());
        let public_key = public_key(&format!("unpin[{index}].publicKey"), written.public_key.as_deref(), report);
        let pin = Pin { site: site?, public_key: public_key? };
        if peers.iter().any(|peer| (&peer.site, peer.public_key) == (&pin.site, pin.public_key)) {
            report.warning(format!("unpin[{index}]"), "has no effect, as the same name and key are listed under peers");
        }
        Some(pin)
    };
    pins.iter().enumerate().filter_map(read).collect()
}

fn peer(path: &str, written: &document::Peer, own_name: Option<&SiteName>, report: &mut Report) -> Option<Peer> {
    let name_path = format!("{path}.siteName");
    let site: Option<SiteName> = report.name(&name_path, written.site_name.as_deref());
    if site.is_some() && site.as_ref() == own_name {
        report.error(name_path, format!("{:?} is this site's own name; list other sites only", own_name?));
    }
    let public_key = public_key(&format!("{path}.publicKey"), written.public_key.as_deref(), report);
    report.at_most(&format!("{path}.addresses"), written.addresses.len(), PEER_ADDRESSES_MAX);
    let addresses: Vec<HostPort> = written
        .addresses
        .iter()
        .enumerate()
        .filter_map(|(index, text)| {
            report.parsed(&format!("{path}.addresses[{index}]"), text, HostPort::parse(text, TUNNEL_PORT))
        })
        .collect();
    Some(Peer { site: site?, public_key: public_key?, addresses })
}

fn check_unique(peers: &[(usize, Peer)], report: &mut Report) {
    let mut names = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for (index, peer) in peers {
        if let Some(first) = names.insert(&peer.site, index) {
            let message = format!("{:?} is also the name of peers[{first}]; names must be unique", peer.site);
            report.error(format!("peers[{index}].siteName"), message);
        }
        if let Some(first) = keys.insert(peer.public_key, index) {
            let message = format!("is also the key of peers[{first}]; keys must be unique");
            report.error(format!("peers[{index}].publicKey"), message);
        }
    }
}
