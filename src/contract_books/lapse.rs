//! Books outside of this process: what becomes of holds whose process has died.

use futures::future;

use super::clerk::{Clerk, MILLI, Slip, charges, limit_key};
use crate::clock::Timestamp;
use crate::contract::Subject;
use crate::count::Spent;
use crate::limits::{Limit, Span, Window};
use crate::store::{Change, Held, Lapse, RemoteBooks, RemoteChange, RemoteCounter, RemoteReserve};

/// When its lease ends, a hold gives back or charges: all of it, in each of its counters.
pub async fn units_that_lapse_come_back_or_are_charged<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    let clerk = Clerk::new(subject).await;
    let counters = [clerk.counter("7"), clerk.counter("everyone")];
    let [one, other] = &counters;
    clerk.hold_all(&[one, other], 3, Lapse::GiveBack).await;
    clerk.hold_all(&[other, one], 5, Lapse::Charge).await;
    assert_eq!(clerk.counts(&counters).await, [(0, 8); 2], "(used, held) while both live");
    clerk.outlast_the_lease();
    assert_eq!(clerk.counts(&counters).await, [(5, 0); 2], "(used, held) when both have lapsed");
    let request = clerk.request(charges(&counters, Some(7)), 3);
    let held = clerk.reserve(&request).await.held;
    let Held::Denied(counts) = held else { panic!("3 units beside 5, below 7: {held:?}") };
    let told: Vec<_> = counts.iter().map(|count| (count.used, count.held)).collect();
    assert_eq!(told, [(5, 0); 2], "(used, held) as told with the denial");
    assert!(clerk.try_hold(one, 2, 7).await.is_some(), "what came back was denied");
}

/// Whatever becomes of the units that were held with it, what is in flight comes back: its process
/// has died.
pub async fn what_was_in_flight_comes_back_when_it_lapses<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    let clerk = Clerk::new(subject).await;
    let limits = [Limit::new(1, Window::Concurrent), Limit::new(1, Window::Lifetime).per_request()];
    let counters = limits.map(|limit| RemoteCounter {
        limit: limit_key(&limit),
        window: limit.window().around(clerk.now()),
        ..clerk.counter("7")
    });
    let [in_flight, requests] = &counters;
    let slip = clerk.hold_all(&[in_flight, requests], 5, Lapse::Charge).await;
    assert_eq!(clerk.counts(&counters).await, [(0, 1); 2], "(used, held) while it lives");
    assert!(clerk.try_hold(in_flight, 1, 1).await.is_none(), "two were in flight at a time");
    clerk.outlast_the_lease();
    assert_eq!(clerk.counts(&counters).await, [(0, 0), (1, 0)], "(used, held) when it has lapsed");
    let next = clerk.try_hold(in_flight, 1, 1).await.expect("what came back was denied");
    clerk.sweep(1_000).await;
    assert_eq!(clerk.counts(&counters).await, [(0, 1), (1, 0)], "(used, held) after the next one");
    let settled = [slip.settlement(Spent::Units(7)), next.settlement(Spent::Held)];
    clerk.settle(&settled).await;
    assert_eq!(clerk.counts(&counters).await, [(0, 0), (1, 0)], "(used, held) at last");
}

/// Up to its last millisecond a hold is there.
pub async fn a_hold_lives_to_the_end_of_its_lease<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    clerk.hold(&counter, 3, Lapse::GiveBack).await;
    clerk.clock.advance(clerk.lease().length - MILLI);
    assert_eq!(clerk.count(&counter).await, (0, 3), "(used, held) in the last millisecond");
    assert!(clerk.try_hold(&counter, 1, 3).await.is_none(), "what is held was granted");
    clerk.clock.advance(MILLI);
    assert_eq!(clerk.count(&counter).await, (0, 0), "(used, held) at the end");
    assert!(clerk.try_hold(&counter, 3, 3).await.is_some(), "what came back was denied");
}

