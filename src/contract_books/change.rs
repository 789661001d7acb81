//! Books outside of this process: changes of what is used.

use tokio::task::JoinSet;

use super::clerk::Clerk;
use crate::contract::Subject;
use crate::count::Spent;
use crate::store::{Change, Lapse, MAX_COUNT, RemoteBooks, RemoteChange, RemoteCounter};

/// The change with this number, in a line of its nonce.
fn numbered(nonce: u64, sequence: u64, counter: &RemoteCounter, change: Change) -> RemoteChange {
    RemoteChange { nonce, sequence, counters: vec![counter.clone()], change }
}

/// A change that is sent again changes nothing, nor does one that is overtaken.
pub async fn a_number_of_a_line_changes_once<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let other = clerk.at_another_handle(subject).await;
    let counters = vec![clerk.counter("7"), clerk.counter("everyone")];
    let change = |sequence, change| {
        let counters = counters.clone();
        RemoteChange { nonce: u64::MAX, sequence, counters, change }
    };
    let debit = change(1, Change::Debit(3));
    clerk.change(&debit).await;
    clerk.change(&debit).await;
    other.change(&debit).await;
    assert_eq!(clerk.counts(&counters).await, [(3, 0); 2], "(used, held) of a debit sent thrice");
    // Numbers may be left out: a change may have been given up.
    clerk.change(&change(7, Change::Credit(1))).await;
    for sequence in 1..=7 {
        clerk.change(&change(sequence, Change::Debit(100))).await;
    }
    assert_eq!(clerk.counts(&counters).await, [(2, 0); 2], "(used, held) of numbers seen before");
    clerk.change(&change(8, Change::Reset)).await;
    clerk.change(&change(9, Change::Debit(4))).await;
    clerk.change(&change(8, Change::Reset)).await;
    assert_eq!(clerk.counts(&counters).await, [(4, 0); 2], "(used, held) after a reset sent twice");
}

/// Lines of different nonces are counted apart, and so are the same numbers at other counters.
pub async fn lines_do_not_hinder_each_other<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let (one, other) = (clerk.counter("7"), clerk.counter("8"));
    for nonce in [0, 1, u64::MAX - 1, u64::MAX] {
        clerk.change(&numbered(nonce, 1, &one, Change::Debit(2))).await;
        clerk.change(&numbered(nonce, 2, &other, Change::Debit(3))).await;
    }
    let counts = clerk.counts(&[one, other]).await;
    assert_eq!(counts, [(8, 0), (12, 0)], "(used, held) of four lines");
}

/// What is held is held on, whatever becomes of what is used, and is settled on top.
pub async fn a_change_leaves_what_is_held<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    let slip = clerk.hold(&counter, 4, Lapse::GiveBack).await;
    let changes = [
        (Change::Debit(6), 6),
        (Change::Credit(1), 5),
        (Change::Debit(0), 5),
        (Change::Reset, 0),
        (Change::Debit(1), 1),
    ];
    for (sequence, (change, used)) in (1..).zip(changes) {
        clerk.change(&numbered(1, sequence, &counter, change)).await;
        assert_eq!(clerk.count(&counter).await, (used, 4), "(used, held) after {change:?}");
    }
    clerk.settle(&[slip.settlement(Spent::Held)]).await;
    assert_eq!(clerk.count(&counter).await, (5, 0), "(used, held) when it is settled");
}

/// A change goes down to 0, up to [`MAX_COUNT`], and back.
pub async fn changes_stop_at_both_ends<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    let changes = [
        (Change::Credit(1), 0),
        (Change::Credit(u64::MAX), 0),
        (Change::Reset, 0),
        (Change::Debit(MAX_COUNT - 1), MAX_COUNT - 1),
        (Change::Debit(1), MAX_COUNT),
        (Change::Debit(1), MAX_COUNT),
        (Change::Debit(u64::MAX), MAX_COUNT),
        (Change::Credit(1), MAX_COUNT - 1),
        (Change::Credit(u64::MAX), 0),
        (Change::Debit(u64::MAX), MAX_COUNT),
    ];
    for (sequence, (change, used)) in (1..).zip(changes) {
        clerk.change(&numbered(1, sequence, &counter, change)).await;
        assert_eq!(clerk.count(&counter).await, (used, 0), "(used, held), {sequence}. {change:?}");
    }
}

/// Changes that race are all made, each once.
pub async fn racing_changes_add_up<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let counters = ["a", "b"].map(|scope| clerk.counter(scope));
    let mut tasks = JoinSet::new();
    for nonce in 0..8 {
        let (clerk, mut counters) = (clerk.clone(), counters.to_vec());
        if nonce % 2 == 0 {
            counters.reverse();
        }
        tasks.spawn(async move {
            for sequence in 1..=15 {
                let counters = counters.clone();
                let change = Change::Debit(sequence);
                clerk.change(&RemoteChange { nonce, sequence, counters, change }).await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(clerk.counts(&counters).await, [(960, 0); 2], "(used, held) of 8 times 1 to 15");
}
