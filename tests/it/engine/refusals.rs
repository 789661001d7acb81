//! What the engine takes for an id, and what it answers with an error.

use proptest::prelude::*;
use tower_quota::{Error, Limit, MAX_ID_BYTES, Mode, Plan, Profile, Quotas, StoreError, Window};

use crate::support::{daily, denied, granted, noon, now, profile, reserve, spend};

#[test]
fn an_empty_or_too_long_id_is_an_error() {
    let quotas = daily(&noon(), 1);
    for length in [0, MAX_ID_BYTES + 1, 10 * MAX_ID_BYTES] {
        let payer = Profile::new(vec![b'x'; length], "free");
        for payer in [payer.clone(), payer.unlimited(true)] {
            let errors = [
                now(quotas.reserve(&payer, "remix", 1)).map(drop).unwrap_err(),
                now(quotas.reserve(&payer, "remix", 0)).map(drop).unwrap_err(),
                now(quotas.check(&payer, "remix", 1)).map(drop).unwrap_err(),
                now(quotas.record(&payer, "remix", 1)).unwrap_err(),
                now(quotas.reset(&payer, "remix")).unwrap_err(),
                now(quotas.usage(&payer)).map(drop).unwrap_err(),
            ];
            for error in errors {
                assert!(matches!(error, Error::BadId(bytes) if bytes == length));
                assert!(error.to_string().contains(&length.to_string()));
            }
        }
    }
}

#[test]
fn an_id_is_any_bytes_up_to_256() {
    let quotas = daily(&noon(), 1);
    let longest = vec![b'x'; MAX_ID_BYTES];
    let mut other = longest.clone();
    other[MAX_ID_BYTES - 1] = b'y';
    for id in [longest, other, vec![0xff, 0xfe], vec![0], b"\n".to_vec()] {
        let payer = Profile::new(id, "free");
        spend(&quotas, &payer, 1);
        denied(reserve(&quotas, &payer));
    }
}

#[test]
fn ids_that_look_like_keys_do_not_collide() {
    let day = |name| [Limit::new(1, Window::Day).named(name)];
    let plan = Plan::new("free").feature("a", day("b")).feature("a.b", day("c"));
    let quotas = Quotas::builder().plan(plan).clock(noon()).build().unwrap();
    let ids = [
        "7",
        "7/",
        "/7",
        "7/a",
        "7/a/b",
        "a/b/profile/day",
        "7:a",
        "7\0",
        "7\0a",
        "07",
        " 7",
        "٧",
        "7/a/b/profile/day",
        "..",
        "*",
        "{7}",
        "%37",
    ];
    for id in ids {
        for feature in ["a", "a.b"] {
            let payer = profile(id);
            granted(now(quotas.reserve(&payer, feature, 1)).unwrap()).commit();
            denied(now(quotas.reserve(&payer, feature, 1)).unwrap());
        }
    }
}

proptest! {
    #[test]
    fn different_ids_have_different_counts(
        one in prop::collection::vec(any::<u8>(), 1..40),
        other in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        prop_assume!(one != other);
        let quotas = daily(&noon(), 1);
        for id in [one, other] {
            spend(&quotas, &Profile::new(&id, "free"), 1);
            denied(reserve(&quotas, &Profile::new(&id, "free")));
        }
    }
}

#[test]
fn an_unknown_feature_is_an_error_in_every_mode() {
    let quotas = daily(&noon(), 1);
    for mode in [Mode::Enforce, Mode::Unmetered, Mode::Shadow] {
        quotas.set_mode(mode);
        for payer in [profile("7"), profile("7").unlimited(true)] {
            for feature in ["remiks", "Remix", ""] {
                let errors = [
                    now(quotas.reserve(&payer, feature, 1)).map(drop).unwrap_err(),
                    now(quotas.reserve(&payer, feature, 0)).map(drop).unwrap_err(),
                    now(quotas.check(&payer, feature, 1)).map(drop).unwrap_err(),
                    now(quotas.record(&payer, feature, 1)).unwrap_err(),
                    now(quotas.debit(&payer, feature, 1)).unwrap_err(),
                    now(quotas.credit(&payer, feature, 1)).unwrap_err(),
                    now(quotas.reset(&payer, feature)).unwrap_err(),
                ];
                for error in errors {
                    assert!(error.to_string().contains(&format!("`{feature}`")));
                    assert!(matches!(error, Error::UnknownFeature(name) if name == feature));
                }
            }
        }
    }
    // Limits of one's own do not make a feature known.
    let own = profile("7").limits("remiks", [Limit::new(1, Window::Day)]).unwrap();
    now(quotas.reserve(&own, "remiks", 1)).unwrap_err();
}

#[test]
fn an_unknown_plan_is_an_error() {
    let quotas = daily(&noon(), 1);
    let stranger = Profile::new("7", "gold");
    let errors = [
        now(quotas.reserve(&stranger, "remix", 1)).map(drop).unwrap_err(),
        now(quotas.usage(&stranger)).map(drop).unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("`gold`"));
        assert!(matches!(error, Error::UnknownPlan(plan) if plan == "gold"));
    }
}

#[test]
fn a_store_error_keeps_its_source_and_says_whether_it_may_pass() {
    let errors = [
        (StoreError::transient("reserve", "timed out"), true),
        (StoreError::permanent("reserve", "password refused"), false),
    ];
    for (error, transient) in errors {
        assert_eq!((error.operation(), error.is_transient()), ("reserve", transient));
        assert!(error.to_string().contains("reserve"));
        let text = Error::from(error);
        assert!(std::error::Error::source(&text).is_some());
    }
}
