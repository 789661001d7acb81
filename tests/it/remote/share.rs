//! A share of each limit, while the books are away.

use std::num::NonZeroU32;

use tower_quota::store::RemoteOptions;
use tower_quota::{Limit, Window};

use super::{Scene, pass, reason, secs};
use crate::support::remote_books::{Fault, Verb};
use crate::support::{DAY, payer};

fn sharing(amount: u64, parts: u32) -> Scene {
    let parts = NonZeroU32::new(parts).unwrap();
    Scene::with(amount, RemoteOptions::new().local_share(parts))
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_limit_is_served_while_the_books_are_away() {
    let scene = sharing(20, 4);
    scene.wire.cut(Fault::Hangs);
    for _ in 0..5 {
        scene.reserve(1).await.commit();
    }
    let error = scene.failure().await;
    assert!(error.is_transient(), "not a denial: the limit itself may have room");
    scene.wire.mend();
    pass(secs(5)).await;
    scene.flush().await;
    scene.assert_books(5, 0);
}

#[tokio::test(start_paused = true)]
async fn while_the_circuit_is_open_it_takes_no_time() {
    let scene = sharing(1_000, 4);
    scene.wire.cut(Fault::Hangs);
    for _ in 0..10 {
        scene.reserve(1).await.commit();
    }
    let calls = scene.wire.calls(Verb::Reserve);
    let before = tokio::time::Instant::now();
    for _ in 0..100 {
        scene.reserve(1).await.commit();
    }
    assert_eq!(before.elapsed(), secs(0));
    assert_eq!(scene.wire.calls(Verb::Reserve), calls);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_or_charged_counts_as_what_it_was() {
    let scene = sharing(20, 4);
    scene.wire.cut(Fault::Lost);
    scene.reserve(5).await.release();
    drop(scene.reserve(5).await);
    scene.reserve(5).await.commit_units(3);
    let held = scene.reserve(2).await;
    scene.failure().await;
    scene.wire.mend();
    pass(secs(5)).await;
    scene.flush().await;
    scene.assert_books(3, 0);
    held.commit_units(7);
    scene.flush().await;
    scene.assert_books(10, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_of_no_units_is_owed_where_requests_are_counted() {
    let scene = sharing(20, 4);
    let limits = [Limit::new(20, Window::Day).per_request()];
    scene.quotas.set_limits("free", [("remix", limits)]).unwrap();
    scene.wire.cut(Fault::Lost);
    scene.reserve(3).await.commit_units(0);
    scene.reserve(3).await.release();
    scene.wire.mend();
    pass(secs(5)).await;
    scene.flush().await;
    scene.assert_books(1, 0);
}

/// The first charge arrives, and its answer is lost; the circuit opens in between.
#[tokio::test(start_paused = true)]
async fn a_charge_that_has_to_be_sent_again_is_made_once() {
    let scene = sharing(20, 4);
    scene.wire.cut(Fault::Lost);
    scene.reserve(2).await.commit();
    for _ in 0..3 {
        scene.wire.next(Verb::Change, Fault::Unanswered);
    }
    scene.wire.mend();
    pass(secs(1)).await;
    scene.wire.cut(Fault::Hangs);
    scene.reserve(1).await.commit();
    pass(secs(20)).await;
    scene.wire.mend();
    pass(secs(20)).await;
    scene.flush().await;
    scene.assert_books(3, 0);
    assert!(scene.wire.calls(Verb::Change) >= 5);
}

/// Nobody knows whether the first charge arrived; and books remember it for a day.
#[tokio::test(start_paused = true)]
async fn a_charge_that_may_have_arrived_is_not_sent_again_when_books_may_have_forgotten_it() {
    let scene = sharing(20, 4);
    scene.wire.cut(Fault::Lost);
    scene.reserve(2).await.commit();
    scene.wire.next(Verb::Change, Fault::Unanswered);
    scene.wire.mend();
    pass(secs(1)).await;
    scene.wire.cut(Fault::Hangs);
    pass(DAY).await;
    scene.wire.mend();
    pass(secs(60)).await;
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(reason(&error), "0 settlements are not written, and 1 were lost");
    scene.assert_books(2, 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_outage_goes_on_with_what_the_first_one_left() {
    let scene = sharing(20, 4);
    for units in [3, 2] {
        scene.wire.cut(Fault::Lost);
        scene.reserve(units).await.commit();
        scene.wire.mend();
        pass(secs(5)).await;
    }
    scene.wire.cut(Fault::Lost);
    scene.failure().await;
    scene.wire.mend();
    pass(secs(5)).await;
    scene.flush().await;
    scene.assert_books(5, 0);
    scene.clock.advance(DAY);
    scene.wire.cut(Fault::Lost);
    scene.reserve(5).await.commit();
}

#[tokio::test(start_paused = true)]
async fn a_denial_of_the_books_is_not_sent_there() {
    let scene = sharing(4, 2);
    scene.reserve(4).await.commit();
    scene.flush().await;
    scene.denied(1).await;
    scene.flush().await;
    scene.assert_books(4, 0);
}

#[tokio::test(start_paused = true)]
async fn books_that_say_that_a_clock_lags_or_that_refuse_are_not_away() {
    for fault in [Fault::Skewed, Fault::Refused] {
        let scene = sharing(20, 4);
        scene.wire.next(Verb::Reserve, fault);
        scene.failure().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_says_what_is_owed() {
    let scene = sharing(20, 4);
    scene.wire.cut(Fault::Lost);
    scene.reserve(1).await.commit();
    pass(secs(120)).await;
    let error = scene.quotas.flush().await.unwrap_err();
    assert!(reason(&error).contains("not written") || reason(&error).contains("owes"), "{error:?}");
    scene.wire.mend();
    pass(secs(5)).await;
    scene.flush().await;
    scene.assert_books(1, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_paid_after_the_store_was_dropped() {
    let scene = sharing(20, 4);
    scene.wire.cut(Fault::Lost);
    scene.reserve(1).await.commit();
    let wire = scene.wire.clone();
    drop(scene);
    pass(secs(60)).await;
    // When everything else is written, this is not.
    for _ in 0..5 {
        wire.next(Verb::Change, Fault::Lost);
    }
    wire.mend();
    pass(secs(60)).await;
    assert_eq!(wire.used_and_held(), (1, 0));
    assert_eq!(wire.users(), 1, "the background has ended");
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_of_a_forgotten_window_is_let_go() {
    let scene = sharing(20, 4);
    scene.wire.cut(Fault::Lost);
    scene.reserve(1).await.commit();
    scene.wire.next(Verb::Change, Fault::Skewed);
    scene.wire.mend();
    pass(secs(5)).await;
    scene.flush().await;
    scene.assert_books(0, 0);
}

#[tokio::test(start_paused = true)]
async fn several_counters_are_owed_to_each_once() {
    use tower_quota::{Limit, Window};
    let scene = sharing(20, 4);
    let limits = [Limit::new(20, Window::Day), Limit::new(40, Window::Month)];
    scene.quotas.set_limits("free", [("remix", limits)]).unwrap();
    scene.wire.cut(Fault::Lost);
    scene.reserve(2).await.commit();
    scene.reserve(3).await.commit();
    scene.failure().await;
    scene.wire.mend();
    pass(secs(5)).await;
    scene.flush().await;
    let usage = scene.quotas.usage(&payer()).await.unwrap();
    let used: Vec<u64> = usage.feature("remix").unwrap().statuses().map(|it| it.used()).collect();
    assert_eq!(used, [5, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_charge_that_is_refused_holds_up_no_other() {
    use tower_quota::Profile;
    let scene = sharing(20, 4);
    scene.wire.cut(Fault::Lost);
    for id in ["7", "8", "9"] {
        let decision = scene.quotas.reserve(&Profile::new(id, "free"), "remix", 1).await.unwrap();
        crate::support::granted(decision).commit();
    }
    // Two of three are refused, when they are sent together to books that are there again.
    (0..2).for_each(|_| scene.wire.next(Verb::Change, Fault::Refused));
    scene.wire.mend();
    let sent = scene.wire.calls(Verb::Change);
    while scene.wire.calls(Verb::Change) < sent + 3 {
        pass(super::millis(1)).await;
    }
    scene.assert_books(1, 0);
    pass(secs(5)).await;
    scene.assert_books(3, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_spent_after_the_store_was_dropped_is_paid() {
    let scene = sharing(20, 4);
    scene.wire.cut(Fault::Lost);
    let open = scene.reserve(2).await;
    let wire = scene.wire.clone();
    wire.mend();
    drop(scene);
    pass(secs(30)).await;
    open.commit();
    pass(secs(30)).await;
    assert_eq!(wire.used_and_held(), (2, 0));
    assert_eq!(wire.users(), 1, "the background has ended");
}

#[tokio::test(start_paused = true)]
async fn what_is_spent_after_a_shutdown_is_told() {
    let scene = sharing(20, 4);
    scene.wire.cut(Fault::Lost);
    let open = scene.reserve(2).await;
    scene.wire.mend();
    pass(secs(5)).await;
    scene.quotas.shutdown().await.unwrap();
    scene.failure().await;
    open.commit();
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(reason(&error), "0 settlements are not written, and 1 were lost");
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_bounded() {
    use tower_quota::Profile;
    let parts = NonZeroU32::new(4).unwrap();
    let scene = Scene::with(20, RemoteOptions::new().local_share(parts).queue(10));
    scene.wire.cut(Fault::Lost);
    let mut served = 0;
    for id in 0..50 {
        let profile = Profile::new(id.to_string(), "free");
        if let Ok(decision) = scene.quotas.reserve(&profile, "remix", 1).await {
            crate::support::granted(decision).commit();
            served += 1;
        }
    }
    assert_eq!(served, 10);
}
