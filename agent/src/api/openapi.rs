//! The API document (OpenAPI), served and checked in as `docs/openapi.json`.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::routes::{configuration, exposed_apps, open, peers, remote_apps, sites, status};

#[derive(OpenApi)]
#[openapi(
    info(title = "wovenet agent API", description = "What one agent of a site tells and takes. Paths outside /api/v1 need no credentials."),
    paths(
        open::ping, open::login, open::document,
        sites::list, sites::one,
        exposed_apps::list, exposed_apps::one, exposed_apps::create, exposed_apps::replace, exposed_apps::remove,
        remote_apps::list, remote_apps::one, remote_apps::create, remote_apps::replace, remote_apps::remove,
        configuration::read, configuration::replace,
        status::status,
        peers::read,
    ),
    security(("basic" = []), ("bearer" = [])),
    modifiers(&Schemes)
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, scheme) in [("basic", HttpAuthScheme::Basic), ("bearer", HttpAuthScheme::Bearer)] {
            components.add_security_scheme(name, SecurityScheme::Http(Http::new(scheme)));
        }
    }
}

/// Returns the API document as indented JSON with a line end.
pub fn openapi_json() -> String {
    // A document made of our own types always has a JSON form.
    let mut json = Document::openapi().to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}
