//! The handler's say: what a handler reads about its request, and decides.

mod hold_more;
mod reserve;
mod streaming;

use std::convert::Infallible;
use std::future;

use axum::Router;
use axum::routing::get as on_get;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    HandleError, Mode, QuotaHandle, QuotaLayer, Quotas, ResponseBody, Rule, Settlement,
};

use crate::support::{at, books, daily, get, metered, noon, payer, text, used_and_held};

/// Sends a request to a handler that says something and answers with this status.
async fn send(
    layer: &QuotaLayer,
    status: u16,
    say: impl Fn(&QuotaHandle) + Clone,
) -> Response<ResponseBody<Empty<Bytes>>> {
    let inner = service_fn(move |request: Request<()>| {
        say(request.extensions().get().unwrap());
        let response = Response::builder().status(status);
        future::ready(Ok::<_, Infallible>(response.body(Empty::new()).unwrap()))
    });
    layer.layer(inner).oneshot(get()).await.unwrap()
}

/// What is used after a handler has said something and answered with this status.
async fn used_after(status: u16, say: impl Fn(&QuotaHandle) + Clone) -> u64 {
    let quotas = daily(&noon(), 5);
    send(&metered(&quotas).build().unwrap(), status, say).await;
    let (used, held) = books(&quotas);
    assert_eq!(held, 0);
    used
}

