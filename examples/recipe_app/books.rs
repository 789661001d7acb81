//! Where the counts are kept.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tower_quota::MemoryStore;
use tower_quota::store::Store;
#[cfg(feature = "remote")]
use tower_quota::store::{ExhaustedCache, Lease, Remote, RemoteBooks, RemoteOptions};

#[cfg(feature = "remote")]
const SWEEP: Duration = Duration::from_secs(60);

type Opened = Result<Arc<dyn Store>, Box<dyn Error>>;

/// Opens the books that `place` names, with holds that live for `lease` unless they are renewed.
/// An error does not repeat `place`, which may hold a password.
#[cfg_attr(
    not(feature = "remote"),
    expect(unused_variables, clippy::unused_async, reason = "books in memory need neither")
)]
pub(crate) async fn open(place: &str, lease: Option<Duration>) -> Opened {
    match place.split_once(':') {
        None if place == "memory" => Ok(Arc::new(MemoryStore::new())),
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => sqlite(path, lease).await,
        #[cfg(feature = "postgres")]
        Some(("postgres" | "postgresql", _)) => postgres(place, lease).await,
        #[cfg(feature = "redis")]
        Some(("redis" | "rediss" | "redis+unix", _)) => redis(place, lease).await,
        other => Err(no_such_books(other.map_or(place, |(scheme, _)| scheme)).into()),
    }
}

fn no_such_books(scheme: &str) -> String {
    let feature = match scheme {
        "sqlite" => "sqlite",
        "postgres" | "postgresql" => "postgres",
        "redis" | "rediss" | "redis+unix" => "redis",
        _ => return "it is none of memory, sqlite:PATH, postgres://… and redis://…".to_owned(),
    };
    format!("this was built without the feature of such books: add `--features {feature}`")
}

#[cfg(feature = "sqlite")]
async fn sqlite(path: &str, lease: Option<Duration>) -> Opened {
    use tower_quota::store::SqliteBooks;

    let books = SqliteBooks::builder(path).lease(lease_of(lease)).connect().await?;
    books.migrate().await?;
    // As long as SQLite waits for its file, and a little longer.
    Ok(remote(books, Duration::from_secs(6)))
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str, lease: Option<Duration>) -> Opened {
    use tower_quota::store::PostgresBooks;

    let books = PostgresBooks::builder(url).lease(lease_of(lease)).connect().await?;
    books.migrate().await?;
    Ok(remote(books, Duration::from_secs(1)))
}

#[cfg(feature = "redis")]
async fn redis(url: &str, lease: Option<Duration>) -> Opened {
    use tower_quota::store::RedisBooks;

    let books = RedisBooks::builder(url).lease(lease_of(lease)).connect().await?;
    for warning in books.warnings() {
        eprintln!("recipe_app: {warning}");
    }
    Ok(remote(books, Duration::from_millis(500)))
}

/// The books, shared by the processes that keep them. Those who have used up a limit cost them
/// nothing for a second. A call takes at most `timeout`, and never so long that a renewal which
/// hangs could not be tried again.
#[cfg(feature = "remote")]
fn remote(books: impl RemoteBooks, timeout: Duration) -> Arc<dyn Store> {
    let timeout = timeout.min(books.lease().length / 4);
    let options = RemoteOptions::new().timeout(timeout).sweep_every(SWEEP);
    Arc::new(ExhaustedCache::new(Remote::new(books, options)))
}

#[cfg(feature = "remote")]
fn lease_of(length: Option<Duration>) -> Lease {
    let lease = Lease::default();
    Lease { length: length.unwrap_or(lease.length), ..lease }
}
