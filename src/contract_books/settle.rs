//! Books outside of this process: how holds end.

use std::slice;
use std::time::Duration;

use super::clerk::{Clerk, MILLI, PATIENCE, Slip, charges};
use crate::contract::Subject;
use crate::count::Spent;
use crate::limits::Span;
use crate::store::{
    Change, Held, HoldId, Lapse, MAX_COUNT, RemoteBooks, RemoteChange, RemoteSettlement,
};

const SPENT: [(Spent, u64); 5] = [
    (Spent::Held, 5),
    (Spent::Nothing, 0),
    (Spent::Units(0), 0),
    (Spent::Units(2), 2),
    (Spent::Units(8), 8),
];

/// Live, lapsed and given back, lapsed and charged: what is used in the end is what was spent.
pub async fn a_hold_is_settled_by_the_table<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    for lapse in [Lapse::GiveBack, Lapse::Charge] {
        for (spent, units) in SPENT {
            let live = clerk.counter(format!("live, {lapse:?}, {spent:?}"));
            let slip = clerk.hold(&live, 5, lapse).await;
            clerk.hold(&live, 3, Lapse::GiveBack).await;
            clerk.settle(&[slip.settlement(spent)]).await;
            let count = clerk.count(&live).await;
            assert_eq!(count, (units, 3), "(used, held), live, {lapse:?}, {spent:?} of 5");

            let lapsed = clerk.counter(format!("lapsed, {lapse:?}, {spent:?}"));
            let slip = clerk.hold(&lapsed, 5, lapse).await;
            clerk.outlast_the_lease();
            clerk.hold(&lapsed, 3, Lapse::GiveBack).await;
            clerk.settle(&[slip.settlement(spent)]).await;
            let count = clerk.count(&lapsed).await;
            assert_eq!(count, (units, 3), "(used, held), lapsed, {lapse:?}, {spent:?} of 5");
        }
    }
}

/// A settlement that is repeated, in the same batch, in another one, after the lease or by another
/// process, changes nothing.
pub async fn a_hold_is_settled_once<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let other = clerk.at_another_handle(subject).await;
    for (spent, units) in SPENT {
        for lapse in [Lapse::GiveBack, Lapse::Charge] {
            let counters = [clerk.counter("7"), clerk.counter(format!("{spent:?}, {lapse:?}"))];
            let [one, own] = &counters;
            let slip = clerk.hold_all(&[own, one], 5, lapse).await;
            let (first, second) = (slip.settlement(spent), slip.settlement(Spent::Units(9)));
            clerk.settle(&[first.clone(), first.clone()]).await;
            other.settle(slice::from_ref(&second)).await;
            assert_eq!(clerk.count(own).await, (units, 0), "(used, held), {spent:?}, {lapse:?}");
            clerk.outlast_the_lease();
            clerk.settle(&[second, first]).await;
            let count = clerk.count(own).await;
            assert_eq!(count, (units, 0), "(used, held) after the lease, {spent:?}, {lapse:?}");
        }
    }
    assert_eq!(clerk.count(&clerk.counter("7")).await, (30, 0), "(used, held) of all together");
}

/// What was never held is not settled, and no counter is opened for it.
pub async fn an_unknown_hold_settles_nothing_and_creates_nothing<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    let clerk = Clerk::new(subject).await;
    let start = clerk.now();
    let window = Span { start, end: start.saturating_add(Duration::from_secs(1)) };
    let (fresh, counted) = (clerk.counter_in("fresh", window), clerk.counter("counted"));
    for spent in [Spent::Held, Spent::Nothing, Spent::Units(0), Spent::Units(4)] {
        clerk.settle(&[Slip::unknown(&fresh).settlement(spent)]).await;
    }
    assert_eq!(clerk.count(&fresh).await, (0, 0), "(used, held) of a counter nobody opened");

    clerk.hold(&counted, 2, Lapse::GiveBack).await;
    clerk.settle(&[Slip::unknown(&counted).settlement(Spent::Units(4))]).await;
    assert_eq!(clerk.count(&counted).await, (0, 2), "(used, held) of somebody else's counter");

    // Were there a record, it would be due now.
    clerk.clock.advance(clerk.lease().keep + Duration::from_secs(1));
    let records = clerk.sweep(1_000).await;
    assert_eq!(records, 0, "records that are swept, where none is due");
}

