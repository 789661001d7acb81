//! A server of a test's own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;

/// A private server in a directory of its own. It ends with the test.
pub(super) struct RedisServer {
    directory: PathBuf,
    options: Vec<String>,
    process: Child,
    /// Where it listens, if that is not only a socket.
    port: Option<u16>,
}

impl RedisServer {
    pub(super) fn start(options: &[&str]) -> Self {
        let directory = new_directory();
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        let process = spawn(&directory, &options);
        Self { directory, options, process, port: None }
    }

    /// A server that listens on a port too.
    pub(super) fn start_on_port(options: &[&str]) -> Self {
        let [port] = free_ports();
        let listen = ["--bind", "127.0.0.1", "--port", &port.to_string()];
        let mut server = Self::start(&[&listen, options].concat());
        server.port = Some(port);
        server
    }

    /// A Sentinel that watches `primary` by the name of `mymaster`.
    pub(super) fn start_sentinel(primary: &Self) -> Self {
        let directory = new_directory();
        let [port] = free_ports();
        let watched = primary.port();
        let lines = format!(
            "bind 127.0.0.1\nport {port}\nsentinel monitor mymaster 127.0.0.1 {watched} 1\n"
        );
        let file = directory.join("sentinel.conf");
        fs::write(&file, lines).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel");
        let process = await_ready(command, "Sentinel ID is");
        Self { directory, options: Vec::new(), process, port: Some(port) }
    }

    /// A Cluster of one server, which has all slots.
    pub(super) async fn start_cluster() -> Self {
        let server = Self::start_node();
        server.tell("CLUSTER ADDSLOTSRANGE 0 16383").await;
        // A primary waits two seconds before it takes writes.
        server.await_cluster(1).await;
        server
    }

    /// One more node of a Cluster, which has no slots yet.
    pub(super) async fn start_beside(node: &Self) -> Self {
        let server = Self::start_node();
        server.tell(&format!("CLUSTER MEET 127.0.0.1 {} {}", node.port(), node.bus())).await;
        server.await_cluster(2).await;
        node.await_cluster(2).await;
        server
    }

    fn start_node() -> Self {
        let [bus] = free_ports();
        Self::start_on_port(&[
            "--cluster-enabled",
            "yes",
            "--cluster-announce-ip",
            "127.0.0.1",
            "--cluster-port",
            &bus.to_string(),
        ])
    }

    fn bus(&self) -> &str {
        self.options.last().unwrap()
    }

    /// Waits until it takes part in a Cluster of so many nodes, all of whose slots are served.
    async fn await_cluster(&self, nodes: u32) {
        self.await_line("CLUSTER INFO", &format!("cluster_known_nodes:{nodes}")).await;
        self.await_line("CLUSTER INFO", "cluster_state:ok").await;
    }

    /// Waits until the answer to a command has this line.
    pub(super) async fn await_line(&self, command: &str, line: &str) {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..1_500 {
            ticks.tick().await;
            let answer: String = self.ask(command).await;
            if answer.lines().any(|found| found == line) {
                return;
            }
        }
        panic!("{command} never said {line}");
    }

    /// Executes a command.
    pub(super) async fn tell(&self, command: &str) {
        self.ask::<redis::Value>(command).await;
    }

    /// Executes a command, and gives its answer.
    pub(super) async fn ask<T: redis::FromRedisValue>(&self, command: &str) -> T {
        let mut words = redis::Cmd::new();
        for word in command.split(' ') {
            words.arg(word);
        }
        words.query_async(&mut self.connection().await).await.unwrap()
    }

    /// Ends the server as a crash would.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends a signal, as `-STOP`.
    pub(super) fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Starts it again, where it was, with nothing.
    pub(super) fn restart(&mut self) {
        self.process = spawn(&self.directory, &self.options);
    }

    pub(super) fn url(&self) -> String {
        match self.port {
            Some(port) => format!("redis://127.0.0.1:{port}"),
            None => self.url_with(""),
        }
    }

    /// The URL with more parameters.
    pub(super) fn url_with(&self, parameters: &str) -> String {
        format!("unix://{}?db=0{parameters}", socket(&self.directory))
    }

    pub(super) fn port(&self) -> u16 {
        self.port.expect("it listens on a socket only")
    }

    /// A connection of the test's own.
    pub(super) async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn new_directory() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("tower-quota-{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Ports that nobody listened on a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn socket(directory: &std::path::Path) -> String {
    directory.join("redis.sock").display().to_string()
}

fn spawn(directory: &Path, options: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", "0", "--save", "", "--appendonly", "no"])
        .args(["--unixsocket", &socket(directory)])
        .args(["--dir", &directory.display().to_string()])
        .args(options);
    await_ready(command, "eady to accept connections")
}

/// Starts a process, and waits until it says that it is ready.
fn await_ready(mut command: Command, ready: &str) -> Child {
    let mut process = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs redis-server, as in Debian's package of that name");
    let output = BufReader::new(process.stdout.take().unwrap());
    let mut lines = output.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(ready)), "redis-server did not start");
    process
}
