//! What is said about a bad text: line, column, field and reason.

mod refunds;

use std::error::Error as _;

use tower_quota::{ConfigError, PlanFileError, plans_from_toml};

#[track_caller]
fn refused(text: &str) -> PlanFileError {
    plans_from_toml(text).unwrap_err()
}

/// Asserts what is said of a text.
#[track_caller]
fn assert_says(text: &str, said: &str) {
    assert_eq!(refused(text).to_string(), said, "{text}");
}

/// The [`ConfigError`] that it was made of.
#[track_caller]
fn config_error(error: &PlanFileError) -> &ConfigError {
    error.source().unwrap().downcast_ref().unwrap()
}

#[test]
fn an_error_can_be_asked_for_its_place() {
    let error = refused("[plans.free]\n\n  remix = { day = 1, hour = -1 }\n");
    assert_eq!((error.line(), error.column()), (Some(3), Some(29)));
    assert_eq!(error.field(), Some("plans.free.remix.hour"));
    assert!(error.source().is_none());
}

#[test]
fn columns_count_characters_and_lines_may_end_as_on_windows() {
    let error = refused("# ä\r\nplans.free.\"ü\".day = 1\r\n");
    assert_eq!((error.line(), error.column()), (Some(2), Some(12)));
    assert_eq!(error.field(), Some("plans.free.\"ü\""));
    let error = refused("plans.free.remix.x = { window = \"ä\", amount = -1 }");
    assert_eq!((error.line(), error.column()), (Some(1), Some(47)));
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    let error = refused("[plans.free.remix]\nday = 1\nday = 2\n");
    assert_eq!(error.to_string(), "line 3, column 1: duplicate key, in `day = 2`");
    assert_eq!((error.line(), error.column()), (Some(3), Some(1)));
    // The parser's own words, with a picture of the line.
    let source = error.source().unwrap().to_string();
    assert!(source.contains("3 | day = 2"), "{source}");

    for (text, line) in [
        ("plans.free.remix.day =", 1),
        ("[plans.free.remix]\nday = \"1\n", 2),
        ("[plans.free.remix\nday = 1", 1),
        ("[plans.free]\nremix.day = 1\n[plans.free]\nchat.day = 1", 3),
        ("[plans.free]\nremix = { day = 1 }\nremix.hour = 1", 3),
        ("[plans.free.remix]\nday = 1.2.3", 2),
        ("\u{0}", 1),
    ] {
        let error = refused(text);
        assert_eq!(error.line(), Some(line), "{error}");
        assert!(error.to_string().starts_with(&format!("line {line}, column ")), "{error}");
        let culprit = text.lines().nth(line - 1).unwrap();
        assert!(error.to_string().ends_with(&format!(", in `{culprit}`")), "{error}");
    }
}

#[test]
fn a_text_without_plans_is_refused() {
    for text in ["", "# nothing\n", "[plans]\n"] {
        let error = refused(text);
        assert_eq!(error.to_string(), "no plan: an engine needs at least one");
        assert_eq!(config_error(&error), &ConfigError::NoPlans);
        assert_eq!((error.line(), error.column(), error.field()), (None, None, None));
    }
}

#[test]
fn a_plan_without_features_is_refused() {
    let error = refused("[plans.free]\nremix.day = 1\n\n[plans.gold]\n");
    assert_eq!(error.to_string(), "line 4, column 8: plans.gold: plan `gold` has no feature");
    assert_eq!(config_error(&error), &ConfigError::EmptyPlan { plan: "gold".to_owned() });
}

#[test]
fn a_feature_without_limits_is_refused() {
    assert_says(
        "[plans.free]\nremix.day = 1\nchat = {}\n",
        "line 3, column 1: plans.free.chat: feature `chat` has no limit (0 disables it)",
    );
    assert_says(
        "[plans.free.chat]\n[plans.free.remix]\nday = 1\n",
        "line 1, column 13: plans.free.chat: feature `chat` has no limit (0 disables it)",
    );
}

