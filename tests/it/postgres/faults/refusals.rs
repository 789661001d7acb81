//! A server that refuses: what others do at the same time, connections, and room.

use futures::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection};
use tower_quota::SystemClock;
use tower_quota::store::PostgresBooks;

use super::{TIMEOUT, engine, prepare};
use crate::support::engine::{CHAT, Engine, REMIX, reason};
use crate::support::servers::Postgres;

/// Another program's session in the same database.
struct Session(PgConnection);

impl Session {
    async fn new(url: &str) -> Self {
        Self(PgConnection::connect(url).await.unwrap())
    }

    async fn execute(&mut self, sql: &'static str) {
        self.0.execute(sql).await.unwrap();
    }

    /// Waits until so many sessions wait for a lock in this database.
    async fn until_others_wait(&mut self, sessions: i64) {
        // Not in `pg_stat_activity`, which does not change within a transaction.
        let waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid IN (
                SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
                WHERE datname = current_database()
            )";
        let count = || sqlx::query_scalar::<_, i64>(waiting);
        while count().fetch_one(&mut self.0).await.unwrap() < sessions {}
    }

    async fn commit_when_others_wait(&mut self) {
        self.until_others_wait(1).await;
        self.execute("COMMIT").await;
    }
}

/// Two counters, in the order in which books lock them.
const FIRST: &str = "SELECT FROM quota_counter ORDER BY key LIMIT 1 FOR UPDATE";
const SECOND: &str = "SELECT FROM quota_counter ORDER BY key DESC LIMIT 1 FOR UPDATE";

/// An engine that grants 5 units and has spent one of [`CHAT`]; nothing else is in the books.
async fn scene(server: &Postgres) -> (String, Engine) {
    let url = server.database();
    prepare(&url).await;
    let engine = engine(&url, 5).await;
    engine.spend(CHAT).await;
    (url, engine)
}

/// Makes `work` the victim of a deadlock: another session has locked the counters in the wrong
/// order.
async fn in_a_deadlock<T>(url: &str, work: impl Future<Output = T>) -> T {
    let (mut first, mut second) = (Session::new(url).await, Session::new(url).await);
    let mut watch = Session::new(url).await;
    // It waits as long as it takes for the other to be the victim.
    second.execute("SET deadlock_timeout = '1h'").await;
    first.execute("BEGIN").await;
    first.execute(FIRST).await;
    second.execute("BEGIN").await;
    second.execute(SECOND).await;
    let deadlock = async {
        watch.until_others_wait(1).await;
        tokio::join!(second.execute(FIRST), async {
            watch.until_others_wait(2).await;
            first.execute("ROLLBACK").await;
        });
        second.execute("ROLLBACK").await;
        // Whoever works may have more to do.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = work => answer,
        () = deadlock => unreachable!(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_takes_nothing_and_loses_nothing() {
    let server = Postgres::start_with(&["deadlock_timeout=100ms"]);
    let (url, engine) = scene(&server).await;
    let error = in_a_deadlock(&url, engine.failure(CHAT)).await;
    assert!(error.is_transient(), "{error:?}");
    assert!(reason(&error).contains("deadlock detected"), "{error:?}");
    engine.flush().await;
    assert_eq!(engine.count(CHAT).await, (1, 0), "used and held");
    // A settlement is written all the same.
    let open = engine.grant(CHAT).await;
    in_a_deadlock(&url, async {
        open.commit();
        engine.flush().await;
    })
    .await;
    assert_eq!(engine.count(CHAT).await, (2, 0), "used and held");
}

/// In a pool of the caller's own, whose sessions do not read what others have committed since.
#[tokio::test(flavor = "multi_thread")]
async fn a_serialization_failure_takes_nothing_and_loses_nothing() {
    let url = Postgres::shared().database();
    prepare(&url).await;
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.options([("default_transaction_isolation", "serializable")]);
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    let books = PostgresBooks::from_pool(pool).timeout(TIMEOUT).connect().await.unwrap();
    let engine = Engine::new(books, TIMEOUT, 5, SystemClock);
    let mut other = Session::new(&url).await;
    for feature in [REMIX, CHAT] {
        engine.spend(feature).await;
        let open = engine.grant(feature).await;
        other.execute("BEGIN; UPDATE quota_counter SET used = used").await;
        let (reserved, ()) = tokio::join!(engine.grant(feature), async {
            other.commit_when_others_wait().await;
        });
        reserved.commit();
        other.execute("BEGIN; UPDATE quota_counter SET used = used").await;
        open.commit();
        other.commit_when_others_wait().await;
        engine.flush().await;
        assert_eq!(engine.count(feature).await, (3, 0), "{feature}: used and held");
        assert_eq!(engine.spend_the_rest(feature).await, 2);
    }
}

/// An engine has lost its connections, and others have taken all that there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_too_many_connections_loses_nothing() {
    const HANG_UP: &str = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let server = Postgres::start_with(&["max_connections=10", "superuser_reserved_connections=0"]);
    prepare(&server.url()).await;
    let engine = engine(&server.url(), 5).await;
    for feature in [REMIX, CHAT] {
        engine.spend(feature).await;
    }
    let open = [engine.grant(REMIX).await, engine.grant(CHAT).await];
    let mut first = Session::new(&server.url()).await;
    first.execute(HANG_UP).await;
    let mut others = vec![first.0];
    let full = loop {
        match PgConnection::connect(&server.url()).await {
            Ok(connection) => others.push(connection),
            Err(error) => break error,
        }
    };
    assert!(full.to_string().contains("too many"), "{full}");
    for failure in join_all([REMIX, CHAT].map(|feature| engine.failure(feature))).await {
        assert!(failure.is_transient(), "{failure:?}");
    }
    for reservation in open {
        reservation.commit();
    }
    drop(others);
    engine.flush().await;
    for feature in [REMIX, CHAT] {
        assert_eq!(engine.count(feature).await, (2, 0), "{feature}: used and held");
        assert_eq!(engine.spend_the_rest(feature).await, 3);
    }
}

/// A trigger stands in for a disk: it refuses every write as a full one does.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_nothing_and_loses_nothing() {
    const FILL: &str = "
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
        END $$;
        CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE OR DELETE ON quota_counter
            EXECUTE FUNCTION full_disk();
        CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE OR DELETE ON quota_hold
            EXECUTE FUNCTION full_disk();";
    // Settlements go on meanwhile: the tables are locked in the order in which those need them.
    const CLEAR: &str = "
        BEGIN;
        LOCK TABLE quota_counter, quota_hold;
        DROP FUNCTION full_disk CASCADE;
        COMMIT;";
    let (url, engine) = scene(Postgres::shared()).await;
    let mut other = Session::new(&url).await;
    engine.spend(REMIX).await;
    let open = [engine.grant(REMIX).await, engine.grant(CHAT).await];
    other.execute(FILL).await;
    for feature in [REMIX, CHAT] {
        let error = engine.failure(feature).await;
        assert_eq!(error.operation(), "reserve");
        assert!(!error.is_transient(), "{error:?}");
        assert!(reason(&error).contains("No space left on device"), "{error:?}");
        assert_eq!(engine.count(feature).await, (1, 1), "used and held");
    }
    for reservation in open {
        reservation.commit();
    }
    assert_eq!(engine.count(REMIX).await, (1, 1), "used and held");
    other.execute(CLEAR).await;
    engine.flush().await;
    for feature in [REMIX, CHAT] {
        assert_eq!(engine.count(feature).await, (2, 0), "used and held");
        assert_eq!(engine.spend_the_rest(feature).await, 3);
    }
}
