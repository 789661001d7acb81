//! What has lapsed is purged a little at a time, and nobody is denied because of the rest.

use std::time::Duration;

use futures::future::join_all;

use tower_quota::store::{
    Change, Held, Lapse, RedisBooks, RemoteBooks, RemoteChange, RemoteCounter, RemoteReserve,
};
use tower_quota::{Clock, ManualClock, Spent, Timestamp, Window};

use super::scripts::calls;
use super::{PATIENCE, ask, books, charges, counter, id, now, read, settlement};
use crate::support::servers::Redis;

const HOLDS: u64 = 2_500;

/// Books with that many lapsed holds of a unit each, none of the same deadline.
async fn lapsed(lapse: Lapse) -> (Redis, RedisBooks, ManualClock, RemoteCounter) {
    let (server, books, clock) = books().await;
    let day = counter("ada", Window::Day, now(&clock));
    for sequence in 0..HOLDS {
        let request = request(&clock, sequence, &day, 1, lapse);
        assert!(matches!(books.reserve(&request).await.unwrap().held, Held::Granted(_)));
        clock.advance(Duration::from_millis(1));
    }
    clock.advance(Duration::from_secs(60));
    (server, books, clock, day)
}

fn request(
    clock: &ManualClock,
    sequence: u64,
    counter: &RemoteCounter,
    units: u64,
    lapse: Lapse,
) -> RemoteReserve {
    RemoteReserve {
        id: id(sequence),
        charges: charges(std::slice::from_ref(counter), HOLDS),
        units,
        lapse,
        not_after: now(clock).saturating_add(PATIENCE),
        patience: PATIENCE,
    }
}

/// What the server has not purged yet.
async fn on_the_books(server: &Redis, counter: &RemoteCounter) -> u64 {
    let start = counter.window.start.as_millis();
    let key = format!("quota:{{ada}}c:{}:{start}", counter.limit.as_str());
    let state: Vec<u8> = ask(server, &format!("HGET {key} s")).await;
    // Seven bytes of what is used, and then seven of what is held.
    state[7..14].iter().fold(0, |held, byte| held << 8 | u64::from(*byte))
}

#[tokio::test]
async fn a_reserve_purges_a_thousand_holds_at_a_time() {
    let (server, books, clock, day) = lapsed(Lapse::GiveBack).await;
    for (sequence, left) in (HOLDS..).zip([1_501, 502, 3, 4]) {
        let request = request(&clock, sequence, &day, 1, Lapse::GiveBack);
        assert!(matches!(books.reserve(&request).await.unwrap().held, Held::Granted(_)));
        assert_eq!(on_the_books(&server, &day).await, left);
    }
    assert_eq!(read(&books, &day).await, (0, 4));
}

#[tokio::test]
async fn nobody_is_denied_while_units_come_back() {
    let (_server, books, clock, day) = lapsed(Lapse::GiveBack).await;
    let all = request(&clock, HOLDS, &day, HOLDS, Lapse::GiveBack);
    let Held::Granted(counts) = books.reserve(&all).await.unwrap().held else { panic!("denied") };
    assert_eq!((counts[0].used, counts[0].held), (0, HOLDS));
}

#[tokio::test]
async fn none_of_many_is_denied_while_units_come_back() {
    const EACH: u64 = 50;
    let (_server, books, clock, day) = lapsed(Lapse::GiveBack).await;
    let request = |sequence| request(&clock, sequence, &day, HOLDS / EACH, Lapse::GiveBack);
    let requests: Vec<_> = (HOLDS..).take(51).map(request).collect();
    let verdicts = join_all(requests.iter().map(|request| books.reserve(request))).await;
    let is_granted = |held: &Held| matches!(held, Held::Granted(_));
    let granted = verdicts.iter().filter(|verdict| is_granted(&verdict.as_ref().unwrap().held));
    assert_eq!(granted.count(), 50);
    assert_eq!(read(&books, &day).await, (0, HOLDS));
}

