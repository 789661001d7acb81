//! The part of the [contract](mod@crate::contract) that is about books outside of this process.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "it is run by tests alone: a law that is broken panics"
)]

mod cast;
mod change;
mod clerk;
mod episodes;
mod lapse;
mod model;
mod renew;
mod reserve;
mod settle;
mod windows;

pub use change::*;
pub use episodes::*;
pub use lapse::*;
pub use renew::*;
pub use reserve::*;
pub use settle::*;
pub use windows::*;
