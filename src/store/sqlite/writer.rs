//! The one connection of books that writes to an SQLite file.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::error::DatabaseError;
use sqlx::sqlite::SqlitePool;
use sqlx::{Sqlite, Transaction};

use super::rows::SqliteRows;
use super::statements::Statements;
use crate::clock::Clock;
use crate::store::books::Lease;
use crate::store::sql::draft::Rows;
use crate::store::sql::error::{Cause, Failure};
use crate::store::sql::job::{Job, answer_all, apply_all};
use crate::store::sql::line::Worker;

/// How many verbs are written in one transaction at most: some milliseconds' worth.
const TOGETHER: usize = 128;

/// What it takes to write.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) pool: SqlitePool,
    pub(super) statements: Statements,
    pub(super) lease: Lease,
    pub(super) clock: Box<dyn Clock>,
}

impl Writer {
    /// Does what stands in line, until nothing does.
    pub(super) async fn work(self: Arc<Self>, mut worker: Worker<dyn Job>) {
        while let Some(mut jobs) = worker.next(TOGETHER).await {
            let written = self.write(&mut jobs).await.map_err(failure);
            answer_all(jobs, written);
        }
    }

    async fn write(&self, jobs: &mut [Box<dyn Job>]) -> sqlx::Result<()> {
        let mut transaction = self.begin().await?;
        let rows = &mut self.rows(&mut transaction);
        let draft = apply_all(rows, jobs, self.lease).await?;
        rows.write(&draft).await?;
        transaction.commit().await
    }

    /// Locks the file: what is read afterwards stays so until it is written.
    pub(super) async fn begin(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.pool.begin_with("BEGIN IMMEDIATE").await
    }

    pub(super) fn rows<'a>(
        &'a self,
        transaction: &'a mut Transaction<'static, Sqlite>,
    ) -> SqliteRows<'a> {
        SqliteRows {
            connection: transaction,
            statements: &self.statements,
            clock: &*self.clock,
            ends: HashMap::new(),
        }
    }
}

/// An error of SQLite, and whether it passes.
pub(super) fn failure(error: sqlx::Error) -> Failure {
    Failure::new(error, cause)
}

/// Whether another has locked the file.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| matches!(code(error), Some(BUSY | LOCKED)))
}

const BUSY: u32 = 5;
const LOCKED: u32 = 6;

fn cause(error: &dyn DatabaseError) -> Cause {
    const ERROR: u32 = 1;
    const INTERRUPT: u32 = 9;
    const PROTOCOL: u32 = 15;
    match code(error) {
        Some(BUSY | LOCKED | INTERRUPT | PROTOCOL) => Cause::Passing,
        Some(ERROR) if error.message().starts_with("no such table") => Cause::NoTables,
        _ => Cause::Lasting,
    }
}

/// The last byte of a code says what it is, the others why.
fn code(error: &dyn DatabaseError) -> Option<u32> {
    error.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff)
}
