//! Changes that operators make happen once, although they may be sent twice.

use futures::future::join_all;

use super::{Scene, reason, secs, store_error};
use crate::support::payer;
use crate::support::remote_books::{Fault, Verb};

impl Scene {
    async fn debit(&self, units: u64) -> Result<(), tower_quota::StoreError> {
        self.quotas.debit(&payer(), "remix", units).await.map_err(store_error)
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_is_lost_is_sent_again_and_happens_once() {
    let scene = Scene::new(5);
    scene.wire.next(Verb::Change, Fault::Unanswered);
    scene.wire.next(Verb::Change, Fault::Lost);
    scene.debit(3).await.unwrap();
    assert_eq!(scene.wire.calls(Verb::Change), 3);
    scene.assert_books(3, 0);
}

#[tokio::test(start_paused = true)]
async fn changes_that_follow_each_other_all_happen() {
    let scene = Scene::new(5);
    scene.debit(3).await.unwrap();
    scene.debit(3).await.unwrap();
    scene.quotas.credit(&payer(), "remix", 1).await.unwrap();
    scene.quotas.record(&payer(), "remix", 2).await.unwrap();
    scene.assert_books(7, 0);
    scene.quotas.reset(&payer(), "remix").await.unwrap();
    scene.assert_books(0, 0);
}

#[tokio::test(start_paused = true)]
async fn changes_at_the_same_time_all_happen() {
    let scene = Scene::new(5);
    for _ in 0..10 {
        scene.wire.next(Verb::Change, Fault::Unanswered);
        let changes = join_all((0..3).map(|_| scene.debit(1))).await;
        changes.into_iter().for_each(Result::unwrap);
    }
    scene.assert_books(30, 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_keeps_failing_is_an_error_in_bounded_time() {
    for fault in [Fault::Lost, Fault::Hangs] {
        let scene = Scene::new(5);
        scene.wire.cut(fault);
        let before = tokio::time::Instant::now();
        let errors = join_all((0..10).map(|_| scene.debit(1))).await;
        assert!(before.elapsed() <= secs(3));
        for error in errors {
            let error = error.unwrap_err();
            assert!(error.is_transient(), "{}", reason(&error));
        }
        assert!(scene.wire.calls(Verb::Change) <= 30);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_will_not_pass_is_not_sent_again() {
    for fault in [Fault::Refused, Fault::Skewed] {
        let scene = Scene::new(5);
        scene.wire.next(Verb::Change, fault);
        scene.debit(1).await.unwrap_err();
        assert_eq!(scene.wire.calls(Verb::Change), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_given_up_does_not_take_the_next_one_s_number() {
    let scene = Scene::new(50);
    scene.wire.next(Verb::Change, Fault::Unanswered);
    let given_up = tokio::time::timeout(super::millis(10), scene.debit(1)).await;
    assert!(given_up.is_err());
    scene.debit(20).await.unwrap();
    scene.assert_books(21, 0);
}
