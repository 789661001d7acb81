//! Every error of configuration, and that it names the culprit.

mod calendar;
mod refunds;

use std::time::Duration;

use http::{HeaderName, Method};
use tower_quota::{
    BoxError, ConfigError, ForwardedIp, HeaderIdentity, Limit, MAX_UNITS, PeerIp, Plan, Profile,
    ProfileId, Profiles, QuotaLayer, QuotaLayerBuilder, Quotas, QuotasBuilder, Rule, Unidentified,
    Window,
};

use crate::support::{daily, noon};

fn built(plans: impl IntoIterator<Item = Plan>) -> Result<Quotas, ConfigError> {
    plans.into_iter().fold(Quotas::builder(), QuotasBuilder::plan).build()
}

fn refused(plans: impl IntoIterator<Item = Plan>) -> ConfigError {
    built(plans).map(drop).unwrap_err()
}

fn plan(name: &str, feature: &str) -> Plan {
    Plan::new(name).feature(feature, [Limit::new(1, Window::Day)])
}

fn plan_with(limits: impl IntoIterator<Item = Limit>) -> Plan {
    Plan::new("free").feature("remix", limits)
}

/// Asserts that the message names each of the culprits.
#[track_caller]
fn assert_names(error: &ConfigError, culprits: &[&str]) {
    let text = error.to_string();
    for culprit in culprits {
        assert!(text.contains(culprit), "`{text}` does not name `{culprit}`");
    }
}

#[test]
fn an_engine_without_plans_is_refused() {
    let error = refused([]);
    assert_eq!(error, ConfigError::NoPlans);
    assert_names(&error, &["plan"]);
}

#[test]
fn an_empty_plan_is_refused() {
    let error = refused([plan("free", "remix"), Plan::new("gold")]);
    assert_eq!(error, ConfigError::EmptyPlan { plan: "gold".to_owned() });
    assert_names(&error, &["gold"]);
}

#[test]
fn a_feature_without_limits_is_refused() {
    let error = refused([plan("free", "remix").feature("tips", [])]);
    assert_eq!(error, ConfigError::NoLimits { feature: "tips".to_owned() });
    assert_names(&error, &["tips"]);
}

#[test]
fn a_bad_name_is_refused_wherever_it_stands() {
    let long = "x".repeat(65);
    for bad in ["", &long, "a b", " a", "a\n", "a/b", "a:b", "a\0", "naïve", "名", "a\"b"] {
        let limit = Limit::new(1, Window::Day).named(bad);
        let errors = [
            ("plan", refused([plan(bad, "remix")])),
            ("feature", refused([plan("free", bad)])),
            ("limit", refused([plan_with([limit.clone()])])),
            ("limit", Profile::new("7", "free").limits("remix", [limit]).unwrap_err()),
            ("feature", Profile::new("7", "free").limits(bad, []).unwrap_err()),
        ];
        for (what, error) in errors {
            assert_eq!(error, ConfigError::BadName { what, name: bad.to_owned() });
            assert_names(&error, &[what, &format!("{bad:?}")]);
        }
    }
}

#[test]
fn a_name_of_64_of_any_allowed_characters_is_fine() {
    let longest = "x".repeat(64);
    for name in ["a", "0", ".", "_", "-", "AZaz09._-", &longest] {
        let limit = Limit::new(1, Window::Day).named(name);
        built([Plan::new(name).feature(name, [limit])]).unwrap();
    }
}

#[test]
fn two_names_that_are_equal_or_differ_in_case_are_refused() {
    let day = || Limit::new(1, Window::Day);
    let cases = [
        ("plan", "free", "free", refused([plan("free", "a"), plan("free", "b")])),
        ("plan", "free", "Free", refused([plan("free", "a"), plan("Free", "b")])),
        ("feature", "a", "a", refused([plan("free", "a").feature("a", [day()])])),
        ("feature", "ab", "aB", refused([plan("free", "ab").feature("aB", [day()])])),
        ("feature", "ab", "AB", refused([plan("free", "ab"), plan("pro", "AB")])),
        ("limit", "day", "day", refused([plan_with([day(), day()])])),
        ("limit", "day", "DAY", refused([plan_with([day(), day().named("DAY")])])),
    ];
    for (what, first, name, error) in cases {
        let (first, name) = (first.to_owned(), name.to_owned());
        assert_names(&error, &[what, &first, &name]);
        assert_eq!(error, ConfigError::DuplicateName { what, name, first });
    }
}

