//! The books' clock shows another time than the engine's.

use tower_quota::{Limit, Plan, Quotas, Window};

use super::{Scene, millis, pass, reason, secs};
use crate::support::remote_books::{Fault, Verb};
use crate::support::{DAY, granted, noon, payer};

const DAYS: [i64; 4] = [-400, -1, 1, 400];

#[tokio::test(start_paused = true)]
async fn clocks_that_are_days_apart_cost_one_repeated_request() {
    for days in DAYS {
        let scene = Scene::new(5);
        scene.wire.set_ahead(days * 86_400_000);
        for _ in 0..3 {
            scene.reserve(1).await.commit();
        }
        scene.flush().await;
        scene.assert_books(3, 0);
        assert_eq!(scene.wire.calls(Verb::Reserve), 3 + 1, "{days} days");
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_that_agree_need_no_repetition() {
    let scene = Scene::new(5);
    scene.wire.set_ahead(-3 * 3_600_000 + 700);
    scene.reserve(1).await.commit();
    assert_eq!(scene.wire.calls(Verb::Reserve), 1);
}

#[tokio::test(start_paused = true)]
async fn a_grant_and_a_denial_tell_the_time_for_the_next_request() {
    for amount in [0, 5] {
        let scene = Scene::new(amount);
        scene.wire.set_ahead(-3 * 3_600_000 + 700);
        drop(scene.decide(1).await.unwrap());
        // With the clock unknown, this would come too late by what the clocks differ.
        scene.wire.next(Verb::Reserve, Fault::Slow(millis(500)));
        drop(scene.decide(1).await.unwrap());
        assert_eq!(scene.wire.calls(Verb::Reserve), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_does_not_spoil_the_estimate() {
    let scene = Scene::new(50);
    scene.reserve(1).await.commit();
    for _ in 0..5 {
        scene.wire.next(Verb::Reserve, Fault::Slow(millis(900)));
        scene.clock.advance(millis(900));
        scene.reserve(1).await.commit();
    }
    assert_eq!(scene.wire.calls(Verb::Reserve), 1 + 1 + 5);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_stands_still_or_steps_is_followed() {
    let scene = Scene::new(50);
    for _ in 0..3 {
        scene.reserve(1).await.commit();
        pass(secs(40)).await;
    }
    scene.clock.advance(DAY / 4);
    scene.reserve(1).await.commit();
    scene.wire.set_ahead(-7_200_000);
    scene.reserve(1).await.commit();
    scene.flush().await;
    scene.assert_books(5, 0);
}

#[tokio::test(start_paused = true)]
async fn engines_whose_clocks_are_days_apart_share_a_store() {
    let scene = Scene::new(5);
    let clock = noon();
    clock.advance(30 * DAY);
    let plan = Plan::new("free").feature("remix", [Limit::new(5, Window::Day)]);
    let builder = Quotas::builder().plan(plan).clock(clock).store(scene.store.clone());
    let other = builder.build().unwrap();
    for quotas in [&scene.quotas, &other, &scene.quotas, &other, &other] {
        granted(quotas.reserve(&payer(), "remix", 1).await.unwrap()).commit();
    }
    scene.flush().await;
    scene.assert_books(5, 0);
}

#[tokio::test(start_paused = true)]
async fn the_repeated_request_s_release_does_not_overtake_it_either() {
    let scene = Scene::new(5);
    scene.reserve(1).await.commit();
    scene.wire.set_ahead(3_600_000);
    // The first is found stale.
    scene.wire.next(Verb::Reserve, Fault::None);
    scene.wire.next(Verb::Reserve, Fault::Late(millis(900)));
    let given_up = tokio::time::timeout(millis(100), scene.decide(1)).await;
    assert!(given_up.is_err());
    assert_eq!(scene.wire.calls(Verb::Reserve), 4);
    scene.flush().await;
    pass(secs(2)).await;
    scene.assert_books(1, 0);
}

#[tokio::test(start_paused = true)]
async fn books_whose_clock_cannot_be_found_are_a_failure_that_may_pass() {
    let scene = Scene::new(5);
    scene.wire.next(Verb::Reserve, Fault::Steps);
    scene.wire.next(Verb::Reserve, Fault::Steps);
    let error = scene.failure().await;
    assert!(error.is_transient());
    assert!(reason(&error).contains("clock of the books"), "{error:?}");
    assert_eq!(scene.wire.calls(Verb::Reserve), 2);
    // Nothing was held, so nothing is given back.
    scene.flush().await;
    assert_eq!(scene.wire.calls(Verb::Settle), 0);
    scene.reserve(1).await.commit();
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_clock_lags_leaves_nothing_to_settle() {
    let scene = Scene::new(5);
    scene.wire.next(Verb::Reserve, Fault::Skewed);
    scene.failure().await;
    pass(secs(10)).await;
    assert_eq!(scene.wire.calls(Verb::Settle), 0);
}