#[test]
fn bad_names_are_refused() {
    let rule = "is not 1 to 64 of the characters A-Z a-z 0-9 . _ -";
    assert_says(
        "[plans.free]\nremix.day = 1\n[plans.\"my plan\".remix]\nday = 1",
        &format!("line 3, column 8: plans.\"my plan\": plan name \"my plan\" {rule}"),
    );
    assert_says(
        "[plans.free]\n\"re/mix\".day = 1",
        &format!("line 2, column 1: plans.free.\"re/mix\": feature name \"re/mix\" {rule}"),
    );
    assert_says(
        "[plans.free]\nremix.\"\" = { amount = 1, window = \"day\" }",
        &format!("line 2, column 7: plans.free.remix.\"\": limit name \"\" {rule}"),
    );
    let long = "x".repeat(65);
    let error = refused(&format!("[plans.free]\n{long}.day = 1"));
    let what = "feature";
    assert_eq!(config_error(&error), &ConfigError::BadName { what, name: long });
    assert_eq!(error.line(), Some(2));
}

#[test]
fn names_that_differ_in_case_alone_are_refused() {
    assert_says(
        "[plans.free]\nremix.day = 1\n[plans.Free]\nremix.day = 1",
        "line 3, column 8: plans.Free: plan `Free` differs from `free` in case alone",
    );
    assert_says(
        "[plans.free]\nremix.day = 1\nRemix.day = 2",
        "line 3, column 1: plans.free.Remix: feature `Remix` differs from `remix` in case alone",
    );
    // Also in another plan.
    assert_says(
        "[plans.free]\nremix.day = 1\n[plans.pro]\nRemix.day = 2",
        "line 4, column 1: plans.pro.Remix: feature `Remix` differs from `remix` in case alone",
    );
    assert_says(
        "[plans.free.remix]\nday = 1\nDay = { amount = 1, window = \"hour\" }",
        "line 3, column 1: plans.free.remix.Day: limit `Day` differs from `day` in case alone",
    );
}

#[test]
fn amounts_that_are_too_large_are_refused() {
    let reason = "limit `day` of feature `remix`: 1000000000000000 is above 999999999999999";
    assert_says(
        "[plans.free.remix]\nday = 1_000_000_000_000_000",
        &format!("line 2, column 7: plans.free.remix.day: {reason}"),
    );
    let text = "[plans.free.remix.day]\namount = 1_000_000_000_000_000\nwindow = \"day\"";
    let error = refused(text);
    let said = format!("line 2, column 10: plans.free.remix.day.amount: {reason}");
    assert_eq!(error.to_string(), said);
    let (feature, limit) = ("remix".to_owned(), "day".to_owned());
    let amount = 1_000_000_000_000_000;
    let expected = ConfigError::AmountTooLarge { feature, limit, amount };
    assert_eq!(config_error(&error), &expected);
}

#[test]
fn what_is_no_amount_is_refused() {
    let rule = "an amount is a whole number from 0 to 999999999999999, not";
    for (value, found) in [
        ("-1", "`-1`"),
        ("18446744073709551616", "`18446744073709551616`"),
        ("1.5", "of type float"),
        ("1e3", "of type float"),
        ("\"20\"", "of type string"),
        ("true", "of type boolean"),
        ("[20]", "of type array"),
    ] {
        assert_says(
            &format!("[plans.free.remix]\nday = {value}"),
            &format!("line 2, column 7: plans.free.remix.day: {rule} {found}"),
        );
        assert_says(
            &format!("[plans.free]\nremix.x = {{ window = \"day\", amount = {value} }}"),
            &format!("line 2, column 38: plans.free.remix.x.amount: {rule} {found}"),
        );
    }
    assert_says(
        "[plans.free.remix]\nhour = 1\nday = { window = \"day\" }",
        "line 3, column 1: plans.free.remix.day: the limit has no `amount`",
    );
}

