//! Sweeping an SQLite file.

use super::writer::Writer;
use crate::store::sql::sweep::{Cursor, Rubbish, Sweeper, delete, mark};

/// A sweep, and up to where it has come.
#[derive(Debug)]
pub(super) struct SqliteSweeper<'a> {
    pub(super) writer: &'a Writer,
    pub(super) cursor: &'a Cursor,
}

impl Sweeper for SqliteSweeper<'_> {
    async fn mark(&self, at_most: u32) -> sqlx::Result<bool> {
        let mut transaction = self.writer.begin().await?;
        let rows = &mut self.writer.rows(&mut transaction);
        let next = mark(rows, self.cursor, self.writer.lease, at_most).await?;
        transaction.commit().await?;
        let is_more = next.is_some();
        self.cursor.set(next.unwrap_or_default());
        Ok(is_more)
    }

    async fn delete(&self, what: Rubbish, at_most: u32) -> sqlx::Result<u32> {
        let mut transaction = self.writer.begin().await?;
        let rows = &mut self.writer.rows(&mut transaction);
        let deleted = delete(rows, what, self.writer.lease, at_most).await?;
        transaction.commit().await?;
        Ok(deleted)
    }
}
