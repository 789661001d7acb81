//! What limitador 0.14.0 asks of Redis for a reserve and a commit with one limit: three commands, each
//! sent when the one before is answered, with the same calls in their scripts. Not limitador itself,
//! which does not compile with its Redis unless it has its RocksDB as well; so what it computes on
//! its own is missing, to its advantage.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

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

const DAY_SECONDS: u32 = 24 * 60 * 60;
const LEASE_MILLIS: u32 = 60_000;
const COUNTERS: &str = "namespace:{remix},counters_of_limit:{\"namespace\":\"remix\"}";

/// A connection, and the scripts.
pub(crate) struct LimitadorRedis {
    connection: ConnectionManager,
    reserve: Script,
    count: Script,
    next: AtomicU64,
}

impl LimitadorRedis {
    /// With the server at `url`.
    pub(crate) async fn new(url: &str) -> Self {
        let client = redis::Client::open(url).expect("an address");
        let connection = client.get_connection_manager().await.expect("a server");
        let (reserve, count) = (Script::new(RESERVE), Script::new(COUNT));
        Self { connection, reserve, count, next: AtomicU64::new(0) }
    }

    /// Sets one unit aside and charges it.
    pub(crate) async fn reserve_and_commit(&self, profile: u64) {
        let mut connection = self.connection.clone();
        let counter =
            format!("namespace:{{remix}},counter:{{\"variables\":{{\"p\":\"{profile}\"}}}}");
        let holds = format!("{counter},reservations");
        // Theirs is a random one of as many digits.
        let id = format!("{:036}", self.next.fetch_add(1, Ordering::Relaxed));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");

        let mut reserve = self.reserve.prepare_invoke();
        reserve.key(&counter).key(&holds).key(COUNTERS);
        reserve.arg(DAY_SECONDS).arg(PLENTY).arg(LEASE_MILLIS).arg(&id);
        reserve.arg(now.as_millis() as u64);
        let answer: Vec<i64> = reserve.invoke_async(&mut connection).await.expect("a verdict");
        assert_eq!(answer.last(), Some(&1));

        let mut count = self.count.prepare_invoke();
        count.key(&counter).key(COUNTERS).arg(DAY_SECONDS);
        let used: u64 = count.invoke_async(&mut connection).await.expect("a count");
        assert!(used > 0);

        let mut release = redis::cmd("HDEL");
        let released: u64 =
            release.arg(&holds).arg(&id).query_async(&mut connection).await.expect("an answer");
        assert_eq!(released, 1);
    }
}
