//! A hold lives as long as its request, and not much longer than its process.

use std::time::Duration;

use futures::future::join_all;
use tower_quota::store::{Lapse, Lease, RemoteOptions};

use super::{Scene, pass, secs};
use crate::support::remote_books::{Fault, Verb, Wire};

#[tokio::test(start_paused = true)]
async fn a_stream_of_five_minutes_keeps_its_hold() {
    let scene = Scene::new(1);
    let open = scene.reserve(1).await;
    for _ in 0..300 {
        pass(secs(1)).await;
        scene.assert_books(0, 1);
    }
    // Once in a third of a minute, not once a second.
    let renewals = scene.wire.calls(Verb::Renew);
    assert!((14..=20).contains(&renewals), "{renewals}");
    open.commit();
    scene.flush().await;
    scene.assert_books(1, 0);
    pass(secs(300)).await;
    assert_eq!(scene.wire.calls(Verb::Renew), renewals);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_between_a_quarter_and_a_third_of_it() {
    for started in 0..10 {
        let scene = Scene::new(1);
        pass(secs(started)).await;
        let _open = scene.reserve(1).await;
        pass(secs(15)).await;
        assert_eq!(scene.wire.calls(Verb::Renew), 0);
        pass(Duration::from_millis(5_001)).await;
        assert_eq!(scene.wire.calls(Verb::Renew), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_failed_is_tried_again_in_time() {
    let scene = Scene::new(1);
    let _open = scene.reserve(1).await;
    for fault in [Fault::Lost, Fault::Hangs, Fault::Refused, Fault::Lost] {
        scene.wire.next(Verb::Renew, fault);
    }
    for _ in 0..120 {
        pass(secs(1)).await;
        scene.assert_books(0, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn many_leases_are_renewed_in_few_calls() {
    let scene = Scene::new(1_000);
    let open = join_all((0..1_000).map(|_| scene.reserve(1))).await;
    pass(secs(22)).await;
    assert_eq!(scene.wire.calls(Verb::Renew), 4);
    pass(secs(100)).await;
    scene.assert_books(0, 1_000);
    drop(open);
}

#[tokio::test(start_paused = true)]
async fn one_batch_that_fails_leaves_the_others_alive() {
    let scene = Scene::new(1_000);
    let open = join_all((0..600).map(|_| scene.reserve(1))).await;
    for _ in 0..20 {
        scene.wire.next(Verb::Renew, Fault::Refused);
        pass(secs(5)).await;
    }
    let (_, held) = scene.wire.used_and_held();
    assert!(held >= 600 - 256, "{held}");
    drop(open);
}

#[tokio::test(start_paused = true)]
async fn the_units_of_a_process_that_died_come_back_with_the_lease() {
    let scene = Scene::new(3);
    let other = Scene::on(scene.wire.another(), 3, RemoteOptions::new());
    let open = scene.reserve(3).await;
    scene.wire.cut(Fault::Hangs);
    pass(secs(59)).await;
    other.denied(1).await;
    pass(secs(2)).await;
    other.reserve(1).await.commit();
    // It was not dead after all.
    scene.wire.mend();
    open.commit();
    scene.flush().await;
    other.flush().await;
    other.assert_books(4, 0);
}

#[tokio::test(start_paused = true)]
async fn or_they_are_charged_where_the_operator_wants_that() {
    let scene = Scene::with(3, RemoteOptions::new().lapse(Lapse::Charge));
    let open = scene.reserve(3).await;
    scene.wire.cut(Fault::Hangs);
    pass(secs(61)).await;
    scene.assert_books(3, 0);
    scene.wire.mend();
    open.commit_units(2);
    scene.flush().await;
    scene.assert_books(2, 0);
}

#[tokio::test(start_paused = true)]
async fn leases_of_any_length_are_bearable() {
    for length in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
        let lease = Lease { length, keep: Duration::MAX };
        let scene = Scene::on(Wire::leasing(lease), 5, RemoteOptions::new());
        scene.reserve(1).await.commit();
        scene.flush().await;
        scene.assert_books(1, 0);
    }
}

/// One of them is refused with all that are renewed together with it.
#[tokio::test(start_paused = true)]
async fn a_lease_that_is_refused_takes_no_other_with_it() {
    let scene = Scene::new(300);
    let open = join_all((0..200).map(|_| scene.reserve(1))).await;
    // The whole, and one half of it after the other, down to a single one.
    (0..8).for_each(|_| scene.wire.next(Verb::Renew, Fault::Refused));
    pass(secs(21)).await;
    assert_eq!(scene.wire.calls(Verb::Renew), 1 + 2 * 8);
    pass(secs(300)).await;
    scene.assert_books(0, 200);
    drop(open);
}
