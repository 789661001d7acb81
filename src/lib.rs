//! A [Tower](https://docs.rs/tower) middleware that spends quotas honestly.
//!
//! [`QuotaLayer`] wraps any HTTP service. For each request it finds which **feature** is used and
//! which **profile** pays, **reserves** units before the inner service runs, and settles them
//! exactly once: **commits** them when the request succeeds, and **releases** them when it fails,
//! whatever way it ends. A request that does not fit is answered with `429`, which limit it was and
//! when that resets.
//!
//! # Start
//!
//! ```
//! use http::{HeaderName, Method};
//! use tower_quota::{HeaderIdentity, Limit, Plan, QuotaLayer, Quotas, Window};
//!
//! # fn main() -> Result<(), tower_quota::ConfigError> {
//! let plan = Plan::new("free").feature("remix", [Limit::new(3, Window::Day)]);
//! let quotas = Quotas::builder().plan(plan).build()?;
//! let layer = QuotaLayer::builder(quotas)
//!     .route(Method::POST, "/api/remix", "remix")
//!     .identify(HeaderIdentity::new(HeaderName::from_static("x-profile-id")))
//!     .plan("free")
//!     .build()?;
//! // Router::new().route("/api/remix", post(remix)).layer(layer)
//! # Ok(())
//! # }
//! ```
//!
//! # Customised
//!
//! Two plans from a database, several limits, units by the request, a policy of one's own:
//!
//! ```
//! use std::time::Duration;
//!
//! use http::Method;
//! use tower_quota::{
//!     BoxError, Ending, ExtensionIdentity, Limit, Plan, Profile, ProfileId, Profiles, QuotaLayer,
//!     Quotas, Rule, Settlement, Window,
//! };
//!
//! #[derive(Clone)]
//! struct User(u64);
//!
//! async fn load(id: ProfileId) -> Result<Option<Profile>, BoxError> {
//!     // ... SELECT plan FROM users WHERE id = $1 ...
//!     Ok(Some(Profile::new(id.as_bytes(), "pro")))
//! }
//!
//! # fn main() -> Result<(), tower_quota::ConfigError> {
//! let burst = Limit::new(10, Window::Minute).named("burst");
//! let free = Plan::new("free").feature("chat", [Limit::new(20, Window::Day), burst.clone()]);
//! let pro = Plan::new("pro")
//!     .feature("chat", [Limit::new(5_000, Window::Month), burst])
//!     .feature("discover", [Limit::new(50, Window::Day)]);
//! let quotas = Quotas::builder().plan(free).plan(pro).build()?;
//!
//! let profiles = Profiles::new(load).time_to_live(Duration::from_secs(30));
//! let layer = QuotaLayer::builder(quotas)
//!     .route(Method::POST, "/chat", Rule::new("chat").units_of(|head| {
//!         if head.headers.contains_key("x-long-answer") { 4 } else { 1 }
//!     }))
//!     .route(Method::GET, "/discover/{id}", Rule::new("discover").forward_denials())
//!     .identify(ExtensionIdentity::new(|user: &User| ProfileId::new(user.0.to_string())))
//!     .profiles(profiles.clone()) // keep one, to `invalidate` whoever changes their plan
//!     .outcome_policy(|outcome| match outcome.ending() {
//!         Ending::Dropped => Settlement::Commit,
//!         _ => outcome.settlement(),
//!     })
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to read on
//!
//! | To | see |
//! |---|---|
//! | say what may be spent | [`Plan`], [`Limit`], [`Window`] |
//! | bound a tenant or everybody together, count requests beside tokens, or try a limit out | [`Scope`], [`Measure`], [`Limit::shadow`] |
//! | say which request uses what | [`QuotaLayer`], [`Rule`] |
//! | say who pays | [`Identity`], [`ForwardedIp`], [`Profile`], [`ProfileSource`], [`Unidentified`] |
//! | let a handler decide what its request costs | [`QuotaHandle`] |
//! | decide what an ending costs | [`Outcome`], [`Settlement`] |
//! | bound what clients that fail on purpose get back | [`Limit::max_refunds`] |
//! | answer a denial in another way | [`QuotaLayerBuilder::denial`], [`denial_response`] |
//! | choose the headers | [`Headers`] |
//! | show what was used | [`UsageService`], [`Quotas::usage`] |
//! | spend without HTTP | [`Quotas`], [`Reservation`] |
//! | change plans, limits or mode at run time | [`Quotas::set_plans`], [`Quotas::set_limits`], [`Mode`] |
//! | write plans in a file, and read it again at run time | `plans_from_toml`, `Quotas::set_plans_from_toml` |
//! | keep counts over a restart, or share them | [`store`]: SQLite, PostgreSQL, Redis |
//! | go on while the store is away | [`OnStoreFailure`], [`store`] |
//! | keep the books elsewhere | [`store::Store`], `store::RemoteBooks` |
//! | test what depends on time, or a store | `ManualClock`, `contract` |
//!
//! # How a request ends, and what that costs
//!
//! | ending | by default |
//! |---|---|
//! | a response below 400, its body read to the end | commit |
//! | …, its body dropped by a client that had enough | commit |
//! | a status of 400 or more, or a `grpc-status` other than 0 | release |
//! | the body fails | release |
//! | the inner service fails or panics | release |
//! | dropped before there was a response: a time-out, or a client that went away | release |
//!
//! A [cap on refunds](Limit::max_refunds) bounds what is released like this in a window: past it, who
//! fails pays. An [outcome policy](QuotaLayerBuilder::outcome_policy) changes this for the layer, a
//! [`QuotaHandle`] for one request. A client's going away counts when the server drops the request:
//! hyper cannot see it over HTTP/1 behind input that it has not read.
//!
//! # What is promised
//!
//! - Exact: under any concurrency a limit of N grants N units, never N + 1; and a request is denied
//!   only if `used + held + units` is above the amount of some limit at that moment.
//! - All or nothing: a request takes from all limits of its feature, or from none.
//! - Settled once, in the window that was charged, also after midnight.
//! - A count is never below 0, and never forgotten while its window is open.
//! - A hold whose process has died comes back, or is charged, when its lease ends.
//! - A failure of the store is not a denial: the operator chooses between 503, letting pass and a
//!   local share.
//! - The errors are the inner service's, and so is the service that was polled ready.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `axum` | [`QuotaHandle`] as an extractor, peer addresses from `ConnectInfo`, and route patterns that see the whole path inside `Router::nest` |
//! | `tz` | calendar windows in a time zone: `Limit::zone`, or with [`Limit::profile_calendar`] `Profile::zone` |
//! | `config` | plans from TOML, with errors that name line and field: `plans_from_toml` |
//! | `redis` | `store::RedisBooks`: Redis 7 or Valkey, a single server, Sentinel or Cluster |
//! | `postgres` | `store::PostgresBooks` |
//! | `sqlite` | `store::SqliteBooks` |
//! | `remote` | `store::Remote` and `store::RemoteBooks`, for books in a database of your own; the three above include it |
//! | `tracing` | a warning where a request passes uncounted because the store failed, and an event where a shadow limit would have denied one |
//! | `test-util` | `ManualClock`, and the suite that every store has to pass: `contract` |
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod bounds;
mod builder;
mod clock;
#[cfg(feature = "test-util")]
pub mod contract;
#[cfg(all(feature = "test-util", feature = "remote"))]
mod contract_books;
mod count;
mod decision;
mod engine;
mod error;
mod limits;
mod middleware;
mod needs;
mod operators;
#[cfg(feature = "config")]
mod plan_file;
mod quotas;
mod reservation;
mod standing;
pub mod store;
mod striped;

