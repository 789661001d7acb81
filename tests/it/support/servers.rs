//! Servers of a test's own: on sockets in a temporary directory, or on free ports of the loopback
//! interface. They end with the process of the test, however that ends.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod sentinel;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::directory::new_directory;

#[cfg(feature = "postgres")]
pub(crate) use postgres::Postgres;
#[cfg(feature = "redis")]
pub(crate) use redis::{Redis, RedisCluster};
#[cfg(feature = "redis")]
pub(crate) use sentinel::RedisSentinel;

/// Starts a server for each line that it reads, once the one before has ended. When it can read no
/// more, because the process of the test has ended, it kills the server and removes its directory.
const SUPERVISOR: &str = r#"
directory=$1
shift
run() {
    sh -c 'echo "$$" >"$0/pid"; echo "pid $$"; exec "$@"' "$directory" "$@" 2>&1
    echo "ended with $?"
}
while read -r start; do
    wait
    run "$@" &
done
kill -KILL "$(cat "$directory/pid")"
wait
rm -rf "$directory"
"#;

/// How long a server may say nothing while it is waited for. It is only reached if it hangs.
const SILENCE: Duration = Duration::from_secs(60);

/// A server process in a directory of its own.
#[derive(Debug)]
struct Server {
    directory: PathBuf,
    supervisor: Child,
    orders: Option<ChildStdin>,
    lines: Mutex<Receiver<String>>,
    pid: String,
}

impl Server {
    /// Makes ready to run this command, which writes what it has to say to its output.
    fn new(directory: &Path, command: &[&str]) -> Self {
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .arg(directory)
            .args(command)
            // What is sent to end all processes of the test ends that one first, and it by that.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It would keep open what the test runner waits for.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(supervisor.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // A server that nobody waits for any more is still read, or it would have to wait.
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            directory: directory.to_owned(),
            orders: supervisor.stdin.take(),
            supervisor,
            lines: Mutex::new(lines),
            pid: String::new(),
        }
    }

    /// Starts it. Whether it comes to say `ready`, and does not end before that.
    fn start(&mut self, ready: &str) -> bool {
        let orders = self.orders.as_mut().unwrap();
        orders.write_all(b"start\n").unwrap();
        let pid = self.hear("pid ").unwrap();
        pid.trim_start_matches("pid ").clone_into(&mut self.pid);
        self.hear(ready).is_some()
    }

    /// The next line that contains `text`; none if it ends before that.
    fn hear(&mut self, text: &str) -> Option<String> {
        let lines = self.lines.get_mut().unwrap();
        let mut said = Vec::new();
        loop {
            let line = lines.recv_timeout(SILENCE).unwrap_or_else(|_| {
                panic!("waited in vain for `{text}`, and heard:\n{}", said.join("\n"))
            });
            if line.contains(text) {
                return Some(line);
            }
            if line.starts_with("ended with ") {
                eprintln!("{}\n{line}", said.join("\n"));
                return None;
            }
            said.push(line);
        }
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid);
        assert!(Command::new("sh").arg("-c").arg(&kill).status().unwrap().success(), "{kill}");
    }

    /// Kills it, as the system does when memory is short.
    fn kill(&mut self) {
        self.signal("KILL");
        self.hear("ended with ").unwrap();
    }

    /// Stops it in the middle of whatever it does, with all of its connections open.
    fn pause(&self) {
        self.signal("STOP");
    }

    fn resume(&self) {
        self.signal("CONT");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.supervisor.wait();
    }
}

/// A new directory for a server. Its path is short, as those of sockets have to be.
fn directory() -> PathBuf {
    new_directory("tower-quota-server")
}

/// Runs a program to its end, and gives what it printed.
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| {
        panic!("{:?} cannot be run, `tests/run` installs it: {error}", command.get_program())
    });
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.trim_end().to_owned()
}
