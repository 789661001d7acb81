//! Connections that are cut or delayed, at a moment that the test chooses.

use futures::future::join_all;
use tower_quota::SystemClock;
use tower_quota::store::PostgresBooks;

use super::{TIMEOUT, prepare};
use crate::support::engine::{CHAT, Engine, REMIX};
use crate::support::proxy::{Fault, Proxy};
use crate::support::servers::Postgres;

const CUTS: [Fault; 3] = [Fault::CutBeforeRequest, Fault::CutBeforeReply, Fault::CutInReply];

/// Ends the transaction in which several limits are reserved, or anything is changed.
const COMMIT: &str = "COMMIT";

/// An engine that grants 5 units, and the proxy on its way to the server. All that was there to
/// prepare is prepared: the next requests are those of the test.
async fn scene(connections: u32) -> (Engine, Proxy) {
    let server = Postgres::shared();
    // Scenes are made side by side: none of them keeps the others from what they wait for.
    let database = tokio::task::spawn_blocking(|| server.database()).await.unwrap();
    prepare(&database).await;
    let proxy = Proxy::start(server.socket().as_path()).await;
    let name = database.split(['/', '?']).nth(3).unwrap();
    let url = format!("postgres://postgres@{}/{name}?sslmode=disable", proxy.address());
    let books = PostgresBooks::builder(url).connections(connections).timeout(TIMEOUT);
    let engine = Engine::new(books.connect().await.unwrap(), TIMEOUT, 5, SystemClock);
    for feature in [REMIX, CHAT] {
        engine.spend(feature).await;
        engine.grant(feature).await.release();
        engine.flush().await;
    }
    (engine, proxy)
}

/// A connection is lost while units are reserved.
async fn a_lost_reserve_holds_nothing(feature: &str, part: &str, fault: Fault) {
    let (engine, proxy) = scene(1).await;
    let mut cut = proxy.script(part, fault);
    let error = engine.failure(feature).await;
    assert!(error.is_transient(), "{error:?}");
    cut.struck().await;
    engine.flush().await;
    assert_eq!(engine.count(feature).await, (1, 0), "{feature} {part} {fault:?}");
    assert_eq!(engine.spend_the_rest(feature).await, 4, "{feature} {part} {fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_of_one_limit_that_is_lost_holds_nothing() {
    join_all(CUTS.map(|fault| a_lost_reserve_holds_nothing(REMIX, "remix", fault))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_of_several_limits_that_is_lost_holds_nothing() {
    let at_first = CUTS.map(|fault| a_lost_reserve_holds_nothing(CHAT, "chat", fault));
    let in_the_end = CUTS.map(|fault| a_lost_reserve_holds_nothing(CHAT, COMMIT, fault));
    join_all(at_first.into_iter().chain(in_the_end)).await;
}

/// A connection is lost while a commit is written: it is written again.
async fn a_lost_settlement_is_written_once(feature: &str, part: &str, fault: Fault) {
    let (engine, proxy) = scene(1).await;
    let (three, none) = (engine.grant(feature).await, engine.grant(feature).await);
    let mut cut = proxy.script(part, fault);
    three.commit_units(3);
    none.release();
    cut.struck().await;
    engine.flush().await;
    assert_eq!(engine.count(feature).await, (4, 0), "{feature} {part} {fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_that_is_lost_is_written_once() {
    // It is one statement, which is also its own end.
    let lost = [REMIX, CHAT].into_iter().flat_map(|feature| {
        CUTS.map(|fault| a_lost_settlement_is_written_once(feature, feature, fault))
    });
    join_all(lost).await;
}

/// A change is tried again, by the same number.
async fn a_lost_change_is_made_once(fault: Fault) {
    let (engine, proxy) = scene(1).await;
    // The statements of a change are prepared too.
    engine.debit(CHAT, 1).await.unwrap();
    let mut cut = proxy.script(COMMIT, fault);
    engine.debit(CHAT, 2).await.unwrap();
    cut.struck().await;
    assert_eq!(engine.count(CHAT).await, (4, 0), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_lost_is_made_once() {
    join_all(CUTS.map(a_lost_change_is_made_once)).await;
}

/// A reserve is delivered when whoever sent it has given up, and what it may have held has been
/// given back.
async fn a_reserve_that_is_delivered_late_holds_nothing(feature: &str) {
    let (engine, proxy) = scene(4).await;
    let mut late = proxy.script(feature, Fault::Hold);
    let error = engine.failure(feature).await;
    assert!(error.is_transient(), "{error:?}");
    late.struck().await;
    // It is in nobody else's way.
    engine.spend(feature).await;
    assert_eq!(engine.count(feature).await, (2, 0), "{feature}: used and held");
    late.delivered().await;
    assert_eq!(engine.count(feature).await, (2, 0), "{feature}: used and held");
    assert_eq!(engine.spend_the_rest(feature).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_of_one_limit_that_is_delivered_late_holds_nothing() {
    a_reserve_that_is_delivered_late_holds_nothing(REMIX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_of_several_limits_that_is_delivered_late_holds_nothing() {
    a_reserve_that_is_delivered_late_holds_nothing(CHAT).await;
}

/// A network may swallow what is sent without a word. Each such connection is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_stuck_leave_room_for_others() {
    for feature in [REMIX, CHAT] {
        let (engine, proxy) = scene(2).await;
        let [one, two] = ["8", "9"].map(|id| engine.paid_by(id));
        let mut first = proxy.script(feature, Fault::Hold);
        // One after the other: those who come together are sent together.
        let then = async {
            first.struck().await;
            let stuck = proxy.script(feature, Fault::Hold);
            two.failure(feature).await;
            stuck
        };
        let (_, second) = tokio::join!(one.failure(feature), then);
        engine.spend(feature).await;
        engine.flush().await;
        assert_eq!(engine.count(feature).await, (2, 0), "{feature}: used and held");
        drop((first, second));
    }
}
