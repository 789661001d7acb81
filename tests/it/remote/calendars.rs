//! Limits that follow the profile's calendar, where several processes share the books.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use tower_quota::store::{Remote, RemoteOptions};
use tower_quota::{Decision, Limit, ManualClock, Plan, Profile, Quotas, Window};

use super::{millis, pass, secs};
use crate::support::remote_books::{Fault, Verb, Wire};
use crate::support::{at, denied, granted, profile};

/// A process, with a monthly limit and half of it as its local share.
struct Process {
    quotas: Quotas,
    wire: Wire,
}

impl Process {
    fn new(wire: Wire, amount: u64, clock: &ManualClock) -> Self {
        let options = RemoteOptions::new().local_share(NonZeroU32::new(2).unwrap());
        let monthly = Limit::new(amount, Window::Month).profile_calendar();
        let builder = Quotas::builder().plan(Plan::new("free").feature("remix", [monthly]));
        let store = Remote::new(wire.clone(), options);
        Self { quotas: builder.clock(clock.clone()).store(store).build().unwrap(), wire }
    }

    async fn decide(&self, payer: &Profile, units: u64) -> Decision {
        self.quotas.reserve(payer, "remix", units).await.unwrap()
    }

    async fn spend(&self, payer: &Profile) {
        granted(self.decide(payer, 1).await).commit();
    }

    async fn flush(&self) {
        self.quotas.flush().await.unwrap();
    }

    /// What is used, and when that ends.
    async fn used(&self, payer: &Profile) -> (u64, DateTime<Utc>) {
        let usage = self.quotas.usage(payer).await.unwrap();
        let status = usage.feature("remix").unwrap().statuses().next().unwrap();
        (status.used(), status.resets_at().unwrap())
    }
}

fn billed_on(day: u8) -> Profile {
    profile("7").billing_day(day).unwrap()
}

/// The books' clock in these tests goes with this one.
fn clock() -> ManualClock {
    ManualClock::at(at("2026-11-24T15:00:00Z"))
}

#[tokio::test(start_paused = true)]
async fn a_process_asks_once_for_a_window() {
    let (wire, clock) = (Wire::new(), clock());
    let first = Process::new(wire.clone(), 10, &clock);
    let second = Process::new(wire.another(), 10, &clock);
    for _ in 0..3 {
        first.spend(&billed_on(10)).await;
        second.spend(&billed_on(20)).await;
    }
    assert_eq!([&first, &second].map(|it| it.wire.calls(Verb::Open)), [1, 1]);
    let reader = Process::new(wire.another(), 10, &clock);
    first.flush().await;
    second.flush().await;
    for _ in 0..2 {
        assert_eq!(reader.used(&billed_on(5)).await, (6, at("2026-12-10T00:00:00Z")));
    }
    assert_eq!([Verb::Open, Verb::Last].map(|verb| reader.wire.calls(verb)), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_granted_begins_no_window() {
    let process = Process::new(Wire::new(), 5, &clock());
    denied(process.decide(&billed_on(10), 6).await);
    assert_eq!(process.wire.calls(Verb::Open), 0);
    process.spend(&billed_on(20)).await;
    process.flush().await;
    assert_eq!(process.used(&billed_on(10)).await, (1, at("2026-12-20T00:00:00Z")));
}

/// To open a window may take a time-out, and so may the reservation after that.
#[tokio::test(start_paused = true)]
async fn a_window_that_opens_slowly_makes_no_reservation_late() {
    let process = Process::new(Wire::new(), 5, &clock());
    for units in 1..=2 {
        process.wire.next(Verb::Open, Fault::Slow(millis(700)));
        process.wire.next(Verb::Reserve, Fault::Slow(millis(700)));
        process.spend(&billed_on(10)).await;
        assert_eq!(process.wire.calls(Verb::Reserve), units);
        // The second time, the window is known.
        process.wire.next(Verb::Open, Fault::None);
    }
}

/// In an outage a process that has not heard of a profile's window begins one. What it has charged
/// goes to the one that the books know.
#[tokio::test(start_paused = true)]
async fn what_a_share_has_charged_goes_to_the_window_of_the_books() {
    let (wire, clock) = (Wire::new(), clock());
    let first = Process::new(wire.clone(), 10, &clock);
    first.spend(&billed_on(10)).await;
    first.flush().await;
    let second = Process::new(wire.another(), 10, &clock);
    for round in 1..=2 {
        second.wire.cut(Fault::Lost);
        second.spend(&billed_on(20)).await;
        second.spend(&billed_on(25)).await;
        second.wire.mend();
        pass(secs(10)).await;
        second.flush().await;
        let used = first.used(&billed_on(10)).await;
        assert_eq!(used, (1 + 2 * round, at("2026-12-10T00:00:00Z")), "after {round} outages");
        // It has heard of it by now.
        second.spend(&billed_on(20)).await;
        second.flush().await;
        granted(first.decide(&billed_on(10), 1).await).release();
        first.quotas.credit(&billed_on(10), "remix", 1).await.unwrap();
    }
}

/// A share, too, finishes a window before it begins another.
#[tokio::test(start_paused = true)]
async fn hopping_gains_nothing_while_the_books_are_away() {
    let clock = clock();
    let process = Process::new(Wire::new(), 2, &clock);
    process.wire.cut(Fault::Lost);
    let mut grants = 0;
    for day in 25..=28 {
        if let Ok(Decision::Granted(reservation)) =
            process.quotas.reserve(&billed_on(day), "remix", 1).await
        {
            reservation.commit();
            grants += 1;
        }
        clock.advance(secs(24 * 60 * 60));
    }
    assert!(grants <= 2, "{grants} grants of a share of 1 in four days");
}
