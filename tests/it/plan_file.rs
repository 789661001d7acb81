//! Plans from TOML.

mod errors;
mod reload;

use std::time::Duration;

use tower_quota::{Limit, Plan, Quotas, Window, plans_from_toml};

use crate::support::{denied, noon, profile, reserve_units, spend};

fn fixed(seconds: u64) -> Window {
    Window::Fixed(Duration::from_secs(seconds))
}

#[test]
fn plans_are_read_in_the_order_of_the_text() {
    let text = r#"
        [plans.pro]
        remix.month = 1_000
        chat = { week = 500, day = 0x64, burst = { amount = 5, window = "90s" } }

        [plans.free.remix]
        day = 20
        minute = 5

        [plans.free."chat.v2".hour]
        amount = 0

        [plans.free."chat.v2".all]
        window = "lifetime"
        amount = 999_999_999_999_999
    "#;
    let pro = Plan::new("pro").feature("remix", [Limit::new(1_000, Window::Month)]).feature(
        "chat",
        [
            Limit::new(500, Window::Week),
            Limit::new(100, Window::Day),
            Limit::new(5, fixed(90)).named("burst"),
        ],
    );
    let free = Plan::new("free")
        .feature("remix", [Limit::new(20, Window::Day), Limit::new(5, Window::Minute)])
        .feature(
            "chat.v2",
            [
                Limit::new(0, Window::Hour),
                Limit::new(999_999_999_999_999, Window::Lifetime).named("all"),
            ],
        );
    let plans = plans_from_toml(text).unwrap();
    assert_eq!(plans, [pro, free]);
    Quotas::builder().plans(plans).build().unwrap();
}

#[test]
#[cfg(feature = "tz")]
fn a_limit_has_all_that_code_can_say() {
    use chrono::Weekday;
    use tower_quota::Scope;

    let text = r#"
        [plans.free.chat]
        tokens = { amount = 9, window = "rolling-15m", unit = "tokens", shadow = true }
        concurrent = { amount = 2, shadow = false, profile_calendar = false }
        local = { amount = 4, window = "day", profile_calendar = true }
        requests = { amount = 5, window = "week", per_request = true, week_start = "sunday" }
        refunds = { amount = 9, window = "day", max_refunds = 0 }
        share = { amount = 9, window = "day", max_refund_percent = 34 }
        app = { amount = 7, window = "month", scope = "everyone", month_start = 15 }
        berlin = { amount = 3, window = "day", scope = "tenant", zone = "Europe/Berlin" }
    "#;
    let quarter = Duration::from_secs(15 * 60);
    let chat = [
        Limit::new(9, Window::Rolling(quarter)).named("tokens").unit("tokens").shadow(),
        Limit::new(2, Window::Concurrent),
        Limit::new(4, Window::Day).named("local").profile_calendar(),
        Limit::new(5, Window::Week).named("requests").per_request().week_start(Weekday::Sun),
        Limit::new(9, Window::Day).named("refunds").max_refunds(0),
        Limit::new(9, Window::Day).named("share").max_refunds(3),
        Limit::new(7, Window::Month).named("app").scope(Scope::Everyone).month_start(15),
        Limit::new(3, Window::Day)
            .named("berlin")
            .scope(Scope::Tenant)
            .zone(chrono_tz::Europe::Berlin),
    ];
    assert_eq!(plans_from_toml(text).unwrap(), [Plan::new("free").feature("chat", chat)]);
}

#[test]
fn windows_are_known_by_name_and_by_length() {
    let windows = [
        ("second", Window::Second),
        ("minute", Window::Minute),
        ("hour", Window::Hour),
        ("day", Window::Day),
        ("week", Window::Week),
        ("month", Window::Month),
        ("year", Window::Year),
        ("lifetime", Window::Lifetime),
        ("500ms", Window::Fixed(Duration::from_millis(500))),
        ("90s", fixed(90)),
        ("15m", fixed(15 * 60)),
        ("6h", fixed(6 * 60 * 60)),
        ("30d", fixed(30 * 24 * 60 * 60)),
    ];
    for (name, window) in windows {
        let named = format!("plans.free.remix = {{ {name} = 3 }}");
        let plan = |limit: Limit| [Plan::new("free").feature("remix", [limit])];
        let limit = Limit::new(3, window);
        assert_eq!(plans_from_toml(&named).unwrap(), plan(limit.clone().named(name)));
        let told = format!("plans.free.remix.own = {{ amount = 3, window = \"{name}\" }}");
        assert_eq!(plans_from_toml(&told).unwrap(), plan(limit.named("own")));
    }
}

#[test]
fn an_engine_grants_what_the_text_says() {
    let text = "[plans.free]\nremix = { day = 3, hour = 2 }\n[plans.pro]\nremix.day = 9\n";
    let plans = plans_from_toml(text).unwrap();
    let clock = noon();
    let quotas = Quotas::builder().plans(plans).clock(clock.clone()).build().unwrap();
    spend(&quotas, &profile("7"), 2);
    let denial = denied(reserve_units(&quotas, &profile("7"), 1));
    assert_eq!(denial.status().unwrap().limit(), "hour");
    clock.advance(Duration::from_secs(60 * 60));
    spend(&quotas, &profile("7"), 1);
    let denial = denied(reserve_units(&quotas, &profile("7"), 1));
    assert_eq!(denial.status().unwrap().limit(), "day");
}