#[test]
fn plans_may_share_features_and_features_may_share_limit_names() {
    let plans = ["free", "pro"].map(|name| {
        plan(name, "remix")
            .feature("tips", [Limit::new(1, Window::Day), Limit::new(1, Window::Month)])
    });
    built(plans).unwrap();
}

#[test]
fn a_window_that_cannot_be_counted_in_milliseconds_is_refused() {
    let lengths = [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_micros(1_500),
        Duration::from_millis(1) + Duration::from_nanos(1),
        Duration::from_millis(i64::MAX.unsigned_abs() + 1),
        Duration::MAX,
    ];
    for length in lengths {
        let limit = Limit::new(1, Window::Fixed(length)).named("burst");
        let error = refused([plan_with([limit])]);
        let (feature, limit) = ("remix".to_owned(), "burst".to_owned());
        assert_eq!(error, ConfigError::BadWindow { feature, limit }, "{length:?}");
        assert_names(&error, &["remix", "burst", "window"]);
    }
    for millis in [1, 1_500, i64::MAX.unsigned_abs()] {
        let window = Window::Fixed(Duration::from_millis(millis));
        built([plan_with([Limit::new(1, window)])]).unwrap();
    }
}

#[test]
fn a_limit_is_named_after_its_window() {
    let fixed = |length| Window::Fixed(Duration::from_millis(length));
    let windows = [Window::Day, Window::Lifetime, fixed(1_500), fixed(60_000), Window::Minute];
    let limits = windows.map(|window| Limit::new(1, window));
    let names = limits.each_ref().map(Limit::name);
    assert_eq!(names, ["day", "lifetime", "1500ms", "60s", "minute"]);
    built([plan_with(limits)]).unwrap();
}

#[test]
fn an_amount_above_ten_to_the_fifteenth_less_one_is_refused() {
    assert_eq!(MAX_UNITS, 10_u64.pow(15) - 1);
    built([plan_with([Limit::new(MAX_UNITS, Window::Day)])]).unwrap();
    for amount in [MAX_UNITS + 1, u64::MAX] {
        let error = refused([plan_with([Limit::new(amount, Window::Day)])]);
        let (feature, limit) = ("remix".to_owned(), "day".to_owned());
        assert_names(&error, &["remix", "day", &amount.to_string()]);
        assert_eq!(error, ConfigError::AmountTooLarge { feature, limit, amount });
        let error = refused([plan_with([Limit::new(1, Window::Day).max_refunds(amount)])]);
        let (feature, limit) = ("remix".to_owned(), "day".to_owned());
        assert_eq!(error, ConfigError::AmountTooLarge { feature, limit, amount });
    }
}

/// A layer that lacks nothing but routes.
fn layer() -> QuotaLayerBuilder {
    QuotaLayer::builder(daily(&noon(), 1)).identify(header()).plan("free")
}

fn header() -> HeaderIdentity {
    HeaderIdentity::new(HeaderName::from_static("x-profile-id"))
}

fn refused_layer(builder: QuotaLayerBuilder) -> ConfigError {
    // The layer itself is too long to be printed.
    builder.build().map(drop).unwrap_err()
}

#[test]
fn a_pattern_that_cannot_be_parsed_is_refused() {
    for bad in ["/a/{id", "/a/{}", "/{*rest}/b"] {
        let error = refused_layer(layer().route(Method::GET, bad, "remix"));
        assert!(matches!(&error, ConfigError::BadRoute { pattern, .. } if pattern == bad));
        assert_names(&error, &[bad]);
    }
}

/// It would match no request, and all of them would pass unmetered.
#[test]
fn a_pattern_that_no_path_can_match_is_refused() {
    for bad in ["", "api/ai/remix", "{id}"] {
        let error = refused_layer(layer().route(Method::POST, bad, "remix"));
        assert!(matches!(&error, ConfigError::BadRoute { pattern, .. } if pattern == bad));
    }
}

