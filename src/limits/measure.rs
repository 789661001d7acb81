//! What a limit counts of a reservation.

/// What a [`Limit`](crate::Limit) counts of a reservation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Its units.
    #[default]
    Units,
    /// That it was spent: 1, however many units it is of, and also if that was 0 in the end.
    Requests,
    /// That it is in flight: 1 while it is held, and nothing once it is settled.
    InFlight,
}

impl Measure {
    /// What is held of a reservation of so many units.
    #[must_use]
    pub fn held(self, units: u64) -> u64 {
        match self {
            Self::Units => units,
            Self::Requests | Self::InFlight => units.min(1),
        }
    }
}
