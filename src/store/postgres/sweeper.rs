//! Sweeping a PostgreSQL database.

use super::session::Session;
use crate::store::sql::sweep::{Cursor, Rubbish, Sweeper, delete, mark};

/// A sweep, and up to where it has come.
#[derive(Debug)]
pub(super) struct PostgresSweeper<'a> {
    pub(super) session: &'a Session,
    pub(super) cursor: &'a Cursor,
}

impl Sweeper for PostgresSweeper<'_> {
    async fn mark(&self, at_most: u32) -> sqlx::Result<bool> {
        let session = self.session;
        let marked = session.in_time(async {
            let mut lent = session.acquire().await?;
            lent.begin(session.begins.alone.clone()).await?;
            let rows = &mut session.rows(&mut lent, &session.begins.alone);
            let next = mark(rows, self.cursor, session.lease, at_most).await;
            lent.end(next).await
        });
        let next = marked.await?;
        let is_more = next.is_some();
        self.cursor.set(next.unwrap_or_default());
        Ok(is_more)
    }

    async fn delete(&self, what: Rubbish, at_most: u32) -> sqlx::Result<u32> {
        let session = self.session;
        let deleted = session.in_time(async {
            let mut lent = session.acquire().await?;
            lent.begin(session.begins.alone.clone()).await?;
            let rows = &mut session.rows(&mut lent, &session.begins.alone);
            let deleted = delete(rows, what, session.lease, at_most).await;
            lent.end(deleted).await
        });
        deleted.await
    }
}
