//! Whether two threads do twice the work of one.

use std::convert::Infallible;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use axum::body::Body;
use http::{Request, Response};
use tower::Service;
use tower_quota::Headers;

use super::Scale;
use crate::exchange::{Call, Handler, shuffled};
use crate::peers::{PLENTY, ours, tower_governor};
use crate::race::median;
use crate::report::{Report, heading};

/// Of each thread, which no other thread serves.
const PROFILES: u64 = 5_000;
/// Of each thread, each time.
const REQUESTS: u64 = 50_000;

/// Each thread has its own clone of the service, as each connection has.
pub(crate) fn threads(scale: &Scale, report: &mut Report) {
    heading("Two threads on distinct profiles: requests a second of two / of one");
    let bare = Handler { headers: true };
    let ours = ours::service(bare, PLENTY, Headers::Draft11);
    let theirs = tower_governor::with_headers(bare, PLENTY);
    let (mut of_bare, mut of_ours, mut of_theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.thread_rounds {
        of_bare.push(scaling(&bare));
        of_ours.push(scaling(&ours));
        of_theirs.push(scaling(&theirs));
    }
    let kept = of_ours.iter().zip(&of_bare).map(|(ours, bare)| ours / bare);
    let kept = median(kept.collect());
    println!("  bare service    {:>6.2}", median(of_bare));
    println!("  tower-quota     {:>6.2}", median(of_ours));
    println!("  tower_governor  {:>6.2}", median(of_theirs));
    report.at_least(0.8, "scaling to two threads / the bare service's", kept);
}

fn scaling<S, B>(service: &S) -> f64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send,
    B: http_body::Body,
{
    let one = seconds(service, 1);
    let two = seconds(service, 2);
    2.0 * one / two
}

/// How long it takes until each of so many threads has done its requests. Each does them once
/// before, and then waits for the others awake, so that each is on a core of its own by then.
fn seconds<S, B>(service: &S, threads: u64) -> f64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send,
    B: http_body::Body,
{
    let ready = AtomicU64::new(0);
    thread::scope(|scope| {
        let spawn = |thread| {
            let (mut service, ready) = (service.clone(), &ready);
            scope.spawn(move || {
                let call = Call::metered();
                let mut serve = || {
                    for turn in 0..REQUESTS {
                        let profile = thread * PROFILES + shuffled(turn, PROFILES);
                        call.make(profile, &mut service);
                    }
                };
                serve();
                ready.fetch_add(1, SeqCst);
                while ready.load(SeqCst) < threads {
                    spin_loop();
                }
                let start = Instant::now();
                serve();
                start.elapsed().as_secs_f64()
            })
        };
        let running: Vec<_> = (0..threads).map(spawn).collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("a thread that only serves"))
            .fold(0.0, f64::max)
    })
}
