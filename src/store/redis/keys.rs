//! What a counter is called in Redis.

use crate::store::books::RemoteCounter;

/// The names of keys, below one prefix.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    /// None if the prefix would hide the hash tags: a Cluster finds a key's slot by the first brace.
    pub(super) fn new(prefix: String) -> Option<Self> {
        (!prefix.contains(['{', '}'])).then_some(Self { prefix })
    }

    /// The two keys of a counter: of its counts, and of its holds. No other counter has them. The
    /// scope is their hash tag, so that all counters of one scope lie in one slot.
    pub(super) fn of(&self, counter: &RemoteCounter) -> [Vec<u8>; 2] {
        ["c:", "h:"].map(|kind| {
            let mut key = self.prefix.clone().into_bytes();
            key.push(b'{');
            for byte in counter.scope.as_bytes() {
                match byte {
                    b'{' => key.extend(b"%7B"),
                    b'}' => key.extend(b"%7D"),
                    b'%' => key.extend(b"%25"),
                    byte => key.push(*byte),
                }
            }
            key.push(b'}');
            key.extend(kind.as_bytes());
            key.extend(counter.limit.as_str().as_bytes());
            key.push(b':');
            key.extend(counter.window.start.as_millis().to_string().as_bytes());
            key
        })
    }
}
