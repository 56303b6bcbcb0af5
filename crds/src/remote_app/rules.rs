//! Rules between the fields of a RemoteApp and its name.

use kube::core::Rule;

/// The object's name is that of the Service, unless another is given or no Service is wanted.
pub(super) fn object_name() -> Rule {
    Rule::new(
        "(has(self.spec.service) ? has(self.spec.service.name) : has(self.spec.unixSocket)) \
         || self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')",
    )
    .message(
        "metadata.name cannot be the name of a Service: set spec.service.name to 1 to 63 characters a-z, 0-9 and -, \
         starting with a letter",
    )
}
