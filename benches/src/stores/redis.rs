//! How fast quotas are spent in Redis.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use axum::body::Body;
use futures::future::{BoxFuture, FutureExt};
use http::{Request, Response, StatusCode};
use tokio::runtime::Runtime;
use tower::Service;
use tower_quota::store::Remote;
use tower_quota::{Headers, SystemClock};

use super::engine::{Engine, ONE, PATIENCE, THREE, options};
use super::load::{Contestant, contestant, program, reserving};
use super::round_trips::{books, engine};
use super::servers::Redis;
use super::{MANY, ORIGINAL, Scale, cpu};
use crate::exchange::{Call, Handler, shuffled};
use crate::peers::limitador_redis::LimitadorRedis;
use crate::peers::{PLENTY, ours, rate_tier};
use crate::race::Times;
use crate::report::{Report, heading};

const NO_OP: &str = "redis-benchmark, no-op EVALSHA";
const LIMITADOR: &str = "limitador reserve + commit";
const SPREAD: &str = "tower-quota reserve + commit";
const HOT: &str = "tower-quota, all of one profile";
const THREE_LIMITS: &str = "tower-quota, three limits";
const THEIR_LAYER: &str = "tower-rate-tier, layer";
const OUR_LAYER: &str = "tower-quota, layer";

/// About how many no-ops a second there are: its program wants to know how many to do.
const NO_OPS: f64 = 50_000.0;

/// Everyone shares one runtime, and has one connection, but for the no-ops, which have one for each
/// in flight. Turns of ours end when all settlements are written.
pub(crate) fn rates(runtime: &Runtime, redis: &Redis, scale: &Scale, report: &mut Report) {
    heading(&format!("Redis: {MANY} in flight, profiles: {}", scale.profiles));
    let engine = runtime.block_on(engine(redis, scale.profiles));
    let load = (MANY, scale.turn);
    let ours =
        |name, engine: &Engine, feature| reserving(name, runtime.handle(), load, engine, feature);
    let mut contestants = vec![
        no_op(redis, scale),
        ours(SPREAD, &engine, ONE),
        ours(HOT, &engine.for_first(1), ONE),
        ours(THREE_LIMITS, &engine, THREE),
        limitador(runtime, redis, scale),
        their_layer(runtime, redis, scale),
        our_layer(runtime, redis, scale),
    ];
    let times = Times::of_turns(&mut contestants, scale.rounds);
    times.print_rates();
    cpu::print_costs(&mut contestants, redis.pid());
    let target = |name, other| times.median(|time| time(other) / time(name));
    report.at_least(2.0, "Redis: our reserve + commit / limitador's", target(SPREAD, LIMITADOR));
    report.at_least(0.8, "Redis: our layer / tower-rate-tier's", target(OUR_LAYER, THEIR_LAYER));
    report.at_least(0.5, "Redis: one counter / no-op EVALSHA", target(SPREAD, NO_OP));
    report.at_least(0.5, "Redis: one counter, hot / no-op EVALSHA", target(HOT, NO_OP));
    report.at_least(0.25, "Redis: three counters / no-op EVALSHA", target(THREE_LIMITS, NO_OP));
    let rate = times.median(|time| 1e9 / time(SPREAD));
    report.at_least(20.0, "Redis: reserves / the original's", rate / ORIGINAL);
}

fn no_op(redis: &Redis, scale: &Scale) -> Contestant<'static> {
    let (no_ops, requests) = (redis.no_ops(), (NO_OPS * scale.turn.as_secs_f64()) as u64);
    program(NO_OP, move || no_ops.rate(MANY, requests))
}

fn limitador(runtime: &Runtime, redis: &Redis, scale: &Scale) -> Contestant<'static> {
    let profiles = scale.profiles;
    let limitador = runtime.block_on(LimitadorRedis::new(&redis.url(), profiles));
    let limitador = Arc::new(limitador);
    let operation = move |turn| {
        let limitador = limitador.clone();
        async move { limitador.reserve_and_commit(shuffled(turn, profiles) as usize).await }
    };
    contestant(LIMITADOR, runtime.handle(), (MANY, scale.turn), operation, || ready(()))
}

fn their_layer(runtime: &Runtime, redis: &Redis, scale: &Scale) -> Contestant<'static> {
    let handler = Handler { headers: true };
    let service = runtime.block_on(rate_tier::service(&redis.url(), PATIENCE, handler));
    let operation = serving(THEIR_LAYER, scale, service);
    contestant(THEIR_LAYER, runtime.handle(), (MANY, scale.turn), operation, || ready(()))
}

fn our_layer(runtime: &Runtime, redis: &Redis, scale: &Scale) -> Contestant<'static> {
    let books = runtime.block_on(books(redis));
    let store = runtime.block_on(async { Remote::new(books, options()) });
    let quotas = ours::quotas_over(store, PLENTY, SystemClock);
    let handler = Handler { headers: true };
    let service = ours::service_of(quotas.clone(), handler, Headers::Draft11);
    let flush = move || {
        let flushed = quotas.flush();
        async { flushed.await.expect("the server is there") }
    };
    let operation = serving(OUR_LAYER, scale, service);
    contestant(OUR_LAYER, runtime.handle(), (MANY, scale.turn), operation, flush)
}

/// Each request has a service of its own, as servers do it.
fn serving<S, B>(
    name: &'static str,
    scale: &Scale,
    service: S,
) -> impl Fn(u64) -> BoxFuture<'static, ()> + Clone + Send + 'static
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data: Send, Error: Send> + Send,
{
    let (call, profiles) = (Call::metered(), scale.profiles);
    move |turn| {
        let (call, mut service) = (call.clone(), service.clone());
        async move {
            let status = call.make_and_wait(shuffled(turn, profiles), &mut service).await;
            assert_eq!(status, StatusCode::OK, "{name}");
        }
        .boxed()
    }
}
