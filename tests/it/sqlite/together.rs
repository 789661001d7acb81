//! Many rows, which are read and written in few goes.

use std::slice;

use tower_quota::store::{Held, Lapse, RemoteBooks, RemoteReserve, RemoteSettlement};
use tower_quota::{Clock, Spent, Window};

use super::{LEASE, books};
use crate::support::Directory;
use crate::support::counters::{Counted, ask, counter};

#[tokio::test]
async fn as_many_counters_as_one_likes_are_counted_each_once() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    for many in [1_u64, 2, 3, 5, 63, 64, 65, 130] {
        let now = clock.now();
        let counters: Vec<_> = (0..many)
            .map(|each| counter(format!("{each} of {many}"), Window::Lifetime, now))
            .collect();
        let counted = async |used, held| {
            for count in books.counted(&counters).await.unwrap() {
                assert_eq!((count.used, count.held), (used, held), "{many}");
            }
        };
        let hold = async |sequence, lapse| {
            let request = ask(1_000 * many + sequence, &counters, None, 1, clock.now());
            let request = RemoteReserve { lapse, ..request };
            let verdict = books.reserve(&request).await.unwrap();
            assert!(matches!(verdict.held, Held::Granted(_)));
            let (id, counters) = (request.id, request.charges);
            RemoteSettlement { id, counters, spent: Spent::Held, after: None }
        };

        let settled = hold(1, Lapse::GiveBack).await;
        let charged = hold(2, Lapse::Charge).await;
        hold(3, Lapse::GiveBack).await;
        counted(0, 3).await;
        for _ in 0..2 {
            books.settle(slice::from_ref(&settled)).await.unwrap();
            counted(1, 2).await;
        }

        // The next to come marks what has lapsed.
        clock.advance(LEASE.length);
        hold(4, Lapse::GiveBack).await;
        counted(2, 1).await;
        books.settle(&[RemoteSettlement { spent: Spent::Units(4), ..charged }]).await.unwrap();
        counted(5, 1).await;
    }
}
