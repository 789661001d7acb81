//! Scripts count in floating point, exactly.

use tower_quota::store::{
    Change, Held, Lapse, MAX_COUNT, RemoteBooks, RemoteChange, RemoteCharge, RemoteReserve,
};
use tower_quota::{MAX_UNITS, Spent, Window};

use super::{PATIENCE, books, charges, counter, id, now, read, settlement};

#[tokio::test]
async fn the_largest_amounts_are_counted_to_the_unit() {
    let (_server, books, clock) = books().await;
    let day = [counter("ada", Window::Day, now(&clock)).await];
    let reserve = |sequence, units| RemoteReserve {
        id: id(sequence),
        charges: charges(&day, MAX_UNITS),
        units,
        lapse: Lapse::Charge,
        not_after: now(&clock).saturating_add(PATIENCE),
        patience: PATIENCE,
    };
    let granted = books.reserve(&reserve(1, MAX_UNITS - 1)).await.unwrap().held;
    assert!(matches!(granted, Held::Granted(_)));
    assert!(matches!(books.reserve(&reserve(2, 2)).await.unwrap().held, Held::Denied(_)));
    assert!(matches!(books.reserve(&reserve(3, 1)).await.unwrap().held, Held::Granted(_)));
    assert_eq!(read(&books, &day[0]).await, (0, MAX_UNITS));
    clock.advance(books.lease().length);
    assert_eq!(read(&books, &day[0]).await, (MAX_UNITS, 0));
    books.settle(&[settlement(3, &day)]).await.unwrap();
    assert_eq!(read(&books, &day[0]).await, (MAX_UNITS, 0));
}

#[tokio::test]
async fn counts_stop_where_numbers_are_exact() {
    let (_server, books, clock) = books().await;
    let day = [counter("ada", Window::Day, now(&clock)).await];
    let charge = RemoteCharge { counter: day[0].clone(), ceiling: None };
    let mut granted = 0;
    for sequence in 0..10 {
        let request = RemoteReserve {
            id: id(sequence),
            charges: [charge.clone()].into(),
            units: MAX_UNITS,
            lapse: Lapse::GiveBack,
            not_after: now(&clock).saturating_add(PATIENCE),
            patience: PATIENCE,
        };
        if matches!(books.reserve(&request).await.unwrap().held, Held::Granted(_)) {
            granted += 1;
        }
    }
    assert_eq!(granted, MAX_COUNT / MAX_UNITS);
    assert_eq!(read(&books, &day[0]).await, (0, granted * MAX_UNITS));

    let mut much = settlement(0, &day);
    much.spent = Spent::Units(u64::MAX);
    books.settle(&[much]).await.unwrap();
    assert_eq!(read(&books, &day[0]).await, (MAX_COUNT, (granted - 1) * MAX_UNITS));

    let counters = day.to_vec();
    for (sequence, change, used) in [
        (1, Change::Debit(1), MAX_COUNT),
        (2, Change::Credit(1), MAX_COUNT - 1),
        (3, Change::Debit(u64::MAX), MAX_COUNT),
        (4, Change::Credit(u64::MAX), 0),
    ] {
        let counters = counters.clone();
        books.change(&RemoteChange { nonce: 1, sequence, counters, change }).await.unwrap();
        assert_eq!(read(&books, &day[0]).await.0, used);
    }
}
