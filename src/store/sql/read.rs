//! Counts that are read without a lock.

use std::collections::HashMap;

use sqlx::{ColumnIndex, Decode, Row, Type};

use super::decode::{counter, due, instant};
use super::rows::CounterRow;
use super::verbs::check_open;
use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;
use crate::store::books::{Lease, RemoteCharge};

/// Counters that were read, those of them that are there.
#[derive(Debug)]
pub(crate) struct Found {
    now: Timestamp,
    rows: HashMap<Vec<u8>, CounterRow>,
}

impl Found {
    /// What the rows of [`read`](super::statements::read) say.
    pub(crate) fn new<'r, R>(found: &'r [R]) -> sqlx::Result<Self>
    where
        R: Row,
        &'static str: ColumnIndex<R>,
        &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
        i64: Decode<'r, R::Database> + Type<R::Database>,
        &'r str: Decode<'r, R::Database> + Type<R::Database>,
    {
        let (mut now, mut rows) = (None, HashMap::new());
        for row in found {
            now = instant(row, "now")?;
            if let Some(key) = row.try_get::<Option<&[u8]>, _>("key")? {
                let mut counter = CounterRow { due: due(row)?, ..counter(row)? };
                counter.roll(None, now.unwrap_or(Timestamp::MIN));
                rows.insert(key.to_vec(), counter);
            }
        }
        let now = now.ok_or(sqlx::Error::RowNotFound)?;
        Ok(Self { now, rows })
    }

    /// The counts of charges, in their order, for whoever asks for so many units.
    pub(crate) fn counts(
        &self,
        charges: &[RemoteCharge],
        units: u64,
        lease: Lease,
    ) -> Result<Vec<Count>, StoreError> {
        let count = |charge: &RemoteCharge| {
            check_open(&charge.counter, lease, self.now)?;
            let row = self.rows.get(&charge.counter.key());
            let unused = Count::unused(charge.counter.window);
            Ok(row.map_or(unused, |row| row.count_for(charge, units)))
        };
        charges.iter().map(count).collect()
    }
}
