//! A Sentinel, which says which Redis server is the primary.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{Server, directory, run};

/// What it says once it can be connected to.
const READY: &str = "Sentinel ID is";

/// A Sentinel that knows one primary, by the name of `mymaster`.
#[derive(Debug)]
pub(crate) struct RedisSentinel {
    _server: Server,
    socket: PathBuf,
}

impl RedisSentinel {
    pub(crate) fn start(primary: SocketAddr) -> Self {
        let directory = directory();
        let (socket, file) = (directory.join("socket"), directory.join("sentinel.conf"));
        let (ip, port) = (primary.ip(), primary.port());
        let monitor = format!("sentinel monitor mymaster {ip} {port} 1");
        fs::write(&file, format!("port 0\nunixsocket {}\n{monitor}\n", socket.display())).unwrap();
        let command = ["redis-server", file.to_str().unwrap(), "--sentinel"];
        let mut server = Server::new(&directory, &command);
        assert!(server.start(READY), "redis-server does not start: `tests/run` installs it");
        Self { _server: server, socket }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    /// Lets it name another primary, as after a failover.
    pub(crate) fn name(&self, primary: SocketAddr) {
        let (ip, port) = (primary.ip().to_string(), primary.port().to_string());
        self.command(&["REMOVE", "mymaster"]);
        self.command(&["MONITOR", "mymaster", &ip, &port, "1"]);
    }

    fn command(&self, words: &[&str]) {
        let mut client = Command::new("redis-cli");
        client.args(["-e", "-s"]).arg(&self.socket).arg("SENTINEL").args(words);
        assert_eq!(run(&mut client), "OK");
    }
}
