//! Books outside of this process: the verbs of a database that counts and holds.

use std::fmt;
use std::future::Future;

use super::hold::HoldId;
pub use super::remote_request::{
    Held, Lapse, Lease, MAX_COUNT, RemoteChange, RemoteCharge, RemoteCounter, RemoteOpening,
    RemoteReserve, RemoteSettlement, RemoteVerdict, Renewal,
};
use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;
use crate::limits::Span;

/// Books outside of this process: the verbs of a database that counts and holds.
///
/// [`Remote`](super::Remote) makes a [`Store`](super::Store) of them: it adds time-outs, settling in
/// the background, and the renewal of leases. Each verb is one atomic operation, may be dropped
/// while it waits, and may be executed although its answer was lost.
///
/// # Contract
///
/// - `reserve` holds units of every counter or of none. It denies exactly if
///   `used + held + units` is above the ceiling of some counter, where neither the units of holds
///   that have lapsed and come back count, nor any that are purged later. It is
///   [stale](Held::Stale) if the books' clock is past `not_after`, read once all locks are held.
/// - A counter whose window has been over for [`keep`](Lease::keep), by the books' clock, is a
///   clock-skew error ([`StoreError::clock_skew`](crate::StoreError::clock_skew)), never a fresh count. It is not forgotten before,
///   nor while it has a hold that may still be settled.
/// - A hold lapses when its lease ends: units come back, or are charged. That is a function of time:
///   it makes no difference when the books notice.
/// - `settle` ends a hold once, by this table, and creates nothing:
///
///   | the hold | `held` | `used` |
///   |---|---|---|
///   | live | − units | + spent |
///   | lapsed, given back | | + spent |
///   | lapsed, charged | | + spent − units, at least 0 |
///   | settled before, forgotten or unknown | | |
///
/// - `renew` gives a live hold a new lease from now on, never a shorter one than it has. A lapsed,
///   settled or unknown one stays what it is.
/// - `change` changes all counters or none, and each number of a line once; what a line has seen may
///   be forgotten [a day](RemoteChange::REMEMBERED) after its last change.
/// - `open` makes a window the last one of a scope and a limit, or tells which one is, atomically. One
///   that begins far in the future is a clock-skew error: [`RemoteOpening::check_clock`]. It is
///   forgotten when it need not be [known](RemoteCounter::known_until) any more. It is not a count, and
///   says nothing about what is counted.
/// - What is used stops at [`MAX_COUNT`], and no more than that is held.
/// - Counts that are read, also with a verdict, do not include what has lapsed and come back. Their
///   windows end as those that a [`Store`](super::Store) tells, where they roll.
/// - Every error says which operation failed and whether trying again may help, and never shows
///   credentials.
pub trait RemoteBooks: fmt::Debug + Send + Sync + 'static {
    /// How long these books keep a hold.
    fn lease(&self) -> Lease;

    /// Holds units of all counters, or of none.
    fn reserve(
        &self,
        request: &RemoteReserve,
    ) -> impl Future<Output = Result<RemoteVerdict, StoreError>> + Send;

    /// Settles holds. Gives the ids of those that came [too early](RemoteSettlement::after), of
    /// which nothing was settled. If it fails, any of them may have been settled.
    fn settle(
        &self,
        batch: &[RemoteSettlement],
    ) -> impl Future<Output = Result<Vec<HoldId>, StoreError>> + Send;

    /// Gives holds a new lease.
    fn renew(&self, batch: &[Renewal]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads counts, in the order of the charges, as they are told to whoever is denied `units` of
    /// them. Nothing is written.
    fn read(
        &self,
        charges: &[RemoteCharge],
        units: u64,
    ) -> impl Future<Output = Result<Vec<Count>, StoreError>> + Send;

    /// Changes what is used.
    fn change(&self, change: &RemoteChange) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes [this window](RemoteOpening) the last one, unless one is known that ends later than
    /// [`after`](RemoteOpening::after). Gives the last one then.
    fn open(
        &self,
        opening: &RemoteOpening,
    ) -> impl Future<Output = Result<Span, StoreError>> + Send;

    /// The last windows of counters, whatever windows these are in, as far as they are known: in the
    /// order of the counters. Nothing is written.
    fn last(
        &self,
        counters: &[RemoteCounter],
    ) -> impl Future<Output = Result<Vec<Option<Span>>, StoreError>> + Send;

    /// The books' clock.
    fn time(&self) -> impl Future<Output = Result<Timestamp, StoreError>> + Send;

    /// Deletes what nobody will miss, at most so many records, and says how many it deleted. Books
    /// that do this by themselves delete none.
    fn sweep(&self, at_most: u32) -> impl Future<Output = Result<u32, StoreError>> + Send;
}
