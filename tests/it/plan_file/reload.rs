//! Plans that are read again while requests are in flight.

use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{ConfigError, Decision, Plan, Profile, Quotas, plans_from_toml};

use crate::support::{
    denied, empty, get, granted, metered, noon, now, profile, race, reserve, reserve_units, spend,
    status, used_and_held,
};

fn read(text: &str) -> Quotas {
    let plans = plans_from_toml(text).unwrap();
    Quotas::builder().plans(plans).clock(noon()).build().unwrap()
}

#[test]
fn a_text_replaces_the_plans_at_once_and_keeps_what_was_used() {
    let quotas = read("plans.free.remix.day = 2");
    spend(&quotas, &profile("7"), 1);
    let held = granted(reserve(&quotas, &profile("7")));
    denied(reserve(&quotas, &profile("7")));
    quotas.set_plans_from_toml("plans.free.remix.day = 3").unwrap();
    assert_eq!(used_and_held(&quotas, &profile("7")), (1, 1));
    let more = granted(reserve(&quotas, &profile("7")));
    denied(reserve(&quotas, &profile("7")));
    held.commit();
    more.release();
    assert_eq!(used_and_held(&quotas, &profile("7")), (2, 0));
}

#[test]
fn a_bad_text_keeps_the_old_plans() {
    let quotas = read("plans.free.remix.day = 2");
    let plans = quotas.plans();
    spend(&quotas, &profile("7"), 1);
    let good = "[plans.free]\nremix.day = 9\n";
    let bad = [
        String::new(),
        format!("{good}remix.day = 9\n"),
        format!("{good}chat = 1\n"),
        format!("{good}chat.day = -1\n"),
        format!("{good}chat.dya = 1\n"),
        format!("{good}[plans.pro]\n"),
        format!("{good}[plan.pro]\nremix.day = 1\n"),
    ];
    for text in &bad {
        let error = quotas.set_plans_from_toml(text).unwrap_err();
        assert_eq!(quotas.plans(), plans, "{error}");
        let now = status(&quotas, &profile("7"), "remix");
        assert_eq!((now.amount(), now.used()), (2, 1), "{error}");
    }
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
    quotas.set_plans_from_toml(good).unwrap();
    spend(&quotas, &profile("7"), 7);
    denied(reserve(&quotas, &profile("7")));
}

/// Each text has a larger amount, the same for both features and both plans: whoever sees two of
/// them together, or a smaller one later, or misses a plan, has seen half a change.
#[test]
fn nobody_sees_some_of_a_text() {
    let text = |amount: u64| {
        format!(
            "[plans.free]\nremix.day = {amount}\nchat.day = {amount}\n\
             [plans.pro]\nremix.day = {amount}\nchat.day = {amount}\n"
        )
    };
    let quotas = read(&text(1));
    let is_done = AtomicBool::new(false);
    race(4, |runner| {
        if runner == 0 {
            for amount in 2..500 {
                quotas.set_plans_from_toml(&text(amount)).unwrap();
                quotas.set_plans_from_toml("plans.free.remix.day = -1").unwrap_err();
            }
            is_done.store(true, Ordering::Relaxed);
        }
        let mut last = 0;
        while !is_done.load(Ordering::Relaxed) {
            for plan in ["free", "pro"] {
                let usage = now(quotas.usage(&Profile::new("7", plan))).unwrap();
                let amounts = ["remix", "chat"].map(|feature| {
                    let standing = usage.feature(feature).unwrap();
                    standing.statuses().next().unwrap().amount()
                });
                assert_eq!(amounts[0], amounts[1]);
                assert!(amounts[0] >= last, "an older text came back");
                last = amounts[0];
            }
        }
    });
    assert_eq!(quotas.plans(), plans_from_toml(&text(499)).unwrap());
}

/// Both texts grant 60 units in all, by limits of different counts: no more are granted while one
/// replaces the other, and none that would fit is denied.
#[test]
fn reserves_stay_exact_while_plans_are_replaced() {
    let texts = [
        "plans.free.remix = { day = 60 }",
        "plans.free.remix = { day = 60, burst = { amount = 1_000, window = \"6h\" } }",
    ];
    let quotas = read(texts[0]);
    let granted: Vec<u64> = race(4, |runner| {
        let mut granted = 0;
        for round in 0..200 {
            if runner == 0 {
                quotas.set_plans_from_toml(texts[round % 2]).unwrap();
            } else if let Decision::Granted(reservation) = reserve(&quotas, &profile("7")) {
                reservation.commit();
                granted += 1;
            }
        }
        granted
    });
    assert_eq!(granted.iter().sum::<u64>(), 60);
    assert_eq!(used_and_held(&quotas, &profile("7")), (60, 0));
    denied(reserve_units(&quotas, &profile("7"), 1));
}

#[tokio::test]
async fn a_text_without_a_feature_that_a_route_names_keeps_the_old_plans() {
    let quotas = read("plans.free.remix.day = 1");
    let layer = metered(&quotas).build().unwrap();
    let error = quotas.set_plans_from_toml("plans.free.chat.day = 5").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no plan has feature `remix` any more, which a route names (0 disables it)"
    );
    assert_eq!((error.line(), error.field()), (None, None));
    let feature = "remix".to_owned();
    let source = std::error::Error::source(&error).unwrap().downcast_ref();
    assert_eq!(source, Some(&ConfigError::FeatureInUse { feature }));
    let send = || layer.layer(service_fn(empty)).oneshot(get());
    assert_eq!(send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(send().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    quotas.set_plans_from_toml("plans.free = { chat.day = 5, remix.day = 2 }").unwrap();
    assert_eq!(send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(quotas.plans().iter().map(Plan::name).collect::<Vec<_>>(), ["free"]);
}
