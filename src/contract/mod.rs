//! The suite that every store has to pass, for authors of stores.
//!
//! Each law is an async function that panics if the law is broken, and says how.
//! [`contract!`](crate::contract!) makes a test of each of them:
//!
//! ```
//! use std::sync::Arc;
//! use tower_quota::contract::Subject;
//! use tower_quota::{Clock, ManualClock, MemoryStore, SystemClock};
//!
//! /// Books for one test, and the clock of that test.
//! struct Memory {
//!     books: Arc<MemoryStore>,
//!     clock: ManualClock,
//! }
//!
//! impl Memory {
//!     fn new() -> Self {
//!         let clock = ManualClock::at(SystemClock.now().into());
//!         Self { books: Arc::default(), clock }
//!     }
//! }
//!
//! impl Subject for Memory {
//!     type Books = Arc<MemoryStore>;
//!
//!     async fn open(&self) -> Arc<MemoryStore> {
//!         self.books.clone()
//!     }
//!
//!     fn clock(&self) -> &ManualClock {
//!         &self.clock
//!     }
//! }
//!
//! tower_quota::contract!(Store: Memory::new());
//! ```
//!
//! The tests run on `tokio`, with its features `macros` and `rt-multi-thread`.
//!
//! Books outside of this process that implement `RemoteBooks` are tested on both levels: the books
//! by themselves with `contract!(RemoteBooks: ..)`, and wrapped with `contract!(Store: ..)`.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "it is run by tests alone: a law that is broken panics"
)]

mod all_or_nothing;
mod calendars;
pub(crate) mod dice;
mod edges;
mod exact;
mod forecast;
mod ids;
mod measures;
mod never_forgotten;
mod own_window;
mod payer;
mod refund_caps;
mod refunds;
mod rolling;
mod scopes;
mod settled_once;

use std::future::Future;
use std::time::Duration;

pub use all_or_nothing::*;
pub use calendars::*;
pub use edges::*;
pub use exact::*;
pub use forecast::*;
pub use ids::*;
pub use measures::*;
pub use never_forgotten::*;
pub use own_window::*;
pub use refund_caps::*;
pub use refunds::*;
pub use rolling::*;
pub use scopes::*;
pub use settled_once::*;

use crate::clock::{ManualClock, Timestamp};
#[cfg(feature = "remote")]
pub use crate::contract_books::*;

/// What is tested: books that nobody else writes into, and the clock they are kept by.
///
/// A test makes a subject of its own, so that it starts with empty books.
pub trait Subject: Send + Sync {
    /// A [`Store`](crate::store::Store), or books outside of this process.
    type Books: Send + Sync + 'static;

    /// Opens the books. Each call gives another handle of the same books, as each process has one;
    /// books that cannot be opened twice give clones.
    fn open(&self) -> impl Future<Output = Self::Books> + Send;

    /// The clock of engines on these books. Laws move it on, by seconds or by years.
    ///
    /// Books that have a clock of their own go by this one while they are tested. A store that
    /// cannot do so passes all the same, if it starts at the present.
    fn clock(&self) -> &ManualClock;

    /// How many random episodes are compared with the model: fewer where books are slow.
    fn episodes(&self) -> u64 {
        1_000
    }
}

/// So long before an instant.
pub(crate) fn earlier(instant: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).expect("it is a short time");
    Timestamp::from_millis(instant.as_millis() - by)
}