#[tokio::test]
async fn it_says_what_is_left_and_until_when() {
    let quotas = daily(&noon(), 5);
    let layer = metered(&quotas).build().unwrap();
    send(&layer, 200, |_| {}).await;
    send(&layer, 200, |quota| {
        // Its own unit is among those that are taken.
        assert_eq!(quota.remaining(), Some(3));
        assert_eq!(quota.resets_at(), Some(at("2026-11-25T00:00:00Z")));
        let standing = quota.standing().unwrap();
        assert_eq!(standing.feature(), "remix");
        let status = standing.statuses().next().unwrap();
        assert_eq!((status.used(), status.held()), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn it_is_there_in_every_mode() {
    for mode in [Mode::Enforce, Mode::Shadow] {
        let quotas = daily(&noon(), 5);
        quotas.set_mode(mode);
        let layer = metered(&quotas).build().unwrap();
        send(&layer, 200, |quota| assert_eq!(quota.remaining(), Some(4))).await;
        assert_eq!(books(&quotas), (1, 0));
    }
    let quotas = daily(&noon(), 0);
    quotas.set_mode(Mode::Unmetered);
    let unmetered = metered(&quotas).build().unwrap();
    let owner = metered(&quotas).profile(|_| Some(payer().unlimited(true)));
    for layer in [unmetered, owner.build().unwrap()] {
        let response = send(&layer, 200, |quota| {
            assert_eq!((quota.remaining(), quota.resets_at()), (None, None));
            assert_eq!(quota.standing().unwrap().statuses().count(), 0);
            // Its words are taken, and cost nothing.
            quota.charge(7).unwrap();
            assert_eq!(quota.take().unwrap().unwrap().units(), 1);
        })
        .await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(books(&quotas), (0, 0));
        quotas.set_mode(Mode::Enforce);
    }
}

#[tokio::test]
async fn in_shadow_mode_it_is_there_beyond_the_limit() {
    let quotas = daily(&noon(), 0);
    quotas.set_mode(Mode::Shadow);
    let layer = metered(&quotas).build().unwrap();
    let passed = send(&layer, 200, |quota| assert_eq!(quota.remaining(), Some(0))).await;
    assert_eq!(passed.status(), StatusCode::OK);
    assert_eq!(books(&quotas), (1, 0));
}

#[tokio::test]
async fn what_it_releases_costs_nothing() {
    assert_eq!(used_after(200, |quota| quota.release().unwrap()).await, 0);
}

#[tokio::test]
async fn what_it_charges_is_what_the_request_costs() {
    assert_eq!(used_after(200, |quota| quota.charge(0).unwrap()).await, 0);
    assert_eq!(used_after(200, |quota| quota.charge(3).unwrap()).await, 3);
    assert_eq!(used_after(200, |quota| quota.charge(812).unwrap()).await, 812);
}

#[tokio::test]
async fn fewer_units_than_were_held_can_be_charged() {
    let quotas = daily(&noon(), 5);
    let layer = metered(&quotas).feature(Rule::new("remix").units(5)).build().unwrap();
    send(&layer, 200, |quota| {
        assert_eq!(quota.remaining(), Some(0));
        quota.charge(2).unwrap();
    })
    .await;
    assert_eq!(books(&quotas), (2, 0));
}

#[tokio::test]
async fn its_last_word_counts() {
    let used = used_after(200, |quota| {
        quota.release().unwrap();
        quota.charge(4).unwrap();
        quota.clone().charge(3).unwrap();
    });
    assert_eq!(used.await, 3);
    let used = used_after(200, |quota| {
        quota.charge(4).unwrap();
        quota.release().unwrap();
    });
    assert_eq!(used.await, 0);
}

#[tokio::test]
async fn its_word_counts_also_for_a_failure() {
    assert_eq!(used_after(503, |quota| quota.charge(2).unwrap()).await, 2);
}

#[tokio::test]
async fn its_word_counts_also_for_a_request_that_is_dropped() {
    let quotas = daily(&noon(), 5);
    let layer = metered(&quotas).build().unwrap();
    let inner = service_fn(|request: Request<()>| {
        let quota: &QuotaHandle = request.extensions().get().unwrap();
        quota.charge(2).unwrap();
        future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let mut service = layer.layer(inner);
    drop(tower::Service::call(&mut service, get()));
    assert_eq!(books(&quotas), (2, 0));
}

#[tokio::test]
async fn its_word_goes_before_the_policy_s() {
    let policies = [Settlement::Commit, Settlement::Charge(3), Settlement::Release];
    for settlement in policies {
        let quotas = daily(&noon(), 5);
        let layer = metered(&quotas).outcome_policy(move |_| settlement);
        let layer = layer.build().unwrap();
        send(&layer, 200, |quota| quota.charge(4).unwrap()).await;
        assert_eq!(books(&quotas), (4, 0));
    }
}

#[tokio::test]
async fn after_the_end_it_is_told_that_it_is_late() {
    let quotas = daily(&noon(), 5);
    let layer = metered(&quotas).build().unwrap();
    let kept = std::sync::Arc::new(std::sync::OnceLock::<QuotaHandle>::new());
    let keeper = kept.clone();
    send(&layer, 200, move |quota| keeper.set(quota.clone()).unwrap()).await;
    let quota = kept.get().unwrap();
    assert!(matches!(quota.release(), Err(HandleError::Settled)));
    assert!(matches!(quota.charge(3), Err(HandleError::Settled)));
    assert!(matches!(quota.take(), Err(HandleError::Settled)));
    // What it reads is how things stood when the request was settled.
    let status = quota.standing().unwrap().statuses().next().unwrap();
    assert_eq!((status.used(), status.held()), (1, 0));
    assert_eq!(books(&quotas), (1, 0));
}

#[tokio::test]
async fn a_reservation_that_it_takes_is_its_own_to_settle() {
    let quotas = daily(&noon(), 5);
    let layer = metered(&quotas).build().unwrap();
    let (taken, mut takings) = tokio::sync::mpsc::unbounded_channel();
    send(&layer, 500, move |quota| {
        let reservation = quota.take().unwrap().unwrap();
        assert_eq!(reservation.units(), 1);
        taken.send(reservation).unwrap();
        quota.release().unwrap();
    })
    .await;
    assert_eq!(books(&quotas), (0, 1), "the request's end settles nothing");
    takings.recv().await.unwrap().commit();
    assert_eq!(books(&quotas), (1, 0));
}

#[tokio::test]
async fn a_reservation_that_it_takes_and_drops_is_released() {
    assert_eq!(used_after(200, |quota| drop(quota.take().unwrap())).await, 0);
}

#[tokio::test]
async fn what_it_says_about_a_forwarded_denial_has_no_effect() {
    let quotas = daily(&noon(), 0);
    let layer = metered(&quotas).feature(Rule::new("remix").forward_denials()).build().unwrap();
    send(&layer, 200, |quota| {
        assert_eq!(quota.remaining(), Some(0));
        assert!(quota.take().unwrap().is_none());
        quota.charge(9).unwrap();
    })
    .await;
    assert_eq!(books(&quotas), (0, 0));
}

fn app(quotas: &Quotas) -> Router {
    let handler = async |quota: QuotaHandle| {
        quota.release().unwrap();
        quota.remaining().unwrap().to_string()
    };
    let metered_routes =
        Router::new().route("/metered", on_get(handler)).layer(metered(quotas).build().unwrap());
    metered_routes.route("/unmetered", on_get(handler))
}

#[tokio::test]
async fn an_axum_handler_takes_it_as_an_argument() {
    let quotas = daily(&noon(), 5);
    let request = Request::get("/metered").body(axum::body::Body::empty());
    let response = app(&quotas).oneshot(request.unwrap()).await.unwrap();
    assert_eq!(text(response).await, "4");
    assert_eq!(used_and_held(&quotas, &payer()), (0, 0));
}

#[tokio::test]
async fn an_axum_handler_outside_of_the_layer_answers_500() {
    let quotas = daily(&noon(), 5);
    let request = Request::get("/unmetered").body(axum::body::Body::empty());
    let response = app(&quotas).oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text(response).await.contains("quota layer"));
}

#[tokio::test]
async fn a_reservation_is_taken_once() {
    let twice = |quota: &QuotaHandle| {
        drop(quota.take().unwrap().unwrap());
        assert!(quota.take().unwrap().is_none());
    };
    assert_eq!(used_after(200, twice).await, 0);
}
