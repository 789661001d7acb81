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

/// The answers of a script to one request after the other: the time, and then for each of them a code,
/// and counts or the number of a counter, as the scripts document.
pub(super) struct Replies<'a> {
    operation: &'static str,
    values: &'a [i64],
    rest: &'a [i64],
}

impl<'a> Replies<'a> {
    pub(super) fn new(operation: &'static str, values: &'a [i64]) -> Self {
        Self { operation, values, rest: values.get(1..).unwrap_or_default() }
    }

    /// The answer to the next request, which was about these counters; none if more has lapsed than
    /// one call may look at.
    pub(super) fn next(
        &mut self,
        counters: &[&RemoteCounter],
    ) -> Result<Option<Reply>, StoreError> {
        let code = match self.take(1)? {
            [0] => Code::Denied,
            [1] => Code::Granted,
            [2] => Code::Stale,
            [3] => return Err(self.skew(counters)),
            [4] => return Ok(None),
            _ => return Err(self.unknown()),
        };
        let told = if code == Code::Stale { 0 } else { counters.len().saturating_mul(3) };
        let counts = counters.iter().zip(self.take(told)?.chunks_exact(3));
        let counts = counts.map(|(counter, count)| Count {
            used: number(count.first()),
            held: number(count.get(1)),
            window: window(counter, count.last()),
        });
        let counts = counts.collect();
        Ok(Some(Reply { code, now: self.now()?, counts }))
    }

    /// Whether a request was done that tells no counts, or else more has lapsed than one call may look
    /// at.
    pub(super) fn is_done(&mut self, counters: &[&RemoteCounter]) -> Result<bool, StoreError> {
        match self.take(1)? {
            [1] => Ok(true),
            [3] => Err(self.skew(counters)),
            [4] => Ok(false),
            _ => Err(self.unknown()),
        }
    }

    fn now(&mut self) -> Result<Timestamp, StoreError> {
        match self.values.first() {
            Some(now) => Ok(Timestamp::from_millis(*now)),
            None => Err(self.unknown()),
        }
    }

    /// The counter that is named by its number, from 1 on, has been over for too long.
    fn skew(&mut self, counters: &[&RemoteCounter]) -> StoreError {
        let number = self.take(1).ok().and_then(<[i64]>::first);
        let index = number.and_then(|number| usize::try_from(*number).ok()?.checked_sub(1));
        match index.and_then(|index| counters.get(index)) {
            Some(counter) => StoreError::clock_skew(counter.window.end),
            None => self.unknown(),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [i64], StoreError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.unknown());
        };
        self.rest = rest;
        Ok(taken)
    }

    /// After that, nobody knows where the next answer begins.
    fn unknown(&mut self) -> StoreError {
        self.rest = &[];
        let Self { operation, values, .. } = self;
        StoreError::permanent(operation, format!("Redis answered {values:?}, not a count"))
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

fn number(value: Option<&i64>) -> u64 {
    value.and_then(|value| u64::try_from(*value).ok()).unwrap_or(0)
}
