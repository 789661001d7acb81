//! Calls of one counter each, by the server's own clock: many are done in one statement.

mod ended;
mod settling;

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use sqlx::{Connection, Executor, PgConnection};
use tower_quota::store::{
    Held, Lapse, Lease, PostgresBooks, RemoteBooks, RemoteCounter, RemoteReserve, RemoteSettlement,
};
use tower_quota::{Spent, Timestamp, Window};

use crate::support::counters::{Counted, SECOND, ask, counter};
use crate::support::servers::Postgres;

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database with books, and the time there.
struct Scene {
    url: String,
    books: PostgresBooks,
    now: Timestamp,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Lease::default()).await
    }

    async fn with(lease: Lease) -> Self {
        let url = Postgres::shared().database();
        let books = open(&url, lease).await;
        books.migrate().await.unwrap();
        Self { now: books.time().await.unwrap(), url, books }
    }

    /// A counter that is there, without a hold.
    async fn counter(&self, scope: impl AsRef<[u8]>) -> RemoteCounter {
        let counter = counter(scope, Window::Lifetime, self.now);
        let first = self.ask(1_000_000, &counter, None, 1);
        granted(&self.books, &first).await;
        let settled = self.books.settle(&[settlement(&first, 0)]).await.unwrap();
        assert_eq!(settled, []);
        counter
    }

    /// A request that may be executed as long as the test runs.
    fn ask(
        &self,
        sequence: u64,
        counter: &RemoteCounter,
        ceiling: Option<u64>,
        units: u64,
    ) -> RemoteReserve {
        let mut request = ask(sequence, std::slice::from_ref(counter), ceiling, units, self.now);
        request.not_after = self.now.saturating_add(PATIENCE);
        request.patience = 2 * PATIENCE;
        request
    }

    /// Counters that do not say what their holds do.
    async fn wrong_counters(&self) -> i64 {
        let wrong = "SELECT count(*) FROM quota_counter c WHERE held <> (
            SELECT coalesce(sum(units), 0) FROM quota_hold h WHERE h.key = c.key AND NOT lapsed)";
        sqlx::query_scalar(wrong).fetch_one(&mut self.connect().await).await.unwrap()
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}

async fn open(url: &str, lease: Lease) -> PostgresBooks {
    let builder = PostgresBooks::builder(url).lease(lease).timeout(PATIENCE).connections(4);
    builder.connect().await.unwrap()
}

/// Locks the counter until the connection is told something else.
async fn lock(connection: &mut PgConnection, counter: &RemoteCounter) {
    connection.execute("BEGIN").await.unwrap();
    let lock = "SELECT * FROM quota_counter WHERE key = $1 FOR UPDATE";
    sqlx::query(lock).bind(counter.key()).execute(connection).await.unwrap();
}

/// What is held, if it is granted, with what this request holds.
async fn held(books: &PostgresBooks, request: &RemoteReserve) -> Option<u64> {
    match books.reserve(request).await.unwrap().held {
        Held::Granted(counts) => Some(counts[0].held),
        Held::Denied(_) => None,
        Held::Stale => panic!("nobody is late"),
    }
}

async fn granted(books: &PostgresBooks, request: &RemoteReserve) -> u64 {
    held(books, request).await.unwrap()
}

fn settlement(request: &RemoteReserve, spent: u64) -> RemoteSettlement {
    let (id, counters) = (request.id, request.charges.clone());
    RemoteSettlement { id, counters, spent: Spent::Units(spent), after: None }
}

/// Two books stand for two processes. One profile is asked for as often as all others together.
#[tokio::test(flavor = "multi_thread")]
async fn of_each_counter_exactly_the_amount_is_granted() {
    let scene = Scene::new().await;
    let other = open(&scene.url, Lease::default()).await;
    let mut counters = Vec::new();
    for profile in 0..20 {
        counters.push(scene.counter(format!("profile {profile}")).await);
    }
    let hot = scene.counter("hot").await;
    let calls = (0..400).map(|sequence| {
        let own = &counters[sequence / 2 % counters.len()];
        let (name, counter) =
            if sequence % 2 == 0 { ("hot".into(), &hot) } else { (format!("{own:?}"), own) };
        let request = scene.ask(sequence as u64, counter, Some(7), 1);
        let books = if sequence % 3 == 0 { &other } else { &scene.books };
        async move { (name, held(books, &request).await, request) }
    });
    let mut told: HashMap<String, Vec<u64>> = HashMap::new();
    let mut requests = Vec::new();
    for (name, held, request) in join_all(calls).await {
        requests.extend(held.is_some().then_some(request));
        told.entry(name).or_default().extend(held);
    }
    assert_eq!(told.len(), 21);
    for (name, mut held) in told {
        held.sort_unstable();
        assert_eq!(held, [1, 2, 3, 4, 5, 6, 7], "{name}: what each was told");
    }
    assert_eq!(scene.wrong_counters().await, 0);
    let settlements: Vec<_> = requests.iter().map(|request| settlement(request, 1)).collect();
    assert_eq!(scene.books.settle(&settlements).await.unwrap(), []);
    for counter in counters.iter().chain([&hot]) {
        let counts = scene.books.counted(std::slice::from_ref(counter)).await.unwrap();
        assert_eq!((counts[0].used, counts[0].held), (7, 0));
    }
}

