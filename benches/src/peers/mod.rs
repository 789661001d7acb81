//! tower-quota and its peers, each set up as its documentation says, with quotas alike.

pub(crate) mod axum_governor;
pub(crate) mod governor;
pub(crate) mod limitador;
pub(crate) mod limitador_redis;
pub(crate) mod ours;
pub(crate) mod rate_tier;
pub(crate) mod tower_governor;

/// Units a day that nobody here uses up.
pub(crate) const PLENTY: u32 = 1_000_000_000;
