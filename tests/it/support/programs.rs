//! Examples, run as programs of their own and talked to over sockets.

use std::env::{self, consts::EXE_SUFFIX};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command as Shell, ExitStatus, Stdio};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

/// All that examples read.
const VARIABLES: [&str; 8] =
    ["LISTEN", "AUTH_MODE", "LIMITS", "OPERATOR_TOKEN", "STORE", "LEASE", "REQUESTS", "TOKENS"];

/// A running example. It is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

/// The command that runs an example with these variables, and none of the test's own.
pub(crate) fn example(name: &str, variables: &[(&str, &str)]) -> Command {
    let test = env::current_exe().unwrap();
    let target: PathBuf = test.ancestors().nth(2).unwrap().join("examples");
    let path = target.join(format!("{name}{EXE_SUFFIX}"));
    let shown = path.display();
    assert!(path.exists(), "{shown} is missing: run `cargo build --example {name}`");
    let mut command = Command::new(path);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.envs(variables.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

impl Program {
    /// Starts an example, and waits until it says where it listens.
    pub(crate) async fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = example(name, &[("LISTEN", "127.0.0.1:0")]);
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = stdout.next_line().await.unwrap().expect("it ended without a line");
        let address = first.strip_prefix("listening on http://").expect(&first);
        Self { address: address.parse().expect(address), child, stdout }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next line that the program prints.
    pub(crate) async fn line(&mut self) -> String {
        self.stdout.next_line().await.unwrap().expect("it ended without another line")
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let kill = format!("kill -INT {}", self.child.id().expect("it has ended"));
        assert!(Shell::new("sh").arg("-c").arg(kill).status().unwrap().success());
    }

    /// Kills the program, as a crash would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Whether the program has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// How the program ends.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await.unwrap()
    }

    /// Sends a request over a connection of its own, and hears all of the answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let mut client = self.connect().await;
        Reply::hear(client.send(request).await.unwrap()).await
    }
}

/// A connection to a program.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
}

impl Client {
    pub(crate) async fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async {
            // That the server hangs up is seen by whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self { sender, connection })
    }

    /// Sends a request, and waits for the headers of the answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    /// Goes away, whatever is going on.
    pub(crate) async fn hang_up(self) {
        self.connection.abort();
        assert!(self.connection.await.unwrap_err().is_cancelled());
    }

    /// Resolves when the server has gone away.
    pub(crate) async fn hung_up(self) {
        self.connection.await.unwrap();
    }
}

/// A request without a body.
pub(crate) fn to(method: Method, path: &str) -> request::Builder {
    Request::builder().method(method).uri(path).header("host", "recipes.test")
}

/// The request to a program that a `curl` command would send.
pub(crate) fn parse_curl(command: &str, program: &Program) -> Request<Full<Bytes>> {
    let quoted = command.split('\'').enumerate();
    let mut words = quoted.flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    assert_eq!(words.next(), Some("curl"));
    let (mut request, mut body) = (Request::builder(), "");
    while let Some(word) = words.next() {
        request = match word {
            "-i" | "-iN" => request,
            "-X" => request.method(words.next().unwrap()),
            "-d" => {
                body = words.next().unwrap();
                request
            }
            "-H" => {
                let (name, value) = words.next().unwrap().split_once(": ").unwrap();
                request.header(name, value)
            }
            url => {
                let url: Uri = url.parse().unwrap();
                assert_eq!(url.authority().unwrap().as_str(), program.address().to_string());
                request.header("host", "recipes.test").uri(url.path_and_query().unwrap().as_str())
            }
        };
    }
    request.body(Full::from(body.to_owned())).unwrap()
}

/// An answer, heard to its end.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body, up to where it failed.
    pub(crate) body: Vec<u8>,
    pub(crate) is_complete: bool,
}

impl Reply {
    pub(crate) async fn hear(response: Response<Incoming>) -> Self {
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut is_complete) = (Vec::new(), true);
        while let Some(frame) = incoming.frame().await {
            match frame {
                Ok(frame) => body.extend(frame.into_data().unwrap()),
                Err(_) => is_complete = false,
            }
        }
        Self { status: head.status, headers: head.headers, body, is_complete }
    }

    /// The value of a header, empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
