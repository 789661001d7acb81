//! Bad caps on refunds.

use super::assert_says;

#[test]
fn a_bad_cap_on_refunds_is_refused() {
    let of = |cap: &str| format!("[plans.free]\nremix.day = {{ amount = 9, {cap} }}");
    let most = tower_quota::MAX_UNITS;
    assert_says(
        &of("max_refunds = -1"),
        &format!(
            "line 2, column 41: plans.free.remix.day.max_refunds: \
             a cap on refunds is a whole number from 0 to {most}, not `-1`"
        ),
    );
    assert_says(
        &of(&format!("max_refunds = {}", most + 1)),
        &format!(
            "line 2, column 41: plans.free.remix.day.max_refunds: \
             limit `day` of feature `remix`: {} is above {most}",
            most + 1
        ),
    );
    assert_says(
        &of("max_refund_percent = 0.5"),
        "line 2, column 48: plans.free.remix.day.max_refund_percent: \
         a share is a whole number of percent, not of type float",
    );
    assert_says(
        &of("max_refund_percent = 5_000_000_000"),
        "line 2, column 48: plans.free.remix.day.max_refund_percent: \
         5000000000% is too large a share",
    );
    assert_says(
        &of("max_refunds = 1, max_refund_percent = 10"),
        "line 2, column 44: plans.free.remix.day.max_refund_percent: \
         a limit has `max_refunds` or `max_refund_percent`, not both",
    );
}
