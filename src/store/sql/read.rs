//! Counts that are read without a lock.

use std::collections::HashMap;

use sqlx::{ColumnIndex, Decode, Row, Type};

use super::decode::{counter, due, key};
use crate::count::Count;
use crate::store::books::RemoteCounter;

/// The counts of counters, in their order, from the rows of those that are there.
pub(crate) fn counts<'r, R>(counters: &[RemoteCounter], rows: &'r [R]) -> sqlx::Result<Vec<Count>>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let mut found = HashMap::new();
    for row in rows {
        let mut counter = counter(row)?;
        counter.due = due(row)?;
        found.insert(key(row)?, counter);
    }
    let count = |counter: &RemoteCounter| {
        let unused = Count::unused(counter.window);
        found.get(counter.key().as_slice()).map_or(unused, |row| row.count(counter.window))
    };
    Ok(counters.iter().map(count).collect())
}
