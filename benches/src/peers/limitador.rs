//! limitador, whose reservations are nearest to ours.

use std::collections::HashMap;
use std::time::Duration;

use limitador::RateLimiter;
use limitador::limit::{Context, Limit, Namespace};

use super::PLENTY;

/// A limiter with one limit a profile, and each profile's context, built beforehand.
pub(crate) struct Limitador {
    limiter: RateLimiter,
    namespace: Namespace,
    contexts: Vec<Context<'static>>,
}

impl Limitador {
    /// Ready to serve `profiles`.
    pub(crate) fn new(profiles: u64) -> Self {
        // Twice as many counters as it shall keep, since it evicts above that.
        let limiter = RateLimiter::new(2 * profiles);
        let variable = "profile".try_into().expect("an expression");
        limiter.add_limit(Limit::new("remix", PLENTY.into(), 24 * 60 * 60, [], [variable]));
        let context =
            |profile: u64| HashMap::from([("profile".into(), profile.to_string())]).into();
        Self { limiter, namespace: "remix".into(), contexts: (0..profiles).map(context).collect() }
    }

    /// Sets one unit aside and charges it.
    pub(crate) fn reserve_and_commit(&self, profile: usize) {
        let context = &self.contexts[profile];
        let lease = Some(Duration::from_secs(60));
        let reserved = self
            .limiter
            .reserve(&self.namespace, context, 1, lease)
            .expect("its books are in memory");
        assert!(!reserved.limited);
        let id = reserved.reservation_id.as_ref();
        let committed = self
            .limiter
            .commit_reservation(&self.namespace, context, id, 1)
            .expect("its books are in memory");
        assert!(committed.reservation_released);
    }
}
