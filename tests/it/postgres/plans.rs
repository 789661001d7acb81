//! The example `plans_in_postgres`, as a program: plans that change while they are used.

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::programs::{Program, Reply, to};
use crate::support::servers::Postgres;

/// The shop, and its database.
struct Shop {
    program: Program,
    url: String,
}

impl Shop {
    async fn open(seconds: &str) -> Self {
        let url = Postgres::shared().database();
        let variables = [("DATABASE_URL", url.as_str()), ("TTL_SECONDS", seconds)];
        let program = Program::start("plans_in_postgres", &variables).await;
        Self { program, url }
    }

    async fn remix(&self) -> Reply {
        let request = to(Method::POST, "/api/remix").header("x-customer", "7");
        self.program.send(request.body(Full::default()).unwrap()).await
    }

    async fn set_plan(&self, plan: &'static str) -> StatusCode {
        let request = to(Method::PUT, "/api/customers/7/plan");
        self.program.send(request.body(Full::from(plan)).unwrap()).await.status
    }

    /// What the customer is told of the limit.
    async fn told(&self) -> Value {
        let request = to(Method::GET, "/api/quotas").header("x-customer", "7");
        let reply = self.program.send(request.body(Full::default()).unwrap()).await;
        reply.json()["features"]["remix"]["day"].clone()
    }
}

#[tokio::test]
async fn a_plan_is_changed_at_once_and_what_was_used_stays_used() {
    let shop = Shop::open("3600").await;
    assert_eq!(shop.remix().await.status, StatusCode::UNAUTHORIZED, "nobody knows who pays");
    assert_eq!(shop.set_plan("gold").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(shop.set_plan("free").await, StatusCode::NO_CONTENT);
    for _ in 0..2 {
        assert_eq!(shop.remix().await.status, StatusCode::OK);
    }
    assert_eq!(shop.remix().await.status, StatusCode::TOO_MANY_REQUESTS);

    assert_eq!(shop.set_plan("pro").await, StatusCode::NO_CONTENT);
    let told = shop.told().await;
    assert_eq!(
        (&told["limit"], &told["used"], &told["remaining"]),
        (&5.into(), &2.into(), &3.into())
    );
    for _ in 0..2 {
        assert_eq!(shop.remix().await.status, StatusCode::OK);
    }

    assert_eq!(shop.set_plan("free").await, StatusCode::NO_CONTENT);
    let told = shop.told().await;
    assert_eq!(
        (&told["limit"], &told["used"], &told["remaining"]),
        (&2.into(), &4.into(), &0.into())
    );
    let denied = shop.remix().await;
    assert_eq!(denied.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(denied.header("ratelimit").starts_with("\"day\";r=0;"));
    assert!(denied.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn a_change_in_the_database_is_seen_within_the_time_to_live() {
    for (seconds, after) in [("3600", StatusCode::TOO_MANY_REQUESTS), ("0", StatusCode::OK)] {
        let shop = Shop::open(seconds).await;
        shop.set_plan("free").await;
        for _ in 0..2 {
            assert_eq!(shop.remix().await.status, StatusCode::OK);
        }
        let mut database = PgConnection::connect(&shop.url).await.unwrap();
        database.execute("UPDATE customer SET plan = 'pro'").await.unwrap();
        assert_eq!(shop.remix().await.status, after, "a time to live of {seconds} seconds");
    }
}
