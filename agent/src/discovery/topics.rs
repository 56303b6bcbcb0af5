//! The topics of a mesh (docs/protocol.md §3), one set for each mesh key that is accepted.

use wovenet_config::key::SiteId;

use crate::peer::mesh_key::{MeshKey, MeshKeyRing};
use crate::peer::site_key::AgentId;

/// The version of the topics' layout.
const VERSION: &str = "v1";
/// The first part of a derived base topic.
const DERIVED_PREFIX: &str = "wovenet";

/// What a topic is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Announcement(SiteId, AgentId),
    Status(SiteId, AgentId),
    Inbox(SiteId),
    Hello,
}

/// The topics that are used with one mesh key.
#[derive(Clone, Debug)]
pub(super) struct KeyTopics {
    /// The key that seals here.
    pub(super) key: MeshKey,
    base: String,
    /// Whether retained messages are sealed with this key. With a configured topic both keys of a rotation share the
    /// topics, and a broker retains one message a topic: the better key's.
    pub(super) retains: bool,
}

impl KeyTopics {
    /// Returns the topics of every key, best first.
    pub(super) fn of_ring(ring: &MeshKeyRing, configured: Option<&str>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for key in ring.keys() {
            let base = configured.map_or_else(|| format!("{DERIVED_PREFIX}/{}", key.topic_suffix()), str::to_owned);
            let retains = all.iter().all(|other| other.base != base);
            all.push(Self { key: key.clone(), base, retains });
        }
        all
    }

    /// Returns the filters to subscribe to as an agent of `own`.
    pub(super) fn filters(&self, own: SiteId) -> [String; 4] {
        let base = &self.base;
        [
            format!("{base}/{VERSION}/+/+/ann"),
            format!("{base}/{VERSION}/+/+/st"),
            self.name(&Topic::Inbox(own)),
            self.name(&Topic::Hello),
        ]
    }

    /// Writes a topic's name.
    pub(super) fn name(&self, topic: &Topic) -> String {
        let base = &self.base;
        match topic {
            Topic::Announcement(site, agent) => format!("{base}/{VERSION}/{site}/{agent}/ann"),
            Topic::Status(site, agent) => format!("{base}/{VERSION}/{site}/{agent}/st"),
            Topic::Inbox(site) => format!("{base}/{VERSION}/{site}/in"),
            Topic::Hello => format!("{base}/{VERSION}/all"),
        }
    }

    /// Reads a topic's name; `None` when it is not one of ours.
    pub(super) fn parse(&self, name: &str) -> Option<Topic> {
        let rest = name.strip_prefix(&self.base)?.strip_prefix('/')?.strip_prefix(VERSION)?.strip_prefix('/')?;
        let parts: Vec<&str> = rest.splitn(4, '/').collect();
        let agent = |text: &str| AgentId::try_from(text.to_owned()).ok();
        match parts[..] {
            ["all"] => Some(Topic::Hello),
            [site, "in"] => Some(Topic::Inbox(site.parse().ok()?)),
            [site, id, "ann"] => Some(Topic::Announcement(site.parse().ok()?, agent(id)?)),
            [site, id, "st"] => Some(Topic::Status(site.parse().ok()?, agent(id)?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{ring, site_key};
    use proptest::prelude::*;

    #[test]
    fn every_topic_survives_its_name() {
        let (key, topics) = (site_key(1), KeyTopics::of_ring(&ring(1, None), Some("home/mesh")));
        let (site, agent) = (key.site_id(), key.agent_id("node-1"));
        let all =
            [Topic::Announcement(site, agent.clone()), Topic::Status(site, agent), Topic::Inbox(site), Topic::Hello];
        for topic in all {
            assert_eq!(topics[0].parse(&topics[0].name(&topic)), Some(topic));
        }
    }

    #[test]
    fn keys_with_derived_topics_each_retain_and_those_of_one_configured_topic_do_not() {
        let both = ring(1, Some(2));
        let retains = |configured| KeyTopics::of_ring(&both, configured).iter().map(|t| t.retains).collect::<Vec<_>>();
        assert_eq!(retains(None), [true, true]);
        assert_eq!(retains(Some("home/mesh")), [true, false]);
    }

    #[test]
    fn a_derived_topic_tells_nothing_of_the_key() {
        let topics = KeyTopics::of_ring(&ring(1, None), None);
        assert!(topics[0].name(&Topic::Hello).starts_with("wovenet/"));
        assert_ne!(topics[0].name(&Topic::Hello), KeyTopics::of_ring(&ring(2, None), None)[0].name(&Topic::Hello));
    }

    proptest! {
        #[test]
        fn other_topics_are_not_ours(name in "[a-z/+#$]{0,60}") {
            prop_assert_eq!(KeyTopics::of_ring(&ring(1, None), Some("home/mesh"))[0].parse(&name), None);
        }
    }
}
