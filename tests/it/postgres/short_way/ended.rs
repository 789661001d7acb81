//! Connections that the server ends.

use super::*;
use crate::support::counters::Counted;

/// Ends the other connections to this database of which `also` is true, and says how many there were.
async fn end(scene: &Scene, also: &str) -> i64 {
    let end = format!(
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND {also}"
    );
    let end = sqlx::query_scalar(sqlx::AssertSqlSafe(end));
    end.fetch_one(&mut scene.connect().await).await.unwrap()
}

/// Nobody has noticed.
#[tokio::test]
async fn calls_over_a_connection_that_was_ended_go_another_way() {
    let scene = Scene::new().await;
    let counter = scene.counter("7").await;
    let books = PostgresBooks::builder(&scene.url).timeout(PATIENCE).connections(1);
    let books = books.connect().await.unwrap();
    end(&scene, "TRUE").await;
    let requests = [1, 2, 3].map(|id| scene.ask(id, &counter, Some(3), 1));
    let mut held = join_all(requests.iter().map(|it| granted(&books, it))).await;
    held.sort_unstable();
    assert_eq!(held, [1, 2, 3]);
    assert_eq!(end(&scene, "TRUE").await, 1);
    let settlements = requests.each_ref().map(|it| settlement(it, 1));
    assert_eq!(books.settle(&settlements).await.unwrap(), []);
    let counts = books.counted(&[counter]).await.unwrap();
    assert_eq!((counts[0].used, counts[0].held), (3, 0));
}

/// They are under way.
#[tokio::test]
async fn calls_whose_connection_is_ended_are_done_once() {
    let scene = Scene::new().await;
    let counters = [scene.counter("7").await, scene.counter("8").await];
    let requests =
        [(1, 0), (2, 1)].map(|(id, own): (u64, usize)| scene.ask(id, &counters[own], Some(1), 1));
    let mut holder = scene.connect().await;
    holder.execute("BEGIN; LOCK quota_hold IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let ending = async {
        while end(&scene, "wait_event_type = 'Lock'").await == 0 {}
        holder.execute("ROLLBACK").await.unwrap();
    };
    let held = join_all(requests.iter().map(|it| granted(&scene.books, it)));
    let (held, ()) = tokio::join!(held, ending);
    assert_eq!(held, [1, 1]);
    assert_eq!(scene.wrong_counters().await, 0);
}