#[test]
fn what_is_no_window_is_refused() {
    let windows = "is not a window (second, minute, hour, day, week, month, year, \
                   lifetime, concurrent, a length such as 500ms, 90s, 15m, 6h, 30d, or \
                   rolling- and a length)";
    let hint = "a limit of another name is written `dya = { amount = 20, window = \"day\" }`";
    let said = format!("line 2, column 1: plans.free.remix.dya: `dya` {windows}; {hint}");
    assert_says("[plans.free.remix]\ndya = 1", &said);
    assert_says("[plans.free.remix]\ndya = { amount = 1 }", &said);
    assert_says(
        "[plans.free.remix.x]\namount = 1\nwindow = \"1.5h\"",
        &format!("line 3, column 10: plans.free.remix.x.window: \"1.5h\" {windows}"),
    );
    assert_says(
        "[plans.free.remix.x]\namount = 1\nwindow = 90",
        "line 3, column 10: plans.free.remix.x.window: expected a window in quotes, such as \
         \"day\" or \"90s\", not a value of type integer",
    );
}

#[test]
fn windows_without_length_are_refused() {
    let reason = "a fixed window is a whole number of milliseconds, from 1 to 9223372036854775807";
    assert_says(
        "[plans.free.remix]\n0s = 1",
        &format!("line 2, column 1: plans.free.remix.0s: limit `0s` of feature `remix`: {reason}"),
    );
    let error = refused("plans.free.remix.x = { amount = 1, window = \"0ms\" }");
    let said = format!(
        "line 1, column 45: plans.free.remix.x.window: limit `x` of feature `remix`: {reason}"
    );
    assert_eq!(error.to_string(), said);
    let (feature, limit) = ("remix".to_owned(), "x".to_owned());
    assert_eq!(config_error(&error), &ConfigError::BadWindow { feature, limit });
}

#[test]
fn unknown_keys_are_refused() {
    assert_says(
        "[plans.free]\nremix.day = 1\n[plan.pro]\nremix.day = 1",
        "line 3, column 2: plan: unknown key: all plans are in `plans`, as in `[plans.free]`",
    );
    assert_says(
        "[plans.free.remix.day]\namount = 1\nunits = \"tokens\"",
        "line 3, column 1: plans.free.remix.day.units: unknown key: a limit has amount, window, scope, \
         unit, per_request, shadow, max_refunds, max_refund_percent, profile_calendar, zone, \
         week_start, month_start",
    );
}

#[test]
fn settings_of_a_limit_are_refused_where_they_stand() {
    let limit = |settings: &str| format!("plans.free.remix.day = {{ amount = 1, {settings} }}");
    for (settings, said) in [
        ("scope = \"company\"", "scope: \"company\" is not a scope (profile, tenant, everyone)"),
        ("shadow = 1", "shadow: expected true or false, not a value of type integer"),
        ("zone = \"Mars/Olympus\"", "zone: \"Mars/Olympus\" is not a time zone"),
        ("week_start = \"holiday\"", "week_start: \"holiday\" is not a day of the week"),
        ("month_start = 300", "month_start: a month has no day 300"),
    ] {
        let error = refused(&limit(settings));
        assert!(error.to_string().ends_with(&format!("plans.free.remix.day.{said}")), "{error}");
    }
    let error = refused(&limit("month_start = 32"));
    assert_eq!(error.field(), Some("plans.free.remix.day.month_start"));
    assert!(matches!(config_error(&error), ConfigError::BadMonthStart { day: 32, .. }));
    let error = refused(&limit("unit = \"to kens\""));
    assert_eq!(error.field(), Some("plans.free.remix.day.unit"));
}

#[test]
fn values_at_the_wrong_depth_are_refused() {
    assert_says(
        "plans = 3",
        "line 1, column 9: plans: expected a table of plans, not a value of type integer",
    );
    assert_says(
        "[plans]\nfree = 3",
        "line 2, column 8: plans.free: expected a table of features, not a value of type integer",
    );
    let limits = "expected a table of limits, such as `{ day = 20 }`, not a value of type";
    assert_says(
        "[plans.free]\nday = 20",
        &format!("line 2, column 7: plans.free.day: {limits} integer"),
    );
    assert_says(
        "[plans.free]\nremix = [{ amount = 20, window = \"day\" }]",
        &format!("line 2, column 9: plans.free.remix: {limits} array"),
    );
}
