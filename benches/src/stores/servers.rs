//! Servers of this program's own: on sockets in a temporary directory, or on free ports of the
//! loopback interface. They end with this process, however that ends.

mod postgres;
mod redis;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

pub(crate) use self::postgres::Postgres;
pub(crate) use self::redis::{Cluster, Redis};

/// Runs a server until it can read no more, because this process has ended or wants it to.
const SUPERVISOR: &str = r#"
directory=$1 signal=$2
shift 2
"$@" >"$directory/log" 2>&1 &
echo $!
read -r end
kill -"$signal" $! && wait
rm -rf "$directory"
"#;

/// A server process, in a directory of its own.
struct Server {
    pid: u32,
    supervisor: Child,
}

impl Server {
    /// Runs the command until this value is dropped, and ends it with this signal.
    fn start(directory: &Path, signal: &str, command: &[&str]) -> Self {
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .arg(directory)
            .arg(signal)
            .args(command)
            // What a terminal sends to end this process must not end it before it has tidied up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let output = supervisor.stdout.take().expect("a pipe");
        let mut pid = String::new();
        BufReader::new(output).read_line(&mut pid).expect("a process id");
        Self { pid: pid.trim().parse().expect("a process id"), supervisor }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// A directory that is removed when it is dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        Self(directory())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A new directory, with a path as short as those of sockets have to be.
fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = env::temp_dir().join(format!("tower-quota-bench-{}-{number}", process::id()));
    fs::create_dir(&directory).expect("a directory for temporary files");
    directory
}

/// Runs a program to its end, and gives what it printed.
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| {
        panic!("{:?} is needed, and cannot be run: {error}", command.get_program())
    });
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.trim_end().to_owned()
}

/// Asks until the answer is yes, for half a minute.
fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    for _ in 0..600 {
        if ready() {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("waited in vain until {what}");
}
