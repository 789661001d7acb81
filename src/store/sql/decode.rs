//! Rows of either database, as what they say.

use std::array::TryFromSliceError;
use std::iter;
use std::time::Duration;

use sqlx::error::BoxDynError;
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::draft::Key;
use super::rows::{CounterRow, Due, HoldRow};
use super::steps::{DueStep, Steps};
use crate::clock::Timestamp;
use crate::limits::{Rolling, Span};
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
    let text: Option<&str> = row.try_get("due")?;
    let mut due = Due::default();
    for part in text.into_iter().flat_map(|text| text.split(',')) {
        add_due(&mut due, part).map_err(of("due"))?;
    }
    Ok(due)
}

/// An error of a column.
fn of(column: &str) -> impl FnOnce(BoxDynError) -> sqlx::Error {
    move |source| sqlx::Error::ColumnDecode { index: column.to_owned(), source }
}

/// Adds what is said as `r` or `c` and the units, and when the first of them was made.
fn add_due(due: &mut Due, text: &str) -> Result<(), BoxDynError> {
    let (rule, rest) = text.split_at_checked(1).ok_or("without a rule")?;
    let (units, made_at) = rest.split_once(' ').ok_or("without an instant")?;
    let units = units.parse()?;
    match rule {
        "r" => due.back = due.back.saturating_add(units),
        "c" => {
            due.charged = due.charged.saturating_add(units);
            let made_at = Timestamp::from_millis(made_at.parse()?);
            due.steps.push(DueStep { made_at, units });
        }
        rule => return Err(format!("an unknown rule, {rule}").into()),
    }
    Ok(())
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
    let steps = match (row.try_get("step")?, row.try_get("buckets")?) {
        (Some(step), Some(bytes)) => Some(steps(step, bytes).map_err(of("buckets"))?),
        _ => None,
    };
    Ok(CounterRow { used, held, lapse_at, steps, due: Due::default() })
}

/// What is used by steps: the number of the newest one, and then what is used in each, all in eight
/// bytes.
fn steps(step: i64, bytes: &[u8]) -> Result<Steps, BoxDynError> {
    let numbers = bytes.chunks(8).map(|eight| Ok(i64::from_be_bytes(eight.try_into()?)));
    let numbers = numbers.collect::<Result<Vec<_>, TryFromSliceError>>()?;
    let (newest, used) = numbers.split_first().ok_or("no newest step")?;
    let rolling = Rolling::with_step(Duration::from_millis(step.unsigned_abs()));
    Ok(Steps::restored(rolling, *newest, used.iter().copied()))
}

/// The bytes that are read by [`counter`].
pub(crate) fn step_bytes(steps: &Steps) -> Vec<u8> {
    iter::once(steps.newest()).chain(steps.used()).flat_map(i64::to_be_bytes).collect()
}

/// The length of a step, in milliseconds.
pub(crate) fn step(steps: &Steps) -> i64 {
    i64::try_from(steps.rolling().step().as_millis()).unwrap_or(i64::MAX)
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
