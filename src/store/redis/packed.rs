//! Arguments that are quicker for a script to read than words.

use std::time::Duration;

use super::script::millis;
use crate::clock::Timestamp;
use crate::limits::Measure;
use crate::store::books::RemoteCounter;
use crate::store::hold::HoldId;

/// Numbers, ids and letters, one after the other. Numbers are what Lua knows, in 8 bytes: the nearest
/// of floating point. See `common.lua`.
#[derive(Default)]
pub(super) struct Packed(Vec<u8>);

impl Packed {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn id(&mut self, id: HoldId) -> &mut Self {
        self.0.extend(id.nonce.to_be_bytes());
        self.0.extend(id.sequence.to_be_bytes());
        self
    }

    pub(super) fn letter(&mut self, letter: u8) -> &mut Self {
        self.0.push(letter);
        self
    }

    pub(super) fn number(&mut self, number: f64) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn count(&mut self, units: u64) -> &mut Self {
        self.number(nearest(units.into()))
    }

    pub(super) fn instant(&mut self, instant: Timestamp) -> &mut Self {
        self.number(nearest(instant.as_millis().into()))
    }

    pub(super) fn length(&mut self, length: Duration) -> &mut Self {
        self.count(millis(length))
    }

    /// What counts are checked against: infinite if there is nothing.
    pub(super) fn ceiling(&mut self, ceiling: Option<u64>) -> &mut Self {
        self.number(ceiling.map_or(f64::INFINITY, |ceiling| nearest(ceiling.into())))
    }

    /// The window of a counter.
    pub(super) fn window(&mut self, counter: &RemoteCounter) -> &mut Self {
        if counter.limit.measure() == Measure::InFlight {
            self.letter(b'f').number(0.0)
        } else if let Some(rolling) = counter.limit.rolling() {
            self.letter(b'w').length(rolling.step())
        } else if let Some(end) = counter.window.resets_at() {
            self.letter(b'e').instant(end)
        } else {
            self.letter(b'n').number(0.0)
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "amounts are exact, and beyond them Lua rounds as well"
)]
fn nearest(number: i128) -> f64 {
    number as f64
}
