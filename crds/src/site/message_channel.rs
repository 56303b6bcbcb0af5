//! How sites find each other.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wovenet_config::message_channel::{BROKERS_MAX, TOPIC_MAX_BYTES};

use crate::reference::SecretReference;

/// The message channel of a mesh. It is not trusted: what it carries is sealed and signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageChannel {
    /// Brokers that speak MQTT 5.
    pub mqtt: Mqtt,
}

/// MQTT brokers and the topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mqtt {
    /// URLs of the brokers, all used at once: `mqtt://`, `mqtts://`, `ws://` or `wss://`. User and password belong into
    /// the Secret of `credentialsSecretRef`.
    #[schemars(length(min = 1, max = BROKERS_MAX), inner(length(max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(b, b.matches('^(mqtts?|wss?)://[^/]+'))")
        .message("brokers must be URLs such as mqtts://broker.example.com:8883, with mqtt, mqtts, ws or wss"))]
    #[x_kube(validation = Rule::new("!self.exists(b, b.matches('^[a-z]+://[^/]*@'))")
        .message("brokers must not hold a user or password: name a Secret in credentialsSecretRef"))]
    pub brokers: Vec<String>,

    /// Base topic, the same at all sites of the mesh. Default: derived from the mesh key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = TOPIC_MAX_BYTES))]
    #[x_kube(validation = Rule::new("self.matches('^[^+#/$][^+#]*$')")
        .message("topic must not have + or #, and must not start with / or $"))]
    pub topic: Option<String>,

    /// Secret with `username` and `password` for every broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretReference>,

    /// Secret with `ca.crt`, the authorities that brokers with TLS are checked against. Default: those of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretReference>,
}
