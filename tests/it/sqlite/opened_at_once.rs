//! A new file that several open at once.

use futures::future::join_all;
use tower_quota::store::SqliteBooks;

use crate::support::Directory;

#[tokio::test(flavor = "multi_thread")]
async fn many_can_open_a_new_file_at_once() {
    let directory = Directory::new();
    for round in 0..20 {
        let path = directory.path().join(format!("{round}.db"));
        let openers = (0..8).map(|_| {
            let builder = SqliteBooks::builder(&path);
            tokio::spawn(async move { builder.connect().await?.migrate().await })
        });
        for opened in join_all(openers).await {
            opened.unwrap().unwrap();
        }
    }
}
