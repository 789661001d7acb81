//! Settling, by the server's clock.

use super::*;
use crate::postgres::entries_read;
use crate::support::counters::Counted;

/// Alone, with others, again, and with one that was never held.
#[tokio::test]
async fn what_is_settled_is_settled_once() {
    let scene = Scene::new().await;
    let counters = [scene.counter("7").await, scene.counter("8").await];
    let [one, two, three] =
        [(1, 0), (2, 0), (3, 1)].map(|(id, own)| scene.ask(id, &counters[own], None, 5));
    let never = scene.ask(4, &counters[1], None, 5);
    for request in [&one, &two, &three] {
        granted(&scene.books, request).await;
    }
    let all = |requests: &[&RemoteReserve]| {
        requests.iter().map(|request| settlement(request, 3)).collect::<Vec<_>>()
    };
    let mut counted = Vec::new();
    for batch in [all(&[&one]), all(&[&one, &two, &never]), all(&[&two, &three, &three])] {
        scene.books.settle(&batch).await.unwrap();
        let counts = scene.books.counted(&counters).await.unwrap();
        counted.push([0, 1].map(|own: usize| (counts[own].used, counts[own].held)));
    }
    assert_eq!(counted, [[(3, 5), (0, 5)], [(6, 0), (0, 5)], [(6, 0), (3, 0)]]);
    assert_eq!(scene.wrong_counters().await, 0);
}

/// By what was presumed of it, and what is held beside it.
#[tokio::test]
async fn what_is_settled_late_is_corrected() {
    let lease = Lease { length: Duration::from_millis(1), ..Lease::default() };
    let scene = Scene::with(lease).await;
    let counter = scene.counter("7").await;
    let [back, mut charged] = [1, 2].map(|id| scene.ask(id, &counter, None, 5));
    charged.lapse = Lapse::Charge;
    for request in [&back, &charged] {
        granted(&scene.books, request).await;
    }
    let held_at = scene.books.time().await.unwrap();
    while scene.books.time().await.unwrap() <= held_at.saturating_add(lease.length) {}
    scene.books.settle(&[settlement(&back, 3)]).await.unwrap();
    let after_one = scene.books.counted(std::slice::from_ref(&counter)).await.unwrap()[0];
    scene.books.settle(&[settlement(&back, 3), settlement(&charged, 2)]).await.unwrap();
    let after_both = scene.books.counted(&[counter]).await.unwrap()[0];
    assert_eq!((after_one.used, after_one.held), (8, 0));
    assert_eq!((after_both.used, after_both.held), (5, 0));
}

#[tokio::test]
async fn what_has_lapsed_comes_back() {
    let lease = Lease { length: Duration::from_millis(1), ..Lease::default() };
    let scene = Scene::with(lease).await;
    let counters = [scene.counter("7").await, scene.counter("8").await];
    for (id, counter) in (1..).zip(&counters) {
        granted(&scene.books, &scene.ask(id, counter, Some(1), 1)).await;
    }
    let held_at = scene.books.time().await.unwrap();
    while scene.books.time().await.unwrap() <= held_at.saturating_add(lease.length) {}
    let requests =
        [(3, 0), (4, 1)].map(|(id, own): (u64, usize)| scene.ask(id, &counters[own], Some(1), 1));
    let held = join_all(requests.iter().map(|request| granted(&scene.books, request))).await;
    assert_eq!(held, [1, 1]);
}

/// Also where the server believes that there are no holds, as it does when it has looked at the table
/// between two requests.
#[tokio::test]
async fn a_settlement_reads_no_holds_but_its_own() {
    let scene = Scene::new().await;
    let counter = scene.counter("7").await;
    let mut observer = scene.connect().await;
    observer.execute("VACUUM ANALYZE quota_hold").await.unwrap();
    let requests: Vec<_> = (0..200).map(|id| scene.ask(id, &counter, None, 1)).collect();
    join_all(requests.iter().map(|request| granted(&scene.books, request))).await;
    for request in &requests[..20] {
        scene.books.settle(&[settlement(request, 1)]).await.unwrap();
    }
    drop(scene);
    let read = entries_read(&mut observer).await;
    assert!((20..40).contains(&read), "{read} were read");
}
