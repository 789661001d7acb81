//! What the store hears: of each hold one settlement, and never a second.

use std::convert::Infallible;
use std::future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::FutureExt;
use futures::stream;
use http::{Method, Response};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower::{Service, ServiceExt, service_fn};
use tower_quota::store::{Hold, HoldId, Reserve, Settle, Verdict};
use tower_quota::{Count, Spent};

use super::{Broken, Scene, chunks, data, panic_in_poll};
use crate::support::{Scripted, get};

type Settled = Arc<Journal>;

/// Every hold that was granted, and every settlement that came.
#[derive(Debug, Default)]
struct Journal {
    granted: Mutex<Vec<HoldId>>,
    settled: Mutex<Vec<(HoldId, Spent)>>,
}

impl Settle for Journal {
    fn settle(&self, id: HoldId, spent: Spent) {
        self.settled.lock().unwrap().push((id, spent));
    }
}

/// A scene whose store grants everything, and keeps a journal instead of books.
fn scene() -> (Scene, Settled) {
    let journal = Settled::default();
    let books = journal.clone();
    let grant = move |request: Reserve<'_>| {
        books.granted.lock().unwrap().push(request.id);
        let charges = request.charges.iter();
        let counts = charges.map(|charge| Count::unused(charge.counter.window));
        Verdict::Granted(Hold::new(request.id, books.clone()), counts.collect())
    };
    (Scene::on(Scripted(grant)), journal)
}

/// One hold was granted, and settled once, so.
#[track_caller]
fn assert_settled_once(journal: &Journal, spent: Spent) {
    let granted = journal.granted.lock().unwrap().clone();
    let settled = journal.settled.lock().unwrap().clone();
    let once: Vec<_> = granted.iter().map(|id| (*id, spent)).collect();
    assert_eq!((granted.len(), settled), (1, once));
}

const NOTHING: Spent = Spent::Nothing;

#[tokio::test]
async fn a_body_that_ends_and_is_dropped_is_one_settlement() {
    let (scene, journal) = scene();
    let mut body = scene.get(|| Response::new(chunks(["one"]))).await.into_body();
    while body.frame().await.is_some() {}
    assert!(body.frame().await.is_none(), "it may be asked again");
    drop(body);
    assert_settled_once(&journal, Spent::Held);
}

#[tokio::test]
async fn a_body_dropped_midway_is_one_settlement() {
    let (scene, journal) = scene();
    let mut body = scene.get(|| Response::new(chunks(["one"]))).await.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_settled_once(&journal, Spent::Held);
}

#[tokio::test]
async fn a_body_dropped_after_its_error_is_one_settlement() {
    let (scene, journal) = scene();
    let breaks = || Response::new(StreamBody::new(stream::iter([Err(Broken), Ok(data("more"))])));
    let mut body = scene.get(breaks).await.into_body();
    body.frame().await.unwrap().unwrap_err();
    // A body may go on after an error; the request is settled all the same.
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_settled_once(&journal, NOTHING);
}

#[tokio::test]
async fn an_error_status_and_its_body_are_one_settlement() {
    let (scene, journal) = scene();
    let failed = || {
        let builder = Response::builder().status(500);
        builder.body(chunks(["sorry"])).unwrap()
    };
    scene.get(failed).await.into_body().collect().await.unwrap();
    assert_settled_once(&journal, NOTHING);
}

#[tokio::test]
async fn head_is_one_settlement() {
    let (scene, journal) = scene();
    let head = || Response::new(chunks(["never read"]));
    drop(scene.answer(Method::HEAD, head).await);
    assert_settled_once(&journal, Spent::Held);
}

#[tokio::test]
async fn a_service_error_is_one_settlement() {
    let (scene, journal) = scene();
    let inner = service_fn(|_| future::ready(Err::<Response<Full<Bytes>>, _>(Broken)));
    scene.around(inner).oneshot(get()).await.unwrap_err();
    assert_settled_once(&journal, NOTHING);
}

#[tokio::test]
async fn a_panic_is_one_settlement() {
    let (scene, journal) = scene();
    let inner = service_fn(|_| panic_in_poll());
    let polled = AssertUnwindSafe(scene.around(inner).oneshot(get()));
    polled.catch_unwind().await.unwrap_err();
    assert_settled_once(&journal, NOTHING);
}

#[tokio::test]
async fn a_dropped_future_is_one_settlement() {
    let (scene, journal) = scene();
    let stuck = service_fn(|_| future::pending::<Result<Response<Empty<Bytes>>, Infallible>>());
    drop(scene.around(stuck).ready().await.unwrap().call(get()));
    assert_settled_once(&journal, NOTHING);
}

#[tokio::test]
async fn the_handler_s_word_is_that_one_settlement() {
    let (scene, journal) = scene();
    let response = scene.get(|| Response::new(chunks(["one"]))).await;
    scene.handle().charge(7).unwrap();
    scene.handle().charge(9).unwrap();
    response.into_body().collect().await.unwrap();
    assert_settled_once(&journal, Spent::Units(9));
}

#[tokio::test]
async fn a_reservation_that_was_taken_is_settled_once_by_its_guard() {
    let (scene, journal) = scene();
    let response = scene.get(|| Response::new(chunks(["one"]))).await;
    let taken = scene.handle().take().unwrap().unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(journal.settled.lock().unwrap().len(), 0);
    taken.commit();
    assert_settled_once(&journal, Spent::Held);
}
