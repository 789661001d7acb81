//! The tests: a file for each law (`exact`, `all_or_nothing`, `settled_once`, `own_window`,
//! `never_forgotten`, `store_failure`, `inner_service`) and for each surface.

mod all_or_nothing;
mod config;
mod contract;
mod denial;
mod engine;
mod exact;
mod exhausted;
mod handle;
mod headers;
mod hyper_server;
mod identity;
mod inner_service;
mod llm_gateway;
mod modes;
mod multi_tenant;
mod never_forgotten;
mod own_window;
#[cfg(feature = "config")]
mod plan_file;
#[cfg(feature = "postgres")]
mod postgres;
mod profiles;
mod proxy;
mod recipe_app;
mod recipe_scenarios;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "remote")]
mod remote;
mod routes;
mod scopes;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod servers;
mod settled_once;
mod shadow;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store_failure;
mod support;
#[cfg(feature = "tracing")]
mod tracing;
mod usage;
mod windows;
#[cfg(feature = "tz")]
mod zones;
