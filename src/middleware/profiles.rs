//! Profiles from a database, cached.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use moka::sync::Cache;

use crate::clock::Timestamp;
use crate::error::BoxError;
use crate::limits::{Profile, ProfileId};
use crate::store::Answer;

const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(60);
const DEFAULT_CAPACITY: u64 = 100_000;

/// Where profiles come from: a database, a user service.
///
/// Implemented for closures `Fn(ProfileId) -> impl Future`.
///
/// ```
/// use tower_quota::{BoxError, Profile, ProfileId, ProfileSource};
///
/// struct Users;
///
/// impl ProfileSource for Users {
///     async fn load(&self, id: ProfileId) -> Result<Option<Profile>, BoxError> {
///         // ... SELECT plan FROM users WHERE id = $1 ...
///         Ok(Some(Profile::new(id.as_bytes(), "free")))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of profiles",
    note = "implement `ProfileSource`, or use a closure `Fn(ProfileId) -> impl Future<Output = \
            Result<Option<Profile>, BoxError>> + Send`"
)]
pub trait ProfileSource: Send + Sync + 'static {
    /// Loads a profile; none if there is nobody of this id. It must end: give it a time-out.
    ///
    /// # Errors
    ///
    /// The source failed. The request is answered with 503, and the next one tries again.
    fn load(&self, id: ProfileId)
    -> impl Future<Output = Result<Option<Profile>, BoxError>> + Send;
}

impl<F, Fut> ProfileSource for F
where
    F: Fn(ProfileId) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<Profile>, BoxError>> + Send,
{
    fn load(
        &self,
        id: ProfileId,
    ) -> impl Future<Output = Result<Option<Profile>, BoxError>> + Send {
        self(id)
    }
}

/// What a load came to. An error is kept as an `Arc`, since everyone who waited for it gets it.
pub(super) type Loaded = Result<Option<Profile>, Arc<BoxError>>;

type Load = Arc<dyn Fn(ProfileId) -> Loading + Send + Sync>;

/// Profiles of a [`ProfileSource`], kept for a time to live and loaded once however many requests
/// wait for one.
///
/// Clones share the cache: keep one, to [`invalidate`](Self::invalidate) what has changed. That
/// there is nobody of an id is kept as well; a failed load is not.
#[derive(Clone)]
pub struct Profiles {
    load: Load,
    cache: Cache<ProfileId, Entry>,
    time_to_live: Duration,
}

type Loading = BoxFuture<'static, Loaded>;

#[derive(Clone)]
struct Entry {
    /// When the load began: what it read is not newer.
    as_of: Timestamp,
    /// What it came to, once it has ended.
    loaded: Arc<OnceLock<Loaded>>,
    /// The load, as long as somebody waits for it. Only those who wait keep it: a load that nobody
    /// drives on would hold its connection, and its time-out would pass unnoticed.
    load: Option<WeakShared<Loading>>,
}

impl Entry {
    /// What is known by now, or the load to wait for; none if it failed or was abandoned.
    fn answer(&self) -> Option<Answer<Loaded>> {
        match self.loaded.get() {
            Some(Ok(profile)) => Some(Answer::Ready(Ok(profile.clone()))),
            Some(Err(_)) => None,
            None => {
                let load = self.load.as_ref()?.upgrade()?;
                Some(Answer::Pending(load.boxed()))
            }
        }
    }
}

impl Profiles {
    /// Profiles of `source`, 100,000 of them kept for 60 seconds each.
    pub fn new(source: impl ProfileSource) -> Self {
        let source = Arc::new(source);
        let load = move |id| {
            let source = source.clone();
            let load = AssertUnwindSafe(async move { source.load(id).await }).catch_unwind();
            let loaded = load.map(|loaded| match loaded {
                Ok(loaded) => loaded.map_err(Arc::new),
                Err(_) => Err(Arc::new(BoxError::from("the profile source panicked"))),
            });
            loaded.boxed()
        };
        Self {
            load: Arc::new(load),
            cache: Cache::new(DEFAULT_CAPACITY),
            time_to_live: DEFAULT_TIME_TO_LIVE,
        }
    }

    /// Keeps each profile this long. A change in the source is seen at the latest then.
    #[must_use]
    pub fn time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = time_to_live;
        self
    }

    /// Keeps about this many profiles. To be called before the first use: the cache starts empty.
    #[must_use]
    pub fn capacity(mut self, profiles: u64) -> Self {
        self.cache = Cache::new(profiles);
        self
    }

    /// Forgets a profile: the next request loads it.
    pub fn invalidate(&self, id: &ProfileId) {
        self.cache.invalidate(id);
    }

    /// The profile, as it was at most a time to live before `now`.
    pub(super) fn get(&self, id: &ProfileId, now: Timestamp) -> Answer<Loaded> {
        let known = self.cache.get(id).filter(|entry| self.is_fresh(entry, now));
        if let Some(answer) = known.and_then(|entry| entry.answer()) {
            return answer;
        }
        let (entry, load) = self.begin(id, now);
        // Whoever began it in the meantime may have ended or abandoned it just now: then this
        // request waits for its own.
        let answer = self
            .cache
            .entry_by_ref(id)
            .or_insert_with_if(|| entry, |old| !self.is_fresh(old, now) || old.answer().is_none())
            .into_value()
            .answer();
        answer.unwrap_or_else(|| Answer::Pending(load.boxed()))
    }

    /// A load that does nothing until it is polled.
    fn begin(&self, id: &ProfileId, now: Timestamp) -> (Entry, Shared<Loading>) {
        let loaded = Arc::new(OnceLock::new());
        let ended = loaded.clone();
        let load = (self.load)(id.clone())
            .inspect(move |loaded| {
                let _ = ended.set(loaded.clone());
            })
            .boxed()
            .shared();
        (Entry { as_of: now, loaded, load: load.downgrade() }, load)
    }

    /// Whether the entry is not older than the time to live, nor from a clock that was set back.
    fn is_fresh(&self, entry: &Entry, now: Timestamp) -> bool {
        let latest = now.saturating_add(self.time_to_live);
        now < entry.as_of.saturating_add(self.time_to_live) && entry.as_of <= latest
    }
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiles").field("time_to_live", &self.time_to_live).finish_non_exhaustive()
    }
}