/// Makes a test of each law, in the module where it is called: `contract!(Store: subject)` or,
/// with feature `remote`, `contract!(RemoteBooks: subject)`.
///
/// The subject is an expression that makes a new [`Subject`](crate::contract::Subject), with books
/// of its own, for each test; it may `.await`. See the [module](mod@crate::contract) for an example.
#[macro_export]
macro_rules! contract {
    (Store: $subject:expr) => {
        $crate::contract! { @tests $subject;
            // exact
            tasks_are_granted_exactly_the_limit
            two_handles_are_granted_exactly_the_limit
            tasks_that_release_never_hold_more_than_the_limit
            whoever_fits_is_never_denied
            a_denied_request_denies_nobody_else
            a_denial_writes_nothing
            // all_or_nothing
            a_tripped_limit_takes_nothing_of_the_others
            tasks_take_the_same_of_every_limit
            a_change_reaches_every_limit
            // scopes
            each_scope_is_counted_for_itself
            a_scope_without_room_spends_nothing_of_the_others
            colleagues_are_granted_exactly_their_tenants_limit
            operators_change_the_profiles_own_count
            // measures
            each_limit_is_charged_in_its_own_unit
            no_more_are_in_flight_than_may_be
            tasks_in_flight_are_never_more_than_the_limit
            changes_leave_what_is_in_flight
            // rolling
            no_span_is_granted_more_than_the_amount
            units_fit_when_a_denial_says_so
            a_late_commit_counts_from_when_it_was_reserved
            a_clock_that_is_set_back_grants_nothing_twice
            changes_of_a_rolling_window_come_and_go
            // forecast
            a_check_says_what_a_denial_would_say
            whoever_asks_for_nothing_hears_of_the_first_unit
            // calendars
            a_window_is_finished_whatever_the_calendar_becomes
            whoever_hops_between_calendars_gains_nothing
            reading_begins_no_window
            tasks_with_many_calendars_are_granted_exactly_the_limit
            a_late_commit_is_not_charged_to_another_calendars_window
            // refunds
            refunds_come_back_up_to_the_cap
            tasks_are_refunded_exactly_the_cap
            two_handles_are_refunded_exactly_the_cap
            releases_and_drops_are_no_refunds
            a_hold_is_refunded_in_all_limits_or_in_none
            a_cap_is_counted_as_its_limit_measures
            each_scope_has_refunds_of_its_own
            a_new_window_has_refunds_again
            a_late_refund_counts_in_the_window_that_was_charged
            refunds_in_a_rolling_window_roll_with_it
            the_refunds_of_a_window_are_not_forgotten
            // refund_caps
            each_hold_is_refunded_by_its_own_cap
            what_has_no_cap_leaves_the_caps_of_others_alone
            a_changed_cap_keeps_what_was_refunded
            // settled_once
            a_reservation_is_settled_as_it_is_told
            a_second_settlement_changes_nothing
            the_same_hold_again_is_the_same_grant
            a_settlement_after_a_reset_is_charged_on_top
            a_shutdown_writes_what_was_settled
            a_dropped_reserve_gives_back
            an_aborted_task_gives_back
            // own_window
            a_commit_after_midnight_is_charged_to_the_day_before
            a_release_after_midnight_gives_the_next_day_nothing
            the_last_millisecond_is_the_days_and_the_next_is_not
            // never_forgotten
            a_count_lasts_until_its_window_ends
            a_lifetime_is_never_over
            others_do_not_give_a_quota_back
            a_count_is_never_below_zero
            changed_limits_keep_what_was_used
            a_forgotten_window_is_never_counted_afresh
            // ids
            ids_of_any_bytes_have_counts_of_their_own
            // edges
            the_largest_amount_is_granted_to_the_last_unit
            what_cannot_be_counted_never_fits
            no_units_are_granted_and_not_recorded
            what_is_used_stops_at_a_top_and_comes_back
            shadow_mode_holds_without_a_ceiling
        }
    };
    (RemoteBooks: $subject:expr) => {
        $crate::contract! { @tests $subject;
            // reserve
            units_are_held_up_to_the_ceiling
            racing_reserves_hold_exactly_the_ceiling
            several_counters_are_held_or_none
            counters_named_in_any_order_do_not_wait_for_each_other
            a_repeated_reserve_is_the_same_grant
            a_stale_reserve_writes_nothing
            no_more_than_can_be_counted_is_held
            // lapse
            units_that_lapse_come_back_or_are_charged
            what_was_in_flight_comes_back_when_it_lapses
            a_hold_lives_to_the_end_of_its_lease
            lapsed_holds_deny_nobody_however_many
            what_lapses_counts_from_when_it_was_reserved
            what_was_taken_from_a_lapse_is_not_taken_again
            a_lapse_comes_before_what_is_changed_later
            sweeping_is_invisible
            // settle
            a_hold_is_settled_by_the_table
            a_hold_is_settled_once
            an_unknown_hold_settles_nothing_and_creates_nothing
            a_settlement_that_comes_too_early_settles_nothing
            a_batch_is_settled_each_by_itself
            a_late_settlement_never_takes_below_zero
            what_is_spent_stops_at_the_most_that_can_be_counted
            // renew
            a_renewed_hold_lives_on
            a_lapsed_hold_is_not_renewed
            a_renewal_never_shortens_a_lease
            an_unknown_hold_is_not_renewed
            // change
            a_number_of_a_line_changes_once
            lines_do_not_hinder_each_other
            a_change_leaves_what_is_held
            changes_stop_at_both_ends
            racing_changes_add_up
            // windows
            a_forgotten_window_is_a_clock_skew
            a_hold_outlives_its_window_until_it_is_settled
            keys_of_counters_do_not_collide
            the_last_window_is_told
            racing_callers_open_one_window
            a_last_window_is_known_as_long_as_it_matters
            a_window_far_in_the_future_is_a_clock_skew
            // episodes
            random_episodes_agree_with_a_plain_model
        }
    };
    (@tests $subject:expr; $($law:ident)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $law() {
                let subject = $subject;
                $crate::contract::$law(&subject).await;
            }
        )*
    };
}
