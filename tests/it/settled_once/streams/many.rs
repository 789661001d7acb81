//! Many streams over one connection, which HTTP/2 allows: each ends by itself.

use futures::SinkExt;
use http::Version;
use http_body_util::BodyExt;
use tower_quota::Ending;

use super::{ALL, FIRST, LAST, Stage, books, data, fed, hear};

#[tokio::test]
async fn streams_that_are_given_up_leave_the_others_be() {
    let mut stage = Stage::over(Version::HTTP_2).await;
    let (waiting, _answers) = stage.send().await;
    let (mut to_leaver, answer) = fed();
    let mut leaver = stage.begin(answer).await;
    let (mut to_stayer, answer) = fed();
    let mut stayer = stage.begin(answer).await;
    for (frames, response) in [(&mut to_leaver, &mut leaver), (&mut to_stayer, &mut stayer)] {
        frames.send(Ok(data(FIRST))).await.unwrap();
        hear(response, FIRST.len() as u64).await;
    }
    assert_eq!(books(&stage.scene.quotas), (0, 3));

    waiting.abort();
    assert_eq!(stage.ending().await, (Ending::Dropped, 0));
    assert_eq!(books(&stage.scene.quotas), (0, 2));

    drop(leaver);
    assert_eq!(stage.ending().await, (Ending::BodyDropped, FIRST.len() as u64));
    assert_eq!(books(&stage.scene.quotas), (1, 1));

    to_stayer.send(Ok(data(LAST))).await.unwrap();
    drop(to_stayer);
    assert_eq!(stayer.collect().await.unwrap().to_bytes(), LAST);
    assert_eq!(stage.ending().await, (Ending::Complete, ALL));
    stage.assert_nothing_else_ended();
    stage.close().await.assert_settled(2);
}

#[tokio::test]
async fn a_wire_that_is_cut_ends_all_of_them() {
    let mut stage = Stage::over(Version::HTTP_2).await;
    let (_waiting, _answers) = stage.send().await;
    let (mut frames, answer) = fed();
    let mut response = stage.begin(answer).await;
    frames.send(Ok(data(FIRST))).await.unwrap();
    hear(&mut response, FIRST.len() as u64).await;
    stage.cut();
    let mut endings = [stage.ending().await, stage.ending().await];
    endings.sort_by_key(|(_, bytes)| *bytes);
    assert_eq!(endings, [(Ending::Dropped, 0), (Ending::BodyDropped, FIRST.len() as u64)]);
    stage.assert_nothing_else_ended();
    assert_eq!(books(&stage.close().await.quotas), (1, 0));
}

/// A server of HTTP/2 runs each stream on a task of its own.
#[tokio::test]
async fn a_handler_that_panics_releases_and_the_connection_lives_on() {
    let mut stage = Stage::over(Version::HTTP_2).await;
    let (sent, answers) = stage.send().await;
    // The inner service expects an answer.
    drop(answers);
    assert_eq!(stage.ending().await, (Ending::Panic, 0));
    sent.await.unwrap().unwrap_err();
    stage.scene.assert_settled(0);

    let (frames, answer) = fed();
    let response = stage.begin(answer).await;
    drop(frames);
    response.collect().await.unwrap();
    assert_eq!(stage.ending().await, (Ending::Complete, 0));
    stage.close().await.assert_settled(1);
}
