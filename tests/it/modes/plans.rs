//! Plans, limits and profiles that change while requests are in flight.

use std::time::Duration;

use http::{HeaderName, Method};
use tower::Layer;
use tower_quota::{
    ConfigError, Error, HeaderIdentity, Limit, MAX_UNITS, ManualClock, Plan, Profile, QuotaLayer,
    QuotaLayerBuilder, Quotas, Unidentified, Window,
};

use crate::support::{
    at, daily, denied, granted, metered, noon, now, profile, remix, reserve, reserve_units, spend,
    status, used_and_held,
};

fn set_amount(quotas: &Quotas, amount: u64) {
    let limits = [("remix", [Limit::new(amount, Window::Day)])];
    quotas.set_limits("free", limits).unwrap();
}

#[test]
fn a_raised_limit_applies_at_once_and_keeps_what_was_used() {
    let quotas = daily(&noon(), 1);
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
    set_amount(&quotas, 3);
    let held = granted(reserve_units(&quotas, &profile("7"), 2));
    denied(reserve(&quotas, &profile("7")));
    held.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (3, 0));
}

/// D12: `used` above the limit is shown as it is, and nothing remains.
#[test]
fn a_limit_lowered_below_what_is_used_leaves_nothing() {
    let quotas = daily(&noon(), 5);
    spend(&quotas, &profile("7"), 3);
    let held = granted(reserve_units(&quotas, &profile("7"), 2));
    set_amount(&quotas, 2);
    let denial = denied(reserve(&quotas, &profile("7")));
    let now = denial.status().unwrap();
    assert_eq!((now.amount(), now.used(), now.held(), now.remaining()), (2, 3, 2, 0));
    held.commit();
    let now = status(&quotas, &profile("7"), "remix");
    assert_eq!((now.amount(), now.used(), now.held(), now.remaining()), (2, 5, 0, 0));
    set_amount(&quotas, 6);
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn a_limit_of_another_window_counts_anew_and_the_old_one_is_found_again() {
    // The first hour of a day, so that both windows start at the same instant.
    let clock = ManualClock::at(at("2026-11-24T00:10:00Z"));
    let limit = |window| [Limit::new(9, window).named("same")];
    let quotas = remix(&clock, limit(Window::Day));
    spend(&quotas, &profile("7"), 1);
    let held = granted(reserve(&quotas, &profile("7")));
    quotas.set_limits("free", [("remix", limit(Window::Hour))]).unwrap();
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
    held.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
    quotas.set_limits("free", [("remix", limit(Window::Day))]).unwrap();
    assert_eq!(used_and_held(&quotas, &profile("7")), (2, 0));
}

#[test]
fn a_profile_that_changes_its_plan_keeps_what_it_used() {
    let plans = [("free", 1), ("pro", 3)]
        .map(|(name, amount)| Plan::new(name).feature("remix", [Limit::new(amount, Window::Day)]));
    let [free, pro] = plans;
    let quotas = Quotas::builder().plan(free).plan(pro).clock(noon()).build().unwrap();
    let (before, after) = (Profile::new("7", "free"), Profile::new("7", "pro"));
    let held = granted(reserve(&quotas, &before));
    denied(reserve(&quotas, &before));
    spend(&quotas, &after, 2);
    held.release();
    assert_eq!(used_and_held(&quotas, &after), (2, 0));
    denied(reserve(&quotas, &before));
    spend(&quotas, &after, 1);
}

#[test]
fn replaced_plans_keep_what_was_used_and_settle_what_is_held() {
    let quotas = daily(&noon(), 2);
    spend(&quotas, &profile("7"), 1);
    let held = granted(reserve(&quotas, &profile("7")));
    let chat = Plan::new("new").feature("chat", [Limit::new(1, Window::Day)]);
    quotas.set_plans([chat]).unwrap();
    assert!(now(quotas.reserve(&profile("7"), "remix", 1)).is_err());
    held.commit();
    let again = Plan::new("free").feature("remix", [Limit::new(3, Window::Day)]);
    quotas.set_plans([again.clone()]).unwrap();
    assert_eq!(quotas.plans(), [again]);
    assert_eq!(used_and_held(&quotas, &profile("7")), (2, 0));
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn bad_plans_and_limits_change_nothing() {
    let quotas = daily(&noon(), 1);
    let plans = quotas.plans();
    let unchanged = |refused: Result<(), ConfigError>| {
        let error = refused.unwrap_err();
        assert_eq!(quotas.plans(), plans, "{error}");
        assert_eq!(status(&quotas, &profile("7"), "remix").amount(), 1, "{error}");
        error
    };
    let good = Plan::new("other").feature("chat", [Limit::new(1, Window::Day)]);
    let bad = Plan::new("bad name").feature("remix", [Limit::new(1, Window::Day)]);
    unchanged(quotas.set_plans([]));
    unchanged(quotas.set_plans([good, bad]));

    let [fine, too_large] = [9, MAX_UNITS + 1].map(|amount| [Limit::new(amount, Window::Day)]);
    let zero = [Limit::new(9, Window::Fixed(Duration::ZERO))];
    unchanged(quotas.set_limits("free", [("remix", too_large)]));
    unchanged(quotas.set_limits("free", [("remix", zero)]));
    unchanged(quotas.set_limits("free", [("remix", Vec::new())]));
    let half = [("remix", fine.clone()), ("chat", fine.clone())];
    let unknown = unchanged(quotas.set_limits("free", half));
    assert_eq!(unknown, ConfigError::UnknownFeature { feature: "chat".to_owned() });
    let unknown = unchanged(quotas.set_limits("gold", [("remix", fine)]));
    assert_eq!(unknown, ConfigError::UnknownPlan { plan: "gold".to_owned() });

    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn plans_that_lack_what_a_layer_names_change_nothing() {
    let quotas = daily(&noon(), 1);
    let plans = quotas.plans();
    let refused = |plan: &Plan| quotas.set_plans([plan.clone()]).unwrap_err();
    let day = || [Limit::new(1, Window::Day)];
    let (no_remix, no_free) =
        (Plan::new("free").feature("chat", day()), Plan::new("new").feature("remix", day()));
    let on_routes = |layer: QuotaLayerBuilder| layer.route(Method::GET, "/", "remix");
    let layers: [QuotaLayer; 3] = [
        metered(&quotas).build().unwrap(),
        on_routes(QuotaLayer::builder(quotas.clone()).profile(|_| None)).build().unwrap(),
        on_routes(metered(&quotas))
            .unidentified(Unidentified::Profile(profile("7")))
            .build()
            .unwrap(),
    ];
    for layer in layers {
        let feature = "remix".to_owned();
        assert_eq!(refused(&no_remix), ConfigError::FeatureInUse { feature });
        assert_eq!(quotas.plans(), plans);
        // Whatever was made of a layer needs it, too.
        let service = layer.layer(());
        drop(layer);
        refused(&no_remix);
        drop(service);
    }
    let identity = HeaderIdentity::new(HeaderName::from_static("x-profile-id"));
    let on_plan = QuotaLayer::builder(quotas.clone()).feature("remix").identify(identity);
    let on_plan = on_plan.plan("free").build().unwrap();
    let strangers = metered(&quotas).unidentified(Unidentified::Profile(profile("7")));
    let strangers = strangers.build().unwrap();
    for layer in [on_plan.clone(), strangers.clone()] {
        let plan = "free".to_owned();
        assert_eq!(refused(&no_free), ConfigError::PlanInUse { plan });
        assert_eq!(quotas.plans(), plans);
        drop(layer);
    }
    // What is gone needs nothing.
    drop((on_plan, strangers));
    quotas.set_plans([no_free]).unwrap();
    quotas.set_plans([no_remix]).unwrap();
}

#[test]
fn limits_of_several_features_change_together() {
    let day = |amount| [Limit::new(amount, Window::Day)];
    let plan = Plan::new("free").feature("remix", day(1)).feature("tips", day(2));
    let quotas = Quotas::builder().plan(plan).clock(noon()).build().unwrap();
    quotas.set_limits("free", [("tips", day(5)), ("remix", day(7))]).unwrap();
    let amounts = ["remix", "tips"].map(|it| status(&quotas, &profile("7"), it).amount());
    assert_eq!(amounts, [7, 5]);
}

#[test]
fn a_profiles_own_limits_replace_its_plans_and_keep_what_was_used() {
    let quotas = daily(&noon(), 1);
    spend(&quotas, &profile("7"), 1);
    let own = |amount| profile("7").limits("remix", [Limit::new(amount, Window::Day)]).unwrap();
    spend(&quotas, &own(3), 2);
    denied(reserve(&quotas, &own(3)));
    assert_eq!(status(&quotas, &own(3), "remix").amount(), 3);
    assert_eq!(status(&quotas, &profile("7"), "remix").remaining(), 0);
    // The last word counts.
    let twice = own(3).limits("remix", [Limit::new(4, Window::Day)]).unwrap();
    spend(&quotas, &twice, 1);
    denied(reserve(&quotas, &own(0)));
    let bad = profile("7").limits("remix", [Limit::new(MAX_UNITS + 1, Window::Day)]);
    assert!(matches!(bad, Err(ConfigError::AmountTooLarge { .. })));
}

#[test]
fn a_feature_that_only_other_plans_have_is_denied_for_good() {
    let day = |feature| Plan::new(feature).feature(feature, [Limit::new(1, Window::Day)]);
    let quotas = Quotas::builder().plan(day("chat")).plan(day("remix")).build().unwrap();
    let chatter = Profile::new("7", "chat");
    for units in [1, 5] {
        let denial = denied(reserve_units(&quotas, &chatter, units));
        assert_eq!((denial.retry_after(), denial.resets_at()), (None, None));
        assert_eq!(denial.status().unwrap().amount(), 0);
    }
    // Unless the profile is given some.
    let own = chatter.limits("remix", [Limit::new(1, Window::Day)]).unwrap();
    spend(&quotas, &own, 1);
    denied(reserve(&quotas, &own));
}

#[test]
fn a_limit_of_zero_denies_at_once() {
    let quotas = remix(&noon(), [Limit::new(0, Window::Day)]);
    let denial = denied(reserve(&quotas, &profile("7")));
    assert_eq!(denial.retry_after(), None);
    assert_eq!(denial.status().unwrap().remaining(), 0);
}

/// Nobody would notice that it has no effect.
#[test]
fn an_override_of_an_unknown_feature_is_an_error() {
    let quotas = daily(&noon(), 1);
    let misspelt = profile("7").limits("Remix", [Limit::new(5, Window::Day)]).unwrap();
    let error = now(quotas.reserve(&misspelt, "remix", 1)).unwrap_err();
    assert!(matches!(error, Error::UnknownFeature(feature) if feature == "Remix"));
}
