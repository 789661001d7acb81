//! Plans that a database says: `DATABASE_URL=postgres://… cargo run --example plans_in_postgres
//! --features postgres`.
//!
//! | route | what it does |
//! |---|---|
//! | `POST /api/remix` | is metered: 2 a day on `free`, 5 on `pro` |
//! | `GET /api/quotas` | tells what was used |
//! | `PUT /api/customers/{id}/plan` | changes a customer's plan, at once: its body is the plan's name |
//!
//! The header `x-customer` says who pays. A change that somebody makes in the database itself is seen
//! within 30 seconds, or within `TTL_SECONDS`. `LISTEN` is where to listen, by default
//! `127.0.0.1:3000`. Ctrl-C lets requests in flight end.

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get_service, post, put};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::signal;
use tower_quota::{
    BoxError, HeaderIdentity, Limit, Plan, Profile, ProfileId, ProfileSource, Profiles, QuotaLayer,
    Quotas, Window,
};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS customer (id TEXT PRIMARY KEY, plan TEXT NOT NULL)";

/// Customers, and the plan that each of them pays for.
#[derive(Clone)]
struct Customers(PgPool);

impl ProfileSource for Customers {
    async fn load(&self, id: ProfileId) -> Result<Option<Profile>, BoxError> {
        let Some(id) = id.as_str() else { return Ok(None) };
        let select = sqlx::query_scalar("SELECT plan FROM customer WHERE id = $1").bind(id);
        let plan: Option<String> = select.fetch_optional(&self.0).await?;
        Ok(plan.map(|plan| Profile::new(id, plan)))
    }
}

/// What changes a customer's plan.
#[derive(Clone)]
struct Office {
    quotas: Quotas,
    customers: Customers,
    profiles: Profiles,
}

/// Counts stay what they are: who moves to a larger plan has what is left of it, and who moves to a
/// smaller one than they have used is denied until the reset.
async fn set_plan(
    State(office): State<Office>,
    Path(id): Path<String>,
    plan: String,
) -> Result<StatusCode, StatusCode> {
    if !office.quotas.plans().iter().any(|known| known.name() == plan) {
        return Err(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let put = "INSERT INTO customer VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET plan = $2";
    let put = sqlx::query(put).bind(&id).bind(plan).execute(&office.customers.0).await;
    put.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    office.profiles.invalidate(&ProfileId::new(&id));
    Ok(StatusCode::NO_CONTENT)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let customers = Customers(PgPool::connect(&env::var("DATABASE_URL")?).await?);
    sqlx::query(TABLE).execute(&customers.0).await?;
    let seconds = env::var("TTL_SECONDS").map_or(Ok(30), |seconds| seconds.parse())?;
    let profiles = Profiles::new(customers.clone()).time_to_live(Duration::from_secs(seconds));
    let quotas = Quotas::builder()
        .plan(Plan::new("free").feature("remix", [Limit::new(2, Window::Day)]))
        .plan(Plan::new("pro").feature("remix", [Limit::new(5, Window::Day)]))
        .build()?;
    let layer = QuotaLayer::builder(quotas.clone())
        .route(axum::http::Method::POST, "/api/remix", "remix")
        .identify(HeaderIdentity::new(axum::http::HeaderName::from_static("x-customer")))
        .profiles(profiles.clone())
        .build()?;
    let app = Router::new()
        .route("/api/remix", post(async || "a new recipe\n"))
        .route("/api/quotas", get_service(layer.usage()))
        .layer(layer)
        .route("/api/customers/{id}/plan", put(set_plan))
        .with_state(Office { quotas, customers, profiles });

    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let interrupted = async { drop(signal::ctrl_c().await) };
    axum::serve(listener, app).with_graceful_shutdown(interrupted).await?;
    Ok(())
}
