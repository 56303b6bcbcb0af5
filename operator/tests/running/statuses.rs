//! Statuses that cannot be written.

use axum::http::StatusCode;

use crate::api_server::Part;
use crate::scene::{APPS, Scene, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_cannot_be_written_is_tried_again_later_each_time_and_holds_up_no_other() {
    let scene = Scene::new().await;
    let bad =
        [("conflict", Some(StatusCode::CONFLICT)), ("error", Some(StatusCode::INTERNAL_SERVER_ERROR)), ("hang", None)];
    for (app, code) in bad {
        scene.server.spoil(Part::Status, "remoteapps", APPS, app, code);
        scene.uses(app, 1);
    }
    let _operator = scene.operator("one").await;
    until("their slices are there", || bad.iter().all(|(app, _)| scene.lists(app))).await;
    scene.uses("good", 1);
    let begun = std::time::Instant::now();
    scene.serves("good").await;
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    let tries = |app: &str| {
        let of_app = |write: &&crate::api_server::Write| write.place.0 == "remoteapps" && write.place.2 == app;
        scene.server.writes(0).iter().filter(of_app).map(|write| write.at).collect::<Vec<_>>()
    };
    until("they were tried often", || ["conflict", "error"].iter().all(|app| tries(app).len() >= 5)).await;
    for app in ["conflict", "error"] {
        let pauses: Vec<_> = tries(app).windows(2).map(|two| two[1] - two[0]).collect();
        // Twice as long each time, less up to a half by chance.
        assert!(pauses[3] > pauses[0] && pauses[3].as_secs() >= 2, "{app}: {pauses:?}");
        assert!(!scene.is_ready(app));
    }
    until("the one that hangs was tried again", || tries("hang").len() >= 2).await;
    scene.server.mend();
    for (app, _) in bad {
        scene.serves(app).await;
    }
}
