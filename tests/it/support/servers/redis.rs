//! Redis: one server, or a cluster of three primaries.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use super::{Server, directory, run};

/// What it says once it can be connected to, with and without a socket.
const READY: &str = "eady to accept connections";

/// How it keeps its data: a write that it has answered outlives its process.
const DURABLE: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "no"];

/// A Redis server, on a socket in a directory of its own.
#[derive(Debug)]
pub(crate) struct Redis {
    server: Server,
    socket: PathBuf,
}

impl Redis {
    /// A server for one test.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server for one test, with more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let directory = directory();
        let socket = directory.join("socket");
        let (path, dir) = (socket.to_str().unwrap(), directory.to_str().unwrap());
        let mut command = vec!["redis-server", "--port", "0", "--unixsocket", path, "--dir", dir];
        command.extend(DURABLE);
        command.extend(arguments);
        let mut redis = Self { server: Server::new(&directory, &command), socket };
        redis.restart();
        redis
    }

    /// The server that tests of this process share, each with keys of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Redis> = LazyLock::new(Redis::start);
        &SHARED
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    pub(crate) fn socket(&self) -> &PathBuf {
        &self.socket
    }

    /// Runs a command, as an operator may, and gives what is printed of its answer.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        run(Command::new("redis-cli").arg("-e").arg("-s").arg(&self.socket).args(words))
    }

    /// Sets a configuration parameter of the running server.
    pub(crate) fn set(&self, parameter: &str, value: &str) {
        assert_eq!(self.command(&["CONFIG", "SET", parameter, value]), "OK");
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again after it was killed, with its data.
    pub(crate) fn restart(&mut self) {
        assert!(self.server.start(READY), "redis-server does not start: `tests/run` installs it");
    }

    /// Starts it again after it was killed, without its data.
    pub(crate) fn restart_empty(&mut self) {
        fs::remove_dir_all(self.server.directory.join("appendonlydir")).unwrap();
        self.restart();
    }

    /// Stops it until it is resumed: it neither answers nor hangs up.
    pub(crate) fn pause(&self) {
        self.server.pause();
    }

    pub(crate) fn resume(&self) {
        self.server.resume();
    }
}

/// A Redis Cluster of three primaries, and sometimes a replica of the first, on free ports of the
/// loopback interface.
#[derive(Debug)]
pub(crate) struct RedisCluster {
    nodes: Vec<Server>,
    ports: Vec<u16>,
}

/// What a node says once it trusts what it knows of the others: after two seconds.
const AGREED: &str = "Cluster state changed: ok";

const SLOTS: [&str; 3] = ["0-5460", "5461-10922", "10923-16383"];

