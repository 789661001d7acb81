//! The last windows of limits that follow the profile's calendar.

use futures::future::try_join_all;
use redis::RedisResult;

use super::error::failed;
use super::session::Session;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::limits::Span;
use crate::store::books::{RemoteCounter, RemoteOpening};

impl Session {
    pub(super) async fn open(&self, opening: &RemoteOpening) -> Result<Span, StoreError> {
        let RemoteOpening { counter, after } = opening;
        let mut call = self.scripts.open.on_key(&self.keys.of_windows(counter));
        call.optional(self.now())
            .length(self.linger())
            .arg(counter.window.start.as_millis())
            .arg(counter.window.end.as_millis())
            .arg(after.as_millis())
            .arg(counter.known_until().as_millis())
            .length(self.lease.keep);
        let last: Vec<i64> = call.run(&self.connection).await.map_err(failed("open a window"))?;
        match last.as_slice() {
            [start, end] => Ok(span(*start, *end)),
            _ => Err(StoreError::clock_ahead(counter.window.start)),
        }
    }

    pub(super) async fn last(
        &self,
        counters: &[RemoteCounter],
    ) -> Result<Vec<Option<Span>>, StoreError> {
        let windows = try_join_all(counters.iter().map(|counter| self.last_of(counter))).await;
        windows.map_err(failed("read windows"))
    }

    async fn last_of(&self, counter: &RemoteCounter) -> RedisResult<Option<Span>> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.keys.of_windows(counter)).arg("s").arg("e");
        let (start, end) = self.connection.query(&command).await?;
        Ok(Option::zip(start, end).map(|(start, end)| span(start, end)))
    }
}

fn span(start: i64, end: i64) -> Span {
    Span { start: Timestamp::from_millis(start), end: Timestamp::from_millis(end) }
}
