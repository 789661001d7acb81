//! Requests that wait for one load together, and those of them that go away.

use futures::future::{FutureExt, join_all};
use tower_quota::ProfileId;

use super::{Scene, Users};
use crate::support::{profile, race, used_and_held};

/// Threads that all find nothing in the cache at the same moment.
#[test]
fn many_threads_start_one_load() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let users = Users::new();
    let scene = Scene::of(users.clone());
    for round in 0..200 {
        let who = format!("user-{round}");
        let statuses = race(4, |_| runtime.block_on(scene.status(&who)));
        assert_eq!(statuses, [204; 4]);
        assert_eq!(users.queries(), round + 1);
    }
}

#[tokio::test]
async fn many_requests_wait_for_one_load() {
    let users = Users::slow();
    let scene = Scene::of(users.clone());
    let waiting = join_all((0..20).map(|_| scene.status("7")));
    let release = async {
        // The requests are polled first, so all of them wait by now.
        assert_eq!(users.queries(), 1);
        users.permits.add_permits(1);
    };
    let (statuses, ()) = tokio::join!(biased; waiting, release);
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 5);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 15);
    assert_eq!((users.queries(), scene.used("7")), (1, 5));
}

/// Whoever drove the load went away; the others drive it on.
#[tokio::test]
async fn a_request_that_is_dropped_while_it_waits_does_not_hang_the_others() {
    let users = Users::slow();
    let scene = Scene::of(users.clone());
    let mut first = Box::pin(scene.status("7"));
    assert!(first.as_mut().now_or_never().is_none());
    let leave = async {
        drop(first);
        users.permits.add_permits(1);
    };
    let (second, third, ()) = tokio::join!(biased; scene.status("7"), scene.status("7"), leave);
    assert_eq!((second, third, users.queries()), (204, 204, 1));
    assert_eq!(scene.used("7"), 2);
}

#[tokio::test]
async fn a_load_that_nobody_waits_for_is_given_up_and_holds_nothing() {
    let users = Users::slow();
    let scene = Scene::of(users.clone());
    let mut alone = Box::pin(scene.status("7"));
    assert!(alone.as_mut().now_or_never().is_none());
    drop(alone);
    users.permits.add_permits(1);
    assert_eq!(used_and_held(&scene.quotas, &profile("7")), (0, 0));
    assert_eq!(scene.status("7").await, 204);
    assert_eq!(users.queries(), 2, "the load was given up, and begun anew");
}

/// A load that was under way has read what was there before.
#[tokio::test]
async fn an_invalidation_during_a_load_is_not_lost() {
    let users = Users::slow();
    let scene = Scene::of(users.clone());
    let change = async {
        scene.profiles.invalidate(&ProfileId::new("7"));
        users.permits.add_permits(2);
    };
    let (status, ()) = tokio::join!(biased; scene.status("7"), change);
    assert_eq!(status, 204);
    assert_eq!(scene.status("7").await, 204);
    assert_eq!(users.queries(), 2);
}
