//! The proxy that other tests use does to connections what those rely on.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::proxy::{Fault, Proxy};

/// A server that answers each request with itself, and remembers it.
#[derive(Clone, Default)]
struct Echo(Arc<Mutex<Vec<String>>>);

impl Echo {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, echo) = (listener.local_addr().unwrap(), self.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(echo.clone().answer(connection));
            }
        });
        address
    }

    async fn answer(self, mut connection: TcpStream) {
        let mut request = [0; 64];
        while let Ok(length @ 1..) = connection.read(&mut request).await {
            let request = &request[..length];
            self.0.lock().unwrap().push(String::from_utf8(request.to_vec()).unwrap());
            if connection.write_all(request).await.is_err() {
                return;
            }
        }
    }

    fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Sends requests over one connection, and gives what is heard in all: of a connection that is cut,
/// until there.
async fn ask(proxy: &Proxy, requests: &[&str]) -> String {
    let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
    let mut heard = String::new();
    for request in requests {
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut reply = vec![0; request.len()];
        let length = connection.read(&mut reply).await.unwrap_or(0);
        heard += std::str::from_utf8(&reply[..length]).unwrap();
        if length < request.len() {
            break;
        }
    }
    heard
}

#[tokio::test]
async fn requests_pass_where_nothing_is_scripted() {
    let echo = Echo::default();
    let proxy = Proxy::start(echo.start().await).await;
    assert_eq!(ask(&proxy, &["one ", "two"]).await, "one two");
    assert_eq!(echo.heard(), ["one ", "two"]);
}

#[tokio::test]
async fn a_connection_is_cut_before_the_request() {
    let echo = Echo::default();
    let proxy = Proxy::start(echo.start().await).await;
    let mut cut = proxy.script("two", Fault::CutBeforeRequest);
    assert_eq!(ask(&proxy, &["one ", "two", "three"]).await, "one ");
    cut.struck().await;
    assert_eq!(echo.heard(), ["one "]);
    // Only once.
    assert_eq!(ask(&proxy, &["two"]).await, "two");
}

#[tokio::test]
async fn a_connection_is_cut_before_the_reply() {
    let echo = Echo::default();
    let proxy = Proxy::start(echo.start().await).await;
    let mut cut = proxy.script("two", Fault::CutBeforeReply);
    assert_eq!(ask(&proxy, &["one ", "two", "three"]).await, "one ");
    cut.struck().await;
    assert_eq!(echo.heard(), ["one ", "two"]);
}

#[tokio::test]
async fn a_connection_is_cut_in_the_middle_of_the_reply() {
    let echo = Echo::default();
    let proxy = Proxy::start(echo.start().await).await;
    let mut cut = proxy.script("", Fault::CutInReply);
    assert_eq!(ask(&proxy, &["one two "]).await, "one ");
    cut.struck().await;
    assert_eq!(echo.heard(), ["one two "]);
}

#[tokio::test]
async fn a_request_is_held_back_and_delivered_after_its_client_has_gone() {
    let echo = Echo::default();
    let proxy = Proxy::start(echo.start().await).await;
    let mut late = proxy.script("late", Fault::Hold);
    let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
    connection.write_all(b"late").await.unwrap();
    late.struck().await;
    drop(connection);
    // What is held back is in nobody else's way.
    assert_eq!(ask(&proxy, &["meanwhile"]).await, "meanwhile");
    assert_eq!(echo.heard(), ["meanwhile"]);
    late.deliver();
    while echo.heard().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(echo.heard(), ["meanwhile", "late"]);
}

#[tokio::test]
async fn a_request_that_is_delivered_late_is_answered() {
    let echo = Echo::default();
    let proxy = Proxy::start(echo.start().await).await;
    let mut late = proxy.script("late", Fault::Hold);
    let deliver = async {
        late.struck().await;
        late.deliver();
    };
    let (heard, ()) = tokio::join!(ask(&proxy, &["late ", "and on"]), deliver);
    assert_eq!(heard, "late and on");
}

#[tokio::test]
async fn clients_are_hung_up_on_where_no_server_is() {
    let nowhere = Path::new("/nowhere/at/all");
    let proxy = Proxy::start(nowhere).await;
    assert_eq!(ask(&proxy, &["one"]).await, "");
    let echo = Echo::default();
    let proxy = Proxy::start(echo.start().await).await;
    let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
    connection.write_all(b"one").await.unwrap();
    assert_eq!(connection.read(&mut [0; 3]).await.unwrap(), 3);
    drop(proxy);
    assert_eq!(connection.read(&mut [0; 3]).await.unwrap_or(0), 0);
}
