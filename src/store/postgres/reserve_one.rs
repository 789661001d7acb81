//! The short way: one statement that holds units of one counter.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::query;

use super::lent::Lent;
use super::session::Session;
use crate::clock::Timestamp;
use crate::count::Counts;
use crate::store::books::{Held, Lapse, MAX_COUNT, RemoteReserve, RemoteVerdict};
use crate::store::sql::decode::{counter, instant};
use crate::store::sql::rows::{to_bits, to_count};

impl Session {
    /// Holds units of one counter that is there, has room and has nothing due. Otherwise, or if the
    /// hold is there already, it does nothing and gives nothing; nor if the clock is not the server's,
    /// for no other can be read between the lock and the rest of a statement.
    pub(super) async fn reserve_one(
        &self,
        lent: &mut Lent,
        request: &RemoteReserve,
    ) -> sqlx::Result<Option<RemoteVerdict>> {
        let ([charge], None) = (&*request.charges, &self.clock) else {
            return Ok(None);
        };
        let window = charge.counter.window;
        let reserve = query(self.statements.reserve_one.clone())
            .bind(charge.counter.key())
            .bind(to_count(charge.units(request.units)))
            .bind(millis(self.lease.length))
            .bind(to_count(MAX_COUNT))
            .bind(charge.ceiling.map(to_count))
            .bind(request.not_after.as_millis())
            .bind(millis(request.patience))
            .bind(window.end.saturating_add(self.lease.keep).as_millis())
            .bind(to_bits(request.id.nonce))
            .bind(to_bits(request.id.sequence))
            .bind(charge.lapse(request.lapse) == Lapse::Charge);
        // All rows, though there is at most one: with the last of them it is committed.
        let rows = reserve.fetch_all(lent.busy()).await;
        let rows = match lent.hear(rows) {
            Err(error) if calls_for_the_long_way(&error) => return Ok(None),
            rows => rows?,
        };
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let now = instant(row, "now")?.unwrap_or(Timestamp::MAX);
        let held = Held::Granted(Counts::from_slice(&[counter(row)?.count(window)]));
        Ok(Some(RemoteVerdict { held, now }))
    }
}

/// Whether the same id was there already; or somebody else has changed the counter meanwhile, where a
/// pool's connections do not read what others commit: transactions do.
fn calls_for_the_long_way(error: &sqlx::Error) -> bool {
    let is_serialization = |error: &dyn DatabaseError| error.code().as_deref() == Some("40001");
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation() || is_serialization(error))
}

/// As far as it can be added to an instant.
fn millis(duration: Duration) -> i64 {
    Timestamp::from_millis(0).saturating_add(duration).as_millis()
}
