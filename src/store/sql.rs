//! What the books in SQL databases share: all that is decided, and the statements that both
//! databases understand.
//!
//! A verb says which rows it wants (`verbs`). They are locked, counters before holds and in the order
//! of their keys, read, changed and written in one transaction (`draft`), together with what else
//! waits in line (`job`, `line`). What becomes of a row stands in `rows`.

pub(crate) mod decode;
pub(crate) mod draft;
pub(crate) mod error;
pub(crate) mod job;
pub(crate) mod line;
pub(crate) mod read;
pub(crate) mod reserve;
pub(crate) mod rows;
pub(crate) mod statements;
pub(crate) mod steps;
pub(crate) mod sweep;
pub(crate) mod tables;
pub(crate) mod verbs;
