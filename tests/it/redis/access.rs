//! Passwords are used, and never shown.

use std::error::Error;

use tower_quota::Window;
use tower_quota::store::{Change, RedisBooks, RemoteBooks, RemoteChange, Renewal};

use super::{ask, charges, counter, hold, id, read, settlement};
use crate::support::proxy::Proxy;
use crate::support::servers::Redis;

/// As the documentation of [`RedisBooks`] has it.
const COMMANDS: &str = "evalsha eval time hget hmget hset hdel hrandfield zadd zrem zscore zmscore \
                        zrangebyscore pexpire pttl";

const PASSWORD: &str = "correct-horse";

/// An error with all its sources, in all ways to print it.
fn all_of(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    if let Some(source) = error.source() {
        text += &all_of(source);
    }
    text
}

#[tokio::test]
async fn a_password_opens_the_books_and_shows_nowhere() {
    let server = Redis::start_with(&["--requirepass", PASSWORD]);
    let builder = RedisBooks::builder(format!("{}?pass={PASSWORD}", server.url()));
    assert!(!format!("{builder:?} {builder:#?}").contains(PASSWORD));
    let books = builder.connect().await.unwrap();
    assert!(!format!("{books:?} {books:#?}").contains(PASSWORD));
}

#[tokio::test]
async fn a_refused_password_does_not_show_either() {
    let server = Redis::start_with(&["--requirepass", "another"]);
    let urls = [format!("{}?pass={PASSWORD}", server.url())];
    let malformed = [
        format!("redis://:{PASSWORD}@localhost:port"),
        format!("redis://:{PASSWORD}@localhost/one"),
        format!("http://:{PASSWORD}@localhost/"),
        format!("redis//:{PASSWORD}@localhost"),
        format!("rediss://:{PASSWORD}@localhost/#{PASSWORD}"),
        format!("unix:///tmp/nowhere?pass={PASSWORD}&protocol=old"),
    ];
    for url in urls.iter().chain(&malformed) {
        let error = RedisBooks::builder(url).connect().await.unwrap_err();
        assert!(!error.is_transient(), "{error:?}");
        assert_eq!(error.operation(), "connect");
        assert!(!all_of(&error).contains(PASSWORD));
    }
    for url in &malformed {
        let error = RedisBooks::cluster([url]).connect().await.unwrap_err();
        assert!(!all_of(&error).contains(PASSWORD));
        let error = RedisBooks::sentinel([url], url).connect().await.unwrap_err();
        assert!(!all_of(&error).contains(PASSWORD));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_may_be_there_later() {
    let error = RedisBooks::builder("unix:///nonexistent/redis.sock").connect().await.unwrap_err();
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_an_error() {
    let server = Redis::start();
    let proxy = Proxy::start(server.socket().as_path()).await;
    let url = format!("rediss://:{PASSWORD}@{}", proxy.address());
    let error = RedisBooks::builder(url).connect().await.unwrap_err();
    assert_eq!(error.operation(), "connect");
    assert!(!all_of(&error).contains(PASSWORD));
}

#[tokio::test]
async fn the_commands_that_are_documented_are_all_that_is_needed() {
    for (database, more) in [(0, ""), (1, " +select")] {
        let server = Redis::start();
        let allowed = format!("+{}{more}", COMMANDS.replace(' ', " +"));
        let user = format!("ACL SETUSER quota on >{PASSWORD} ~quota:* {allowed}");
        let _: () = ask(&server, &user).await;
        let url = format!("{}?db={database}&user=quota&pass={PASSWORD}", server.url());
        use_all_of(&RedisBooks::builder(url).connect().await.unwrap()).await;
    }
}

async fn use_all_of(books: &RedisBooks) {
    let day = [counter("ada", Window::Day, books.time().await.unwrap())];
    hold(books, 1, &day).await;
    books.renew(&[Renewal { id: id(1), counters: charges(&day, 10) }]).await.unwrap();
    books.settle(&[settlement(1, &day)]).await.unwrap();
    let (counters, change) = (day.to_vec(), Change::Debit(1));
    books.change(&RemoteChange { nonce: 1, sequence: 1, counters, change }).await.unwrap();
    assert_eq!(read(books, &day[0]).await, (2, 0));
}
