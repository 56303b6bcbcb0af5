//! What an exposed app leads to.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// The most addresses of a range.
pub const RANGE_ADDRESSES_MAX: usize = 64;

const SERVICE_PORTS_RULE: &str = "self.all(p, string(p).matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') \
     && (!string(p).matches('^[0-9]+$') \
     || (string(p).size() <= 5 && int(string(p)) >= 1 && int(string(p)) <= 65535)))";
const SERVICE_PORTS_MESSAGE: &str = "ports must be names or numbers (1 to 65535) of ports of the Service";

const RANGE_PORTS_RULE: &str = "self.all(p, string(p).matches('^[0-9]{1,5}(-[0-9]{1,5})?$') \
     && string(p).split('-').all(n, int(n) >= 1 && int(n) <= 65535) \
     && int(string(p).split('-')[0]) <= int(string(p).split('-')[string(p).split('-').size() - 1]))";
const RANGE_PORTS_MESSAGE: &str =
    "range.ports must be ports (1 to 65535) or ranges with the smaller port first, such as 22 or 5900-5990";

/// Ports of a Service of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct ServiceTarget {
    /// Name of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// Names or numbers of those ports of the Service that are exposed; TCP only.
    #[schemars(schema_with = "schema::ports")]
    #[x_kube(validation = Rule::new(SERVICE_PORTS_RULE).message(SERVICE_PORTS_MESSAGE))]
    pub ports: Vec<IntOrString>,
}

/// Addresses × ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct RangeTarget {
    /// Addresses or blocks, such as `10.0.2.5` or `10.0.2.0/24`.
    #[schemars(length(min = 1, max = RANGE_ADDRESSES_MAX), inner(length(max = 49)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(a, isCIDR(a) || isIP(a))")
        .message("range.addresses must be address blocks such as 10.0.2.0/24 or 2001:db8::/64, or single addresses"))]
    pub addresses: Vec<String>,

    /// Ports or ranges of ports, such as `22` or `5900-5990`.
    #[schemars(schema_with = "schema::ports")]
    #[x_kube(validation = Rule::new(RANGE_PORTS_RULE).message(RANGE_PORTS_MESSAGE))]
    pub ports: Vec<IntOrString>,
}
