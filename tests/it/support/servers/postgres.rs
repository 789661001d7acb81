//! `PostgreSQL`. It refuses to run as root: there it runs as the user `postgres`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Server, directory, run};

const READY: &str = "database system is ready to accept connections";

/// It needs not outlive the machine, only its process.
const SETTINGS: [&str; 8] = [
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "shared_buffers=16MB",
    "autovacuum_naptime=1s",
    "max_connections=200",
];

/// Makes a data directory `$2`: a copy of `$1`, or a new one that is copied there for the next
/// test. The rest is the command that makes a new one.
const NEW_DATA: &str = r#"
set -e
template=$1 data=$2
shift 2
exec 9>"$template.lock"
flock 9
if [ ! -d "$template" ]; then
    "$@" >&2
    rm -rf "$template.new"
    cp -a "$data" "$template.new"
    mv "$template.new" "$template"
else
    cp -a "$template" "$data"
fi
"#;

/// A `PostgreSQL` server, on a socket in a directory of its own.
#[derive(Debug)]
pub(crate) struct Postgres {
    server: Server,
    directory: PathBuf,
}

impl Postgres {
    /// A server for one test.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server for one test, with more settings, each as `name=value`.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let directory = directory();
        let data = directory.join("data");
        let own_user: &[&str] = if run(Command::new("id").arg("-u")) == "0" {
            run(Command::new("chown").arg("postgres:").arg(&directory));
            &["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        } else {
            &[]
        };
        new_data(&data, own_user);
        let server = binary("postgres");
        let (data, sockets) = (data.to_str().unwrap(), directory.to_str().unwrap());
        let mut command = own_user.to_vec();
        command.extend([server.to_str().unwrap(), "-D", data, "-k", sockets]);
        for setting in SETTINGS.iter().chain(settings) {
            command.extend(["-c", setting]);
        }
        let mut postgres = Self { server: Server::new(&directory, &command), directory };
        assert!(postgres.server.start(READY), "PostgreSQL does not start");
        postgres
    }

    /// The server that tests of this process share, each with a database of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Postgres> = LazyLock::new(Postgres::start);
        &SHARED
    }

    /// The address of the database `postgres`, for its superuser.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The address of a new database, that nobody else uses.
    pub(crate) fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE DATABASE {name}"));
        self.url_of(&name)
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.directory.display())
    }

    /// The socket that it listens on.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }

    /// Runs SQL, as an operator may, and gives the rows that are printed.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let mut psql = Command::new("psql");
        psql.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"]);
        run(psql.arg("-h").arg(&self.directory).args(["-U", "postgres", "-c", sql]))
    }

    /// Sets a parameter for all connections that are made from now on.
    pub(crate) fn set(&self, parameter: &str, value: &str) {
        self.sql(&format!("ALTER DATABASE postgres SET {parameter} = '{value}'"));
    }

    /// Kills it, together with the processes for its connections.
    pub(crate) fn kill(&mut self) {
        self.pause();
        self.signal_connections("KILL");
        self.server.kill();
    }

    /// Starts it again after it was killed, with its data.
    pub(crate) fn restart(&mut self) {
        // It does not start before the last of the processes for its connections is gone.
        let started = (0..500).any(|_| self.server.start(READY));
        assert!(started, "PostgreSQL does not start again");
    }

    /// Stops it until it is resumed, together with the processes for its connections: it neither
    /// answers nor hangs up.
    pub(crate) fn pause(&self) {
        self.server.pause();
        self.signal_connections("STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal_connections("CONT");
        self.server.resume();
    }

    fn signal_connections(&self, name: &str) {
        let pid = &self.server.pid;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let kill = format!("kill -{name} {children}");
        run(Command::new("sh").arg("-c").arg(kill));
    }
}

/// Makes a data directory, from a template that is made once for all tests.
fn new_data(data: &Path, own_user: &[&str]) {
    let initdb = binary("initdb");
    let version = run(Command::new(&initdb).arg("--version"));
    let version = version.split(' ').nth(2).unwrap_or_default();
    let owner = if own_user.is_empty() { "own" } else { "postgres" };
    let template =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgres-{version}-{owner}"));
    let mut command: Vec<OsString> = own_user.iter().map(OsString::from).collect();
    command.extend([initdb.into(), "-D".into(), data.into()]);
    let options = ["-U", "postgres", "--auth=trust", "--no-sync", "--wal-segsize=1", "-E", "UTF8"];
    command.extend(options.map(OsString::from));
    command.push("--no-locale".into());
    let mut script = Command::new("sh");
    script.args(["-c", NEW_DATA, "new-data"]).arg(template).arg(data).args(command);
    // What its user may not enter, it must not start in.
    run(script.current_dir(env::temp_dir()));
}

/// A program of the server's, which Debian keeps out of the path. The newest, if there are several.
fn binary(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    let mut folders = env::split_paths(&path).chain(versions.into_iter().rev());
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.exists()));
    found.unwrap_or_else(|| panic!("PostgreSQL's `{name}` is missing: `tests/run` installs it"))
}
