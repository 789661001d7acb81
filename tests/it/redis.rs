//! What only Redis has: keys that expire, scripts that a server forgets, memory that runs out. It
//! needs the program `redis-server`.

mod access;
mod connection;
mod contract;
mod episodes;
mod expiry;
mod faults;
mod keys;
mod memory;
mod model;
mod purge;
mod scripts;
mod sentinel;
mod slots;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_quota::store::{
    Answer, Change, Counter, Held, HoldId, Lapse, RedisBooks, RemoteBooks, RemoteCharge,
    RemoteCounter, RemoteReserve, RemoteSettlement, Reserve, Store, Verdict,
};
use tower_quota::{
    Clock, Count, Limit, LimitKey, ManualClock, Plan, Profile, ProfileId, Quotas, Spent,
    StoreError, Timestamp, Window,
};

use crate::support::noon;
use crate::support::servers::Redis;

const PATIENCE: Duration = Duration::from_secs(10);

/// A store that only remembers which limit it was asked for.
#[derive(Debug, Default)]
struct Recorder(Mutex<Option<Arc<LimitKey>>>);

impl Store for Recorder {
    fn reserve(&self, _: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        unimplemented!()
    }

    fn read(
        &self,
        _: &ProfileId,
        counters: &[Counter<'_>],
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        *self.0.lock().unwrap() = Some(counters[0].limit.clone());
        Answer::Ready(Ok(counters.iter().map(|of| Count::unused(of.window)).collect()))
    }

    fn change(
        &self,
        _: &ProfileId,
        _: &[Counter<'_>],
        _: Change,
        _: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        unimplemented!()
    }
}

/// Executes a command, and gives its answer.
async fn ask<T: redis::FromRedisValue>(server: &Redis, command: &str) -> T {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut words = redis::Cmd::new();
    for word in command.split(' ') {
        words.arg(word);
    }
    words.query_async(&mut connection).await.unwrap()
}

/// The key of a limit with this window.
async fn limit_key(window: Window) -> Arc<LimitKey> {
    let store = Arc::new(Recorder::default());
    let plan = Plan::new("free").feature("chat", [Limit::new(1, window)]);
    let quotas = Quotas::builder().plan(plan).store(store.clone()).build().unwrap();
    quotas.check(&Profile::new("ada", "free"), "chat", 1).await.unwrap();
    let key = store.0.lock().unwrap().clone();
    key.unwrap()
}

/// A counter of `scope`, in the window around `at`.
async fn counter(scope: impl AsRef<[u8]>, window: Window, at: Timestamp) -> RemoteCounter {
    RemoteCounter {
        scope: ProfileId::new(scope),
        limit: limit_key(window).await,
        window: window.around(at),
    }
}

fn charges(counters: &[RemoteCounter], ceiling: u64) -> Arc<[RemoteCharge]> {
    let charge =
        |counter: &RemoteCounter| RemoteCharge { counter: counter.clone(), ceiling: Some(ceiling) };
    counters.iter().map(charge).collect()
}

fn id(sequence: u64) -> HoldId {
    HoldId { nonce: 7, sequence }
}

/// A request to hold a unit of each counter, at most ten.
async fn request(books: &RedisBooks, sequence: u64, counters: &[RemoteCounter]) -> RemoteReserve {
    let now = books.time().await.unwrap();
    RemoteReserve {
        id: id(sequence),
        charges: charges(counters, 10),
        units: 1,
        lapse: Lapse::GiveBack,
        not_after: now.saturating_add(PATIENCE),
        patience: PATIENCE,
    }
}

async fn hold(books: &RedisBooks, sequence: u64, counters: &[RemoteCounter]) -> Held {
    let request = request(books, sequence, counters).await;
    books.reserve(&request).await.unwrap().held
}

fn settlement(sequence: u64, counters: &[RemoteCounter]) -> RemoteSettlement {
    RemoteSettlement {
        id: id(sequence),
        counters: charges(counters, 10),
        spent: Spent::Held,
        after: None,
    }
}

/// What is used and held of a counter.
async fn read(books: &RedisBooks, counter: &RemoteCounter) -> (u64, u64) {
    let counts = books.read(std::slice::from_ref(counter)).await.unwrap();
    (counts[0].used, counts[0].held)
}

/// Tells the keys of a test from those of others on servers that tests share.
fn new_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}:", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Books of a server of their own, under a clock that stands still.
async fn books() -> (Redis, RedisBooks, ManualClock) {
    let server = Redis::start();
    let clock = noon();
    let books = RedisBooks::builder(server.url()).clock(clock.clone()).connect().await.unwrap();
    (server, books, clock)
}

fn now(clock: &ManualClock) -> Timestamp {
    clock.now()
}
