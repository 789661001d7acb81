//! How the work in the background ends.

use tokio::runtime::{Builder, Runtime};

use super::{Scene, pass, reason, secs};
use crate::support::remote_books::{Fault, Verb};

/// How many hold on to the wire when nobody but the test does.
const TEST_ALONE: usize = 1;

#[tokio::test(start_paused = true)]
async fn shutting_down_writes_what_is_there_and_ends_the_work() {
    let scene = Scene::new(5);
    let late = scene.reserve(1).await;
    scene.reserve(2).await.commit();
    scene.quotas.shutdown().await.unwrap();
    scene.assert_books(2, 1);
    // Its guard is harmless afterwards, and its units come back with the lease.
    late.commit();
    let error = scene.quotas.flush().await.unwrap_err();
    assert_eq!(reason(&error), "0 settlements are not written, and 1 were lost");
    let error = scene.failure().await;
    assert!(!error.is_transient(), "{error:?}");
    pass(secs(61)).await;
    scene.assert_books(2, 0);
    let Scene { quotas, store, wire, .. } = scene;
    assert!(wire.users() > TEST_ALONE);
    drop((quotas, store));
    assert_eq!(wire.users(), TEST_ALONE);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_says_what_could_not_be_written() {
    let scene = Scene::new(5);
    let open = scene.reserve(1).await;
    scene.wire.cut(Fault::Hangs);
    open.commit();
    let before = tokio::time::Instant::now();
    let error = scene.quotas.shutdown().await.unwrap_err();
    assert_eq!(before.elapsed(), secs(5));
    assert_eq!(reason(&error), "1 settlements are not written, and 0 were lost");
    let calls = scene.wire.calls(Verb::Settle);
    pass(secs(60)).await;
    assert_eq!(scene.wire.calls(Verb::Settle), calls);
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_while_it_shuts_down_is_written_too() {
    let scene = Scene::new(5);
    let (early, late) = (scene.reserve(1).await, scene.reserve(2).await);
    scene.wire.next(Verb::Settle, Fault::Lost);
    scene.wire.next(Verb::Settle, Fault::Lost);
    early.commit();
    let quotas = scene.quotas.clone();
    let shutting_down = tokio::spawn(async move { quotas.shutdown().await });
    pass(super::millis(1)).await;
    late.commit();
    shutting_down.await.unwrap().unwrap();
    scene.assert_books(3, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_too_late_to_be_written_is_told() {
    let scene = Scene::new(5);
    let (early, late) = (scene.reserve(1).await, scene.reserve(2).await);
    scene.wire.next(Verb::Settle, Fault::Lost);
    early.commit();
    let quotas = scene.quotas.clone();
    let shutting_down = tokio::spawn(async move { quotas.shutdown().await });
    pass(super::millis(1)).await;
    (0..100).for_each(|_| scene.wire.next(Verb::Settle, Fault::Lost));
    late.commit();
    shutting_down.await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn the_work_goes_on_while_a_hold_is_open_and_ends_with_the_last() {
    let scene = Scene::new(5);
    let open = scene.reserve(1).await;
    let Scene { quotas, store, wire, .. } = scene;
    drop((quotas, store));
    pass(secs(300)).await;
    assert_eq!(wire.used_and_held(), (0, 1));
    wire.next(Verb::Settle, Fault::Lost);
    open.commit();
    assert!(wire.users() > TEST_ALONE);
    pass(secs(1)).await;
    assert_eq!(wire.used_and_held(), (1, 0));
    assert_eq!(wire.users(), TEST_ALONE);
}

#[tokio::test(start_paused = true)]
async fn the_work_ends_also_where_the_books_never_come_back() {
    let scene = Scene::new(5);
    let open = scene.reserve(1).await;
    let Scene { quotas, store, wire, .. } = scene;
    wire.cut(Fault::Hangs);
    drop((quotas, store));
    open.commit();
    pass(secs(60)).await;
    assert!(wire.users() > TEST_ALONE);
    pass(secs(17 * 60)).await;
    assert_eq!(wire.users(), TEST_ALONE);
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn a_guard_that_is_dropped_outside_of_the_runtime_settles_when_the_runtime_runs() {
    let runtime = runtime();
    let (scene, open) = runtime.block_on(async {
        let scene = Scene::new(5);
        let open = scene.reserve(1).await;
        (scene, open)
    });
    std::thread::spawn(|| drop(open)).join().unwrap();
    scene.assert_books(0, 1);
    runtime.block_on(scene.flush());
    scene.assert_books(0, 0);
}

#[test]
fn a_guard_that_outlives_its_runtime_is_harmless() {
    let runtime = runtime();
    let (scene, open) = runtime.block_on(async {
        let scene = Scene::new(5);
        let open = (scene.reserve(1).await, scene.reserve(1).await);
        (scene, open)
    });
    let pending = scene.decide(1);
    drop(runtime);
    open.0.commit();
    drop(open.1);
    let runtime = self::runtime();
    runtime.block_on(async {
        let error = pending.await.unwrap_err();
        assert!(!error.is_transient(), "{error:?}");
        let error = scene.quotas.flush().await.unwrap_err();
        assert_eq!(reason(&error), "0 settlements are not written, and 2 were lost");
    });
}

#[test]
fn a_runtime_that_ends_with_settlements_under_way_loses_only_those() {
    let runtime = runtime();
    let scene = runtime.block_on(async {
        let scene = Scene::new(5);
        let open = scene.reserve(1).await;
        scene.wire.cut(Fault::Hangs);
        open.commit();
        tokio::task::yield_now().await;
        scene
    });
    drop(runtime);
    scene.wire.mend();
    let error = self::runtime().block_on(scene.quotas.flush().into_future()).unwrap_err();
    assert_eq!(reason(&error), "0 settlements are not written, and 1 were lost");
}
