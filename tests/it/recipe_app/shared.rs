//! The app on books that outlive it, and that several apps share.

use futures::future::join_all;
use http::{Method, StatusCode};
use http_body_util::BodyExt;

use super::{App, DISCOVER, QUOTAS, REMIX, TIPS};
use crate::support::programs::Reply;

const DENIED: StatusCode = StatusCode::TOO_MANY_REQUESTS;
/// More round trips than anybody makes in 2 seconds.
const A_LEASE_LONG: usize = 1_000_000;
const OPERATOR: (&str, &str) = ("OPERATOR_TOKEN", "secret");

fn count(replies: &[Reply], status: StatusCode) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

/// Everything that the app promises of its quotas in memory, in one sitting.
async fn the_contract_is_the_same(place: &str) {
    let app = App::with(&[("STORE", place), OPERATOR]).await;
    assert_eq!(app.quotas().await["limits"]["tips"], 2);
    assert_eq!(app.post(&format!("{TIPS}?status=503")).await.status.as_u16(), 503);
    assert_eq!(app.post(&format!("{TIPS}?cached=1")).await.status, StatusCode::OK);
    assert!(!app.post(&format!("{TIPS}?cut=1")).await.is_complete);
    app.wait_for("tips", |used, held| (used, held) == (0, 0)).await;
    for used in 1..=2 {
        assert_eq!(app.post(TIPS).await.status, StatusCode::OK);
        app.wait_for("tips", |now_used, held| (now_used, held) == (used, 0)).await;
    }
    let denied = app.post(TIPS).await;
    assert_eq!(denied.status, DENIED);
    let problem = denied.json();
    assert_eq!((&problem["limit"], &problem["used"]), (&2.into(), &2.into()));
    assert!(denied.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(app.put_limits(r#"{"tips":3}"#).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.post(TIPS).await.status, StatusCode::OK);
    assert_eq!(app.post(TIPS).await.status, DENIED);

    assert_eq!(app.get(DISCOVER).await.json()["cached"], false);
    assert_eq!(app.get(DISCOVER).await.json()["cached"], true);
    assert_eq!(app.set_unlimited(r#"{"unlimited":true}"#).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.post(TIPS).await.status, StatusCode::OK);
    assert_eq!(app.quotas().await["unlimited"], true);
    assert_eq!(app.set_unlimited(r#"{"unlimited":false}"#).await.status, StatusCode::NO_CONTENT);
    app.wait_for("tips", |used, held| (used, held) == (3, 0)).await;
    let nobody = app.send_as("", Method::GET, QUOTAS).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);

    let (_client, mut response) = app.begin(&format!("{REMIX}?chunks=2&gap_ms=300")).await;
    response.frame().await.unwrap().unwrap();
    app.0.interrupt();
    assert!(Reply::hear(response).await.is_complete);
    assert_eq!(app.0.ended().await.code(), Some(0));
    let next = App::with(&[("STORE", place)]).await;
    assert_eq!(next.books("tips").await, (3, 0));
    assert_eq!(next.books("remix").await, (1, 0));
    assert_eq!(next.post(REMIX).await.status, DENIED);
}

/// The original granted 153 of them on SQLite, and 359 on PostgreSQL. On a machine so slow that an
/// attempt fails, its unit is held until that is known, and is there afterwards.
async fn four_apps_grant_50_of_400_attempts(place: &str) {
    let variables = [("STORE", place), ("LIMITS", "remix=50")];
    let apps = join_all((0..4).map(|_| App::with(&variables))).await;
    let attempts = (0..400).zip(apps.iter().cycle()).map(|(_, app)| app.post(REMIX));
    let replies = join_all(attempts).await;
    let mut granted = count(&replies, StatusCode::OK);
    if granted + count(&replies, DENIED) == 400 {
        assert_eq!(granted, 50);
    }
    apps[0].wait_long_for(A_LEASE_LONG, "remix", |_, held| held == 0).await;
    while granted < 50 {
        assert_eq!(apps[0].post(REMIX).await.status, StatusCode::OK);
        granted += 1;
    }
    for app in &apps {
        assert_eq!(app.post(REMIX).await.status, DENIED);
        app.wait_for("remix", |used, held| (used, held) == (50, 0)).await;
    }
}

/// Nobody tells the books that the app is dead.
async fn what_a_killed_app_held_comes_back(place: &str) {
    let variables = [("STORE", place), ("LIMITS", "remix=5"), ("LEASE", "2s")];
    let (victim, other) = tokio::join!(App::with(&variables), App::with(&variables));
    assert_eq!(other.post(REMIX).await.status, StatusCode::OK);
    let mut clients = join_all((0..3).map(|_| victim.0.connect())).await;
    let path = format!("{REMIX}?delay_ms=60000");
    {
        let answers = clients.iter_mut().map(|client| client.send(super::post(&path, "")));
        let held = other.wait_for("remix", |used, held| (used, held) == (1, 3));
        tokio::select! {
            answers = join_all(answers) => panic!("answered at once: {answers:?}"),
            () = held => {}
        }
    }
    victim.0.kill().await;
    other.wait_long_for(A_LEASE_LONG, "remix", |used, held| (used, held) == (1, 0)).await;
    for _ in 0..4 {
        assert_eq!(other.post(REMIX).await.status, StatusCode::OK);
    }
    assert_eq!(other.post(REMIX).await.status, DENIED);
}

/// Its lease is renewed for as long as the stream lasts.
async fn a_stream_that_outlives_its_lease_stays_held(place: &str) {
    let variables = [("STORE", place), ("LIMITS", "remix=1"), ("LEASE", "2s")];
    let (app, other) = tokio::join!(App::with(&variables), App::with(&variables));
    let (_client, mut response) = app.begin(&format!("{REMIX}?chunks=4&gap_ms=1200")).await;
    while let Some(frame) = response.frame().await {
        frame.unwrap();
        assert_ne!(other.post(REMIX).await.status, StatusCode::OK);
    }
    other.wait_for("remix", |used, held| (used, held) == (1, 0)).await;
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use crate::support::Directory;

    #[tokio::test]
    async fn the_contract_is_the_same() {
        let directory = Directory::new();
        let place = format!("sqlite:{}", directory.path().join("quota.db").display());
        super::the_contract_is_the_same(&place).await;
    }

    #[tokio::test]
    async fn four_apps_grant_50_of_400_attempts() {
        let directory = Directory::new();
        let place = format!("sqlite:{}", directory.path().join("quota.db").display());
        super::four_apps_grant_50_of_400_attempts(&place).await;
    }

    #[tokio::test]
    async fn what_a_killed_app_held_comes_back() {
        let directory = Directory::new();
        let place = format!("sqlite:{}", directory.path().join("quota.db").display());
        super::what_a_killed_app_held_comes_back(&place).await;
    }

    #[tokio::test]
    async fn a_stream_that_outlives_its_lease_stays_held() {
        let directory = Directory::new();
        let place = format!("sqlite:{}", directory.path().join("quota.db").display());
        super::a_stream_that_outlives_its_lease_stays_held(&place).await;
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use crate::support::servers::Postgres;

    #[tokio::test]
    async fn the_contract_is_the_same() {
        let server = Postgres::start();
        let place = server.url();
        super::the_contract_is_the_same(&place).await;
    }

    #[tokio::test]
    async fn four_apps_grant_50_of_400_attempts() {
        let server = Postgres::start();
        let place = server.url();
        super::four_apps_grant_50_of_400_attempts(&place).await;
    }

    #[tokio::test]
    async fn what_a_killed_app_held_comes_back() {
        let server = Postgres::start();
        let place = server.url();
        super::what_a_killed_app_held_comes_back(&place).await;
    }

    #[tokio::test]
    async fn a_stream_that_outlives_its_lease_stays_held() {
        let server = Postgres::start();
        let place = server.url();
        super::a_stream_that_outlives_its_lease_stays_held(&place).await;
    }
}

#[cfg(feature = "redis")]
mod redis {
    use crate::support::servers::Redis;

    #[tokio::test]
    async fn the_contract_is_the_same() {
        let server = Redis::start();
        let place = server.url();
        super::the_contract_is_the_same(&place).await;
    }

    #[tokio::test]
    async fn four_apps_grant_50_of_400_attempts() {
        let server = Redis::start();
        let place = server.url();
        super::four_apps_grant_50_of_400_attempts(&place).await;
    }

    #[tokio::test]
    async fn what_a_killed_app_held_comes_back() {
        let server = Redis::start();
        let place = server.url();
        super::what_a_killed_app_held_comes_back(&place).await;
    }

    #[tokio::test]
    async fn a_stream_that_outlives_its_lease_stays_held() {
        let server = Redis::start();
        let place = server.url();
        super::a_stream_that_outlives_its_lease_stays_held(&place).await;
    }
}
