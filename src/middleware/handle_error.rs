//! Why a handler's word was not taken.

use std::fmt;

use crate::error::Error;

/// Why a handler's word was not taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandleError {
    /// The request is settled: its body has ended, or nobody waits for it any more.
    Settled,
    /// The layer reserves by itself: the route's rule is not
    /// [`reserve_in_handler`](crate::Rule::reserve_in_handler).
    ReservedByLayer,
    /// The handler has reserved already.
    AlreadyReserved,
    /// There is nothing to hold more beside: the layer has reserved nothing, or its rule is not
    /// [`hold_more_in_handler`](crate::Rule::hold_more_in_handler).
    NothingToExtend,
    /// The engine could not decide.
    Engine(Error),
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled => f.write_str("the request is settled already"),
            Self::ReservedByLayer => f.write_str("the layer reserves for this route by itself"),
            Self::AlreadyReserved => f.write_str("the handler has reserved already"),
            Self::NothingToExtend => f.write_str("there is nothing that could be held more of"),
            Self::Engine(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for HandleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Engine(error) => error.source(),
            _ => None,
        }
    }
}
