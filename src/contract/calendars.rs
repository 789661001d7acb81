//! Limits that follow the profile's calendar: a window is finished, whatever becomes of the calendar.

use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};
use tokio::task::JoinSet;

use super::Subject;
use super::payer::{FEATURE, Payer};
use crate::clock::Clock;
use crate::limits::{Limit, Window};
use crate::reservation::Decision;
use crate::store::Store;

/// Days on which months can begin.
const DAYS: std::ops::RangeInclusive<u8> = 1..=28;

const MILLI: Duration = Duration::from_millis(1);

async fn monthly<S: Subject<Books: Store>>(subject: &S, amount: u64) -> Payer {
    Payer::new(subject, [Limit::new(amount, Window::Month).profile_calendar()]).await
}

/// When the window ends that the payer is in.
async fn end(payer: &Payer) -> DateTime<Utc> {
    let usage = payer.quotas.usage(payer.profile()).await.expect("the store failed to read");
    let standing = usage.feature(FEATURE).expect("the law's feature is missing");
    standing.resets_at().expect("a month ends")
}

/// Whoever changes the calendar finishes the window, and is then counted by the new one.
pub async fn a_window_is_finished_whatever_the_calendar_becomes<S: Subject<Books: Store>>(
    subject: &S,
) {
    let (clock, payer) = (subject.clock(), monthly(subject, 1).await);
    let first = payer.clone().billed_on(10);
    first.spend(1).await;
    let over = end(&first).await;
    assert_eq!(over.day(), 10, "where the first window ends");
    for now in [clock.now().into(), over - MILLI] {
        clock.set(now);
        for day in DAYS {
            let denial = payer.clone().billed_on(day).deny(1).await;
            assert_eq!(denial.resets_at(), Some(over), "for who is billed on the {day}th");
        }
    }
    clock.set(over);
    let second = payer.clone().billed_on(20);
    second.spend(1).await;
    let end_of_second = end(&second).await;
    assert_eq!(end_of_second.day(), 20, "where the second window ends");
    assert_eq!(payer.clone().billed_on(5).deny(1).await.resets_at(), Some(end_of_second));
    clock.set(end_of_second);
    assert_eq!(second.count().await, (0, 0), "(used, held) as the third window begins");
}

/// Who is billed, each time that a window ends, on the day after, gets no more than others do.
pub async fn whoever_hops_between_calendars_gains_nothing<S: Subject<Books: Store>>(subject: &S) {
    let (clock, payer) = (subject.clock(), monthly(subject, 1).await);
    payer.spend(1).await;
    clock.set(end(&payer).await);
    for _ in 0..8 {
        let now = DateTime::<Utc>::from(clock.now());
        let tomorrow = u8::try_from((now + Duration::from_secs(86_400)).day()).unwrap_or(1);
        let hopper = payer.clone().billed_on(tomorrow);
        hopper.spend(1).await;
        let over = end(&hopper).await;
        let days = (over - now).num_days();
        assert!(days >= 28, "a window of {days} days, from {now} on");
        clock.set(over);
    }
}

/// To look at a quota does not begin a window.
pub async fn reading_begins_no_window<S: Subject<Books: Store>>(subject: &S) {
    let payer = monthly(subject, 1).await;
    let (reader, spender) = (payer.clone().billed_on(10), payer.billed_on(20));
    assert_eq!(end(&reader).await.day(), 10, "where the window would end");
    let check = reader.quotas.check(reader.profile(), FEATURE, 1).await;
    assert!(check.is_ok(), "the store failed to read");
    spender.spend(1).await;
    assert_eq!(end(&spender).await.day(), 20, "where the window ends");
    assert_eq!(end(&reader).await, end(&spender).await, "the one that is open is everybody's");
}

/// Several processes that know different calendars of a profile, at the same moment.
pub async fn tasks_with_many_calendars_are_granted_exactly_the_limit<S: Subject<Books: Store>>(
    subject: &S,
) {
    let mut tasks = JoinSet::new();
    for day in DAYS.step_by(4) {
        let payer = monthly(subject, 10).await.billed_on(day);
        tasks.spawn(async move {
            let mut granted = 0;
            for _ in 0..4 {
                if let Decision::Granted(reservation) = payer.reserve(1).await {
                    reservation.commit();
                    granted += 1;
                }
            }
            payer.flush().await;
            granted
        });
    }
    let granted: u64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(granted, 10, "granted of 10");
    assert_eq!(monthly(subject, 10).await.count().await, (10, 0), "(used, held)");
}

/// What was reserved in a window is charged to it, also when another calendar's has begun.
pub async fn a_late_commit_is_not_charged_to_another_calendars_window<S: Subject<Books: Store>>(
    subject: &S,
) {
    let (clock, payer) = (subject.clock(), monthly(subject, 2).await);
    let first = payer.clone().billed_on(10);
    first.spend(1).await;
    let over = end(&first).await;
    clock.set(over - Duration::from_secs(30));
    let late = first.grant(1).await;
    clock.set(over);
    let second = payer.billed_on(20);
    second.spend(1).await;
    late.commit();
    second.flush().await;
    assert_eq!(second.count().await, (1, 0), "(used, held) in the second window");
    second.spend(1).await;
    second.deny(1).await;
}