pub use bounds::{MAX_ID_BYTES, MAX_UNITS};
pub use builder::QuotasBuilder;
#[cfg(feature = "test-util")]
pub use clock::ManualClock;
pub use clock::{Clock, SystemClock, Timestamp};
pub use count::{Count, Counts, Spent};
pub use decision::{Check, Denial, Settlement};
pub use engine::Mode;
pub use error::{BoxError, ConfigError, Error, StoreError};
pub use limits::{
    Buckets, Limit, LimitKey, Measure, Plan, Profile, ProfileId, Refunds, Rolling, Scope, Span,
    Window,
};
pub use middleware::{
    Ending, ExtensionIdentity, Failure, ForwardedIp, HandleError, HeaderIdentity, Headers,
    Identity, OnStoreFailure, Outcome, PeerIp, ProfileSource, Profiles, Quota, QuotaHandle,
    QuotaLayer, QuotaLayerBuilder, RequestHead, Reset, ResponseBody, ResponseFuture, Rule,
    Unidentified, UsageService, WouldDeny, denial_response,
};
#[cfg(feature = "config")]
pub use plan_file::{PlanFileError, plans_from_toml};
pub use quotas::Quotas;
pub use reservation::{Decision, Reservation};
pub use standing::{Standing, Status, Usage};
pub use store::MemoryStore;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
