//! The short way: one statement that holds units for many calls, each of one counter.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgRow;
use sqlx::{Row, SqlStr, query};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::lent::Lent;
use super::lost::was_undone;
use super::rows::column;
use super::session::{Session, failure};
use crate::clock::Timestamp;
use crate::count::Counts;
use crate::error::StoreError;
use crate::store::books::{Held, Lapse, MAX_COUNT, RemoteCharge, RemoteReserve, RemoteVerdict};
use crate::store::sql::decode::{counter, instant};
use crate::store::sql::error::Failure;
use crate::store::sql::line::{Line, Waited, Worker};
use crate::store::sql::rows::{to_bits, to_count};
use crate::store::sql::verbs::Verb;

/// How many calls are done in one statement.
const TOGETHER: usize = 64;

/// How many statements are under way at the same time. More of them would have fewer calls each, and
/// to begin and commit a statement takes more than to do a call.
const WORKERS: usize = 2;

/// For each call a verdict, if the short way leads to one.
pub(super) type Verdicts = Vec<Option<RemoteVerdict>>;

type Outcome = Result<Option<RemoteVerdict>, Failure>;

/// The line of those who go the short way.
pub(super) struct ShortWay(Arc<Line<Waiting>>);

/// Who stands there.
struct Waiting {
    request: RemoteReserve,
    reply: oneshot::Sender<Outcome>,
}

/// A call, as the line hands it out.
type Call = Box<Waiting>;

impl Waited for Waiting {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

impl Waiting {
    fn answer(self, outcome: Outcome) {
        // Nobody waits any more: it was done all the same.
        drop(self.reply.send(outcome));
    }
}

impl Default for ShortWay {
    fn default() -> Self {
        Self(Arc::new(Line::of(WORKERS)))
    }
}

impl ShortWay {
    /// Holds units, unless something stands in the way: a lock of somebody else's, say.
    pub(super) async fn reserve(
        &self,
        session: &Arc<Session>,
        request: &RemoteReserve,
    ) -> Result<Option<RemoteVerdict>, StoreError> {
        let (reply, outcome) = oneshot::channel();
        let call = Waiting { request: request.clone(), reply };
        if let Some(worker) = self.0.push(Box::new(call)) {
            tokio::spawn(session.clone().go_short(worker));
        }
        match outcome.await {
            Ok(outcome) => outcome.map_err(|failure| failure.of(RemoteReserve::NAME)),
            // The runtime of whoever worked has ended.
            Err(_) => Ok(None),
        }
    }
}

/// A call of one counter, as the short way takes it.
#[derive(Clone, Copy)]
pub(super) struct Short<'a> {
    request: &'a RemoteReserve,
    charge: &'a RemoteCharge,
}

impl<'a> Short<'a> {
    /// The call, if it may go the short way: it takes one counter, which does not roll. None may if
    /// the clock is not the server's, for no other can be read between a lock and the rest of a
    /// statement.
    pub(super) fn of(request: &'a RemoteReserve, session: &Session) -> Option<Self> {
        match (&*request.charges, &session.clock) {
            ([charge], None) if charge.counter.limit.rolling().is_none() => {
                Some(Self { request, charge })
            }
            _ => None,
        }
    }

    pub(super) fn key(&self) -> Vec<u8> {
        self.charge.counter.key()
    }

    fn units(&self) -> i64 {
        to_count(self.charge.units(self.request.units))
    }

    /// From when on it may be executed.
    fn earliest(&self) -> i64 {
        self.request.not_after.as_millis().saturating_sub(millis(self.request.patience))
    }

    fn verdict(&self, row: &PgRow) -> sqlx::Result<RemoteVerdict> {
        let count = counter(row)?.count(self.charge.counter.window);
        let now = instant(row, "now")?.unwrap_or(Timestamp::MAX);
        Ok(RemoteVerdict { held: Held::Granted(Counts::from_slice(&[count])), now })
    }
}