/// Where a hold may still be made, its settlement waits: whoever sent it is told, and sends it
/// again.
pub async fn a_settlement_that_comes_too_early_settles_nothing<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    let request = clerk.request(charges([&counter], Some(9)), 4);
    let slip = Slip { id: request.id, charges: request.charges.clone() };
    let release =
        || RemoteSettlement { after: Some(request.not_after), ..slip.settlement(Spent::Nothing) };
    let sent = clerk.books.settle(&[release()]).await.expect("the books failed to settle");
    assert_eq!(sent, [slip.id], "what came too early, before the hold");

    // The reserve that was overtaken comes at the last moment.
    clerk.clock.advance(PATIENCE);
    let held = clerk.reserve(&request).await.held;
    assert!(matches!(held, Held::Granted(_)), "it came in time: {held:?}");
    let sent = clerk.books.settle(&[release()]).await.expect("the books failed to settle");
    assert_eq!(sent, [slip.id], "what came too early, after the hold");
    assert_eq!(clerk.count(&counter).await, (0, 4), "(used, held) before it may be settled");

    clerk.clock.advance(MILLI);
    clerk.settle(&[release()]).await;
    assert_eq!(clerk.count(&counter).await, (0, 0), "(used, held) when it is settled");
    let held = clerk.reserve(&request).await.held;
    assert_eq!(held, Held::Stale, "a reserve that comes after its release");
    assert_eq!(clerk.count(&counter).await, (0, 0), "(used, held) at last");
}

/// A batch of many scopes, counters and cases settles each as if it were alone.
pub async fn a_batch_is_settled_each_by_itself<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let everyone = clerk.counter("everyone");
    let late = clerk.hold(&everyone, 3, Lapse::Charge).await;
    clerk.outlast_the_lease();
    let mut batch = vec![late.settlement(Spent::Units(1))];
    let mut counters = Vec::new();
    let mut early = Vec::<HoldId>::new();
    for scope in 0..150_u64 {
        let counter = clerk.counter(format!("scope {scope}"));
        let slip = clerk.hold_all(&[&counter, &everyone], 2, Lapse::GiveBack).await;
        let settlement = slip.settlement(Spent::Units(scope % 5));
        if scope % 10 == 0 {
            early.push(slip.id);
            batch.push(RemoteSettlement { after: Some(clerk.now()), ..settlement });
        } else {
            batch.push(settlement);
        }
        batch.push(Slip::unknown(&counter).settlement(Spent::Held));
        counters.push(counter);
    }
    let mut sent = clerk.books.settle(&batch).await.expect("the books failed to settle");
    let by_number = |id: &HoldId| id.sequence;
    sent.sort_by_key(by_number);
    early.sort_by_key(by_number);
    assert_eq!(sent, early, "what came too early");
    for ((counter, count), scope) in counters.iter().zip(clerk.counts(&counters).await).zip(0..) {
        let expected = if scope % 10 == 0 { (0, 2) } else { (scope % 5, 0) };
        assert_eq!(count, expected, "(used, held) of {:?}", counter.scope);
    }
    // Each scope that is settled has 0 to 4 of its own, less the fifteen zeros that are early.
    assert_eq!(clerk.count(&everyone).await, (301, 30), "(used, held) of everyone");
    assert_eq!(clerk.books.settle(&[]).await.ok(), Some(Vec::new()), "an empty batch");
}

/// What was charged for a lapse and then taken away by an operator is not taken away again.
pub async fn a_late_settlement_never_takes_below_zero<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    let slip = clerk.hold(&counter, 5, Lapse::Charge).await;
    clerk.outlast_the_lease();
    let (counters, change) = (vec![counter.clone()], Change::Credit(4));
    clerk.change(&RemoteChange { nonce: 1, sequence: 1, counters, change }).await;
    assert_eq!(clerk.count(&counter).await, (1, 0), "(used, held) after lapse and credit");
    clerk.settle(&[slip.settlement(Spent::Units(2))]).await;
    assert_eq!(clerk.count(&counter).await, (0, 0), "(used, held) after 1 + 2 - 5");
}

/// What is used stops at [`MAX_COUNT`], also where far more was spent.
pub async fn what_is_spent_stops_at_the_most_that_can_be_counted<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    let live = clerk.hold(&counter, 1, Lapse::GiveBack).await;
    clerk.settle(&[live.settlement(Spent::Units(u64::MAX))]).await;
    assert_eq!(clerk.count(&counter).await, (MAX_COUNT, 0), "(used, held) after a live hold");
    let live = clerk.hold(&counter, 3, Lapse::GiveBack).await;
    assert!(clerk.try_hold(&counter, 1, MAX_COUNT).await.is_none(), "all is used");
    clerk.settle(&[live.settlement(Spent::Held)]).await;
    assert_eq!(clerk.count(&counter).await, (MAX_COUNT, 0), "(used, held) after another");
    let late = clerk.hold(&counter, 5, Lapse::GiveBack).await;
    let charged = clerk.hold(&counter, 5, Lapse::Charge).await;
    clerk.outlast_the_lease();
    assert_eq!(clerk.count(&counter).await, (MAX_COUNT, 0), "(used, held) after a lapse");
    clerk.settle(&[late.settlement(Spent::Units(u64::MAX))]).await;
    clerk.settle(&[charged.settlement(Spent::Units(u64::MAX))]).await;
    assert_eq!(clerk.count(&counter).await, (MAX_COUNT, 0), "(used, held) after late ones");
}
