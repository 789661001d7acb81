//! Rows of either database, as what they say.

use sqlx::{ColumnIndex, Decode, Row, Type};

use super::draft::Key;
use super::rows::{CounterRow, Due, HoldRow};
use crate::clock::Timestamp;
use crate::store::books::Lapse;

pub(crate) fn key<'r, R>(row: &'r R) -> sqlx::Result<Key>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(Key::from(row.try_get::<&[u8], _>("key")?))
}

pub(crate) fn instant<'r, R>(row: &'r R, column: &'static str) -> sqlx::Result<Option<Timestamp>>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

pub(crate) fn due<'r, R>(row: &'r R) -> sqlx::Result<Due>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(Due { back: row.try_get("back")?, charged: row.try_get("charged")? })
}

/// A counter of which nothing is due, as far as the row says.
pub(crate) fn counter<'r, R>(row: &'r R) -> sqlx::Result<CounterRow>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let lapse_at = instant(row, "lapse_at")?;
    let (used, held) = (row.try_get("used")?, row.try_get("held")?);
    Ok(CounterRow { used, held, lapse_at, due: Due::default() })
}

pub(crate) fn hold<'r, R>(row: &'r R) -> sqlx::Result<HoldRow>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
{
    let lapse = if row.try_get("charge")? { Lapse::Charge } else { Lapse::GiveBack };
    Ok(HoldRow {
        units: row.try_get("units")?,
        lapse,
        deadline: Timestamp::from_millis(row.try_get("deadline")?),
        marked: row.try_get("lapsed")?,
    })
}
