//! Days on which no month begins.

use tower_quota::{ConfigError, Limit, Profile, Window};

use super::{assert_names, plan_with, refused};

#[test]
fn a_month_that_begins_on_no_day_is_refused() {
    for day in [0, 32] {
        let limit = Limit::new(1, Window::Month).named("billed").month_start(day);
        let error = refused([plan_with([limit])]);
        let (feature, limit) = ("remix".to_owned(), "billed".to_owned());
        assert_eq!(error, ConfigError::BadMonthStart { feature, limit, day });
        assert_names(&error, &["remix", "billed", &day.to_string()]);

        let error = Profile::new("7", "free").billing_day(day).unwrap_err();
        assert_eq!(error, ConfigError::BadBillingDay { day });
        assert_names(&error, &[&day.to_string()]);
    }
}