/// Thousands of holds that have lapsed, more than are purged at once, are in nobody's way; those
/// that live are.
pub async fn lapsed_holds_deny_nobody_however_many<S: Subject<Books: RemoteBooks>>(subject: &S) {
    const HOLDS: u64 = 2_300;
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    let nth = |number| {
        let lapse = if number % 10 == 0 { Lapse::Charge } else { Lapse::GiveBack };
        let request = clerk.request(charges([&counter], None), 1);
        RemoteReserve { lapse, ..request }
    };
    let requests: Vec<RemoteReserve> = (0..HOLDS).map(nth).collect();
    for some in requests.chunks(50) {
        future::join_all(some.iter().map(|request| clerk.reserve(request))).await;
    }
    assert_eq!(clerk.count(&counter).await, (0, HOLDS), "(used, held) while all live");
    clerk.clock.advance(clerk.lease().length / 2);
    let live = clerk.hold(&counter, 7, Lapse::GiveBack).await;
    clerk.clock.advance(clerk.lease().length / 2);
    let used = HOLDS / 10;
    assert_eq!(clerk.count(&counter).await, (used, 7), "(used, held) when they have lapsed");
    let full = used + 7 + 100;
    assert!(clerk.try_hold(&counter, 101, full).await.is_none(), "a unit too many was granted");
    let request = clerk.request(charges([&counter], Some(full)), 100);
    let held = clerk.reserve(&request).await.held;
    let Held::Granted(counts) = held else { panic!("nothing that lives is in the way: {held:?}") };
    let told: Vec<_> = counts.iter().map(|count| (count.used, count.held)).collect();
    assert_eq!(told, [(used, 107)], "(used, held) as told with the grant");
    clerk.settle(&[live.settlement(Spent::Held)]).await;
    assert_eq!(clerk.count(&counter).await, (used + 7, 100), "(used, held) at last");
}

/// Where the window rolls, what lapses and is charged counts in the step in which it was reserved,
/// whether the books have noticed the lapse yet or not, and it is told alike when units come back.
pub async fn what_lapses_counts_from_when_it_was_reserved<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    const HOLDS: u64 = 30;
    let clerk = Clerk::new(subject).await;
    let length = clerk.lease().length;
    let limit = limit_key(&Limit::new(1, Window::Rolling(2 * length)));
    let rolling = limit.rolling().expect("its window rolls");
    let window = Span { start: Timestamp::MIN, end: Timestamp::MAX };
    let counters = ["noticed", "unnoticed"]
        .map(|scope| RemoteCounter { limit: limit.clone(), ..clerk.counter_in(scope, window) });
    let [noticed, unnoticed] = &counters;
    let (mut slips, mut charged) = (Vec::new(), Vec::new());
    for units in 1..=HOLDS {
        clerk.clock.advance(length / 10);
        let lapse = if units % 3 == 0 { Lapse::GiveBack } else { Lapse::Charge };
        slips.push(clerk.hold_all(&[noticed, unnoticed], units, lapse).await);
        clerk.renew_all(&slips).await;
        if lapse == Lapse::Charge {
            charged.push((rolling.bucket(clerk.now()), units));
        }
    }
    clerk.outlast_the_lease();
    assert!(clerk.try_hold(noticed, 1, 0).await.is_none(), "nothing is below 0");
    // Until all of it has come back.
    for _ in 0..2 * HOLDS {
        let first = rolling.bucket(clerk.now()) - 60;
        let counting = charged.iter().filter(|(step, _)| *step >= first);
        let used = counting.map(|(_, units)| units).sum();
        let told = clerk.books.read(&charges(&counters, None), 1).await;
        let told = told.expect("the books failed to read");
        let [one, other] = &*told else { panic!("two counters were read: {told:?}") };
        assert_eq!((one.used, one.held), (used, 0), "(used, held) where it was noticed");
        assert_eq!(one, other, "what is told where it was noticed, and where it was not");
        clerk.clock.advance(length / 20);
    }
}

/// That a hold lapsed before something was changed, is so whenever the books notice it.
pub async fn a_lapse_comes_before_what_is_changed_later<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    let clerk = Clerk::new(subject).await;
    let changes = [(Change::Reset, 0), (Change::Credit(7), 0), (Change::Debit(1), 6)];
    for (number, (change, used)) in (1..).zip(changes) {
        let counter = clerk.counter(format!("{change:?}"));
        clerk.hold(&counter, 5, Lapse::Charge).await;
        clerk.hold(&counter, 2, Lapse::GiveBack).await;
        clerk.outlast_the_lease();
        let counters = vec![counter.clone()];
        clerk.change(&RemoteChange { nonce: 1, sequence: number, counters, change }).await;
        assert_eq!(clerk.count(&counter).await, (used, 0), "(used, held) after {change:?}");
    }
    // And one that lapses after it is charged after it.
    let counter = clerk.counter("later");
    clerk.hold(&counter, 5, Lapse::Charge).await;
    let (counters, change) = (vec![counter.clone()], Change::Reset);
    clerk.change(&RemoteChange { nonce: 2, sequence: 1, counters, change }).await;
    clerk.outlast_the_lease();
    assert_eq!(clerk.count(&counter).await, (5, 0), "(used, held) where the lapse came last");
}

