//! A source that fails: never a denial, and tried again by the next request.

use std::future;
use std::sync::atomic::Ordering;

use futures::future::join_all;
use http::StatusCode;
use tower_quota::{BoxError, Failure, OnStoreFailure, Profile, ProfileId, Unidentified};

use super::{Scene, Users};

#[tokio::test]
async fn a_failed_load_is_a_503_and_is_tried_again_by_the_next_request() {
    let users = Users::new();
    let scene = Scene::of(users.clone());
    users.broken.store(true, Ordering::SeqCst);
    for queries in [1, 2] {
        let refused = scene.request("7").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "1");
        let failure = refused.extensions().get::<Failure>().unwrap();
        assert_eq!(failure.to_string(), "no connection");
        assert_eq!(users.queries(), queries);
    }
    users.broken.store(false, Ordering::SeqCst);
    assert_eq!(scene.status("7").await, 204);
    assert_eq!((users.queries(), scene.used("7")), (3, 1));
}

#[tokio::test]
async fn everyone_who_waited_for_a_failed_load_gets_the_503() {
    let users = Users::slow();
    let scene = Scene::of(users.clone());
    users.broken.store(true, Ordering::SeqCst);
    let waiting = join_all((0..3).map(|_| scene.status("7")));
    let release = async { users.permits.add_permits(1) };
    let (statuses, ()) = tokio::join!(biased; waiting, release);
    assert_eq!((statuses, users.queries()), (vec![503; 3], 1));
}

#[tokio::test]
async fn a_source_that_panics_is_a_503_and_is_tried_again_by_the_next_request() {
    let users = Users::new();
    let scene = Scene::of(users.clone());
    users.panics.store(true, Ordering::SeqCst);
    assert_eq!(scene.status("7").await, 503);
    assert_eq!(scene.status("7").await, 503);
    users.panics.store(false, Ordering::SeqCst);
    assert_eq!(scene.status("7").await, 204);
    assert_eq!(users.queries(), 3);
}

#[tokio::test]
async fn a_source_that_panics_before_it_has_a_future_is_a_503_too() {
    let panics = |_: ProfileId| -> future::Ready<Result<Option<Profile>, BoxError>> {
        panic!("the source panics")
    };
    let scene = Scene::of(panics);
    assert_eq!(scene.status("7").await, 503);
    assert_eq!(scene.status("7").await, 503);
}

/// Who may pass while the books are out of reach is another question than who pays.
#[tokio::test]
async fn a_failed_load_is_a_503_also_where_store_failures_are_allowed_and_nobodies_pass() {
    let users = Users::new();
    let scene = Scene::with(users.clone(), |layer| {
        layer.on_store_failure(OnStoreFailure::Allow).unidentified(Unidentified::Pass)
    });
    users.broken.store(true, Ordering::SeqCst);
    assert_eq!(scene.status("7").await, 503);
}

#[tokio::test]
async fn a_profile_of_an_unknown_plan_is_the_operator_s_fault() {
    let lost = |id: ProfileId| async move { Ok(Some(Profile::new(id.as_bytes(), "gold"))) };
    let scene = Scene::of(lost);
    let refused = scene.request("7").await;
    assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let failure = refused.extensions().get::<Failure>().unwrap();
    assert!(failure.to_string().contains("gold"));
}
