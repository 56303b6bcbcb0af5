//! The reason for everything: an app of one cluster answers in another by its Service's name.

use std::time::Duration;

use crate::by_hand;
use crate::stage::Stage;

/// A client gets its first page this long after the app was given a name at its site.
const FIRST_PAGE_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn a_pod_gets_a_page_of_an_app_in_the_other_cluster_by_service_name() {
    let stage = Stage::new("first-page").unwrap();
    let steps = &stage.steps;
    steps.step("the app runs in b, a client in a", || stage.web_and_client()).unwrap();
    steps.step("agents of both sites are ready", || by_hand::install(&stage)).unwrap();
    steps.step("b's pods cannot be reached from a", || stage.is_cut_off()).unwrap();
    let (page, took) = steps
        .step("the app has a name in a → first page", || {
            by_hand::use_as(&stage, "web")?;
            stage.first_page("web")
        })
        .unwrap();
    assert!(page.starts_with("web-"), "{page}");
    assert!(took <= FIRST_PAGE_WITHIN, "{took:?}");
    stage.page(&format!("web.{}.svc.cluster.local", stage.apps)).unwrap();
}