/// What was taken from lapses is gone from them, whether the books have noticed them all or not: a late
/// settlement takes back what is left of its lapse, and no more.
pub async fn what_was_taken_from_a_lapse_is_not_taken_again<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    const HOLDS: u64 = 1_300;
    const BIG: u64 = 1_100;
    let clerk = Clerk::new(subject).await;
    let length = clerk.lease().length;
    let rolling = Limit::new(1, Window::Rolling(600 * length));
    let rolling = RemoteCounter { limit: limit_key(&rolling), ..clerk.counter("7") };
    for (nonce, counter) in (1..).zip([clerk.counter("7"), rolling]) {
        let used = async || {
            let told = clerk.books.read(&charges([&counter], None), 0).await;
            told.expect("the books failed to read").first().map(|count| (count.used, count.held))
        };
        let settled = async |slip: &Slip, spent| {
            clerk.settle(&[slip.settlement(Spent::Units(spent))]).await;
            used().await
        };
        let changed = async |sequence, change| {
            let counters = vec![counter.clone()];
            clerk.change(&RemoteChange { nonce, sequence, counters, change }).await;
            used().await
        };
        let big = clerk.hold(&counter, BIG, Lapse::Charge).await;
        let slips = (0..HOLDS).map(|_| clerk.hold(&counter, 1, Lapse::Charge));
        let slips = future::join_all(slips).await;
        let [one, other, last, ..] = slips.as_slice() else { panic!("they were all made") };
        clerk.clock.advance(length / 2);
        clerk.renew_all(&slips).await;
        clerk.clock.advance(length / 2);
        let told = changed(1, Change::Credit(BIG)).await;
        assert_eq!(told, Some((0, HOLDS)), "(used, held) when the big one was taken");
        clerk.clock.advance(length / 2);
        assert_eq!(used().await, Some((HOLDS, 0)), "(used, held) when all have lapsed");
        let told = settled(&big, 0).await;
        assert_eq!(told, Some((HOLDS - BIG, 0)), "(used, held) when it was taken back as well");
        let told = changed(2, Change::Credit(150)).await;
        assert_eq!(told, Some((50, 0)), "(used, held) after a credit");
        assert_eq!(settled(one, 3).await, Some((52, 0)), "(used, held) when one spent 3");
        assert_eq!(changed(3, Change::Reset).await, Some((0, 0)), "(used, held) after a reset");
        assert_eq!(settled(other, 0).await, Some((0, 0)), "(used, held) when nothing is left");
        assert_eq!(settled(last, 3).await, Some((2, 0)), "(used, held) when another spent 3");
        for _ in 0..3 {
            assert!(clerk.try_hold(&counter, 1, 2).await.is_none(), "two were used, of two");
            assert_eq!(used().await, Some((2, 0)), "(used, held) when more was noticed");
        }
    }
}

/// Nothing that can be asked for is answered differently after a sweep.
pub async fn sweeping_is_invisible<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    let mut slips: Vec<Slip> = Vec::new();
    for lapse in [Lapse::GiveBack, Lapse::Charge] {
        slips.push(clerk.hold(&counter, 4, lapse).await);
    }
    clerk.outlast_the_lease();
    let live = clerk.hold(&counter, 2, Lapse::GiveBack).await;
    for at_most in [0, 1, 1_000] {
        let deleted = clerk.sweep(at_most).await;
        assert!(deleted <= at_most, "{deleted} records deleted, of {at_most} at most");
        assert_eq!(clerk.count(&counter).await, (4, 2), "(used, held) after a sweep");
    }
    // Just before their records may go.
    clerk.clock.advance(clerk.lease().length - MILLI);
    clerk.renew(&live).await;
    clerk.clock.advance(clerk.lease().keep - clerk.lease().length);
    clerk.sweep(1_000).await;
    let settled: Vec<_> = slips.iter().map(|slip| slip.settlement(Spent::Units(1))).collect();
    clerk.settle(&settled).await;
    assert_eq!(clerk.count(&counter).await.0, 2, "used after both were settled at last");
}
