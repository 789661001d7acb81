//! What a counter is called in Redis.

use crate::limits::ProfileId;
use crate::store::books::RemoteCounter;

/// What keys have as their hash tag: those of one tag lie in one slot of a Cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// Whose count it is.
    Scope,
    /// The tenant, where a profile has one.
    Tenant,
}

impl Tag {
    pub(super) fn of(self, counter: &RemoteCounter) -> &ProfileId {
        let tenant = counter.tenant.as_ref().filter(|_| self == Self::Tenant);
        tenant.unwrap_or(&counter.scope)
    }
}

/// The names of keys, below one prefix.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
    pub(super) tag: Tag,
}

impl Keys {
    /// None if the prefix would hide the hash tags: a Cluster finds a key's slot by the first brace.
    pub(super) fn new(prefix: String, tag: Tag) -> Option<Self> {
        (!prefix.contains(['{', '}'])).then_some(Self { prefix, tag })
    }

    /// The two keys of a counter: of its counts, and of its holds. No other counter has them.
    pub(super) fn of(&self, counter: &RemoteCounter) -> [Vec<u8>; 2] {
        let start = counter.window.start.as_millis().to_string();
        ["c:", "h:"].map(|kind| self.key(counter, kind, &start))
    }

    /// The key of a counter's last window, whatever window it is in.
    pub(super) fn of_windows(&self, counter: &RemoteCounter) -> Vec<u8> {
        self.key(counter, "w:", "")
    }

    fn key(&self, counter: &RemoteCounter, kind: &str, start: &str) -> Vec<u8> {
        let mut key = self.prefix.clone().into_bytes();
        key.push(b'{');
        push(&mut key, self.tag.of(counter));
        key.push(b'}');
        key.extend(kind.as_bytes());
        key.extend(counter.limit.as_str().as_bytes());
        key.push(b':');
        key.extend(start.as_bytes());
        // Last, for it may be any bytes; and whenever it is not the tag by definition, though a
        // tenant may be called as its profile is.
        if counter.tenant.is_some() && self.tag == Tag::Tenant {
            key.push(b':');
            push(&mut key, &counter.scope);
        }
        key
    }
}

/// Adds an id, without braces.
fn push(key: &mut Vec<u8>, id: &ProfileId) {
    for byte in id.as_bytes() {
        match byte {
            b'{' => key.extend(b"%7B"),
            b'}' => key.extend(b"%7D"),
            b'%' => key.extend(b"%25"),
            byte => key.push(*byte),
        }
    }
}
