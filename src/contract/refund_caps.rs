//! Caps that differ: between plans that share a count, and before and after a change.

use super::Subject;
use super::payer::{FEATURE, Payer};
use crate::limits::{Limit, Plan, Scope, Window};
use crate::store::Store;

/// A day of 100 units, of which so many are refunded.
fn daily(cap: u64) -> Limit {
    Limit::new(100, Window::Day).max_refunds(cap)
}

/// Payers on plans with these limits, called as their plans, in the service of one tenant.
async fn colleagues<S: Subject<Books: Store>, const N: usize>(
    subject: &S,
    tenant: &str,
    plans: [(&str, Vec<Limit>); N],
) -> [Payer; N] {
    let names = plans.each_ref().map(|(name, _)| *name);
    let first = Payer::daily(subject, 1).await;
    let plans = plans.map(|(name, limits)| Plan::new(name).feature(FEATURE, limits));
    first.quotas.set_plans(plans).expect("the law's plans are bad");
    names.map(|name| first.on(name).employed_by(tenant))
}

/// What is reserved under a cap is refunded by that one, whatever other plans that share the count have
/// reserved since. What was refunded under any of their caps counts under each.
pub async fn each_hold_is_refunded_by_its_own_cap<S: Subject<Books: Store>>(subject: &S) {
    for scope in [Scope::Tenant, Scope::Everyone] {
        let shared = |limit: Limit| vec![limit.named("shared").scope(scope)];
        let plans = [
            ("low", shared(daily(2))),
            ("high", shared(daily(4))),
            ("free", shared(Limit::new(100, Window::Day))),
        ];
        let [low, high, free] = colleagues(subject, "8", plans).await;
        let held = [low.grant(1).await, high.grant(1).await, free.grant(1).await];
        let [held_low, held_high, held_free] = held;
        for (payer, units, used, by) in [
            (&high, 1, 0, "the higher cap"),
            (&low, 1, 0, "the lower cap"),
            (&low, 1, 1, "the lower cap that is met"),
            (&free, 20, 1, "no cap"),
            (&low, 1, 2, "the lower cap, after what has none"),
            (&high, 1, 2, "the higher cap, after what has none"),
            (&low, 1, 3, "the lower cap, after the higher one"),
            (&free, 20, 3, "no cap, after the lower one"),
        ] {
            payer.fail(units).await;
            assert_eq!(payer.count().await, (used, 3), "(used, held) by {by}");
        }
        // Of the higher cap 1 is left.
        held_low.refund();
        low.flush().await;
        assert_eq!(low.count().await, (4, 2), "(used, held) by the lower cap, from before");
        held_high.refund();
        high.flush().await;
        assert_eq!(high.count().await, (4, 1), "(used, held) by the higher cap, from before");
        held_free.refund();
        free.flush().await;
        assert_eq!(free.count().await, (4, 0), "(used, held) by no cap, from before");
        high.fail(1).await;
        assert_eq!(high.count().await, (5, 0), "(used, held) by the higher cap that is met");
    }
}

/// A limit without a cap has no say where another limit of the same plan has one, and what is refunded
/// there uses up no other plan's cap on the count that they share.
pub async fn what_has_no_cap_leaves_the_caps_of_others_alone<S: Subject<Books: Store>>(
    subject: &S,
) {
    let of_tenant = |limit: Limit| limit.named("shared").scope(Scope::Tenant);
    for scope in [Scope::Profile, Scope::Tenant] {
        let other = daily(5).named("other").scope(scope);
        let plans = [
            ("capped", vec![of_tenant(daily(2))]),
            ("mixed", vec![of_tenant(Limit::new(100, Window::Day)), other]),
        ];
        let [capped, mixed] = colleagues(subject, scope.as_str(), plans).await;
        let held = mixed.grant(1).await;
        capped.fail(1).await;
        mixed.fail(3).await;
        capped.fail(1).await;
        assert_eq!(
            mixed.counts().await,
            [(0, 1); 2],
            "(used, held) of the shared and the other count"
        );
        mixed.fail(3).await;
        assert_eq!(mixed.counts().await, [(3, 1); 2], "(used, held) past the other cap");
        capped.fail(1).await;
        assert_eq!(capped.count().await, (4, 1), "(used, held) past the shared cap");
        held.refund();
        mixed.flush().await;
        assert_eq!(
            mixed.counts().await,
            [(4, 0), (3, 0)],
            "(used, held) by the other cap, from before"
        );
    }
}

/// A cap that is raised, lowered or lifted applies to what is reserved from then on, and what was
/// refunded before still counts.
pub async fn a_changed_cap_keeps_what_was_refunded<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::new(subject, [daily(2)]).await;
    let set = |limit: Limit| {
        payer.quotas.set_limits("free", [(FEATURE, [limit])]).expect("the law's limit is bad");
    };
    let early = payer.grant(1).await;
    payer.fail(2).await;
    set(daily(3));
    let raised = payer.grant(1).await;
    for used in [0, 1] {
        payer.fail(1).await;
        assert_eq!(payer.count().await, (used, 2), "(used, held) when 3 come back");
    }
    set(Limit::new(100, Window::Day));
    let lifted = payer.grant(1).await;
    payer.fail(20).await;
    assert_eq!(payer.count().await, (1, 3), "(used, held) while there is no cap");
    for (held, used) in [(early, 2), (raised, 3)] {
        held.refund();
        payer.flush().await;
        assert_eq!(payer.count().await.0, used, "used when what was reserved before has failed");
    }
    set(daily(1));
    payer.fail(1).await;
    assert_eq!(payer.count().await, (4, 1), "(used, held) under a cap that is met already");
    lifted.refund();
    payer.flush().await;
    assert_eq!(payer.count().await, (4, 0), "(used, held) when what had no cap has failed");
}
