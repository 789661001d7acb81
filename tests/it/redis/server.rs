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
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-quota-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        let process = spawn(&directory, &options);
        Self { directory, options, process, port: None }
    }

    /// A Cluster of one server, which has all slots.
    pub(super) async fn start_cluster() -> Self {
        let [port, bus] = free_ports();
        let (port_option, bus) = (port.to_string(), bus.to_string());
        let mut server = Self::start(&[
            "--cluster-enabled",
            "yes",
            "--bind",
            "127.0.0.1",
            "--port",
            &port_option,
            "--cluster-port",
            &bus,
            "--cluster-announce-ip",
            "127.0.0.1",
        ]);
        server.port = Some(port);
        let mut connection = server.connection().await;
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("ADDSLOTSRANGE").arg(0).arg(16_383);
        slots.exec_async(&mut connection).await.unwrap();
        // A primary waits two seconds before it takes writes.
        let mut info = redis::cmd("CLUSTER");
        info.arg("INFO");
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let info: String = info.query_async(&mut connection).await.unwrap();
            if info.contains("cluster_state:ok") {
                return server;
            }
        }
    }

    /// Ends the server as a crash would.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
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

/// Ports that nobody listened on a moment ago.
fn free_ports() -> [u16; 2] {
    let listeners = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn socket(directory: &std::path::Path) -> String {
    directory.join("redis.sock").display().to_string()
}

fn spawn(directory: &Path, options: &[String]) -> Child {
    let mut process = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no"])
        .args(["--unixsocket", &socket(directory)])
        .args(["--dir", &directory.display().to_string()])
        .args(options)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs redis-server, as in Debian's package of that name");
    let output = BufReader::new(process.stdout.take().unwrap());
    let ready = output.lines().map_while(Result::ok).any(|line| {
        line.contains("Ready to accept connections") || line.contains("ready to accept connections")
    });
    assert!(ready, "redis-server did not start");
    process
}
