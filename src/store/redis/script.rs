//! Scripts, and how they are given what they work on.

use std::time::Duration;

use redis::{Arg, Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, ToRedisArgs};

use super::connection::Connection;
use super::keys::Keys;
use super::packed::Packed;
use crate::store::books::RemoteCounter;
use crate::store::hold::HoldId;

/// A script that the server is sent once, and knows by its hash from then on.
pub(super) struct Script {
    script: redis::Script,
    text: String,
}

/// The scripts of the books.
pub(super) struct Scripts {
    pub(super) reserve: Script,
    pub(super) settle: Script,
    pub(super) renew: Script,
    pub(super) read: Script,
    pub(super) purge: Script,
    pub(super) change: Script,
    pub(super) open: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            reserve: Script::new("", include_str!("reserve.lua")),
            // A server that is out of memory is relieved by it.
            settle: Script::new(" flags=allow-oom", include_str!("settle.lua")),
            // It adds nothing, and without it a hold would lapse whose request lives.
            renew: Script::new(" flags=allow-oom", include_str!("renew.lua")),
            read: Script::new(" flags=no-writes", include_str!("read.lua")),
            // Without it, a server that is out of memory would not be read.
            purge: Script::new(" flags=allow-oom", include_str!("purge.lua")),
            change: Script::new("", include_str!("change.lua")),
            open: Script::new("", include_str!("open.lua")),
        }
    }
}

impl Script {
    /// A script with these flags, after what all scripts share.
    fn new(flags: &str, own: &str) -> Self {
        let text = format!("#!lua{flags}\n{}{own}", include_str!("common.lua"));
        Self { script: redis::Script::new(&text), text }
    }

    /// A call of the script, on these counters.
    pub(super) fn on<'a>(
        &'a self,
        keys: &Keys,
        counters: impl ExactSizeIterator<Item = &'a RemoteCounter>,
    ) -> Call<'a> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script.get_hash()).arg(counters.len().saturating_mul(2));
        for counter in counters {
            for key in keys.of(counter) {
                command.arg(key);
            }
        }
        Call { script: self, command }
    }

    /// A call of the script on one key.
    pub(super) fn on_key(&self, key: &[u8]) -> Call<'_> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script.get_hash()).arg(1).arg(key);
        Call { script: self, command }
    }
}

/// A call of a script, which is given its arguments one by one.
pub(super) struct Call<'a> {
    script: &'a Script,
    command: Cmd,
}

impl Call<'_> {
    pub(super) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        self.command.arg(arg);
        self
    }

    /// Something that may be missing, and is empty then.
    pub(super) fn optional(&mut self, arg: Option<impl ToRedisArgs>) -> &mut Self {
        match arg {
            Some(arg) => self.arg(arg),
            None => self.arg(""),
        }
    }

    pub(super) fn id(&mut self, id: HoldId) -> &mut Self {
        self.arg([id.nonce.to_be_bytes(), id.sequence.to_be_bytes()].as_flattened())
    }

    pub(super) fn length(&mut self, length: Duration) -> &mut Self {
        self.arg(millis(length))
    }

    pub(super) fn packed(&mut self, packed: &Packed) -> &mut Self {
        self.arg(packed.as_bytes())
    }

    /// Runs the script. It is sent whole only to a server that does not know it: in the same
    /// command, so that on a Cluster it goes to the node that has the keys.
    pub(super) async fn run<T: FromRedisValue>(&self, connection: &Connection) -> RedisResult<T> {
        match connection.query(&self.command).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                connection.query(&self.whole()).await
            }
            answer => answer,
        }
    }

    fn whole(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.script.text);
        for arg in self.command.args_iter().skip(2) {
            if let Arg::Simple(arg) = arg {
                command.arg(arg);
            }
        }
        command
    }
}

/// In milliseconds, at most some 30,000 years: what scripts can still add to an instant.
pub(super) fn millis(length: Duration) -> u64 {
    const LONGEST: u64 = 1_000_000_000_000_000;
    u64::try_from(length.as_millis()).map_or(LONGEST, |millis| millis.min(LONGEST))
}
