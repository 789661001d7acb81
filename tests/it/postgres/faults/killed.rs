//! A server that is killed, with all of its processes, and one that is stopped.

use tokio::sync::watch;
use tower_quota::Decision;

use super::{engine, prepare};
use crate::support::engine::{CHAT, Engine, REMIX, reason};
use crate::support::servers::Postgres;

/// What is written when a process is killed is written whatever the settings say; with these the
/// server writes as one in production does.
const DURABLE: [&str; 2] = ["fsync=on", "full_page_writes=on"];

/// How many requests were granted, and how many failed.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    granted: u64,
    failed: u64,
}

/// Spends until it is denied, whatever happens to the server meanwhile.
async fn spend(engine: Engine, feature: &str, tally: watch::Sender<Tally>) {
    loop {
        match engine.decide(feature).await {
            Ok(Decision::Granted(reservation)) => {
                tally.send_modify(|tally| tally.granted += 1);
                reservation.commit();
            }
            Ok(Decision::Denied(_)) => return,
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                tally.send_modify(|tally| tally.failed += 1);
                // What failed is given back when the server is there again.
                engine.flush().await;
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Kills a server under the load of two processes, and starts it again.
async fn nothing_is_lost_by_a_server_that_is_killed(feature: &'static str) {
    const AMOUNT: u64 = 300;
    let mut server = Postgres::start_with(&DURABLE);
    prepare(&server.url()).await;
    let engines = [engine(&server.url(), AMOUNT).await, engine(&server.url(), AMOUNT).await];
    let (tally, mut told) = watch::channel(Tally::default());
    let spending = engines
        .iter()
        .cycle()
        .take(8)
        .map(|engine| tokio::spawn(spend(engine.clone(), feature, tally.clone())));
    let spending: Vec<_> = spending.collect();
    told.wait_for(|tally| tally.granted >= AMOUNT / 3).await.unwrap();
    server.kill();
    told.wait_for(|tally| tally.failed > 0).await.unwrap();
    let until_then = told.borrow().granted;
    assert!(until_then < AMOUNT, "it was killed when all was over");
    server.restart();
    for spending in spending {
        spending.await.unwrap();
    }
    // Requests whose answer was lost may have been denied to others: now they are given back.
    for engine in &engines {
        engine.flush().await;
    }
    let rest = engines[0].spend_the_rest(feature).await;
    assert_eq!(told.borrow().granted + rest, AMOUNT);
    assert_eq!(engines[1].count(feature).await, (AMOUNT, 0), "used and held");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_of_one_limit_is_lost() {
    nothing_is_lost_by_a_server_that_is_killed(REMIX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_of_several_limits_is_lost() {
    nothing_is_lost_by_a_server_that_is_killed(CHAT).await;
}

/// It neither answers nor hangs up, and does what it was asked for when it goes on.
async fn a_server_that_is_stopped_costs_a_time_out_now_and_then(feature: &str) {
    let server = Postgres::start();
    prepare(&server.url()).await;
    let engine = engine(&server.url(), 10).await;
    engine.spend(feature).await;
    let (open, other) = (engine.grant(feature).await, engine.grant(feature).await);
    server.pause();
    open.commit();
    other.release();
    // More than it takes to open the circuit; they wait together.
    let failures = (0..6).map(|_| engine.failure(feature));
    for failure in futures::future::join_all(failures).await {
        assert!(failure.is_transient(), "{failure:?}");
    }
    let error = engine.failure(feature).await;
    assert!(reason(&error).contains("the circuit is open"), "{error:?}");
    server.resume();
    engine.flush().await;
    assert_eq!(engine.count(feature).await, (2, 0), "used and held");
    assert_eq!(engine.spend_the_rest(feature).await, 8);
    assert_eq!(engine.count(feature).await, (10, 0), "used and held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_holds_nothing_of_one_limit_when_it_goes_on() {
    a_server_that_is_stopped_costs_a_time_out_now_and_then(REMIX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_holds_nothing_of_several_limits_when_it_goes_on() {
    a_server_that_is_stopped_costs_a_time_out_now_and_then(CHAT).await;
}
