//! PostgreSQL. It refuses to run as root: there it runs as the user `postgres`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Server, directory, run, wait_until};

/// As durable as PostgreSQL is unless it is told otherwise.
const SETTINGS: [&str; 3] = ["listen_addresses=", "max_connections=60", "shared_buffers=128MB"];

/// A PostgreSQL server, on a socket in a directory of its own.
pub(crate) struct Postgres {
    server: Server,
    directory: PathBuf,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let directory = directory();
        let user = own_user(&directory);
        let data = directory.join("data").display().to_string();
        let mut make = user.iter().copied().map(PathBuf::from).collect::<Vec<_>>();
        make.push(binary("initdb"));
        make.extend(["-D", &data, "-U", "postgres", "--auth=trust"].map(PathBuf::from));
        make.extend(["--no-locale", "-E", "UTF8"].map(PathBuf::from));
        // What its user may not enter, it must not start in.
        run(Command::new(&make[0]).args(&make[1..]).current_dir(env::temp_dir()));

        let (server, sockets) = (binary("postgres"), directory.display().to_string());
        let server = server.display().to_string();
        let mut command = user.to_vec();
        command.extend([server.as_str(), "-D", &data, "-k", &sockets]);
        for setting in SETTINGS {
            command.extend(["-c", setting]);
        }
        let server = Server::start(&directory, "QUIT", &command);
        let postgres = Self { server, directory };
        wait_until("PostgreSQL answers", || {
            postgres.program("pg_isready").output().is_ok_and(|output| output.status.success())
        });
        postgres
    }

    /// The address of the database `postgres`, for its superuser.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.directory.display())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid
    }

    /// A program that is told where the server is.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(binary(name));
        command.arg("-h").arg(&self.directory).args(["-U", "postgres", "-d", "postgres"]);
        command
    }

    /// Runs SQL, and gives the rows that are printed.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let mut psql = self.program("psql");
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"]);
        run(psql.args(["-c", sql]))
    }

    /// Transactions a second of `pgbench`, with so many clients that run this script.
    pub(crate) fn benchmark(&self, clients: u64, seconds: u64, script: &str) -> f64 {
        let file = self.directory.join("script.sql");
        fs::write(&file, script).expect("a file for pgbench");
        // Its `-d` would be that of debugging.
        let mut benchmark = Command::new(binary("pgbench"));
        benchmark.arg("-h").arg(&self.directory).args(["-U", "postgres", "-n", "-M", "prepared"]);
        benchmark.args(["-c", &clients.to_string(), "-j", "2", "-T", &seconds.to_string()]);
        let output = run(benchmark.arg("-f").arg(file).arg("postgres"));
        let rate = output.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.and_then(|rate| rate.split(' ').next()).and_then(|rate| rate.parse().ok());
        rate.unwrap_or_else(|| panic!("what is the rate in {output}?"))
    }

    /// Bytes that a table takes with its indexes.
    pub(crate) fn table_size(&self, table: &str) -> u64 {
        let size = self.sql(&format!("SELECT pg_total_relation_size('{table}')"));
        size.parse().expect("a number of bytes")
    }
}

/// What has to be put before a command so that PostgreSQL agrees to run in `directory`.
fn own_user(directory: &Path) -> &'static [&'static str] {
    if run(Command::new("id").arg("-u")) != "0" {
        return &[];
    }
    run(Command::new("chown").arg("postgres:").arg(directory));
    &["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
}

/// A program of the server's, which Debian keeps out of the path. The newest, if there are several.
fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let found = folders.iter().map(|folder| folder.join(name)).find(|file| file.exists());
    found.unwrap_or_else(|| panic!("PostgreSQL's `{name}` is needed"))
}
