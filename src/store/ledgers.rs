//! What is done to ledgers that are locked: to one by itself, or to several at once.

use std::iter;

use smallvec::SmallVec;

use super::entry::HoldEntry;
use super::ledger::{Ledger, Seat};
use super::refund_caps::{Caps, RefundCap};
use super::request::{Change, Charge, Counter, Reserve};
use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::error::StoreError;

/// The seat of each counter of a call.
pub(super) type Seats = SmallVec<[Seat; 4]>;

/// Ledgers that are locked: all that a call works on.
pub(super) trait Ledgers {
    /// The ledger of a stripe, which is one of these.
    fn of(&mut self, stripe: u8) -> Option<&mut Ledger>;
}

impl Ledgers for Ledger {
    #[inline]
    fn of(&mut self, _: u8) -> Option<&mut Ledger> {
        Some(self)
    }
}

/// Whether the units are held. The counts are pushed to `counts`, and the hold is entered in the ledger of
/// the stripe `home`, whichever ledgers its counters are in.
pub(super) fn reserve(
    ledgers: &mut impl Ledgers,
    seats: &mut [Seat],
    home: u8,
    request: &Reserve<'_>,
    counts: &mut Counts,
) -> Result<bool, StoreError> {
    let mut admitted = true;
    for (seat, charge) in iter::zip(&mut *seats, request.charges) {
        let Some(ledger) = ledgers.of(seat.stripe) else { continue };
        let count = ledger.find(seat, &charge.counter, request.now)?;
        admitted &= charge.admits(&count, request.units);
        counts.push(count);
    }
    if ledgers.of(home).is_some_and(|home| home.has(request.id)) {
        return Ok(true);
    }
    let each = iter::zip(&*seats, request.charges).zip(counts);
    if !admitted {
        for ((seat, charge), count) in each {
            let Some(ledger) = ledgers.of(seat.stripe) else { continue };
            ledger.look_ahead(seat, charge, count, request.units);
        }
        return Ok(false);
    }
    let mut hold = HoldEntry::new(request);
    for ((seat, charge), count) in each {
        let Some(ledger) = ledgers.of(seat.stripe) else { continue };
        ledger.take(seat, charge, count, request.now, &mut hold);
    }
    if let Some(home) = ledgers.of(home) {
        home.enter(request, hold);
    }
    sweep(ledgers, seats, request.now);
    Ok(true)
}

/// Sweeps where a counter was opened. Not before all is taken: one that nothing was taken of yet could
/// be swept.
fn sweep(ledgers: &mut impl Ledgers, seats: &[Seat], now: Timestamp) {
    for seat in seats.iter().filter(|seat| seat.place.slot().is_none()) {
        if let Some(ledger) = ledgers.of(seat.stripe) {
            ledger.sweep(now);
        }
    }
}

/// Settles a hold that was taken out, by its caps.
pub(super) fn settle(ledgers: &mut impl Ledgers, hold: &HoldEntry, caps: &Caps, spent: Spent) {
    let spent = if caps.is_empty() { spent } else { decide(ledgers, hold, caps, spent) };
    for address in &hold.counters {
        let ledger = ledgers.of(address.stripe());
        if let Some(counter) = ledger.and_then(|ledger| ledger.counter(*address)) {
            counter.settle(hold, spent);
            counter.holds = counter.holds.saturating_sub(1);
        }
    }
}

/// What is spent of a hold by its caps. A refund of it, which is of all or nothing, is counted.
#[cold]
fn decide(ledgers: &mut impl Ledgers, hold: &HoldEntry, caps: &Caps, spent: Spent) -> Spent {
    if spent != Spent::Refund {
        return spent;
    }
    let refunds = caps.iter().all(|RefundCap { counter, cap }| {
        let counter = ledgers.of(counter.stripe()).and_then(|ledger| ledger.counter(*counter));
        counter.is_none_or(|counter| counter.admits_refund(hold.units, *cap))
    });
    for RefundCap { counter, .. } in caps.iter().filter(|_| refunds) {
        let ledger = ledgers.of(counter.stripe());
        if let Some(counter) = ledger.and_then(|ledger| ledger.counter(*counter)) {
            counter.add_refund(hold);
        }
    }
    spent.decided(refunds)
}

/// What is counted, told to whoever asks for so many units.
pub(super) fn read(
    ledgers: &mut impl Ledgers,
    seats: &mut [Seat],
    charges: &[Charge<'_>],
    units: u64,
    now: Timestamp,
) -> Result<Vec<Count>, StoreError> {
    let mut counts = Vec::with_capacity(charges.len());
    for (seat, charge) in iter::zip(seats, charges) {
        let Some(ledger) = ledgers.of(seat.stripe) else { continue };
        let mut count = ledger.find(seat, &charge.counter, now)?;
        ledger.look_ahead(seat, charge, &mut count, units);
        counts.push(count);
    }
    Ok(counts)
}

/// Changes what is used, of all counters or of none.
pub(super) fn change(
    ledgers: &mut impl Ledgers,
    seats: &mut [Seat],
    counters: &[Counter<'_>],
    change: Change,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut counts = Counts::new();
    for (seat, counter) in iter::zip(&mut *seats, counters) {
        if let Some(ledger) = ledgers.of(seat.stripe) {
            counts.push(ledger.find(seat, counter, now)?);
        }
    }
    for ((seat, counter), count) in iter::zip(&*seats, counters).zip(&counts) {
        if let Some(ledger) = ledgers.of(seat.stripe) {
            ledger.change(seat, counter, count, change, now);
        }
    }
    sweep(ledgers, seats, now);
    Ok(())
}
