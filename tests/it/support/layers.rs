//! What the tests of the layer share.

use std::convert::Infallible;
use std::fmt::Debug;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use tower_quota::store::Store;
use tower_quota::{Limit, Plan, Profile, QuotaLayer, QuotaLayerBuilder, Quotas, Window};

use super::{noon, profile, used_and_held};

/// Who pays in the tests of the layer, if nothing else is said.
pub(crate) fn payer() -> Profile {
    profile("7")
}

/// Begins a layer that takes one unit of `remix` from the [`payer`] for each request.
pub(crate) fn metered(quotas: &Quotas) -> QuotaLayerBuilder {
    QuotaLayer::builder(quotas.clone()).feature("remix").profile(|_| Some(payer()))
}

/// What the [`payer`] has used and holds.
pub(crate) fn books(quotas: &Quotas) -> (u64, u64) {
    used_and_held(quotas, &payer())
}

/// An engine that keeps its books in `store` and grants `amount` units of `remix` a day.
pub(crate) fn daily_in(store: impl Store, amount: u64) -> Quotas {
    let plan = Plan::new("free").feature("remix", [Limit::new(amount, Window::Day)]);
    let builder = Quotas::builder().plan(plan).clock(noon());
    builder.store(store).build().unwrap()
}

/// A request without a body.
pub(crate) fn request(method: Method, path: &str) -> Request<()> {
    let builder = Request::builder().method(method).uri(path);
    builder.body(()).unwrap()
}

/// `GET /`.
pub(crate) fn get() -> Request<()> {
    request(Method::GET, "/")
}

/// A handler that answers every request with an empty response.
pub(crate) async fn empty<B>(_: Request<B>) -> Result<Response<Empty<Bytes>>, Infallible> {
    Ok(Response::new(Empty::new()))
}

/// The body of a response, as text.
pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: Body<Data = Bytes, Error: Debug>,
{
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().into()).unwrap()
}

/// The body of a response, as JSON.
pub(crate) async fn json<B>(response: Response<B>) -> serde_json::Value
where
    B: Body<Data = Bytes, Error: Debug>,
{
    serde_json::from_str(&text(response).await).unwrap()
}
