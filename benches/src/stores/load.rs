//! Requests that are in flight at the same time.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::engine::Engine;

/// A contestant: a name, and what gives the nanoseconds that an operation took of its turn.
pub(crate) type Contestant<'a> = (&'static str, Box<dyn FnMut() -> f64 + 'a>);

/// One that does `operation`, for one turn after the other, so many at the same time for so long.
/// Its turn is over after `end`.
pub(crate) fn contestant<F, E>(
    name: &'static str,
    runtime: &Handle,
    (callers, length): (u64, Duration),
    operation: impl Fn(u64) -> F + Clone + Send + 'static,
    end: impl Fn() -> E + 'static,
) -> Contestant<'static>
where
    F: Future<Output = ()> + Send + 'static,
    E: Future<Output = ()>,
{
    let (runtime, turns) = (runtime.clone(), Arc::default());
    let turn = move || {
        let start = Instant::now();
        let done = runtime.block_on(async {
            let done = in_flight((callers, length), &turns, operation.clone()).await;
            end().await;
            done
        });
        start.elapsed().as_nanos() as f64 / done as f64
    };
    (name, Box::new(turn))
}

/// One that reserves a unit and commits it. Its turn is over when everything is written.
pub(crate) fn reserving(
    name: &'static str,
    runtime: &Handle,
    load: (u64, Duration),
    engine: &Engine,
    feature: &'static str,
) -> Contestant<'static> {
    let (spending, flushing) = (engine.clone(), engine.clone());
    let flush = move || {
        let engine = flushing.clone();
        async move { engine.flush().await }
    };
    contestant(name, runtime, load, spending.spending(feature), flush)
}

/// One that is a program of its own, which tells its operations a second.
pub(crate) fn program<'a>(name: &'static str, rate: impl Fn() -> f64 + 'a) -> Contestant<'a> {
    (name, Box::new(move || 1e9 / rate()))
}

/// Does `operation` for this long, so many at the same time, and says how often.
pub(crate) async fn in_flight<F>(
    (callers, length): (u64, Duration),
    turns: &Arc<AtomicU64>,
    operation: impl Fn(u64) -> F + Clone + Send + 'static,
) -> u64
where
    F: Future<Output = ()> + Send + 'static,
{
    let deadline = Instant::now() + length;
    let calls = (0..callers).map(|_| {
        let (operation, turns) = (operation.clone(), turns.clone());
        async move {
            let mut done = 0;
            while Instant::now() < deadline {
                operation(turns.fetch_add(1, Ordering::Relaxed)).await;
                done += 1;
            }
            done
        }
    });
    all(calls).await.into_iter().sum()
}

/// Does `operation` once for each of these numbers, so many at the same time.
pub(crate) async fn each<F>(
    callers: u64,
    numbers: Range<u64>,
    operation: impl Fn(u64) -> F + Clone + Send + 'static,
) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let calls = (0..callers).map(|caller| {
        let (operation, numbers) = (operation.clone(), numbers.clone());
        async move {
            let mut done = Vec::new();
            for number in numbers.skip(caller as usize).step_by(callers as usize) {
                done.push(operation(number).await);
            }
            done
        }
    });
    all(calls).await.into_iter().flatten().collect()
}

/// Runs all of them to their ends.
async fn all<F>(calls: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    calls.collect::<JoinSet<_>>().join_all().await
}
