//! Clients that go away, and Ctrl-C.

use http::StatusCode;
use http_body_util::BodyExt;
use tokio::net::TcpStream;
use tokio::task::yield_now;

use super::{App, REMIX, ROUND_TRIPS, TIPS, post};
use crate::support::programs::Reply;

#[tokio::test]
async fn a_client_that_goes_away_before_the_headers_pays_nothing() {
    let app = App::start().await;
    // Behind a body that it does not read, the server would not see that the client has gone.
    for body in [Vec::new(), vec![b' '; 1_000_000]] {
        let mut client = app.0.connect().await;
        {
            let request = client.send(post(&format!("{REMIX}?delay_ms=60000"), body));
            let arrived = app.wait_for("remix", |used, held| (used, held) == (0, 1));
            tokio::select! {
                answer = request => panic!("answered at once: {answer:?}"),
                () = arrived => {}
            }
        }
        client.hang_up().await;
        app.wait_for("remix", |used, held| (used, held) == (0, 0)).await;
    }
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_goes_away_in_mid_stream_pays() {
    let app = App::start().await;
    let (client, mut response) = app.begin(&format!("{REMIX}?chunks=2&gap_ms=60000")).await;
    let first = response.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(!first.is_empty());
    assert_eq!(app.books("remix").await, (0, 1));
    drop(response);
    client.hang_up().await;
    app.wait_for("remix", |used, held| (used, held) == (1, 0)).await;
}

#[tokio::test]
async fn ctrl_c_ends_an_idle_app_with_0() {
    let app = App::start().await;
    app.0.interrupt();
    assert_eq!(app.0.ended().await.code(), Some(0));
}

#[tokio::test]
async fn ctrl_c_lets_a_request_without_an_answer_end() {
    let app = App::start().await;
    let mut client = app.0.connect().await;
    let answer = async {
        let response = client.send(post(&format!("{REMIX}?delay_ms=300"), "")).await.unwrap();
        Reply::hear(response).await
    };
    let interrupt = async {
        // If the machine was so slow that the request has ended, there is nothing to wait for.
        app.wait_for("remix", |used, held| used + held == 1).await;
        app.0.interrupt();
    };
    let (answer, ()) = tokio::join!(answer, interrupt);
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.is_complete);
    assert_eq!(app.0.ended().await.code(), Some(0));
}

#[tokio::test]
async fn ctrl_c_lets_a_stream_end_and_nobody_else_in() {
    let app = App::start().await;
    let mut idle = app.0.connect().await;
    Reply::hear(idle.send(post(TIPS, "")).await.unwrap()).await;
    let (_client, response) = app.begin(&format!("{REMIX}?chunks=3&gap_ms=200")).await;
    app.0.interrupt();
    idle.hung_up().await;
    for trip in 0.. {
        if TcpStream::connect(app.0.address()).await.is_err() {
            break;
        }
        assert!(trip < ROUND_TRIPS, "it still listens");
        yield_now().await;
    }
    let stream = Reply::hear(response).await;
    assert!(stream.is_complete);
    assert_eq!(stream.text().lines().count(), 3);
    assert_eq!(app.0.ended().await.code(), Some(0));
}

#[tokio::test]
async fn ctrl_c_again_does_not_wait_for_the_stream() {
    let mut app = App::start().await;
    let mut idle = app.0.connect().await;
    Reply::hear(idle.send(post(TIPS, "")).await.unwrap()).await;
    let (_client, _response) = app.begin(&format!("{REMIX}?chunks=2&gap_ms=60000")).await;
    app.0.interrupt();
    idle.hung_up().await;
    // Signals that follow too closely count as one.
    for presses in 0.. {
        if app.0.has_ended() {
            break;
        }
        assert!(presses < ROUND_TRIPS, "it is still there");
        app.0.interrupt();
        yield_now().await;
    }
    assert_eq!(app.0.ended().await.code(), Some(130));
}
