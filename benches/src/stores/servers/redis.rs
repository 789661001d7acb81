//! Redis: one server, or a Cluster of three primaries.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Server, directory, run, wait_until};

/// Nothing that it writes is kept on disk.
const SETTINGS: [&str; 4] = ["--save", "", "--appendonly", "no"];

/// A Redis server, on a socket in a directory of its own.
pub(crate) struct Redis {
    server: Server,
    socket: PathBuf,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let directory = directory();
        let socket = directory.join("socket");
        let (path, folder) = (socket.display().to_string(), directory.display().to_string());
        let mut command = vec!["redis-server", "--port", "0", "--unixsocket", &path];
        command.extend(["--dir", &folder]);
        command.extend(SETTINGS);
        let redis = Self { server: Server::start(&directory, "TERM", &command), socket };
        wait_until("Redis answers", || {
            let mut ping = redis.program("redis-cli");
            ping.arg("PING").output().is_ok_and(|output| output.stdout == b"PONG\n")
        });
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid
    }

    fn program(&self, name: &str) -> Command {
        program(name, &self.socket)
    }

    /// Stops it until the value is dropped: it neither answers nor hangs up.
    pub(crate) fn pause(&self) -> Paused {
        signal(self.server.pid, "STOP");
        Paused(self.server.pid)
    }

    /// Runs a command, and gives what is printed of its answer.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        run(self.program("redis-cli").arg("-e").args(words))
    }

    /// A script that does nothing, to be run by `redis-benchmark`.
    pub(crate) fn no_ops(&self) -> NoOps {
        let script = self.command(&["SCRIPT", "LOAD", "return 1"]);
        NoOps { socket: self.socket.clone(), script }
    }

    /// What the server has counted.
    pub(crate) fn counters(&self) -> Counters {
        Counters::of(|section| self.command(&["INFO", section]))
    }

    /// Bytes that its data take.
    pub(crate) fn used_memory(&self) -> u64 {
        figure(&self.command(&["INFO", "memory"]), "used_memory:")
    }
}

/// A program that is told where the server is.
fn program(name: &str, socket: &Path) -> Command {
    let mut command = Command::new(name);
    command.arg("-s").arg(socket);
    command
}

/// A script that does nothing, and where it is known.
pub(crate) struct NoOps {
    socket: PathBuf,
    script: String,
}

impl NoOps {
    /// How many `redis-benchmark` gets done in a second, of so many, one in flight on each of its
    /// connections.
    pub(crate) fn rate(&self, connections: u64, requests: u64) -> f64 {
        let mut benchmark = program("redis-benchmark", &self.socket);
        benchmark.args(["-c", &connections.to_string(), "-n", &requests.to_string()]);
        benchmark.args(["-P", "1", "--csv", "EVALSHA", &self.script, "0"]);
        let table = run(&mut benchmark);
        // The command is quoted, and so is each of the figures that follow it.
        let line = table.lines().last().unwrap_or_default();
        let figure = line.rsplit("\",\"").nth(6).and_then(|figure| figure.parse().ok());
        figure.unwrap_or_else(|| panic!("what is the rate in {table}?"))
    }
}

/// A server that stands still.
pub(crate) struct Paused(u32);

impl Drop for Paused {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

fn signal(pid: u32, name: &str) {
    run(Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]));
}

/// Three primaries, on free ports of the loopback interface.
pub(crate) struct Cluster {
    nodes: Vec<Server>,
    ports: Vec<u16>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let ports = free_ports();
        let nodes = ports.chunks(2).map(|ports| node(ports[0], ports[1])).collect();
        let ports: Vec<_> = ports.into_iter().step_by(2).collect();
        let cluster = Self { nodes, ports };
        for node in 0..cluster.nodes.len() {
            let mut ping = cluster.client(node);
            ping.arg("PING");
            wait_until("a node answers", || ping.output().is_ok_and(|o| o.stdout == b"PONG\n"));
        }
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(cluster.ports.iter().map(|port| format!("127.0.0.1:{port}")));
        run(create.arg("--cluster-yes"));
        wait_until("all nodes agree", || {
            let agrees = |node| cluster.command(node, &["CLUSTER", "INFO"]).contains("state:ok");
            (0..cluster.nodes.len()).all(agrees)
        });
        cluster
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("redis://127.0.0.1:{port}/")).collect()
    }

    fn client(&self, node: usize) -> Command {
        let mut client = Command::new("redis-cli");
        client.args(["-e", "-p", &self.ports[node].to_string()]);
        client
    }

    fn command(&self, node: usize, words: &[&str]) -> String {
        run(self.client(node).args(words))
    }

    /// What all nodes have counted.
    pub(crate) fn counters(&self) -> Counters {
        let nodes = 0..self.nodes.len();
        nodes.fold(Counters::default(), |sum, node| {
            let counters = Counters::of(|section| self.command(node, &["INFO", section]));
            Counters {
                commands: sum.commands + counters.commands,
                reads: sum.reads + counters.reads,
            }
        })
    }
}

fn node(port: u16, bus: u16) -> Server {
    let directory = directory();
    let (port, bus) = (port.to_string(), bus.to_string());
    let folder = directory.display().to_string();
    let mut command = vec!["redis-server", "--bind", "127.0.0.1", "--port", &port];
    command.extend(["--cluster-port", &bus, "--cluster-enabled", "yes", "--dir", &folder]);
    command.extend(SETTINGS);
    Server::start(&directory, "TERM", &command)
}

/// Six ports that nobody listens on.
fn free_ports() -> Vec<u16> {
    let listeners = [(); 6].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
    listeners.iter().map(|listener| listener.local_addr().expect("an address").port()).collect()
}

/// What a server has counted since it started.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Scripts that clients have run, or loaded. Nothing else is asked for by a request.
    pub(crate) commands: u64,
    /// Times that it read from a client's socket: as often as a pipeline was flushed, or more
    /// seldom.
    pub(crate) reads: u64,
}

impl Counters {
    fn of(info: impl Fn(&str) -> String) -> Self {
        let commands = info("commandstats");
        let names = ["evalsha", "eval", "evalsha_ro", "eval_ro", "script|load"];
        let calls = names.map(|name| figure(&commands, &format!("cmdstat_{name}:calls=")));
        let reads = figure(&info("stats"), "total_reads_processed:");
        Self { commands: calls.iter().sum(), reads }
    }

    /// What was counted since then.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { commands: self.commands - earlier.commands, reads: self.reads - earlier.reads }
    }
}

/// The number that follows `name` in what `INFO` has printed; 0 if it is not there.
fn figure(info: &str, name: &str) -> u64 {
    let line = info.lines().find_map(|line| line.trim().strip_prefix(name));
    let digits = line.and_then(|line| line.split([',', ' ']).next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
