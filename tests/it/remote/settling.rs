//! Settlements are written in the background, once each, until they are.

use std::collections::HashSet;

use futures::future::join_all;
use tower_quota::store::RemoteOptions;
use tower_quota::{Limit, Plan, Quotas, Window};

use super::{Scene, pass, reason, secs};
use crate::support::payer;
use crate::support::remote_books::{Fault, Verb};

#[tokio::test(start_paused = true)]
async fn a_settlement_is_tried_until_it_is_written_and_counts_once() {
    let scene = Scene::new(5);
    let open = scene.reserve(2).await;
    for fault in [Fault::Lost, Fault::Hangs, Fault::Unanswered, Fault::Unanswered] {
        scene.wire.next(Verb::Settle, fault);
    }
    open.commit();
    scene.flush().await;
    assert_eq!(scene.wire.calls(Verb::Settle), 5);
    assert_eq!(scene.wire.settled().len(), 1);
    scene.assert_books(2, 0);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_settlements_are_few_calls_and_each_counts_once() {
    let scene = Scene::new(10_000);
    let open = join_all((0..10_000).map(|_| scene.reserve(1))).await;
    scene.wire.next(Verb::Settle, Fault::Unanswered);
    open.into_iter().for_each(tower_quota::Reservation::commit);
    scene.flush().await;
    scene.assert_books(10_000, 0);
    let settled = scene.wire.settled();
    assert_eq!(settled.len(), 10_000);
    assert_eq!(settled.into_iter().collect::<HashSet<_>>().len(), 10_000);
    assert!(scene.wire.calls(Verb::Settle) <= 41, "{}", scene.wire.calls(Verb::Settle));
}

/// The first one is written at once.
#[tokio::test(start_paused = true)]
async fn what_is_settled_soon_after_another_is_written_together() {
    let scene = Scene::new(200);
    let mut open = join_all((0..4).map(|_| scene.reserve(1))).await.into_iter();
    for written in [1, 1, 1] {
        open.next().unwrap().commit();
        pass(super::millis(1)).await;
        assert_eq!(scene.wire.settled().len(), written);
    }
    pass(super::millis(4)).await;
    assert_eq!((scene.wire.settled().len(), scene.wire.calls(Verb::Settle)), (3, 2));
    // A flush does not wait for others.
    open.next().unwrap().commit();
    let before = tokio::time::Instant::now();
    scene.flush().await;
    assert_eq!(before.elapsed(), super::millis(0));
    // Nor do so many.
    let open = join_all((0..64).map(|_| scene.reserve(1))).await;
    open.into_iter().for_each(tower_quota::Reservation::commit);
    pass(super::millis(1)).await;
    assert_eq!(scene.wire.calls(Verb::Settle), 4);
    scene.assert_books(68, 0);
}

/// The next one in line is let in.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_in_flight_any_more_does_not_wait_for_others() {
    let scene = Scene::new(1);
    let plan = Plan::new("free").feature("remix", [Limit::new(2, Window::Concurrent)]);
    let quotas = Quotas::builder().plan(plan).store(scene.store.clone()).build().unwrap();
    let reserve =
        async || crate::support::granted(quotas.reserve(&payer(), "remix", 1).await.unwrap());
    let (one, two) = (reserve().await, reserve().await);
    for (written, reservation) in (1..).zip([one, two]) {
        reservation.commit();
        pass(super::millis(1)).await;
        assert_eq!(scene.wire.settled().len(), written);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_hangs_holds_up_no_other() {
    let scene = Scene::new(10);
    let (slow, quick) = (scene.reserve(1).await, scene.reserve(1).await);
    scene.wire.next(Verb::Settle, Fault::Hangs);
    slow.commit();
    pass(super::millis(1)).await;
    quick.commit();
    pass(super::millis(4)).await;
    scene.assert_books(1, 1);
    scene.flush().await;
    scene.assert_books(2, 0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_into_the_queue_is_lost_and_the_lease_heals_it() {
    let scene = Scene::with(10, RemoteOptions::new().queue(3));
    let open = join_all((0..5).map(|_| scene.reserve(1))).await;
    open.into_iter().for_each(tower_quota::Reservation::commit);
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(error.operation(), "flush");
    assert_eq!(reason(&error), "0 settlements are not written, and 2 were lost");
    scene.assert_books(3, 2);
    pass(secs(61)).await;
    scene.assert_books(3, 0);
    // What was lost has been told. There is room again.
    scene.reserve(1).await.commit();
    scene.flush().await;
    scene.assert_books(4, 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_gives_up_at_its_deadline_and_says_what_is_not_written() {
    let scene = Scene::with(10, RemoteOptions::new().flush_within(secs(3)));
    let open = join_all((0..4).map(|_| scene.reserve(1))).await;
    scene.wire.cut(Fault::Hangs);
    open.into_iter().for_each(tower_quota::Reservation::commit);
    let before = tokio::time::Instant::now();
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(before.elapsed(), secs(3));
    assert!(error.is_transient());
    assert_eq!(reason(&error), "4 settlements are not written, and 0 were lost");
    scene.wire.mend();
    scene.flush().await;
    scene.assert_books(4, 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_what_was_handed_over_before_it_alone() {
    let scene = Scene::new(10);
    let (before, after) = (scene.reserve(1).await, scene.reserve(1).await);
    before.commit();
    let flush = scene.quotas.flush();
    tokio::task::yield_now().await;
    scene.wire.cut(Fault::Hangs);
    after.commit();
    flush.await.unwrap();
    scene.assert_books(1, 1);
}

#[tokio::test(start_paused = true)]
async fn flushes_that_overlap_each_wait_for_their_own() {
    let scene = Scene::new(10);
    let open = join_all((0..3).map(|_| scene.reserve(1))).await;
    scene.wire.next(Verb::Settle, Fault::Hangs);
    let mut flushes = Vec::new();
    for reservation in open {
        reservation.commit();
        flushes.push(scene.quotas.flush().into_future());
        tokio::task::yield_now().await;
    }
    // The first hangs for a second; the others are written, but a later flush waits for it too.
    let before = tokio::time::Instant::now();
    for flush in flushes.into_iter().rev() {
        flush.await.unwrap();
        assert!(before.elapsed() >= secs(1));
    }
    scene.assert_books(3, 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_given_up_once_the_books_have_forgotten_its_hold() {
    let scene = Scene::new(10);
    let open = scene.reserve(1).await;
    scene.wire.cut(Fault::Lost);
    open.commit();
    pass(secs(16 * 60 - 10)).await;
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(reason(&error), "1 settlements are not written, and 0 were lost");
    pass(secs(30)).await;
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(reason(&error), "0 settlements are not written, and 1 were lost");
    scene.wire.mend();
    pass(secs(2)).await;
    scene.flush().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_the_books_refuse_does_not_take_others_with_it() {
    let scene = Scene::with(1_000, RemoteOptions::new().flush_within(secs(30)));
    let mut open = join_all((0..200).map(|_| scene.reserve(1))).await;
    scene.wire.refuse(205);
    open.remove(77).commit_units(205);
    open.into_iter().for_each(tower_quota::Reservation::commit);
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(reason(&error), "1 settlements are not written, and 0 were lost");
    scene.assert_books(199, 1);
}

#[tokio::test(start_paused = true)]
async fn books_that_refuse_everything_are_not_asked_in_ever_smaller_batches() {
    let scene = Scene::new(10_000);
    let open = join_all((0..1_024).map(|_| scene.reserve(1))).await;
    scene.wire.cut(Fault::Refused);
    open.into_iter().for_each(tower_quota::Reservation::commit);
    pass(secs(60)).await;
    scene.wire.mend();
    let calls = scene.wire.calls(Verb::Settle);
    scene.flush().await;
    scene.assert_books(1_024, 0);
    let calls = scene.wire.calls(Verb::Settle) - calls;
    assert!(calls <= 8, "{calls}");
}

/// Threads that reserve, settle, drop and flush at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_threads_do_at_the_same_time_each_hold_is_settled_once() {
    // Real time passes here, and none of it matters.
    let options = RemoteOptions::new().timeout(secs(600)).flush_within(secs(600));
    let scene = std::sync::Arc::new(Scene::with(1_000_000, options));
    let tasks = (0..8).map(|task| {
        let scene = scene.clone();
        tokio::spawn(async move {
            for number in 0..200 {
                let open = scene.reserve(1).await;
                match number % 4 {
                    0 => drop(open),
                    1 => open.commit_units(3),
                    _ => open.commit(),
                }
                if number % 50 == task {
                    scene.flush().await;
                }
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    scene.flush().await;
    scene.assert_books(8 * 50 * (3 + 1 + 1), 0);
    assert_eq!(scene.wire.settled().len(), 8 * 200);
}