/// Each counter is spent from, over and over, while others settle.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_what_the_holds_say_while_others_settle() {
    let scene = Scene::new().await;
    let other = open(&scene.url, Lease::default()).await;
    let mut counters = Vec::new();
    for profile in 0..3 {
        counters.push(scene.counter(format!("profile {profile}")).await);
    }
    let callers = (0..16_u64).map(|caller| {
        let (scene, counters) = (&scene, &counters);
        let books = if caller % 2 == 0 { &other } else { &scene.books };
        async move {
            for turn in 0..20 {
                let counter = &counters[usize::try_from(caller + turn).unwrap() % counters.len()];
                let request = scene.ask(100 * caller + turn, counter, Some(1_000), 2);
                granted(books, &request).await;
                if turn % 4 != 0 {
                    books.settle(&[settlement(&request, 1)]).await.unwrap();
                }
            }
        }
    });
    join_all(callers).await;
    assert_eq!(scene.wrong_counters().await, 0);
    let counts = scene.books.counted(&counters).await.unwrap();
    let sums = counts.iter().fold((0, 0), |sums, count| (sums.0 + count.used, sums.1 + count.held));
    assert_eq!(sums, (16 * 15, 2 * 16 * 5));
}

#[tokio::test]
async fn the_same_id_gives_the_same_grant() {
    let scene = Scene::new().await;
    let (one, two) = (scene.counter("7").await, scene.counter("8").await);
    let request = scene.ask(1, &one, Some(1), 1);
    let others = [scene.ask(2, &two, None, 1), scene.ask(3, &two, None, 1)];
    // At once, in company, and once more.
    let calls = [&request, &others[0], &request, &others[1]];
    let held = join_all(calls.map(|request| granted(&scene.books, request))).await;
    assert_eq!((held[0], held[2]), (1, 1));
    let again = [&others[0], &request];
    let held = join_all(again.map(|request| granted(&scene.books, request))).await;
    assert_eq!(held, [2, 1]);
    let counts = scene.books.counted(&[one, two]).await.unwrap();
    assert_eq!((counts[0].held, counts[1].held), (1, 2));
}

#[tokio::test]
async fn who_fits_is_granted_after_one_who_does_not() {
    let scene = Scene::new().await;
    let counter = scene.counter("7").await;
    let calls = [2, 4, 3].map(|units| scene.ask(units, &counter, Some(5), units));
    let held = join_all(calls.iter().map(|request| held(&scene.books, request))).await;
    assert_eq!(held, [Some(2), None, Some(5)]);
}

/// In company with others, which are not.
#[tokio::test]
async fn who_comes_too_late_or_far_too_early_gets_nothing() {
    let scene = Scene::new().await;
    let counter = scene.counter("7").await;
    let [mut late, mut early, in_time] = [1, 2, 3].map(|id| scene.ask(id, &counter, Some(1), 1));
    late.not_after = Timestamp::from_millis(scene.now.as_millis() - 1);
    early.patience = SECOND;
    let calls = [&late, &early, &in_time].map(|request| scene.books.reserve(request));
    let held = join_all(calls).await.into_iter().map(|verdict| verdict.unwrap().held);
    let held: Vec<_> = held.collect();
    assert_eq!(held[..2], [Held::Stale, Held::Stale]);
    assert!(matches!(&held[2], Held::Granted(counts) if counts[0].held == 1), "{held:?}");
}

/// It comes in time, but has to wait.
#[tokio::test]
async fn who_has_waited_too_long_for_a_lock_gets_nothing() {
    let scene = Scene::new().await;
    let counter = scene.counter("7").await;
    let mut holder = scene.connect().await;
    lock(&mut holder, &counter).await;
    let mut request = scene.ask(1, &counter, None, 1);
    request.not_after = scene.books.time().await.unwrap().saturating_add(SECOND / 4);
    let too_late = async {
        while scene.books.time().await.unwrap() <= request.not_after {}
        holder.execute("ROLLBACK").await.unwrap();
    };
    let (verdict, ()) = tokio::join!(scene.books.reserve(&request), too_late);
    assert_eq!(verdict.unwrap().held, Held::Stale);
    assert_eq!(scene.books.counted(&[counter]).await.unwrap()[0].held, 0);
}

#[tokio::test]
async fn nobody_waits_for_a_lock_that_only_another_one_needs() {
    let scene = Scene::new().await;
    let mut counters = Vec::new();
    for profile in 0..10 {
        counters.push(scene.counter(profile.to_string()).await);
    }
    let mut holder = scene.connect().await;
    lock(&mut holder, &counters[3]).await;
    let requests: Vec<_> =
        (0..).zip(&counters).map(|(id, counter)| scene.ask(id, counter, None, 1)).collect();
    let waiting = granted(&scene.books, &requests[3]);
    tokio::pin!(waiting);
    let others = requests.iter().filter(|request| request.id.sequence != 3);
    let others = join_all(others.map(|request| granted(&scene.books, request)));
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("it is locked"),
        held = others => assert_eq!(held, [1; 9]),
    }
    holder.execute("ROLLBACK").await.unwrap();
    assert_eq!(waiting.await, 1);
}
