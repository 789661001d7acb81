//! What all calls to the server share.

use std::time::Duration;

use tokio::runtime::Handle;

use super::connection::Connection;
use super::group::Reach;
use super::keys::Keys;
use super::script::{Call, Script, Scripts};
use crate::clock::Clock;
use crate::store::books::{Lease, RemoteCounter};

/// A connection, and how it is used.
pub(super) struct Session {
    pub(super) connection: Connection,
    /// Where the connection is served, and whoever waits for a call in common.
    pub(super) runtime: Handle,
    pub(super) scripts: Scripts,
    pub(super) keys: Keys,
    pub(super) lease: Lease,
    pub(super) clock: Option<Box<dyn Clock>>,
}

impl Session {
    pub(super) fn reach(&self) -> Reach {
        match self.connection {
            Connection::Server(_) => Reach::Server,
            Connection::Cluster(_) => Reach::Slot(self.keys.tag),
        }
    }

    /// A call of a script, which is told the time.
    pub(super) fn call<'a>(
        &'a self,
        script: &'a Script,
        counters: impl ExactSizeIterator<Item = &'a RemoteCounter>,
    ) -> Call<'a> {
        let mut call = script.on(&self.keys, counters);
        call.optional(self.now());
        call
    }

    /// The time that scripts are told, in milliseconds, if it is not the server's.
    pub(super) fn now(&self) -> Option<i64> {
        self.clock.as_ref().map(|clock| clock.now().as_millis())
    }

    /// How much longer than needed keys live. Under a clock of the caller's own they must not expire
    /// by the server's while that one stands still.
    pub(super) fn linger(&self) -> Duration {
        if self.clock.is_some() { Duration::from_secs(60 * 60) } else { Duration::ZERO }
    }
}
