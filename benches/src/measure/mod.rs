//! The measurements, a file each.

mod added_cost;
mod allocations;
mod denial;
mod library;
mod limits;
mod memory;
mod threads;
mod unmetered;
mod zones;

pub(crate) use added_cost::added_cost;
pub(crate) use allocations::allocations;
pub(crate) use denial::denial;
pub(crate) use library::library;
pub(crate) use limits::limits;
pub(crate) use memory::memory;
pub(crate) use threads::threads;
pub(crate) use unmetered::unmetered;
pub(crate) use zones::zones;

use crate::race::Length;

/// How much is measured.
pub(crate) struct Scale {
    /// The largest number of profiles.
    pub(crate) profiles: u64,
    /// Races in which an operation takes less than a microsecond.
    pub(crate) race: Length,
    /// The race with limitador, which takes ten.
    pub(crate) slow_race: Length,
    /// Times that one thread and two are compared.
    pub(crate) thread_rounds: u64,
}
