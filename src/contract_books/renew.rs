//! Books outside of this process: holds whose request lives on.

use super::clerk::{Clerk, MILLI, Slip};
use crate::contract::{Subject, earlier};
use crate::count::Spent;
use crate::store::{Lapse, RemoteBooks};

/// A hold that is renewed in time lives for another lease, counted from then.
pub async fn a_renewed_hold_lives_on<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let length = clerk.lease().length;
    let (counters, mut slips) = (["a", "b", "c"].map(|scope| clerk.counter(scope)), Vec::new());
    for _ in 0..100 {
        let [a, b, c] = &counters;
        slips.push(clerk.hold_all(&[b, a], 1, Lapse::GiveBack).await);
        slips.push(clerk.hold_all(&[c], 2, Lapse::Charge).await);
    }
    for _ in 0..3 {
        clerk.clock.advance(length - MILLI);
        clerk.renew_all(&slips).await;
    }
    clerk.clock.advance(length - MILLI);
    let live = [(0, 100), (0, 100), (0, 200)];
    assert_eq!(clerk.counts(&counters).await, live, "(used, held) just before the end");
    clerk.clock.advance(MILLI);
    let lapsed = [(0, 0), (0, 0), (200, 0)];
    assert_eq!(clerk.counts(&counters).await, lapsed, "(used, held) at the end");
    let settled: Vec<_> = slips.iter().map(|slip| slip.settlement(Spent::Held)).collect();
    clerk.settle(&settled).await;
    let settled = [(100, 0), (100, 0), (200, 0)];
    assert_eq!(clerk.counts(&counters).await, settled, "(used, held) when all are settled");
}

/// A renewal that comes too late changes nothing, neither then nor at the settlement.
pub async fn a_lapsed_hold_is_not_renewed<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    for (lapse, used) in [(Lapse::GiveBack, 0), (Lapse::Charge, 5)] {
        let counter = clerk.counter(format!("{lapse:?}"));
        let slip = clerk.hold(&counter, 5, lapse).await;
        clerk.outlast_the_lease();
        clerk.renew(&slip).await;
        assert_eq!(clerk.count(&counter).await, (used, 0), "(used, held), {lapse:?}");
        // Had it been renewed, it would lapse a second time.
        clerk.outlast_the_lease();
        assert_eq!(clerk.count(&counter).await, (used, 0), "(used, held) later, {lapse:?}");
        clerk.settle(&[slip.settlement(Spent::Units(2))]).await;
        assert_eq!(clerk.count(&counter).await, (2, 0), "(used, held) settled, {lapse:?}");
    }
}

/// A renewal by a clock that was set back a little leaves the lease as long as it was.
pub async fn a_renewal_never_shortens_a_lease<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    clerk.clock.advance(clerk.lease().length);
    let counter = clerk.counter("7");
    let slip = clerk.hold(&counter, 5, Lapse::GiveBack).await;
    let held_at = clerk.now();
    clerk.clock.set(earlier(held_at, clerk.lease().length / 2).into());
    clerk.renew(&slip).await;
    clerk.clock.set(held_at.into());
    clerk.clock.advance(clerk.lease().length - MILLI);
    assert_eq!(clerk.count(&counter).await, (0, 5), "(used, held) in the last millisecond");
    clerk.clock.advance(MILLI);
    assert_eq!(clerk.count(&counter).await, (0, 0), "(used, held) at the end");
}

/// A renewal makes nothing: neither of a hold that is unknown nor of one that is settled.
pub async fn an_unknown_hold_is_not_renewed<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    let unknown = Slip::unknown(&counter);
    let settled = clerk.hold(&counter, 5, Lapse::Charge).await;
    clerk.settle(&[settled.settlement(Spent::Units(1))]).await;
    for slip in [&unknown, &settled] {
        clerk.renew(slip).await;
        assert_eq!(clerk.count(&counter).await, (1, 0), "(used, held) after the renewal");
    }
    clerk.outlast_the_lease();
    assert_eq!(clerk.count(&counter).await, (1, 0), "(used, held) when a lease would end");
    clerk.settle(&[unknown.settlement(Spent::Units(9)), settled.settlement(Spent::Held)]).await;
    assert_eq!(clerk.count(&counter).await, (1, 0), "(used, held) after more settlements");
    clerk.renew_all(&[]).await;
}
