//! How long to wait before something that failed is tried again.

use std::time::Duration;

use crate::store::hold::random;

const FIRST_MILLIS: u64 = 50;
const LONGEST_MILLIS: u64 = 1_000;

/// The pause after so many failures: each twice as long as the last, up to a second, and any part
/// of its second half less, so that processes that failed together do not come back together.
pub(super) fn pause(failures: u32) -> Duration {
    let doubled = 2_u64.saturating_pow(failures.saturating_sub(1));
    let longest = FIRST_MILLIS.saturating_mul(doubled).min(LONGEST_MILLIS);
    let permille = (random() % 501).saturating_add(500);
    Duration::from_millis(longest.saturating_mul(permille) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_a_second_and_is_at_least_half() {
        for (failures, longest) in [(1, 50), (2, 100), (3, 200), (6, 1_000), (u32::MAX, 1_000)] {
            for _ in 0..100 {
                let pause = pause(failures).as_millis();
                assert!((longest / 2..=longest).contains(&pause), "{failures}: {pause} ms");
            }
        }
    }

    #[test]
    fn two_that_failed_together_wait_differently_long() {
        let pauses: Vec<_> = (0..20).map(|_| pause(6)).collect();
        assert!(pauses.iter().any(|other| *other != pauses[0]), "{pauses:?}");
    }
}