/// How many scripts a call took.
async fn scripts(server: &Redis, call: impl Future<Output = ()>) -> u64 {
    let before = calls(server, "evalsha").await;
    call.await;
    calls(server, "evalsha").await - before
}

#[tokio::test]
async fn a_denial_takes_as_many_scripts_as_purge_what_is_to_be_charged() {
    let (server, books, clock, day) = lapsed(Lapse::Charge).await;
    let deny = async || {
        let one = request(&clock, HOLDS, &day, 1, Lapse::Charge);
        let held = books.reserve(&one).await.unwrap().held;
        let Held::Denied(counts) = held else { panic!("granted") };
        assert_eq!((counts[0].used, counts[0].held), (HOLDS, 0));
    };
    assert_eq!(scripts(&server, deny()).await, 3);
    assert_eq!(scripts(&server, deny()).await, 1);
}

#[tokio::test]
async fn a_reading_of_many_lapsed_holds_has_them_purged() {
    let (server, books, _, day) = lapsed(Lapse::Charge).await;
    let count = async || assert_eq!(read(&books, &day).await, (HOLDS, 0));
    // One that finds too many, three that purge, and one that reads the rest.
    assert_eq!(scripts(&server, count()).await, 5);
    assert_eq!(on_the_books(&server, &day).await, 0);
    assert_eq!(scripts(&server, count()).await, 1);
}

#[tokio::test]
async fn a_change_comes_after_all_that_has_lapsed() {
    for (change, used) in [(Change::Credit(10), HOLDS - 10), (Change::Reset, 0)] {
        let (server, books, _, day) = lapsed(Lapse::Charge).await;
        let counters = vec![day.clone()];
        let change = RemoteChange { nonce: 1, sequence: 1, counters, change };
        let change = async { books.change(&change).await.unwrap() };
        assert_eq!(scripts(&server, change).await, 3);
        assert_eq!(read(&books, &day).await, (used, 0));
    }
}

#[tokio::test]
async fn a_correction_comes_after_all_that_has_lapsed() {
    let (server, books, clock, day) = lapsed(Lapse::Charge).await;
    let mut more = request(&clock, HOLDS, &day, 1, Lapse::GiveBack);
    more.charges = charges(std::slice::from_ref(&day), HOLDS + 1);
    books.reserve(&more).await.unwrap();
    assert_eq!(on_the_books(&server, &day).await, HOLDS - 1_000 + 1);
    let mut first = settlement(0, std::slice::from_ref(&day));
    first.spent = Spent::Nothing;
    let both = [settlement(HOLDS, std::slice::from_ref(&day)), first];
    let settle = async { assert_eq!(books.settle(&both).await.unwrap(), []) };
    assert_eq!(scripts(&server, settle).await, 2);
    assert_eq!(read(&books, &day).await, (HOLDS, 0));
}

/// A clock that is set back as soon as it was read.
#[derive(Clone, Debug)]
struct SetBack(ManualClock, Timestamp);

impl Clock for SetBack {
    fn now(&self) -> Timestamp {
        let now = self.0.now();
        self.0.set(self.1.into());
        now
    }
}

#[tokio::test]
async fn a_reading_ends_though_the_clock_is_set_back_meanwhile() {
    let (server, _, clock, day) = lapsed(Lapse::Charge).await;
    let (late, noon) = (clock.now(), day.window.start.saturating_add(Duration::from_secs(43_200)));
    let clock = SetBack(clock, noon);
    let books = RedisBooks::builder(server.url()).clock(clock.clone()).connect().await.unwrap();
    clock.0.set(late.into());
    assert_eq!(read(&books, &day).await, (0, HOLDS), "as of noon, all of them live");
    assert_eq!(on_the_books(&server, &day).await, HOLDS);
}

