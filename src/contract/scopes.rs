//! Scopes: what is counted for a profile, for its tenant, and for everyone.

use tokio::task::JoinSet;

use super::Subject;
use super::payer::{FEATURE, Payer};
use crate::limits::{Limit, Plan, Scope, Window};
use crate::reservation::Decision;
use crate::store::Store;

/// A payer whose tenant is called as profiles of others are.
async fn employee<S: Subject<Books: Store>>(subject: &S, amounts: [u64; 3]) -> Payer {
    let [own, tenant, everyone] = amounts;
    let limits = [
        Limit::new(everyone, Window::Day).named("app").scope(Scope::Everyone),
        Limit::new(own, Window::Day),
        Limit::new(tenant, Window::Day).named("company").scope(Scope::Tenant),
    ];
    let plan = Plan::new("free").feature(FEATURE, limits);
    Payer::on_plan(subject, plan).await.employed_by("8")
}

/// Colleagues share their tenant's count, everybody shares everyone's, and nobody shares another's,
/// though a tenant is called as a profile.
pub async fn each_scope_is_counted_for_itself<S: Subject<Books: Store>>(subject: &S) {
    let ann = employee(subject, [9, 9, 9]).await.named("7").employed_by("8");
    let bob = ann.named("8").employed_by("8");
    let eve = ann.named("everyone").employed_by("7");
    ann.spend(1).await;
    bob.spend(2).await;
    let held = eve.grant(4).await;
    assert_eq!(ann.counts().await, [(3, 4), (1, 0), (3, 0)], "everyone's, her own, her tenant's");
    assert_eq!(bob.counts().await, [(3, 4), (2, 0), (3, 0)], "everyone's, his own, his tenant's");
    assert_eq!(eve.counts().await, [(3, 4), (0, 4), (0, 4)], "everyone's, her own, her tenant's");
    held.commit();
    eve.flush().await;
    assert_eq!(eve.counts().await, [(7, 0), (4, 0), (4, 0)], "everyone's, her own, her tenant's");
}

/// Whichever scope has no room, the others are not touched, and the denial names it.
pub async fn a_scope_without_room_spends_nothing_of_the_others<S: Subject<Books: Store>>(
    subject: &S,
) {
    // What everybody has spent adds up.
    let cases = [([1, 9, 9], "day"), ([9, 1, 9], "company"), ([9, 9, 3], "app")];
    for (amounts, tripped) in cases {
        let payer = employee(subject, amounts).await.named(tripped).employed_by(tripped);
        payer.spend(1).await;
        for _ in 0..3 {
            let denial = payer.deny(1).await;
            let violated: Vec<_> = denial.violated().map(|it| it.limit().to_owned()).collect();
            assert_eq!(violated, [tripped], "limits that had no room");
        }
        let own = payer.counts().await;
        assert_eq!(
            own.get(1..),
            Some([(1, 0); 2].as_slice()),
            "(used, held) where {tripped} trips"
        );
    }
}

/// Many that share a tenant, at once: exactly its amount is granted, and of no profile more than its
/// own.
pub async fn colleagues_are_granted_exactly_their_tenants_limit<S: Subject<Books: Store>>(
    subject: &S,
) {
    let payer = employee(subject, [5, 20, 1_000]).await;
    let mut tasks = JoinSet::new();
    for task in 0..8_u64 {
        let payer = payer.named(format!("colleague {task}")).employed_by("8");
        tasks.spawn(async move {
            let mut granted = 0_u64;
            for _ in 0..6 {
                if let Decision::Granted(reservation) = payer.reserve(1).await {
                    reservation.commit();
                    granted += 1;
                }
            }
            granted
        });
    }
    let granted = tasks.join_all().await;
    payer.flush().await;
    assert!(granted.iter().all(|granted| *granted <= 5), "{granted:?}: more than their own");
    assert_eq!(granted.iter().sum::<u64>(), 20, "granted of the tenant's 20");
    assert_eq!(payer.counts().await, [(20, 0), (0, 0), (20, 0)], "everyone's, own, the tenant's");
}

/// What operators do to a profile leaves its tenant and everyone alone; what is recorded was spent.
pub async fn operators_change_the_profiles_own_count<S: Subject<Books: Store>>(subject: &S) {
    let payer = employee(subject, [9, 9, 9]).await;
    payer.record(5).await;
    assert_eq!(payer.counts().await, [(5, 0); 3], "(used, held) after a record of 5");
    payer.credit(2).await;
    payer.debit(1).await;
    assert_eq!(payer.counts().await, [(5, 0), (4, 0), (5, 0)], "after a credit of 2, a debit of 1");
    payer.reset().await;
    assert_eq!(payer.counts().await, [(5, 0), (0, 0), (5, 0)], "(used, held) after a reset");
}
