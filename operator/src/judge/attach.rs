//! Which Site an app attaches to.

use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use wovenet_crds::Site;
use wovenet_crds::condition::Reason;
use wovenet_crds::reference::SiteReference;
use wovenet_crds::site::From;

use super::Refusal;
use crate::collect::{Snapshot, Surroundings};

const AMBIGUOUS: &str = "there are several Sites: name one in spec.siteRef.name";

/// Returns the name of the Site. An app that names none stays at the one that it is `attached` to: another Site must not take
/// away what works.
pub(super) fn attach(
    reference: &Option<SiteReference>,
    attached: Option<&str>,
    namespace: Option<String>,
    known: &Snapshot,
    around: &Surroundings,
) -> Result<String, Refusal> {
    let site = match reference {
        Some(reference) => known
            .sites
            .iter()
            .find(|site| site.name_any() == reference.name)
            .ok_or_else(|| (Reason::SiteNotFound, not_found(&reference.name, known, around)))?,
        None => match (known.sites.as_slice(), known.unreadable.sites.as_slice()) {
            ([only], []) => only,
            ([], []) => {
                return Err((Reason::SiteNotFound, format!("there is no Site in namespace {}", around.namespace)));
            }
            ([], [only]) => {
                let name = only.name.as_deref().unwrap_or_default();
                return Err((Reason::SiteNotFound, not_found(name, known, around)));
            }
            (sites, _) => sites
                .iter()
                .find(|site| attached == Some(site.name_any().as_str()))
                .ok_or_else(|| (Reason::AmbiguousSite, AMBIGUOUS.to_owned()))?,
        },
    };
    let namespace = namespace.unwrap_or_default();
    if allows(site, &namespace, known, around) {
        return Ok(site.name_any());
    }
    let message = format!(
        "Site {} does not allow apps of namespace {namespace}: see its spec.allowedNamespaces",
        site.name_any()
    );
    Err((Reason::NamespaceNotAllowed, message))
}

fn not_found(name: &str, known: &Snapshot, around: &Surroundings) -> String {
    match known.unreadable.sites.iter().any(|metadata| metadata.name.as_deref() == Some(name)) {
        true => format!("Site {name} cannot be read by this version of the operator: its log tells why"),
        false => format!("Site {name} does not exist in namespace {}", around.namespace),
    }
}

fn allows(site: &Site, namespace: &str, known: &Snapshot, around: &Surroundings) -> bool {
    let allowed = &site.spec.allowed_namespaces;
    match allowed.from {
        From::Same => namespace == around.namespace,
        From::All => true,
        From::Selector => {
            let labels = known.namespaces.get(namespace).and_then(|namespace| namespace.metadata.labels.clone());
            let selector = allowed.selector.clone().and_then(|selector| Selector::try_from(selector).ok());
            selector.is_some_and(|selector| selector.matches(&labels.unwrap_or_default()))
        }
    }
}
