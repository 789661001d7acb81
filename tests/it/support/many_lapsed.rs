//! More holds whose leases have ended than books mark at a time.

use futures::future::join_all;
use tower_quota::store::{
    Change, Held, Lapse, RemoteBooks, RemoteChange, RemoteReserve, RemoteSettlement,
};
use tower_quota::{Clock, ManualClock, Spent, Window};

use super::counters::{Counted, ask, counter};

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
