//! Windows by their names, as people write them.

use std::time::Duration;

use super::window::Window;

impl Window {
    /// The window of this name: `day`, `lifetime`, `90s`. It knows the name of each kind of window,
    /// and lengths in minutes, hours and days besides.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "second" => Self::Second,
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            "lifetime" => Self::Lifetime,
            "concurrent" => Self::Concurrent,
            length => match length.strip_prefix("rolling-") {
                Some(length) => Self::Rolling(parse_length(length)?),
                None => Self::Fixed(parse_length(length)?),
            },
        })
    }
}

/// A whole number and its unit.
fn parse_length(text: &str) -> Option<Duration> {
    let unit_at = text.find(|it: char| !it.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let number: u64 = number.parse().ok()?;
    let seconds_per_unit = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds_per_unit).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(length: u64) -> Window {
        Window::Fixed(Duration::from_millis(length))
    }

    #[test]
    fn a_window_is_found_by_the_name_of_its_kind() {
        let calendar = [
            Window::Second,
            Window::Minute,
            Window::Hour,
            Window::Day,
            Window::Week,
            Window::Month,
            Window::Year,
            Window::Lifetime,
            Window::Concurrent,
        ];
        let fixed = [1, 500, 1_500, 90_000, i64::MAX.unsigned_abs()].map(millis);
        let rolling = [500, 90_000].map(|length| Window::Rolling(Duration::from_millis(length)));
        for window in calendar.into_iter().chain(fixed).chain(rolling) {
            assert_eq!(Window::named(&window.kind()), Some(window));
        }
    }

    #[test]
    fn a_length_may_be_in_minutes_hours_and_days() {
        assert_eq!(Window::named("15m"), Some(millis(900_000)));
        assert_eq!(Window::named("rolling-15m"), Some(Window::Rolling(Duration::from_secs(900))));
        assert_eq!(Window::named("6h"), Some(millis(21_600_000)));
        assert_eq!(Window::named("30d"), Some(millis(2_592_000_000)));
    }

    #[test]
    fn nothing_else_is_a_window() {
        let odd = [
            "",
            "s",
            "90",
            "Day",
            "days",
            "1M",
            "1w",
            "1.5h",
            "1h30m",
            "+5s",
            "-5s",
            "5 s",
            "rolling-",
            "rolling-day",
        ];
        let large = ["18446744073709551616s", "18446744073709551615d"];
        for name in odd.into_iter().chain(large) {
            assert_eq!(Window::named(name), None, "{name:?}");
        }
    }
}
