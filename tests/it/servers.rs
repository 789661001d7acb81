//! The servers that other tests use do what those rely on.

#[cfg(feature = "redis")]
mod redis {
    use std::thread;

    use crate::support::servers::{Redis, RedisCluster};

    #[test]
    fn a_killed_server_keeps_its_data_unless_it_is_started_empty() {
        let mut redis = Redis::start();
        assert_eq!(redis.command(&["SET", "key", "value"]), "OK");
        redis.kill();
        redis.restart();
        assert_eq!(redis.command(&["GET", "key"]), "value");
        redis.kill();
        redis.restart_empty();
        assert_eq!(redis.command(&["GET", "key"]), "");
        assert!(redis.url().starts_with("redis+unix:///"));
    }

    #[test]
    fn a_paused_server_answers_when_it_is_resumed() {
        let redis = Redis::start();
        redis.pause();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| redis.command(&["PING"]));
            redis.resume();
            assert_eq!(waiting.join().unwrap(), "PONG");
        });
    }

    #[test]
    fn a_server_is_configured_at_its_start_and_later() {
        let redis = Redis::start_with(&["--maxmemory-policy", "noeviction"]);
        redis.set("maxmemory", "64mb");
        let maxmemory = redis.command(&["CONFIG", "GET", "maxmemory*"]);
        assert!(maxmemory.contains("67108864") && maxmemory.contains("noeviction"), "{maxmemory}");
    }

    #[test]
    fn its_directory_ends_with_a_server() {
        let redis = Redis::start();
        let socket = redis.socket().clone();
        assert!(socket.exists());
        drop(redis);
        assert!(!socket.exists() && !socket.parent().unwrap().exists());
    }

    #[test]
    fn one_server_is_shared() {
        assert_eq!(Redis::shared().command(&["SET", "shared", "1"]), "OK");
        assert_eq!(Redis::shared().command(&["GET", "shared"]), "1");
    }

    #[test]
    fn three_primaries_share_the_slots_of_a_cluster() {
        let cluster = RedisCluster::shared();
        assert_eq!(cluster.urls().len(), 3);
        for node in 0..3 {
            let info = cluster.command(node, &["CLUSTER", "INFO"]);
            assert!(info.contains("cluster_state:ok"), "{info}");
            assert!(info.contains("cluster_slots_assigned:16384"), "{info}");
            assert!(info.contains("cluster_size:3"), "{info}");
        }
    }

    #[test]
    fn a_node_of_a_cluster_is_killed_and_paused_and_keeps_its_data() {
        let mut cluster = RedisCluster::start();
        // The last node has its slot.
        assert_eq!(cluster.command(2, &["SET", "foo", "bar"]), "OK");
        cluster.kill(2);
        cluster.restart(2);
        assert_eq!(cluster.command(2, &["GET", "foo"]), "bar");
        cluster.pause(1);
        cluster.resume(1);
        assert_eq!(cluster.command(1, &["PING"]), "PONG");
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::thread;

    use crate::support::servers::Postgres;

    #[test]
    fn a_killed_server_keeps_its_data() {
        let mut postgres = Postgres::start();
        postgres.sql("CREATE TABLE kept (number int); INSERT INTO kept VALUES (7)");
        postgres.kill();
        postgres.restart();
        assert_eq!(postgres.sql("SELECT number FROM kept"), "7");
        assert!(postgres.socket().exists());
    }

    #[test]
    fn a_paused_server_answers_when_it_is_resumed() {
        let postgres = Postgres::start();
        postgres.pause();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| postgres.sql("SELECT 1"));
            postgres.resume();
            assert_eq!(waiting.join().unwrap(), "1");
        });
    }

    #[test]
    fn a_server_is_configured_at_its_start_and_later() {
        let postgres = Postgres::start_with(&["max_connections=7"]);
        assert_eq!(postgres.sql("SHOW max_connections"), "7");
        postgres.set("statement_timeout", "3s");
        assert_eq!(postgres.sql("SHOW statement_timeout"), "3s");
    }

    #[test]
    fn one_server_is_shared() {
        let url = Postgres::shared().url();
        assert!(url.starts_with("postgres://postgres@localhost/postgres?host=/"), "{url}");
        assert_eq!(Postgres::shared().sql("SELECT 1 + 1"), "2");
    }
}
