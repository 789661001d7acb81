//! A handler that reserves by itself, once it knows what its request takes.

use std::convert::Infallible;
use std::future;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::future::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    Check, Denial, Error, HandleError, Profile, QuotaHandle, QuotaLayer, Quotas, ResponseBody,
    Rule, denial_response,
};

use crate::support::{
    BrokenStore, SlowStore, books, daily, daily_in, empty, get, metered, noon, text,
};

fn layer(quotas: &Quotas) -> QuotaLayer {
    let rule = Rule::new("remix").reserve_in_handler();
    metered(quotas).feature(rule).build().unwrap()
}

/// Sends a request to this handler, which answers with a status.
async fn send<F>(
    quotas: &Quotas,
    handler: impl Fn(QuotaHandle) -> F + Clone,
) -> Response<ResponseBody<Empty<Bytes>>>
where
    F: Future<Output = u16>,
{
    let inner = service_fn(move |request: Request<()>| {
        let status = handler(request.extensions().get().cloned().unwrap());
        let answer = status.map(|status| Response::builder().status(status).body(Empty::new()));
        answer.map(|response| Ok::<_, Infallible>(response.unwrap()))
    });
    layer(quotas).layer(inner).oneshot(get()).await.unwrap()
}

async fn allowed(quota: &QuotaHandle, units: u64) {
    let check = quota.reserve(units).await.unwrap();
    assert!(matches!(check, Check::Allowed(_)), "{check:?}");
}

async fn denied(quota: &QuotaHandle, units: u64) -> Denial {
    match quota.reserve(units).await.unwrap() {
        Check::Denied(denial) => denial,
        Check::Allowed(standing) => panic!("{standing:?}"),
    }
}

fn remaining(response: &Response<impl Sized>) -> &str {
    response.headers()["ratelimit"].to_str().unwrap()
}

#[tokio::test]
async fn what_it_reserves_is_held_and_then_committed() {
    let quotas = daily(&noon(), 5);
    let response = send(&quotas, async |quota| {
        assert!(quota.standing().is_none());
        assert_eq!(quota.remaining(), None);
        allowed(&quota, 3).await;
        assert_eq!(quota.remaining(), Some(2));
        200
    });
    let response = response.await;
    assert_eq!(remaining(&response), "\"day\";r=2;t=43200");
    assert_eq!(books(&quotas), (3, 0));
}

#[tokio::test]
async fn what_it_reserves_is_released_by_a_failure() {
    let quotas = daily(&noon(), 5);
    send(&quotas, async |quota| {
        allowed(&quota, 3).await;
        400
    })
    .await;
    assert_eq!(books(&quotas), (0, 0));
}

#[tokio::test]
async fn what_it_reserves_it_may_charge_and_take() {
    let quotas = daily(&noon(), 5);
    send(&quotas, async |quota| {
        allowed(&quota, 3).await;
        quota.charge(2).unwrap();
        200
    })
    .await;
    assert_eq!(books(&quotas), (2, 0));
    send(&quotas, async |quota| {
        allowed(&quota, 3).await;
        quota.take().unwrap().unwrap().commit_units(1);
        500
    })
    .await;
    assert_eq!(books(&quotas), (3, 0));
}

#[tokio::test]
async fn it_need_not_reserve() {
    let quotas = daily(&noon(), 5);
    let response = send(&quotas, async |quota| {
        quota.charge(3).unwrap();
        assert!(quota.take().unwrap().is_none());
        200
    });
    let response = response.await;
    assert!(!response.headers().contains_key("ratelimit"));
    assert_eq!(books(&quotas), (0, 0));
}

#[tokio::test]
async fn a_denial_is_for_it_to_answer_and_it_may_ask_for_fewer() {
    let quotas = daily(&noon(), 5);
    let response = send(&quotas, async |quota| {
        let denial = denied(&quota, 6).await;
        assert_eq!((denial.units(), denial.retry_after()), (6, None));
        assert!(quota.take().unwrap().is_none());
        assert_eq!(quota.remaining(), Some(5));
        allowed(&quota, 5).await;
        200
    });
    assert_eq!(remaining(&response.await), "\"day\";r=0;t=43200");
    assert_eq!(books(&quotas), (5, 0));

    let response = send(&quotas, async |quota| {
        let response = denial_response(&denied(&quota, 1).await);
        response.status().as_u16()
    });
    let response = response.await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(remaining(&response), "\"day\";r=0;t=43200");
    assert_eq!(books(&quotas), (5, 0));
}

#[tokio::test]
async fn it_reserves_once() {
    let quotas = daily(&noon(), 5);
    send(&quotas, async |quota| {
        allowed(&quota, 2).await;
        let again = quota.reserve(1).await;
        assert!(matches!(again, Err(HandleError::AlreadyReserved)));
        assert_eq!(books(&quotas), (0, 2));
        200
    })
    .await;
    assert_eq!(books(&quotas), (2, 0));
}

