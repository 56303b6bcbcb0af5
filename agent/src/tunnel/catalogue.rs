//! What a peer is told of this site's apps: only those it may use, in pages, then changes only (docs/protocol.md §4). Pure.

use std::collections::BTreeMap;

use wovenet_config::app::{ExposedApp, Target};
use wovenet_config::name::AppName;

use crate::peer::PeerIdentity;
use crate::tunnel::frame::{CatalogueEntry, Control, FRAME_MAX_BYTES};

/// Bytes of a page's entries; the rest of a frame is its own syntax.
const PAGE_BYTES: usize = FRAME_MAX_BYTES - 128;
/// The most apps that are kept of one peer.
pub(super) const APPS_MAX: usize = wovenet_config::app::APPS_MAX;

/// Apps by name.
pub type Catalogue = BTreeMap<AppName, CatalogueEntry>;

/// Returns what `peer` may use of `exposed`.
pub(super) fn for_peer(exposed: &[ExposedApp], peer: &PeerIdentity) -> Catalogue {
    exposed
        .iter()
        .filter(|app| app.allowed_sites.admits(&peer.name, &peer.site))
        .map(|app| (app.name.clone(), entry(app)))
        .collect()
}

fn entry(app: &ExposedApp) -> CatalogueEntry {
    let ports = match &app.target {
        Target::Ports(ports) => ports.iter().map(|(name, _)| name.clone()).collect(),
        Target::Single(_) | Target::Range(_) => vec![],
    };
    CatalogueEntry {
        name: app.name.clone(),
        ports,
        protocol: "tcp".to_owned(),
        range: matches!(app.target, Target::Range(_)),
        healthy: true,
    }
}

/// Returns the frames that turn `told` into `current`; none when nothing changed and something was told before.
pub(super) fn changes(told: Option<&Catalogue>, current: &Catalogue) -> Vec<Control> {
    let empty = Catalogue::new();
    let before = told.unwrap_or(&empty);
    let added = current.iter().filter(|(name, entry)| before.get(*name) != Some(*entry));
    let removed = before.keys().filter(|name| !current.contains_key(*name));
    let mut pages = Pages::default();
    added.for_each(|(_, entry)| pages.add(entry_bytes(entry), |page| page.0.push(entry.clone())));
    removed.for_each(|name| pages.add(name.as_str().len() * 2 + 8, |page| page.1.push(name.clone())));
    pages.finish(told.is_none())
}

/// Applies one frame's content to what is known so far.
pub(super) fn apply(known: &mut Catalogue, entries: Vec<CatalogueEntry>, removed: &[AppName]) {
    removed.iter().for_each(|name| drop(known.remove(name)));
    for entry in entries {
        if known.len() < APPS_MAX || known.contains_key(&entry.name) {
            known.insert(entry.name.clone(), entry);
        }
    }
}

type Page = (Vec<CatalogueEntry>, Vec<AppName>);

#[derive(Default)]
struct Pages {
    full: Vec<Page>,
    open: Page,
    bytes: usize,
}

impl Pages {
    fn add(&mut self, bytes: usize, put: impl FnOnce(&mut Page)) {
        if self.bytes + bytes > PAGE_BYTES && self.bytes > 0 {
            self.full.push(std::mem::take(&mut self.open));
            self.bytes = 0;
        }
        put(&mut self.open);
        self.bytes += bytes;
    }

    fn finish(mut self, even_if_empty: bool) -> Vec<Control> {
        if self.bytes > 0 || even_if_empty {
            self.full.push(self.open);
        }
        let last = self.full.len();
        let frame = |(index, (entries, removed)): (usize, Page)| Control::Catalogue {
            entries,
            removed,
            complete: index + 1 == last,
        };
        self.full.into_iter().enumerate().map(frame).collect()
    }
}

fn entry_bytes(entry: &CatalogueEntry) -> usize {
    serde_json::to_vec(entry).map_or(PAGE_BYTES, |bytes| bytes.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::frame;
    use proptest::prelude::*;

    fn catalogue(names: &[String]) -> Catalogue {
        let entry = |name: &String| CatalogueEntry {
            name: name.parse().unwrap(),
            ports: vec![],
            protocol: "tcp".into(),
            range: false,
            healthy: true,
        };
        names.iter().map(|name| (name.parse().unwrap(), entry(name))).collect()
    }

    fn replay(known: &mut Catalogue, frames: Vec<Control>) -> bool {
        let mut complete = false;
        for frame in frames {
            let bytes = frame::encode(&frame).expect("each page fits a frame");
            let Ok(Control::Catalogue { entries, removed, complete: last }) = frame::decode(&bytes[2..]) else {
                panic!("not a catalogue")
            };
            apply(known, entries, &removed);
            complete = last;
        }
        complete
    }

    #[test]
    fn an_empty_catalogue_is_told_once() {
        let empty = Catalogue::new();
        assert_eq!(changes(None, &empty).len(), 1);
        assert!(changes(Some(&empty), &empty).is_empty());
    }

    proptest! {
        #[test]
        fn pages_and_changes_end_in_the_same_catalogue(
            before in proptest::collection::vec("[a-z]{1,200}", 0..80),
            after in proptest::collection::vec("[a-z]{1,200}", 0..80),
        ) {
            let (before, after) = (catalogue(&before), catalogue(&after));
            let mut known = Catalogue::new();
            prop_assert!(replay(&mut known, changes(None, &before)));
            prop_assert_eq!(&known, &before);
            replay(&mut known, changes(Some(&before), &after));
            prop_assert_eq!(&known, &after);
        }
    }
}
