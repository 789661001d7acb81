//! What lines of changes have seen is remembered for a day, and not for good: also where what counts
//! for a lifetime is changed by one process after another.

use std::time::Duration;

use tower_quota::store::{
    Change, RedisBooks, RemoteBooks, RemoteChange, RemoteCounter, RemoteReserve,
};
use tower_quota::{ManualClock, Window};

use super::{ask, books, charges, counter, now, read, request, settlement};
use crate::support::servers::Redis;

const DAY: Duration = RemoteChange::REMEMBERED;

/// Adds a unit, in a line of its own for each nonce.
async fn debit(books: &RedisBooks, counters: &[RemoteCounter], nonce: u64, sequence: u64) {
    let (counters, change) = (counters.to_vec(), Change::Debit(1));
    books.change(&RemoteChange { nonce, sequence, counters, change }).await.unwrap();
}

/// How many fields the only hash has: one for its state, and one for each line and each hold on file.
async fn fields(server: &Redis) -> u64 {
    let keys: Vec<String> = ask(server, "KEYS *").await;
    for key in keys {
        if ask::<String>(server, &format!("TYPE {key}")).await == "hash" {
            return ask(server, &format!("HLEN {key}")).await;
        }
    }
    panic!("nothing is counted")
}

fn lifetime(clock: &ManualClock) -> [RemoteCounter; 1] {
    [counter("ada", Window::Lifetime, now(clock))]
}

#[tokio::test]
async fn a_line_is_remembered_for_a_day_after_its_last_change() {
    let (server, books, clock) = books().await;
    let counters = lifetime(&clock);
    debit(&books, &counters, 1, 1).await;
    clock.advance(DAY / 2);
    debit(&books, &counters, 1, 2).await;
    clock.advance(DAY);
    // One that is new forgets those that are older; that one is not.
    debit(&books, &counters, 2, 1).await;
    assert_eq!(fields(&server).await, 1 + 2);
    debit(&books, &counters, 1, 2).await;
    assert_eq!(read(&books, &counters[0]).await, (3, 0), "the repetition changed nothing");
    clock.advance(Duration::from_millis(1));
    debit(&books, &counters, 3, 1).await;
    assert_eq!(fields(&server).await, 1 + 2);
    assert_eq!(read(&books, &counters[0]).await, (4, 0));
}

#[tokio::test]
async fn lines_that_come_one_after_another_are_few_at_a_time() {
    let (server, books, clock) = books().await;
    let counters = lifetime(&clock);
    for nonce in 1..=50 {
        debit(&books, &counters, nonce, 1).await;
        clock.advance(DAY / 2);
        assert!(fields(&server).await <= 1 + 3);
    }
    assert_eq!(read(&books, &counters[0]).await, (50, 0));
}

/// After an outage each charge of the local shares has a line of its own. New ones meet them by lot.
#[tokio::test]
async fn many_old_lines_go_as_new_ones_come_and_nothing_else_does() {
    const OLD: u64 = 500;
    const NEW: u64 = 250;
    const HOLDS: u64 = 20;
    let (server, books, clock) = books().await;
    let counters = lifetime(&clock);
    for nonce in 0..OLD {
        debit(&books, &counters, nonce, 1).await;
    }
    assert_eq!(fields(&server).await, 1 + OLD);
    clock.advance(DAY + Duration::from_millis(1));
    for sequence in 0..HOLDS {
        let charges = charges(&counters, 10_000);
        let request = RemoteReserve { charges, ..request(&books, sequence, &counters).await };
        books.reserve(&request).await.unwrap();
    }
    // The state, and the holds: one may be in the state.
    let others = fields(&server).await - OLD;
    assert!((HOLDS..=1 + HOLDS).contains(&others), "{others} fields beside the lines");
    for round in 1..=2 {
        for nonce in 0..NEW {
            debit(&books, &counters, OLD + nonce, 1).await;
        }
        let lines = fields(&server).await - others;
        assert!((NEW..NEW + 50).contains(&lines), "{lines} lines after round {round}");
        assert_eq!(read(&books, &counters[0]).await, (OLD + NEW, HOLDS));
    }
    books
        .settle(&(0..HOLDS).map(|it| settlement(it, &counters)).collect::<Vec<_>>())
        .await
        .unwrap();
    assert_eq!(read(&books, &counters[0]).await, (OLD + NEW + HOLDS, 0));
}
