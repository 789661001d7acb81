//! More holds whose leases have ended than books mark at a time.

use std::time::Duration;

use futures::future::join_all;
use tower_quota::store::{
    Change, Held, Lapse, RemoteBooks, RemoteChange, RemoteReserve, RemoteSettlement,
};
use tower_quota::{Clock, ManualClock, Spent, Timestamp, Window};

use super::counters::{Counted, SECOND, ask, counter};

/// How many holds there are of either rule.
const HOLDS: u64 = 1_300;

/// Nobody is denied for a hold that has lapsed and come back, what has lapsed and is charged counts,
/// and both can be told from what is marked by nothing that is said.
pub(crate) async fn check_many_lapsed(books: &impl RemoteBooks, clock: &ManualClock) {
    let now = clock.now();
    let remix = [counter("many", Window::Lifetime, now)];
    let mut requests: Vec<_> =
        (0..2 * HOLDS).map(|sequence| ask(sequence, &remix, None, 1, now)).collect();
    for request in requests.iter_mut().skip(1).step_by(2) {
        request.lapse = Lapse::Charge;
    }
    for made in join_all(requests.iter().map(|request| books.reserve(request))).await {
        assert!(matches!(made.unwrap().held, Held::Granted(_)));
    }
    clock.advance(books.lease().length);
    let now = clock.now();
    let said = || async {
        let count = books.counted(&remix).await.unwrap()[0];
        (count.used, count.held)
    };
    assert_eq!(said().await, (HOLDS, 0));

    let change =
        |sequence, change| RemoteChange { nonce: 1, sequence, counters: remix.to_vec(), change };
    // What is charged is there to be taken back, whether it is marked or not.
    books.change(&change(1, Change::Credit(HOLDS - 1))).await.unwrap();
    assert_eq!(said().await, (1, 0));
    let full = ask(2 * HOLDS, &remix, Some(10), 10, now);
    assert!(matches!(books.reserve(&full).await.unwrap().held, Held::Denied(_)));
    let fits = RemoteReserve { units: 9, ..full };
    match books.reserve(&fits).await.unwrap().held {
        Held::Granted(counts) => assert_eq!((counts[0].used, counts[0].held), (1, 9)),
        held => panic!("{held:?}"),
    }

    // A late settlement corrects what was presumed: 1 of 1 charged, and 3 of 1 given back.
    let settlement = |request: &RemoteReserve, spent| RemoteSettlement {
        id: request.id,
        counters: request.charges.clone(),
        spent,
        after: None,
    };
    let [.., given_back, charged] = requests.as_slice() else { unreachable!() };
    let late = [
        settlement(charged, Spent::Units(0)),
        settlement(given_back, Spent::Units(3)),
        settlement(&requests[0], Spent::Units(3)),
    ];
    for _ in 0..2 {
        books.settle(&late).await.unwrap();
        assert_eq!(said().await, (6, 9));
    }
}

/// How many holds are made a second where the window rolls, half of them of either rule.
const A_SECOND: usize = 520;

/// Where the window rolls, in seconds: what has lapsed counts in the second in which it was reserved,
/// whether it is marked or not, and no more is `marked` at a time. Some of it was before 1970.
pub(crate) async fn check_many_lapsed_steps(
    books: &impl RemoteBooks,
    clock: &ManualClock,
    marked: impl AsyncFn() -> i64,
) {
    clock.set(Timestamp::from_millis(-2_500).into());
    let remix = [counter("steps", Window::Rolling(60 * SECOND), clock.now())];
    let mut requests = Vec::new();
    for _ in 0..5 {
        let now = clock.now();
        for sequence in (0..).skip(requests.len()).take(A_SECOND) {
            let lapse = if sequence % 2 == 0 { Lapse::GiveBack } else { Lapse::Charge };
            requests.push(RemoteReserve { lapse, ..ask(sequence, &remix, None, 1, now) });
        }
        let new = requests.iter().skip(requests.len() - A_SECOND);
        for made in join_all(new.map(|request| books.reserve(request))).await {
            assert!(matches!(made.unwrap().held, Held::Granted(_)));
        }
        clock.advance(SECOND);
    }
    clock.advance(books.lease().length);
    let now = clock.now();
    let full = ask(2 * HOLDS, &remix, Some(HOLDS), 1, now);
    let told = books.read(&full.charges, full.units).await.unwrap();
    assert_eq!((told[0].used, told[0].held), (HOLDS, 0));
    assert_eq!(books.reserve(&full).await.unwrap().held, Held::Denied(told.into()));
    assert_eq!(marked().await, 1_000);

    // A credit takes what was reserved last, a late settlement corrects what was presumed in its
    // second, and a debit is of now.
    let used = async || books.counted(&remix).await.unwrap()[0].used;
    let changed =
        |sequence, change| RemoteChange { nonce: 1, sequence, counters: remix.to_vec(), change };
    books.change(&changed(1, Change::Credit(1))).await.unwrap();
    assert_eq!((used().await, marked().await), (HOLDS - 1, 2_000));
    let settle = |request: &RemoteReserve, spent| RemoteSettlement {
        id: request.id,
        counters: request.charges.clone(),
        spent: Spent::Units(spent),
        after: None,
    };
    let [_, first, .., given_back, last] = requests.as_slice() else { unreachable!() };
    books.settle(&[settle(last, 0), settle(given_back, 3), settle(first, 2)]).await.unwrap();
    assert_eq!(used().await, HOLDS + 2);
    books.change(&changed(2, Change::Debit(2))).await.unwrap();
    let mut left = HOLDS + 4;
    for (second, units) in (58..).zip([261, 260, 260, 260, 261]) {
        clock.set(Timestamp::from_millis(second * 1_000 - 1).into());
        assert_eq!(used().await, left, "used just before second {second}");
        clock.advance(Duration::from_millis(1));
        left -= units;
        assert_eq!(used().await, left, "used in second {second}");
    }
}