impl RedisCluster {
    /// The cluster that tests of this process share, each with keys of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<RedisCluster> = LazyLock::new(RedisCluster::start);
        &SHARED
    }

    /// A cluster for one test.
    pub(crate) fn start() -> Self {
        Self::start_nodes(SLOTS.len())
    }

    /// A cluster for one test, in which the last node is a replica of the first.
    pub(crate) fn start_with_replica() -> Self {
        Self::start_nodes(SLOTS.len() + 1)
    }

    fn start_nodes(count: usize) -> Self {
        // Somebody else may take a port between its being found free and its use.
        let mut attempts = (0..5).filter_map(|_| Self::try_start(count));
        attempts.next().expect("redis-server does not start: `tests/run` installs it")
    }

    fn try_start(count: usize) -> Option<Self> {
        let free = free_ports(2 * count);
        let (ports, buses) = free.split_at(count);
        let mut nodes: Vec<_> = (0..count).map(|node| Self::node(node, ports, buses)).collect();
        let started = nodes.iter_mut().all(|node| node.start(READY));
        let agreed = |node: &mut Server| node.hear(AGREED).is_some();
        let complete = started && nodes.iter_mut().all(agreed);
        complete.then(|| Self { nodes, ports: ports.to_vec() })
    }

    /// A node that knows the others from its first moment on.
    fn node(own: usize, ports: &[u16], buses: &[u16]) -> Server {
        let directory = directory();
        let line = |node: usize| {
            let (id, address) =
                (Self::id(node), format!("127.0.0.1:{}@{}", ports[node], buses[node]));
            let myself = if node == own { "myself," } else { "" };
            match SLOTS.get(node) {
                Some(slots) => {
                    format!("{id} {address} {myself}master - 0 0 {} connected {slots}\n", node + 1)
                }
                None => format!("{id} {address} {myself}slave {} 0 0 1 connected\n", Self::id(0)),
            }
        };
        let mut known: String = (0..ports.len()).map(line).collect();
        known += "vars currentEpoch 3 lastVoteEpoch 0\n";
        fs::write(directory.join("nodes.conf"), known).unwrap();
        let (port, bus) = (ports[own].to_string(), buses[own].to_string());
        let mut command = vec!["redis-server", "--dir", directory.to_str().unwrap()];
        command.extend(["--bind", "127.0.0.1", "--port", &port, "--cluster-port", &bus]);
        command.extend(["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]);
        command.extend(DURABLE);
        Server::new(&directory, &command)
    }

    /// What a node is called by the others.
    fn id(node: usize) -> String {
        node.to_string().repeat(40)
    }

    /// The addresses of all nodes.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("redis://127.0.0.1:{port}/")).collect()
    }

    /// Runs a command at one of the nodes, and gives what is printed of its answer.
    pub(crate) fn command(&self, node: usize, words: &[&str]) -> String {
        let port = self.ports[node].to_string();
        run(Command::new("redis-cli").args(["-e", "-p", &port]).args(words))
    }

    /// Moves the slot of a hash tag from one node to another, with what is in it.
    pub(crate) fn move_slot_of(&self, tag: &str, from: usize, to: usize) {
        let slot = self.begin_to_move(tag, from, to);
        self.end_to_move(&slot, from, to);
    }

    /// Moves all that is in the slot of a hash tag, but not the slot yet. Gives its number.
    pub(crate) fn begin_to_move(&self, tag: &str, from: usize, to: usize) -> String {
        let slot = self.command(from, &["CLUSTER", "KEYSLOT", tag]);
        self.set_slot(to, &slot, "IMPORTING", from);
        self.set_slot(from, &slot, "MIGRATING", to);
        let keys = self.command(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]);
        let port = self.ports[to].to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.lines());
        assert_eq!(self.command(from, &migrate), "OK");
        slot
    }

    /// Lets a slot belong to the node that has what is in it.
    pub(crate) fn end_to_move(&self, slot: &str, from: usize, to: usize) {
        self.set_slot(to, slot, "NODE", to);
        self.set_slot(from, slot, "NODE", to);
    }

    fn set_slot(&self, at: usize, slot: &str, state: &str, node: usize) {
        let words = ["CLUSTER", "SETSLOT", slot, state, &Self::id(node)];
        assert_eq!(self.command(at, &words), "OK");
    }

    /// Makes a replica the primary, as the others do when they have found out that theirs is gone.
    pub(crate) fn take_over(&mut self, replica: usize) {
        assert_eq!(self.command(replica, &["CLUSTER", "FAILOVER", "TAKEOVER"]), "OK");
    }

    /// Kills a node.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts a node again after it was killed, with its data.
    pub(crate) fn restart(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        assert!(node.start(READY) && node.hear(AGREED).is_some(), "a node does not start again");
    }

    /// Stops a node until it is resumed.
    pub(crate) fn pause(&self, node: usize) {
        self.nodes[node].pause();
    }

    pub(crate) fn resume(&self, node: usize) {
        self.nodes[node].resume();
    }
}

/// Ports that nobody listens on, all of them different.
fn free_ports(count: usize) -> Vec<u16> {
    let listen = |_| TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let listeners: Vec<_> = (0..count).map(listen).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
