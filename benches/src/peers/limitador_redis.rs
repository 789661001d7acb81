//! limitador with its books in Redis, as nearly as it can be built: 0.14.0 does not compile with its
//! Redis unless it has its RocksDB as well. The limiter is its own. Of its storage the commands are
//! its own: three for a reserve and a commit, each sent when the one before is answered, with the same
//! keys and the same calls in their scripts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use limitador::AsyncRateLimiter;
use limitador::counter::Counter;
use limitador::limit::{Context, Limit, Namespace};
use limitador::reservation::ReservationId;
use limitador::storage::{AsyncCounterStorage, Authorization, StorageErr};
use redis::Script;
use redis::aio::ConnectionManager;

use super::PLENTY;

/// Sees that there is a counter, sums up what is held, and holds some more.
const RESERVE: &str = r"
if redis.call('exists', KEYS[1]) == 0 then
    redis.call('set', KEYS[1], 0, 'EX', ARGV[1])
    redis.call('sadd', KEYS[3], KEYS[1])
end
local used = tonumber(redis.call('get', KEYS[1]))
local left = redis.call('pttl', KEYS[1])
local now, sum = tonumber(ARGV[5]), 0
local holds = redis.call('hgetall', KEYS[2])
for i = 1, #holds, 2 do
    local units, ends = string.match(holds[i + 1], '(%d+):(%d+)')
    if tonumber(ends) > now then
        sum = sum + tonumber(units)
    else
        redis.call('hdel', KEYS[2], holds[i])
    end
end
local admitted = used + sum + 1 <= tonumber(ARGV[2])
if admitted then
    redis.call('hset', KEYS[2], ARGV[4], '1:' .. (now + math.min(tonumber(ARGV[3]), left)))
    redis.call('pexpire', KEYS[2], left)
end
return {used, sum, left, admitted and 1 or 0}
";

const COUNT: &str = r"
local used = redis.call('incrby', KEYS[1], 1)
if used == 1 then
    redis.call('expire', KEYS[1], ARGV[1], 'NX')
    redis.call('sadd', KEYS[2], KEYS[1])
end
return used
";

/// A limiter with one limit a profile, and each profile's context, built beforehand.
pub(crate) struct LimitadorRedis {
    limiter: AsyncRateLimiter,
    namespace: Namespace,
    contexts: Vec<Context<'static>>,
}

impl LimitadorRedis {
    /// Ready to serve `profiles`, with the server at `url`.
    pub(crate) async fn new(url: &str, profiles: u64) -> Self {
        let client = redis::Client::open(url).expect("an address");
        let connection = client.get_connection_manager().await.expect("a server");
        let limiter = AsyncRateLimiter::new_with_storage(Box::new(Commands(connection)));
        let variable = "profile".try_into().expect("an expression");
        limiter.add_limit(Limit::new("remix", PLENTY.into(), 24 * 60 * 60, [], [variable]));
        let context =
            |profile: u64| HashMap::from([("profile".into(), profile.to_string())]).into();
        Self { limiter, namespace: "remix".into(), contexts: (0..profiles).map(context).collect() }
    }

    /// Sets one unit aside and charges it.
    pub(crate) async fn reserve_and_commit(&self, profile: usize) {
        let context = &self.contexts[profile];
        let lease = Some(Duration::from_secs(60));
        let reserved = self.limiter.reserve(&self.namespace, context, 1, lease).await;
        let reserved = reserved.expect("the server is there");
        assert!(!reserved.limited);
        let id = reserved.reservation_id.as_ref();
        let committed = self.limiter.commit_reservation(&self.namespace, context, id, 1).await;
        assert!(committed.expect("the server is there").reservation_released);
    }
}

/// Its commands.
struct Commands(ConnectionManager);

fn counter_key(counter: &Counter) -> String {
    let json = serde_json::to_string(counter).expect("a counter");
    format!("namespace:{{{}}},counter:{json}", counter.namespace().as_ref())
}

fn holds_key(counter: &Counter) -> String {
    counter_key(counter) + ",reservations"
}

fn limit_key(limit: &Limit) -> String {
    let json = serde_json::to_string(limit).expect("a limit");
    format!("namespace:{{{}}},counters_of_limit:{json}", limit.namespace().as_ref())
}

#[async_trait]
impl AsyncCounterStorage for Commands {
    async fn reserve(
        &self,
        counters: &mut Vec<Counter>,
        id: &ReservationId,
        _: u64,
        _: u64,
        lease: Duration,
    ) -> Result<Authorization, StorageErr> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
        let counter = &counters[0];
        let script = Script::new(RESERVE);
        let mut call = script.prepare_invoke();
        call.key(counter_key(counter)).key(holds_key(counter)).key(limit_key(counter.limit()));
        call.arg(counter.window().as_secs()).arg(counter.max_value());
        call.arg(lease.as_millis() as u64).arg(id.as_str()).arg(now.as_millis() as u64);
        let answer: Vec<i64> = call.invoke_async(&mut self.0.clone()).await.expect("a verdict");
        match answer.last() {
            Some(1) => Ok(Authorization::Ok),
            _ => Ok(Authorization::Limited(None)),
        }
    }

    async fn update_counter(&self, counter: &Counter, _: u64) -> Result<(), StorageErr> {
        let script = Script::new(COUNT);
        let mut call = script.prepare_invoke();
        call.key(counter_key(counter)).key(limit_key(counter.limit()));
        call.arg(counter.window().as_secs());
        call.invoke_async::<()>(&mut self.0.clone()).await.expect("a count");
        Ok(())
    }

    async fn release_reservation(
        &self,
        counters: &[Counter],
        id: &ReservationId,
    ) -> Result<bool, StorageErr> {
        let mut call = redis::cmd("HDEL");
        call.arg(holds_key(&counters[0])).arg(id.as_str());
        let ended: u64 = call.query_async(&mut self.0.clone()).await.expect("an answer");
        Ok(ended > 0)
    }

    async fn is_within_limits(&self, _: &Counter, _: u64) -> Result<bool, StorageErr> {
        unreachable!("nobody here asks")
    }

    async fn check<'a>(&self, _: &mut Vec<Counter>, _: u64) -> Result<Authorization, StorageErr> {
        unreachable!("nobody here asks")
    }

    async fn check_and_update<'a>(
        &self,
        _: &mut Vec<Counter>,
        _: u64,
    ) -> Result<Authorization, StorageErr> {
        unreachable!("nobody here asks")
    }

    async fn get_counters(&self, _: &HashSet<Arc<Limit>>) -> Result<HashSet<Counter>, StorageErr> {
        unreachable!("nobody here asks")
    }

    async fn delete_counters(&self, _: &HashSet<Arc<Limit>>) -> Result<(), StorageErr> {
        unreachable!("nobody here asks")
    }

    async fn clear(&self) -> Result<(), StorageErr> {
        unreachable!("nobody here asks")
    }
}
