//! Ids of any bytes.

use super::Subject;
use super::payer::Payer;
use crate::bounds::{MAX_ID_BYTES, MAX_UNITS};
use crate::limits::{Limit, Plan, Window};
use crate::store::Store;

/// Features whose names blend into ids where the two are merely joined.
const FEATURES: [&str; 4] = ["c", "b.c", "b-c", "bc"];

/// Ids that differ, though not to books that join, trim, fold, truncate, escape or parse them.
fn ids() -> Vec<Vec<u8>> {
    let texts = [
        "a",
        "A",
        "a ",
        " a",
        "a\n",
        "a\0",
        "a/",
        "a/b",
        "a.b",
        "a-b",
        "ab",
        "a:b",
        "a%2Fb",
        "a\\",
        "7",
        "07",
        "7.0",
        "+7",
        "0",
        "\0",
        "\0\0",
        " ",
        "\n",
        "null",
        "*",
        "a*",
        "?",
        "%",
        "_",
        "'",
        "''",
        "\"",
        "'; --",
        "$1",
        "{a}",
        "{a",
        "a}",
        "{}",
        "}{",
        "{a}b",
        "{a}{b}",
        "ä",
        "a\u{308}",
        "a/c/day/profile/day",
        "c/day/profile/day",
        "ß",
        "ss",
        "\u{feff}a",
        "\u{202e}a",
    ];
    let mut ids: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    ids.extend([vec![0xff], vec![0xfe], vec![0x80], vec![0xc3, 0x28], vec![b'a', 0xff]]);
    for byte in [b'x', 0, 0xff] {
        let longest = vec![byte; MAX_ID_BYTES];
        let (mut first, mut last) = (longest.clone(), longest.clone());
        first.splice(..1, [b'1']);
        last.splice(MAX_ID_BYTES - 1.., [b'1']);
        ids.extend([longest, vec![byte; MAX_ID_BYTES - 1], first, last]);
    }
    ids
}

/// Whatever bytes an id is made of, it shares its counts with nobody.
pub async fn ids_of_any_bytes_have_counts_of_their_own<S: Subject<Books: Store>>(subject: &S) {
    let plan = |plan: Plan, feature| plan.feature(feature, [Limit::new(MAX_UNITS, Window::Day)]);
    let plan = FEATURES.into_iter().fold(Plan::new("free"), plan);
    let anyone = Payer::on_plan(subject, plan).await;
    let ids = ids();
    let every = || ids.iter().flat_map(|id| FEATURES.map(|feature| (id, feature))).zip(1_u64..);
    for ((id, feature), units) in every() {
        let recorded = anyone.named(id);
        let answer = recorded.quotas.record(recorded.profile(), feature, units).await;
        answer.expect("the store failed to record");
    }
    for ((id, feature), units) in every() {
        let (count, id) = (anyone.named(id).counts_of(feature).await, id.escape_ascii());
        assert_eq!(count, [(units, 0)], "(used, held) of `{feature}` by b\"{id}\"");
    }
}
