//! At the edges of what can be asked for and counted.

use super::Subject;
use super::payer::Payer;
use crate::bounds::MAX_UNITS;
use crate::engine::Mode;
use crate::reservation::Reservation;
use crate::store::Store;

/// The largest amount there can be is granted, and not one unit more.
pub async fn the_largest_amount_is_granted_to_the_last_unit<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::daily(subject, MAX_UNITS).await;
    let all_but_one = payer.grant(MAX_UNITS - 1).await;
    payer.deny(2).await;
    payer.spend(1).await;
    payer.deny(1).await;
    all_but_one.commit();
    payer.flush().await;
    assert_eq!(payer.count().await, (MAX_UNITS, 0), "(used, held)");
    payer.deny(1).await;
}

/// More units than there can be never fit, into whatever amount.
pub async fn what_cannot_be_counted_never_fits<S: Subject<Books: Store>>(subject: &S) {
    for amount in [0, 1, MAX_UNITS] {
        for used in 0..3 {
            let id = format!("{used} of {amount} used");
            let payer = Payer::daily(subject, amount).await.named(&id);
            payer.debit(used).await;
            for units in [MAX_UNITS + 1, u64::MAX - 1, u64::MAX] {
                let denial = payer.deny(units).await;
                assert_eq!(denial.retry_after(), None, "waiting helps nobody: {units}, {id}");
            }
            assert_eq!(payer.count().await, (used, 0), "(used, held), {id}");
        }
    }
    Payer::daily(subject, 0).await.deny(1).await;
}

/// Nothing is asked for: it is granted even where nothing is left, and nothing is written.
pub async fn no_units_are_granted_and_not_recorded<S: Subject<Books: Store>>(subject: &S) {
    for (amount, used) in [(0, 0), (2, 2)] {
        let payer = Payer::daily(subject, amount).await.named(format!("of {amount}"));
        payer.debit(used).await;
        payer.grant(0).await.commit();
        payer.grant(0).await.commit_units(5);
        drop(payer.grant(0).await);
        payer.flush().await;
        assert_eq!(payer.count().await, (used, 0), "(used, held) of {amount}");
    }
}

/// What is used stops at some top, above every amount, from where it can be taken back to 0.
pub async fn what_is_used_stops_at_a_top_and_comes_back<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::daily(subject, MAX_UNITS).await;
    let held = payer.grant(1).await;
    payer.debit(u64::MAX).await;
    let (top, _) = payer.count().await;
    assert!(top > MAX_UNITS, "{top} is used where all that can be was debited");
    payer.record(u64::MAX).await;
    payer.record(7).await;
    assert_eq!(payer.count().await, (top, 1), "(used, held) after more was recorded");
    for units in [1, MAX_UNITS, u64::MAX] {
        payer.deny(units).await;
    }
    held.commit_units(u64::MAX);
    payer.flush().await;
    assert_eq!(payer.count().await, (top, 0), "(used, held) after the commit");
    payer.credit(u64::MAX).await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) after all was taken back");
    payer.spend(MAX_UNITS).await;
    assert_eq!(payer.count().await, (MAX_UNITS, 0), "(used, held) after all was spent");
}

/// In shadow mode what does not fit is held too, counted, and in the way once the mode is over.
pub async fn shadow_mode_holds_without_a_ceiling<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::daily(subject, 5).await;
    let first = payer.grant(5).await;
    payer.quotas.set_mode(Mode::Shadow);
    let small: Vec<Reservation> = vec![payer.grant(3).await, payer.grant(9).await];
    // It counts as the most that can be asked for.
    let large = payer.grant(u64::MAX).await;
    assert_eq!(payer.count().await, (0, 17 + MAX_UNITS), "(used, held) in shadow mode");
    payer.quotas.set_mode(Mode::Enforce);
    payer.deny(1).await;
    drop(large);
    small.into_iter().for_each(Reservation::commit);
    payer.flush().await;
    assert_eq!(payer.count().await, (12, 5), "(used, held) once it is over");
    payer.deny(1).await;
    first.commit();
    payer.flush().await;
    assert_eq!(payer.count().await, (17, 0), "(used, held) when all is settled");
}