#[test]
fn patterns_that_conflict_are_refused() {
    let routes =
        layer().route(Method::GET, "/a/{id}", "remix").route(Method::POST, "/a/{name}", "remix");
    let error = refused_layer(routes);
    assert!(matches!(error, ConfigError::BadRoute { .. }));
    assert_names(&error, &["/a/{id}", "/a/{name}"]);
}

#[test]
fn the_same_method_and_pattern_twice_is_refused() {
    let twice = layer().route(Method::GET, "/a", "remix").route(Method::GET, "/a", "remix");
    let error = refused_layer(twice);
    assert_eq!(error, ConfigError::DuplicateRoute { route: "GET /a".to_owned() });
    assert_names(&error, &["GET /a"]);
    let twice = layer().any_method("/a", "remix").any_method("/a", "remix");
    let error = refused_layer(twice);
    assert!(matches!(error, ConfigError::DuplicateRoute { .. }));
    assert_names(&error, &["/a"]);
    let apart = layer().route(Method::GET, "/a", "remix").route(Method::POST, "/a", "remix");
    apart.any_method("/a", "remix").build().unwrap();
}

/// It would never match, and whoever wrote it believes that it does.
#[test]
fn a_route_for_options_is_refused() {
    let error = refused_layer(layer().route(Method::OPTIONS, "/a", "remix"));
    assert!(matches!(error, ConfigError::BadRoute { .. }));
    assert_names(&error, &["/a", "OPTIONS"]);
}

#[test]
fn a_route_to_a_feature_that_no_plan_has_is_refused() {
    let routes: [fn(QuotaLayerBuilder) -> QuotaLayerBuilder; 5] = [
        |layer| layer.route(Method::GET, "/a", "remiks"),
        |layer| layer.any_method("/a", "remiks"),
        |layer| layer.feature("remiks"),
        |layer| layer.feature("remix").route(Method::GET, "/a", "remiks"),
        |layer| layer.route(Method::GET, "/a", Rule::new("remiks").reserve_in_handler()),
    ];
    for route in routes {
        let error = refused_layer(route(layer()));
        assert_eq!(error, ConfigError::UnknownFeature { feature: "remiks".to_owned() });
        assert_names(&error, &["remiks"]);
    }
    // Names are compared exactly.
    refused_layer(layer().feature("Remix"));
}

#[test]
fn a_layer_that_meters_nothing_is_refused() {
    let error = refused_layer(layer());
    assert_eq!(error, ConfigError::NoRoutes);
    assert_names(&error, &["route", "feature"]);
    layer().classify(|_| None).build().unwrap();
}

#[test]
fn a_layer_that_does_not_know_who_pays_is_refused() {
    let bare = || QuotaLayer::builder(daily(&noon(), 1)).feature("remix");
    let nobody = |_: ProfileId| async { Ok::<_, BoxError>(None::<Profile>) };
    let half = [
        bare(),
        bare().plan("free"),
        bare().identify(header()),
        bare().profiles(Profiles::new(nobody)),
    ];
    for layer in half {
        let error = refused_layer(layer);
        assert_eq!(error, ConfigError::NoPayer);
        assert_names(&error, &["who pays"]);
    }
    bare().profile(|_| None).build().unwrap();
}

#[test]
fn a_plan_that_the_engine_does_not_have_is_refused() {
    let stranger = Unidentified::Profile(Profile::new("anyone", "gold"));
    for layer in [layer().plan("gold"), layer().unidentified(stranger)] {
        let error = refused_layer(layer.feature("remix"));
        assert_eq!(error, ConfigError::UnknownPlan { plan: "gold".to_owned() });
        assert_names(&error, &["gold"]);
    }
}

#[test]
fn a_trusted_proxy_that_is_no_address_is_refused() {
    let peer = || PeerIp::from_connect_info();
    for bad in ["", "proxy.internal", "10.0.0.0/33", "10.0.0", "10.0.0.1:80"] {
        let error = ForwardedIp::behind(peer(), ["10.0.0.7", bad]).unwrap_err();
        assert_eq!(error, ConfigError::BadNetwork { network: bad.to_owned() });
        assert_names(&error, &[&format!("`{bad}`")]);
    }
    ForwardedIp::behind(peer(), ["10.0.0.7", "10.0.0.0/8", "2001:db8::/32", "::1"]).unwrap();
}