impl Session {
    /// Sees to what stands in line, until nothing does.
    async fn go_short(self: Arc<Self>, mut worker: Worker<Waiting>) {
        loop {
            // The connection first: who comes while it is waited for is done together with the rest.
            let lent = self.lend().await;
            let Some(calls) = worker.next(TOGETHER).await else {
                return;
            };
            let done = tokio::spawn(self.clone().reserve_for(lent, calls));
            // Nobody else waits for a connection that is stuck.
            drop(timeout(self.stuck_after(), done).await);
        }
    }

    async fn reserve_for(self: Arc<Self>, lent: sqlx::Result<Lent>, calls: Vec<Call>) {
        let done = self.in_time(async {
            let shorts: Vec<_> =
                calls.iter().filter_map(|call| Short::of(&call.request, &self)).collect();
            self.reserve_short(&mut lent?, &self.statements.reserve_unlocked, &shorts).await
        });
        let done = done.await.map_err(failure);
        answer(calls, done);
    }

    /// How long a statement takes that waits for no lock, if all is well.
    fn stuck_after(&self) -> Duration {
        self.timeout.checked_div(8).unwrap_or(self.timeout)
    }

    /// Holds units in one statement, of counters that are there, have room and have nothing due. For
    /// those that do not, and if a hold is there already, nothing is done, and there is no verdict.
    pub(super) async fn reserve_short(
        &self,
        lent: &mut Lent,
        statement: &SqlStr,
        calls: &[Short<'_>],
    ) -> sqlx::Result<Verdicts> {
        let closed =
            |call: &Short<'_>| call.charge.counter.window.end.saturating_add(self.lease.keep);
        let reserve = query(statement.clone())
            .bind(column(calls, Short::key))
            .bind(column(calls, Short::units))
            .bind(column(calls, |call| call.charge.ceiling.map(to_count)))
            .bind(column(calls, Short::earliest))
            .bind(column(calls, |call| call.request.not_after.as_millis()))
            .bind(column(calls, |call| closed(call).as_millis()))
            .bind(column(calls, |call| to_bits(call.request.id.nonce)))
            .bind(column(calls, |call| to_bits(call.request.id.sequence)))
            .bind(column(calls, |call| call.charge.lapse(call.request.lapse) == Lapse::Charge))
            .bind(to_count(MAX_COUNT))
            .bind(millis(self.lease.length));
        // All rows: with the last of them it is committed.
        let rows = reserve.fetch_all(lent.busy()).await;
        let rows = match lent.hear(rows) {
            Err(error) if calls_for_the_long_way(&error) => Vec::new(),
            rows => rows?,
        };
        let granted: HashMap<i64, &PgRow> =
            rows.iter().map(|row| Ok((row.try_get("place")?, row))).collect::<sqlx::Result<_>>()?;
        let verdict = |(place, call): (i64, &Short<'_>)| {
            granted.get(&place).map(|row| call.verdict(row)).transpose()
        };
        (1..).zip(calls).map(verdict).collect()
    }
}

/// Tells everyone what became of their call.
fn answer(calls: Vec<Call>, done: Result<Verdicts, Failure>) {
    match done {
        Ok(verdicts) => {
            for (call, verdict) in calls.into_iter().zip(verdicts) {
                call.answer(Ok(verdict));
            }
        }
        Err(failure) => {
            for call in calls {
                call.answer(Err(failure.clone()));
            }
        }
    }
}

/// Whether the connection is gone, and what was asked there is to be asked elsewhere; or the same id
/// was there already; or somebody else has changed a counter meanwhile, where a
/// pool's connections do not read what others commit: transactions do.
pub(super) fn calls_for_the_long_way(error: &sqlx::Error) -> bool {
    let is_serialization = |error: &dyn DatabaseError| error.code().as_deref() == Some("40001");
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation() || is_serialization(error))
        || was_undone(error)
}

/// As far as it can be added to an instant.
fn millis(duration: Duration) -> i64 {
    Timestamp::from_millis(0).saturating_add(duration).as_millis()
}
