//! Books that are away cost a time-out now and then, not one a request.

use tower_quota::store::RemoteOptions;

use super::{Scene, pass, reason, secs, store_error};
use crate::support::payer;
use crate::support::remote_books::{Fault, Verb};

impl Scene {
    /// Lets the circuit open. The releases of requests that failed fail too, so five may be more
    /// than it takes.
    async fn lose_the_books(&self) {
        self.wire.cut(Fault::Hangs);
        for _ in 0..5 {
            self.failure().await;
        }
    }

    /// How reading ends. It leaves nothing to settle.
    async fn read(&self) -> String {
        let usage = self.quotas.usage(&payer()).await.map_err(store_error);
        usage.map_or_else(|error| reason(&error), |_| String::from("read"))
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_costs_neither_a_call_nor_time() {
    let scene = Scene::new(5);
    scene.lose_the_books().await;
    let reserves = scene.wire.calls(Verb::Reserve);
    assert!(reserves <= 5, "{reserves}");
    let before = tokio::time::Instant::now();
    for _ in 0..1_000 {
        let error = scene.failure().await;
        assert!(error.is_transient());
        assert!(reason(&error).starts_with("the circuit is open"), "{error:?}");
    }
    scene.quotas.usage(&payer()).await.unwrap_err();
    scene.quotas.debit(&payer(), "remix", 1).await.unwrap_err();
    assert_eq!(before.elapsed(), secs(0));
    assert_eq!(scene.wire.calls(Verb::Reserve), reserves);
    assert_eq!((scene.wire.calls(Verb::Read), scene.wire.calls(Verb::Change)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_background_looks_for_the_books_and_closes_the_circuit() {
    let scene = Scene::new(5);
    let open = scene.reserve(1).await;
    scene.lose_the_books().await;
    open.commit();
    let reserves = scene.wire.calls(Verb::Reserve);
    // Now it is refused at once, so that only the pauses tell how often it is asked.
    scene.wire.cut(Fault::Lost);
    let probes = scene.wire.calls(Verb::Time);
    pass(secs(30)).await;
    assert_eq!(scene.wire.calls(Verb::Reserve), reserves);
    let probes = scene.wire.calls(Verb::Time) - probes;
    assert!((30..=70).contains(&probes), "{probes}");
    scene.wire.mend();
    pass(secs(2)).await;
    scene.reserve(1).await.commit();
    scene.flush().await;
    scene.assert_books(2, 0);
}

#[tokio::test(start_paused = true)]
async fn a_blip_is_over_soon() {
    let scene = Scene::new(5);
    scene.wire.cut(Fault::Lost);
    for _ in 0..5 {
        scene.failure().await;
    }
    scene.wire.mend();
    assert!(reason(&scene.failure().await).starts_with("the circuit is open"));
    pass(super::millis(50)).await;
    drop(scene.reserve(1).await);
}

#[tokio::test(start_paused = true)]
async fn a_closed_circuit_opens_again_at_the_first_failure_until_a_call_succeeds() {
    let scene = Scene::new(5);
    scene.wire.cut(Fault::Hangs);
    for _ in 0..5 {
        assert_eq!(scene.read().await, "no answer within 1s");
    }
    assert!(scene.read().await.starts_with("the circuit is open"));
    scene.wire.mend();
    pass(secs(2)).await;
    scene.wire.next(Verb::Read, Fault::Hangs);
    assert_eq!(scene.read().await, "no answer within 1s");
    assert!(scene.read().await.starts_with("the circuit is open"));
    pass(secs(2)).await;
    assert_eq!(scene.read().await, "read");
    scene.wire.next(Verb::Read, Fault::Hangs);
    assert_eq!(scene.read().await, "no answer within 1s");
    assert_eq!(scene.read().await, "read");
}

#[tokio::test(start_paused = true)]
async fn books_that_answer_are_not_away() {
    for fault in [Fault::Refused, Fault::Skewed] {
        let scene = Scene::new(1);
        let _open = scene.reserve(1).await;
        for _ in 0..20 {
            scene.denied(1).await;
            scene.wire.next(Verb::Reserve, fault);
            scene.failure().await;
            scene.wire.next(Verb::Reserve, Fault::Lost);
            scene.failure().await;
        }
        for _ in 0..20 {
            scene.wire.next(Verb::Reserve, fault);
            let reason = reason(&scene.failure().await);
            assert!(!reason.starts_with("the circuit"), "{reason}");
        }
        scene.denied(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_circuit_is_open_settlements_wait_too() {
    let scene = Scene::new(5);
    let open = scene.reserve(1).await;
    scene.lose_the_books().await;
    open.commit();
    pass(secs(2)).await;
    let settles = scene.wire.calls(Verb::Settle);
    pass(secs(60)).await;
    assert_eq!(scene.wire.calls(Verb::Settle), settles);
    scene.wire.mend();
    pass(secs(2)).await;
    scene.assert_books(1, 0);
}

/// They go to many counters together, and one of those may be out of reach.
#[tokio::test(start_paused = true)]
async fn settlements_and_renewals_that_fail_turn_nobody_away() {
    let scene = Scene::new(1_000);
    for verb in [Verb::Settle, Verb::Renew] {
        (0..1_000).for_each(|_| scene.wire.next(verb, Fault::Lost));
    }
    let mut kept = vec![scene.reserve(1).await];
    for round in 0..300 {
        pass(secs(1)).await;
        kept.push(scene.reserve(1).await);
        if round % 3 == 0 {
            scene.reserve(1).await.commit();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_were_not_made_leave_nothing_to_settle() {
    let scene = Scene::with(5, RemoteOptions::new().queue(10));
    scene.lose_the_books().await;
    for _ in 0..1_000 {
        scene.failure().await;
    }
    scene.wire.mend();
    // More than the queue holds would have been lost.
    scene.flush().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_does_not_wait_behind_another_for_books_that_are_away() {
    let scene = Scene::new(5);
    scene.wire.cut(Fault::Hangs);
    let payer = payer();
    tokio::spawn(scene.quotas.debit(&payer, "remix", 1).into_future());
    tokio::task::yield_now().await;
    assert_eq!(scene.wire.calls(Verb::Change), 1);
    scene.wire.cut(Fault::Lost);
    for _ in 0..5 {
        assert_eq!(scene.read().await, "the wire is cut");
    }
    let before = tokio::time::Instant::now();
    scene.quotas.debit(&payer, "remix", 1).await.unwrap_err();
    assert_eq!(before.elapsed(), secs(0));
}
