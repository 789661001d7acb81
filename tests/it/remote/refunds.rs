//! Refunds are decided in the background, before they are settled.

use std::num::NonZeroU32;

use futures::future::join_all;
use tower_quota::store::{ExhaustedCache, Remote, RemoteOptions};
use tower_quota::{Limit, Plan, Quotas, Reservation, Window};

use super::{Scene, pass, reason, secs};
use crate::support::remote_books::{Fault, Verb, Wire};
use crate::support::{DAY, granted, noon, payer};

fn plan(cap: u64) -> Plan {
    Plan::new("free").feature("remix", [Limit::new(100, Window::Day).max_refunds(cap)])
}

/// A day of 100 units, of which so many are refunded.
fn capped_to(cap: u64, options: RemoteOptions) -> Scene {
    let scene = Scene::with(100, options);
    scene.quotas.set_plans([plan(cap)]).unwrap();
    scene
}

fn scene(cap: u64) -> Scene {
    capped_to(cap, RemoteOptions::new())
}

/// What is used of the limit, and held in all counters.
async fn assert_used(scene: &Scene, used: u64) {
    let usage = scene.quotas.usage(&payer()).await.unwrap();
    let status = usage.feature("remix").unwrap().statuses().next().unwrap();
    assert_eq!((status.used(), status.held()), (used, 0), "used and held");
    assert_eq!(scene.wire.used_and_held().1, 0, "held in all counters");
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_what_is_still_to_be_decided() {
    let scene = scene(3);
    let open = join_all((0..20).map(|_| scene.reserve(1))).await;
    scene.wire.next(Verb::Reserve, Fault::Slow(super::millis(500)));
    open.into_iter().for_each(Reservation::refund);
    scene.flush().await;
    assert_used(&scene, 17).await;
    // Each hold is settled once, and what counts a refund too.
    assert_eq!(scene.wire.settled().len(), 20 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_release_asks_nothing_and_so_does_a_refund_without_a_cap() {
    let scene = scene(3);
    scene.reserve(1).await.release();
    let calls = scene.wire.calls(Verb::Reserve);
    drop(scene.reserve(1).await);
    // Too large for any cap.
    scene.reserve(4).await.refund();
    scene.flush().await;
    assert_eq!(scene.wire.calls(Verb::Reserve), calls + 2);
    assert_used(&scene, 4).await;
    scene.quotas.set_limits("free", [("remix", [Limit::new(100, Window::Day)])]).unwrap();
    scene.reserve(1).await.refund();
    scene.flush().await;
    assert_eq!(scene.wire.calls(Verb::Reserve), calls + 3);
    assert_used(&scene, 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_refund_is_tried_until_it_is_decided_and_counts_once() {
    let scene = scene(2);
    let open = scene.reserve(2).await;
    for fault in [Fault::Lost, Fault::Hangs, Fault::Unanswered, Fault::Refused, Fault::Panics] {
        scene.wire.next(Verb::Reserve, fault);
    }
    let calls = scene.wire.calls(Verb::Reserve);
    open.refund();
    scene.flush().await;
    // By then too much time has gone by: it is asked once more, with the books' own.
    assert_eq!(scene.wire.calls(Verb::Reserve), calls + 5 + 2);
    assert_used(&scene, 0).await;
    scene.reserve(1).await.refund();
    scene.flush().await;
    assert_used(&scene, 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_decided_is_not_decided_again_when_it_cannot_be_written() {
    let scene = scene(1);
    let (back, charged) = (scene.reserve(1).await, scene.reserve(1).await);
    for fault in [Fault::Lost, Fault::Unanswered, Fault::Hangs] {
        scene.wire.next(Verb::Settle, fault);
    }
    let calls = scene.wire.calls(Verb::Reserve);
    back.refund();
    charged.refund();
    scene.flush().await;
    assert_eq!(scene.wire.calls(Verb::Reserve), calls + 2);
    assert_used(&scene, 1).await;
    assert_eq!(scene.wire.settled().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_cannot_be_decided_holds_up_no_other() {
    let scene = scene(5);
    let (stuck, open) = (scene.reserve(1).await, scene.reserve(2).await);
    let later = scene.reserve(1).await;
    scene.wire.next(Verb::Reserve, Fault::Hangs);
    stuck.refund();
    pass(super::millis(1)).await;
    open.commit();
    later.refund();
    // Settlements gather for a moment before they are written.
    pass(super::millis(10)).await;
    // That of 1, and the 1 that was refunded.
    scene.assert_books(2 + 1, 1);
    scene.flush().await;
    assert_used(&scene, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_says_what_could_not_be_decided_and_in_the_end_it_is_lost() {
    let scene = capped_to(5, RemoteOptions::new().flush_within(secs(3)));
    let open = join_all((0..30).map(|_| scene.reserve(1))).await;
    scene.wire.cut(Fault::Lost);
    open.into_iter().for_each(Reservation::refund);
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(reason(&error), "30 settlements are not written, and 0 were lost");
    pass(secs(17 * 60)).await;
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(reason(&error), "0 settlements are not written, and 30 were lost");
    scene.wire.mend();
    pass(secs(2)).await;
    scene.flush().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_writes_what_was_to_be_decided_or_says_how_much_was_not() {
    let scene = scene(2);
    let open = join_all((0..5).map(|_| scene.reserve(1))).await;
    open.into_iter().for_each(Reservation::refund);
    scene.quotas.shutdown().await.unwrap();
    assert_used(&scene, 3).await;

    let scene = self::scene(2);
    let open = join_all((0..5).map(|_| scene.reserve(1))).await;
    scene.wire.cut(Fault::Hangs);
    open.into_iter().for_each(Reservation::refund);
    let error = scene.quotas.shutdown().await.unwrap_err();
    assert!(reason(&error).starts_with("5 settlements are not written"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn books_that_have_not_been_asked_for_long_are_told_the_right_time() {
    for ahead in [7_200_000, -7_200_000] {
        let scene = scene(2);
        let open = scene.reserve(1).await;
        pass(secs(300)).await;
        scene.wire.set_ahead(ahead);
        open.refund();
        scene.flush().await;
        let status = scene.wire.used_and_held();
        assert_eq!(status, (1, 0), "1 refund counted, with the clock {ahead} ms ahead");
    }
}

/// Nobody misses what was used in a window that is forgotten.
#[tokio::test(start_paused = true)]
async fn a_refund_in_a_window_that_is_forgotten_is_charged() {
    let scene = scene(2);
    let open = scene.reserve(1).await;
    scene.wire.next(Verb::Reserve, Fault::Skewed);
    open.refund();
    scene.flush().await;
    assert_used(&scene, 1).await;
}

/// Of a refund that its process did not see to the end it is not known whether the units came back: it
/// counts.
#[tokio::test(start_paused = true)]
async fn a_refund_that_was_not_finished_counts_when_it_lapses() {
    let scene = scene(1);
    let open = scene.reserve(1).await;
    scene.wire.next(Verb::Settle, Fault::Hangs);
    open.refund();
    pass(super::millis(1)).await;
    scene.wire.cut(Fault::Hangs);
    pass(DAY / 24).await;
    scene.wire.mend();
    pass(secs(60)).await;
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(reason(&error), "0 settlements are not written, and 2 were lost");
    scene.reserve(1).await.refund();
    scene.flush().await;
    assert_used(&scene, 1).await;
}

/// The share is one of so many parts of the cap too, and owes what it has charged.
#[tokio::test(start_paused = true)]
async fn a_local_share_refunds_its_part_of_the_cap() {
    let parts = NonZeroU32::new(4).unwrap();
    let scene = capped_to(8, RemoteOptions::new().local_share(parts));
    scene.wire.cut(Fault::Lost);
    for _ in 0..5 {
        scene.reserve(1).await.refund();
    }
    for _ in 0..3 {
        scene.reserve(2).await.release();
    }
    scene.wire.mend();
    pass(secs(5)).await;
    scene.flush().await;
    scene.assert_books(3, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cache_of_the_exhausted_hands_caps_on() {
    let wire = Wire::new();
    let store = ExhaustedCache::new(Remote::new(wire.clone(), RemoteOptions::new()));
    let builder = Quotas::builder().plan(plan(2)).clock(noon());
    let quotas = builder.store(store).build().unwrap();
    for _ in 0..5 {
        granted(quotas.reserve(&payer(), "remix", 1).await.unwrap()).refund();
        quotas.flush().await.unwrap();
    }
    // Of the limit, and of what counts refunds.
    assert_eq!(wire.used_and_held(), (3 + 2, 0));
}
