//! Rows of either database, as what they say.

use std::iter;
use std::time::Duration;

use sqlx::error::BoxDynError;
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::draft::Key;
use super::rows::{ChargedStep, CounterRow, Due, HoldRow, from_bits, to_bits};
use crate::clock::Timestamp;
use crate::limits::{Buckets, Rolling, Span};
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

pub(crate) fn window<'r, R>(row: &'r R) -> sqlx::Result<(Key, Span)>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    let [start, end] = [row.try_get("starts_at")?, row.try_get("ends_at")?];
    let [start, end] = [start, end].map(Timestamp::from_millis);
    Ok((key(row)?, Span { start, end }))
}

pub(crate) fn due<'r, R>(row: &'r R) -> sqlx::Result<Due>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
{
    let (back, charged) = (row.try_get("back")?, row.try_get("charged")?);
    Ok(Due { back, charged, steps: charged_steps(row)? })
}

/// What is due to be charged to a counter whose window rolls.
fn charged_steps<'r, R>(row: &'r R) -> sqlx::Result<Vec<ChargedStep>>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
{
    let text: Option<&str> = row.try_get("charged_steps")?;
    let steps = text.into_iter().flat_map(|text| text.split(',')).map(charged_step);
    steps.collect::<Result<_, _>>().map_err(|source| {
        let index = "charged_steps".to_owned();
        sqlx::Error::ColumnDecode { index, source }
    })
}

fn charged_step(text: &str) -> Result<ChargedStep, BoxDynError> {
    let (made_at, units) = text.split_once(' ').ok_or("a step without units")?;
    Ok(ChargedStep { made_at: Timestamp::from_millis(made_at.parse()?), units: units.parse()? })
}

/// A counter of which nothing is due, as far as the row says.
pub(crate) fn counter<'r, R>(row: &'r R) -> sqlx::Result<CounterRow>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    let lapse_at = instant(row, "lapse_at")?;
    let (used, held) = (row.try_get("used")?, row.try_get("held")?);
    let buckets = match (row.try_get("step")?, row.try_get("buckets")?) {
        (Some(step), Some(bytes)) => Some(buckets(step, bytes)),
        _ => None,
    };
    Ok(CounterRow { used, held, lapse_at, buckets, due: Due::default() })
}

/// What is used by steps: the number of the newest one, and then what is used in each, all in eight
/// bytes.
fn buckets(step: i64, bytes: &[u8]) -> Buckets {
    let mut numbers = bytes.chunks_exact(8).map(|eight| {
        eight.iter().fold(0, |number: u64, byte| number.wrapping_shl(8) | u64::from(*byte))
    });
    let rolling = Rolling::with_step(Duration::from_millis(step.unsigned_abs()));
    let newest = numbers.next().map_or(0, to_bits);
    Buckets::restored(rolling, newest, numbers)
}

/// The bytes that are read by [`counter`].
pub(crate) fn bucket_bytes(buckets: &Buckets) -> Vec<u8> {
    let newest = from_bits(buckets.newest());
    let numbers = iter::once(newest).chain(buckets.used().iter().copied());
    numbers.flat_map(u64::to_be_bytes).collect()
}

/// The length of a step, in milliseconds.
pub(crate) fn step(buckets: &Buckets) -> i64 {
    i64::try_from(buckets.rolling().step().as_millis()).unwrap_or(i64::MAX)
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
        made_at: instant(row, "made_at")?,
    })
}
