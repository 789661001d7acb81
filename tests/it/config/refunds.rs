//! Caps on refunds.

use tower_quota::{Limit, MAX_UNITS, Window};

use super::{built, plan_with};

#[test]
fn a_share_of_refunds_is_rounded_down_and_never_too_large() {
    let limit = |amount| Limit::new(amount, Window::Day);
    assert_eq!(limit(9).refund_cap(), None);
    for (amount, percent, cap) in [(9, 0, 0), (9, 11, 0), (9, 12, 1), (9, 100, 9), (9, 250, 22)] {
        assert_eq!(limit(amount).max_refund_percent(percent).refund_cap(), Some(cap), "{percent}%");
    }
    let largest = limit(MAX_UNITS).max_refund_percent(u32::MAX);
    assert_eq!(largest.refund_cap(), Some(MAX_UNITS));
    built([plan_with([largest])]).unwrap();
    assert_eq!(limit(9).max_refunds(1).max_refund_percent(50).refund_cap(), Some(4));
    assert_eq!(limit(9).max_refund_percent(50).max_refunds(1).refund_cap(), Some(1));
    // Nothing is charged by these.
    assert_eq!(Limit::new(9, Window::Concurrent).max_refunds(1).refund_cap(), None);
    assert_eq!(limit(9).max_refunds(1).shadow().refund_cap(), None);
}