/// Both ask before either has an answer: the second answer's units go back.
#[tokio::test]
async fn it_reserves_once_also_where_it_asks_twice_at_once() {
    let (store, gate) = SlowStore::new();
    let quotas = daily_in(store, 5);
    send(&quotas, async |quota| {
        let open = async { gate.open() };
        let asked = tokio::join!(biased; quota.reserve(2), quota.reserve(2), open);
        assert!(matches!(asked.0, Ok(Check::Allowed(_))));
        assert!(matches!(asked.1, Err(HandleError::AlreadyReserved)));
        assert_eq!(books(&quotas), (0, 2));
        200
    })
    .await;
    assert_eq!(books(&quotas), (2, 0));
}

#[tokio::test]
async fn a_reservation_that_it_does_not_wait_for_is_released() {
    let (store, gate) = SlowStore::new();
    let quotas = daily_in(store, 5);
    send(&quotas, async |quota| {
        assert!(quota.reserve(2).now_or_never().is_none());
        gate.open();
        allowed(&quota, 3).await;
        200
    })
    .await;
    assert_eq!(books(&quotas), (3, 0));
}

/// Nobody would settle what a task that was left behind reserves.
#[tokio::test]
async fn a_reservation_that_comes_after_the_request_is_refused() {
    // The gate stays shut: that it is too late is known without the store.
    let (store, _gate) = SlowStore::new();
    let quotas = daily_in(store, 5);
    let kept = Arc::new(OnceLock::<QuotaHandle>::new());
    let keeper = kept.clone();
    send(&quotas, move |quota| {
        keeper.set(quota).unwrap();
        future::ready(200)
    })
    .await;
    let quota = kept.get().unwrap();
    let refused = quota.reserve(2).now_or_never().unwrap();
    assert!(matches!(refused, Err(HandleError::Settled)));
    assert_eq!(books(&quotas), (0, 0));
}

#[tokio::test]
async fn a_reservation_that_is_granted_while_the_request_ends_is_released() {
    let (store, gate) = SlowStore::new();
    let quotas = daily_in(store, 5);
    let kept = Arc::new(OnceLock::<QuotaHandle>::new());
    let keeper = kept.clone();
    let mut request = Box::pin(send(&quotas, move |quota| {
        keeper.set(quota).unwrap();
        future::pending::<u16>()
    }));
    assert!((&mut request).now_or_never().is_none());
    let quota = kept.get().unwrap();
    let mut reserving = Box::pin(quota.reserve(2));
    assert!((&mut reserving).now_or_never().is_none());
    drop(request);
    gate.open();
    assert!(matches!(reserving.await, Err(HandleError::Settled)));
    assert_eq!(books(&quotas), (0, 0));
}

#[tokio::test]
async fn a_store_failure_is_its_own_error() {
    let quotas = daily_in(BrokenStore::Later, 5);
    let response = send(&quotas, async |quota| {
        let failed = quota.reserve(1).await.unwrap_err();
        assert!(matches!(&failed, HandleError::Engine(Error::Store(_))));
        assert_eq!(failed.to_string(), "the quota store failed to answer");
        503
    });
    assert!(!response.await.headers().contains_key("ratelimit"));
}

#[tokio::test]
async fn where_the_layer_reserves_the_handler_may_not() {
    let quotas = daily(&noon(), 5);
    let inner = service_fn(async |request: Request<()>| {
        let quota: &QuotaHandle = request.extensions().get().unwrap();
        let refused = quota.reserve(1).await.unwrap_err();
        let refused = refused.to_string();
        Ok::<_, Infallible>(Response::new(http_body_util::Full::from(refused)))
    });
    let service = metered(&quotas).build().unwrap().layer(inner);
    let said = text(service.oneshot(get()).await.unwrap()).await;
    assert_eq!(said, HandleError::ReservedByLayer.to_string());
    assert_eq!(books(&quotas), (1, 0));
}

#[tokio::test]
async fn a_bad_id_does_not_reach_the_handler() {
    let rule = Rule::new("remix").reserve_in_handler();
    let builder = QuotaLayer::builder(daily(&noon(), 5)).feature(rule);
    let layer = builder.profile(|_| Some(Profile::new("", "free"))).build().unwrap();
    let response = layer.layer(service_fn(empty)).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_taken_too_early_can_be_taken_later() {
    let quotas = daily(&noon(), 5);
    send(&quotas, async |quota| {
        assert!(quota.take().unwrap().is_none());
        allowed(&quota, 2).await;
        quota.take().unwrap().unwrap().commit_units(1);
        200
    })
    .await;
    assert_eq!(books(&quotas), (1, 0));
}
