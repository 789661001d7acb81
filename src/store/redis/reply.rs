//! What scripts answer.

use crate::clock::Timestamp;
use crate::count::{Count, Counts};
use crate::error::StoreError;
use crate::limits::Span;
use crate::store::books::RemoteCounter;

/// What came of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Denied,
    /// Or simply done.
    Granted,
    Stale,
}

/// The answer of a script.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) code: Code,
    /// The time at which it ran.
    pub(super) now: Timestamp,
    /// The counts that it told, in the order of its counters.
    pub(super) counts: Counts,
}

impl Reply {
    /// The answer of a script to `operation` on `counters`: a code, the time, and then counts or
    /// the index of a counter, as the scripts document.
    pub(super) fn new(
        operation: &'static str,
        values: &[i64],
        counters: &[&RemoteCounter],
    ) -> Result<Self, StoreError> {
        let unknown =
            || StoreError::permanent(operation, format!("Redis answered {values:?}, not a count"));
        let [code, now, rest @ ..] = values else { return Err(unknown()) };
        let code = match code {
            0 => Code::Denied,
            1 => Code::Granted,
            2 => Code::Stale,
            3 => return Err(skew(rest, counters).unwrap_or_else(unknown)),
            _ => return Err(unknown()),
        };
        let counts = counters.iter().zip(rest.chunks_exact(3)).map(|(counter, count)| Count {
            used: number(count.first()),
            held: number(count.get(1)),
            window: window(counter, count.last()),
        });
        Ok(Self { code, now: Timestamp::from_millis(*now), counts: counts.collect() })
    }
}

/// A counter's window. One that rolls ends when units come back, if ever.
fn window(counter: &RemoteCounter, back: Option<&i64>) -> Span {
    match back {
        Some(back) if counter.limit.rolling().is_some() && *back > 0 => {
            Span { end: Timestamp::from_millis(*back), ..counter.window }
        }
        _ => counter.window,
    }
}

/// The counter that is named by its index, from 1 on, has been over for too long.
fn skew(rest: &[i64], counters: &[&RemoteCounter]) -> Option<StoreError> {
    let index = usize::try_from(*rest.first()?).ok()?.checked_sub(1)?;
    counters.get(index).map(|counter| StoreError::clock_skew(counter.window.end))
}

fn number(value: Option<&i64>) -> u64 {
    value.and_then(|value| u64::try_from(*value).ok()).unwrap_or(0)
}