/// As an eviction does.
#[tokio::test]
async fn holds_whose_deadlines_were_forgotten_are_in_nobodys_way() {
    let (server, books, clock) = books().await;
    let day = counter("ada", Window::Day, now(&clock));
    for sequence in 0..3 {
        books.reserve(&request(&clock, sequence, &day, 800, Lapse::GiveBack)).await.unwrap();
    }
    let start = day.window.start.as_millis();
    let key = format!("quota:{{ada}}h:{}:{start}", day.limit.as_str());
    assert_eq!(ask::<u64>(&server, &format!("DEL {key}")).await, 1);
    clock.advance(books.lease().length);
    let all = request(&clock, 4, &day, HOLDS, Lapse::GiveBack);
    assert!(matches!(books.reserve(&all).await.unwrap().held, Held::Granted(_)));
    assert_eq!(read(&books, &day).await, (0, HOLDS));
}

#[tokio::test]
async fn records_go_when_nothing_can_be_settled_any_more() {
    let (server, books, clock, day) = lapsed(Lapse::GiveBack).await;
    clock.advance(books.lease().keep);
    for sequence in HOLDS..HOLDS + 3 {
        let request = request(&clock, sequence, &day, 1, Lapse::GiveBack);
        books.reserve(&request).await.unwrap();
    }
    let start = day.window.start.as_millis();
    let key = format!("quota:{{ada}}h:{}:{start}", day.limit.as_str());
    let left: u64 = ask(&server, &format!("ZCARD {key}")).await;
    // And one is at hand.
    assert_eq!(left, 2);
}

#[tokio::test]
async fn what_was_charged_is_corrected_as_if_all_had_been_purged() {
    let (_server, books, clock) = books().await;
    let day = counter("ada", Window::Day, now(&clock));
    let counters = vec![day.clone()];
    books.reserve(&request(&clock, 1, &day, 3, Lapse::Charge)).await.unwrap();
    clock.advance(books.lease().length);
    let reset = RemoteChange { nonce: 1, sequence: 1, counters, change: Change::Reset };
    books.change(&reset).await.unwrap();

    books.reserve(&request(&clock, 2, &day, 5, Lapse::Charge)).await.unwrap();
    clock.advance(books.lease().length);
    assert_eq!(read(&books, &day).await, (5, 0));
    let mut nothing = settlement(1, std::slice::from_ref(&day));
    nothing.spent = Spent::Nothing;
    books.settle(&[nothing]).await.unwrap();
    assert_eq!(read(&books, &day).await, (2, 0));
}

#[tokio::test]
async fn what_is_held_after_the_clock_was_set_back_is_alive() {
    let (_server, books, clock) = books().await;
    let noon = now(&clock);
    let day = counter("ada", Window::Day, now(&clock));
    books.reserve(&request(&clock, 1, &day, 1, Lapse::GiveBack)).await.unwrap();
    clock.advance(books.lease().length);
    books.reserve(&request(&clock, 2, &day, 1, Lapse::GiveBack)).await.unwrap();
    // The first hold has lapsed and been purged.
    clock.set(noon.into());
    books.reserve(&request(&clock, 3, &day, 1, Lapse::GiveBack)).await.unwrap();
    assert_eq!(read(&books, &day).await, (0, 2));
    books.settle(&[settlement(3, std::slice::from_ref(&day))]).await.unwrap();
    assert_eq!(read(&books, &day).await, (1, 1));
}

#[tokio::test]
async fn a_hold_is_known_again_by_the_request_that_purges_it() {
    let (_server, books, clock) = books().await;
    let day = counter("ada", Window::Day, now(&clock));
    let first = request(&clock, 1, &day, 1, Lapse::GiveBack);
    assert!(matches!(books.reserve(&first).await.unwrap().held, Held::Granted(_)));
    clock.advance(Duration::from_secs(61));
    let again = request(&clock, 1, &day, 1, Lapse::GiveBack);
    assert!(matches!(books.reserve(&again).await.unwrap().held, Held::Granted(_)));
    assert_eq!(read(&books, &day).await, (0, 0), "what lapsed is not held a second time");
}
