//! What only Redis has: keys that expire, scripts that a server forgets, memory that runs out. It
//! needs the program `redis-server`.

mod access;
mod connection;
mod contract;
mod episodes;
mod expiry;
mod faults;
mod keys;
mod lines;
mod memory;
mod model;
mod purge;
mod scripts;
mod sentinel;
mod slots;
mod together;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tower_quota::store::{
    Held, HoldId, Lapse, RedisBooks, RemoteBooks, RemoteCharge, RemoteCounter, RemoteReserve,
    RemoteSettlement,
};
use tower_quota::{Clock, ManualClock, Spent, Timestamp};

use crate::support::counters::Counted;
use crate::support::counters::counter;
use crate::support::noon;
use crate::support::servers::Redis;

const PATIENCE: Duration = Duration::from_secs(10);

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

fn charges(counters: &[RemoteCounter], ceiling: u64) -> Arc<[RemoteCharge]> {
    let charge = |counter: &RemoteCounter| RemoteCharge {
        counter: counter.clone(),
        ceiling: Some(ceiling),
        refunds: None,
    };
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
    let counts = books.counted(std::slice::from_ref(counter)).await.unwrap();
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
