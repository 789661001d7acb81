//! Asking for holds, so that none is left behind whatever becomes of the question.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::desk::{Desk, OpenHold};
use super::link::Link;
use super::offset::Offset;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::store::books::{Held, RemoteBooks, RemoteReserve};
use crate::store::hold::Hold;
use crate::store::request::Verdict;

/// Asks for a hold at `now` of the engine's clock.
pub(super) async fn reserve<B: RemoteBooks>(
    link: &Link<B>,
    desk: &Arc<Desk>,
    offset: &Offset,
    mut request: RemoteReserve,
    now: Timestamp,
) -> Result<Verdict, StoreError> {
    let open = Arc::new(OpenHold::new(desk.clone(), &request));
    // Made before anybody waits: however this ends, what may have been held is given back.
    let hold = Hold::new(request.id, open.clone());
    let mut verdict = match link.reserve(&request).await {
        Err(error) if error.is_clock_skew() => {
            hold.void();
            return Err(error);
        }
        answer => answer?,
    };
    offset.learn(now, verdict.now);
    if verdict.held == Held::Stale {
        request.not_after = verdict.now.saturating_add(link.timeout);
        open.ask_until(request.not_after);
        verdict = link.reserve(&request).await?;
        offset.learn(now, verdict.now);
    }
    match verdict.held {
        Held::Granted(counts) => {
            open.granted();
            Ok(Verdict::Granted(hold, counts))
        }
        Held::Denied(counts) => {
            hold.void();
            Ok(Verdict::Denied(counts))
        }
        Held::Stale => {
            hold.void();
            Err(StoreError::transient("reserve", StaleTwice))
        }
    }
}

/// The books' clock is neither where it was expected nor where they said it was.
#[derive(Debug)]
pub(super) struct StaleTwice;

impl fmt::Display for StaleTwice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("by the clock of the books it came too late twice, or far too early")
    }
}

impl StdError for StaleTwice {}
