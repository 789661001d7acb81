//! Answers that are lost, and requests that are given up: what may be held comes back.

use super::{Scene, millis, pass, reason, secs};
use crate::support::remote_books::{Fault, Verb};

#[tokio::test(start_paused = true)]
async fn what_was_held_unheard_comes_back_once_and_not_before_it_is_safe() {
    let scene = Scene::new(5);
    scene.reserve(1).await.commit();
    scene.flush().await;
    scene.wire.next(Verb::Reserve, Fault::Unanswered);
    let error = scene.failure().await;
    assert!(error.is_transient());
    assert_eq!(error.operation(), "reserve");
    assert_eq!(reason(&error), "no answer within 1s");
    scene.assert_books(1, 1);
    scene.flush().await;
    scene.assert_books(1, 0);
    assert_eq!(scene.wire.settled().len(), 2);
    pass(secs(100)).await;
    assert_eq!(scene.wire.settled().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_arrives_after_its_time_out_holds_nothing() {
    let scene = Scene::new(5);
    scene.reserve(1).await.commit();
    scene.wire.next(Verb::Reserve, Fault::Late(millis(1_001)));
    scene.failure().await;
    pass(secs(2)).await;
    scene.assert_books(1, 0);
    scene.flush().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_while_it_waits_gives_back() {
    for fault in [Fault::Hangs, Fault::Unanswered, Fault::Late(millis(900))] {
        let scene = Scene::new(5);
        scene.reserve(1).await.commit();
        scene.wire.next(Verb::Reserve, fault);
        let given_up = tokio::time::timeout(millis(100), scene.decide(3)).await;
        assert!(given_up.is_err());
        // Its release must not overtake it.
        scene.flush().await;
        scene.assert_books(1, 0);
        pass(secs(2)).await;
        scene.assert_books(1, 0);
        scene.reserve(4).await.commit();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_polled_was_never_made() {
    let scene = Scene::new(5);
    drop(scene.quotas.reserve(&crate::support::payer(), "remix", 1));
    scene.flush().await;
    assert_eq!((scene.wire.calls(Verb::Reserve), scene.wire.calls(Verb::Settle)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_release_that_comes_too_early_holds_up_no_other() {
    let scene = Scene::new(5_000);
    let open = scene.reserve(1).await;
    for _ in 0..8 {
        scene.wire.next(Verb::Reserve, Fault::Unanswered);
        let given_up = tokio::time::timeout(millis(1), scene.decide(1)).await;
        assert!(given_up.is_err());
    }
    pass(millis(10)).await;
    open.commit();
    pass(millis(10)).await;
    scene.assert_books(1, 8);
    scene.flush().await;
    scene.assert_books(1, 0);
}

#[tokio::test(start_paused = true)]
async fn reading_takes_no_longer_than_the_time_out_either() {
    let scene = Scene::new(5);
    scene.wire.next(Verb::Read, Fault::Hangs);
    let before = tokio::time::Instant::now();
    let error = scene.quotas.usage(&crate::support::payer()).await.unwrap_err();
    assert_eq!(before.elapsed(), secs(1));
    let error = super::store_error(error);
    assert_eq!((error.operation(), error.is_transient()), ("read", true));
}
