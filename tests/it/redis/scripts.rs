//! Scripts are sent once, and again to a server that has forgotten them.

use redis::InfoDict;
use tower_quota::Window;
use tower_quota::store::{Held, RemoteBooks};

use super::{ask, books, counter, hold, now, read, settlement};
use crate::support::servers::Redis;

/// How often a command was executed.
pub(super) async fn calls(server: &Redis, command: &str) -> u64 {
    let info: InfoDict = ask(server, "INFO commandstats").await;
    let stats: Option<String> = info.get(&format!("cmdstat_{command}"));
    stats.map_or(0, |stats| {
        let calls = stats.split(',').find_map(|part| part.strip_prefix("calls=")).unwrap();
        calls.parse().unwrap()
    })
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_is_sent_them_again_and_only_then() {
    let (server, books, clock) = books().await;
    let day = [counter("ada", Window::Day, now(&clock))];
    hold(&books, 1, &day).await;
    hold(&books, 2, &day).await;
    let before = calls(&server, "eval").await;

    server.command(&["SCRIPT", "FLUSH"]);
    for sequence in 3..6 {
        assert!(matches!(hold(&books, sequence, &day).await, Held::Granted(_)));
    }
    assert_eq!(calls(&server, "eval").await, before + 1);
    books.settle(&[settlement(1, &day)]).await.unwrap();
    assert_eq!(read(&books, &day[0]).await, (1, 4));
}
