//! The built binary as a process of its own, on a store of its own: start it, call it over HTTP, and
//! stop it in every way a process can end.
//!
//! ```ignore
//! let tranche = Tranche::start(StoreKind::Postgres, Options::default());
//! let admin = tranche.caller("ifeoma", "admin", None);
//! let project = admin.post("/v1/projects", &json!({…})).await.json(201);
//! ```
//!
//! Nothing of the caller's environment reaches the binary's configuration, it works in a temporary
//! folder, and it is killed with the value that started it.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    reason = "test support: what cannot go on has failed its test"
)]

mod backup;
mod caller;
mod control;
mod ledger;
mod process;
mod replica;
mod sql;
mod stream;
mod wallet;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

pub use backup::Backup;
pub use caller::{Answer, Caller, Wire};
pub use ledger::{Burn, LedgerClient, Sandbox, eventually};
pub use process::{Process, binary, failpoints_binary, run};
pub use replica::Replica;
pub use stream::{EventStream, StreamEvent};
pub use wallet::Wallet;

use crate::support::postgres::Database;

/// The passphrase of the network that tests run.
pub const PASSPHRASE: &str = "Tranche Test Network ; 2026";
/// The master key of services that are not embedded.
pub const MASTER_KEY: &str = "5ca1ab1e5ca1ab1e00112233445566778899aabbccddeeff0123456789abcdef";

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A SQLite file in the data folder, the embedded default.
    Sqlite,
    /// A database of its own on the throwaway Postgres.
    Postgres,
}

/// How a service runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often its own sandbox closes a ledger, in milliseconds.
    pub ledger_ms: u64,
    /// What it logs.
    pub log: &'static str,
    /// The binary that serves, if not [`binary`].
    pub binary: Option<PathBuf>,
    /// An external ledger's settings instead of its own sandbox: see [`Sandbox::settings`].
    pub ledger: Option<Vec<(&'static str, String)>>,
    /// Other settings.
    pub settings: Vec<(&'static str, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ledger_ms: 200,
            log: "info",
            binary: None,
            ledger: None,
            settings: Vec::new(),
        }
    }
}

/// A running service.
#[derive(Debug)]
pub struct Tranche {
    /// Which store it is on.
    pub store: StoreKind,
    process: Option<Process>,
    binary: PathBuf,
    settings: Vec<(&'static str, String)>,
    wire: Wire,
    starts: usize,
    database: Option<Database>,
    folder: TempDir,
}

impl Tranche {
    /// Starts a service on an empty store. When this returns, it answers.
    pub fn start(store: StoreKind, options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = (store == StoreKind::Postgres)
            .then(|| Database::create().unwrap_or_else(|error| panic!("{error}")));
        let mut settings = vec![
            ("TRANCHE_LISTEN", "127.0.0.1:0".to_owned()),
            (
                "TRANCHE_DATA_DIR",
                folder.path().join("data").display().to_string(),
            ),
            ("TRANCHE_LOG", options.log.to_owned()),
        ];
        if let Some(database) = &database {
            settings.push(("TRANCHE_DATABASE_URL", database.url.clone()));
        }
        if database.is_some() || options.ledger.is_some() {
            settings.push(("TRANCHE_MASTER_KEY", MASTER_KEY.to_owned()));
        }
        settings.extend(options.ledger.unwrap_or_else(|| {
            let interval = options.ledger_ms.to_string();
            vec![("TRANCHE_SANDBOX_LEDGER_MS", interval)]
        }));
        settings.extend(options.settings);
        let mut tranche = Self {
            store,
            process: None,
            binary: options.binary.unwrap_or_else(binary),
            settings,
            wire: Wire::default(),
            starts: 0,
            database,
            folder,
        };
        tranche.launch(&[]);
        tranche
    }

    fn launch(&mut self, more: &[(&'static str, String)]) {
        let log = self.log_file(self.starts);
        self.starts += 1;
        let settings = [self.settings.as_slice(), more].concat();
        let folder = self.folder.path();
        let process = Process::start(&self.binary, &["serve"], &settings, folder, &log);
        self.wire.moved_to(process.url());
        self.process = Some(process);
    }

    fn log_file(&self, start: usize) -> PathBuf {
        self.folder.path().join(format!("stderr.{start}.log"))
    }

    fn process(&mut self) -> Process {
        self.process.take().expect("the service runs")
    }

    /// Kills the service outright, as a power cut would.
    pub fn kill(&mut self) {
        self.process().kill();
    }

    /// Asks the service to end; gives its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.process().terminate()
    }

    /// Starts the service again, after it was killed or ended. Its callers follow it.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// Starts the service again, this once with more settings.
    pub fn restart_with(&mut self, more: &[(&'static str, String)]) {
        assert!(self.process.is_none(), "the service still runs");
        self.launch(more);
    }

    /// Whether the service has ended by itself, and by which signal; then it can be started again.
    pub fn ended_by(&mut self) -> Option<Option<i32>> {
        let ended = self.process.as_mut()?.ended()?;
        self.process = None;
        Some(ended.signal())
    }

    /// Asks the service to end, which it must with this exit code, and starts it again.
    pub fn restart_after(&mut self, code: Option<i32>) {
        assert_eq!(self.terminate(), code, "the exit code");
        self.restart();
    }

    /// From the next start or command on, another value of a setting, or none.
    pub fn set(&mut self, name: &'static str, value: Option<&str>) {
        self.settings.retain(|(given, _)| *given != name);
        let value = value.map(|value| (name, value.to_owned()));
        self.settings.extend(value);
    }

    /// The number of the service's process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the service runs").id()
    }

    /// Where the service answers now.
    pub fn url(&self) -> String {
        self.wire.base()
    }

    /// The folder of the service's files.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything the service logged, over all its starts.
    pub fn log(&self) -> String {
        self.log_since(0)
    }

    /// How often the service was started, replicas included.
    pub fn starts(&self) -> usize {
        self.starts
    }

    /// What the service logged, from this start on.
    pub fn log_since(&self, start: usize) -> String {
        let read = |start| std::fs::read(self.log_file(start)).unwrap_or_default();
        let logs: Vec<u8> = (start..self.starts).flat_map(read).collect();
        String::from_utf8_lossy(&logs).into_owned()
    }

    /// Everything the service answered to anybody, headers included.
    pub fn answers(&self) -> String {
        self.wire.transcript()
    }

    /// Runs another command of the binary with the service's settings.
    pub fn command(&self, arguments: &[&str]) -> Output {
        run(arguments, &self.settings, self.folder.path())
    }

    /// Issues an API key for `subject` with comma-separated `roles`, for one project or all.
    pub fn key(&self, subject: &str, roles: &str, project: Option<&str>) -> String {
        let mut arguments = vec!["key", "issue", "--subject", subject, "--role", roles];
        if let Some(project) = project {
            arguments.extend(["--project", project]);
        }
        let output = self.command(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "no key was issued: {errors}");
        let token = String::from_utf8(output.stdout).expect("a token is text");
        token.trim_end().to_owned()
    }

    /// Somebody with a fresh key.
    pub fn caller(&self, subject: &str, roles: &str, project: Option<&str>) -> Caller {
        self.wire.caller(Some(&self.key(subject, roles, project)))
    }

    /// Callers with one role each, all over the projects. Their keys are made side by side.
    pub fn callers<const N: usize>(&self, people: [(&str, &str); N]) -> [Caller; N] {
        std::thread::scope(|scope| {
            let issued =
                people.map(|(subject, role)| scope.spawn(move || self.caller(subject, role, None)));
            issued.map(|key| key.join().expect("a key"))
        })
    }

    /// Somebody with this token, or without any.
    pub fn with_token(&self, token: Option<&str>) -> Caller {
        self.wire.caller(token)
    }

    /// The sandbox ledger inside the service, asked over its own protocol.
    pub fn ledger(&self) -> LedgerClient {
        let log = std::fs::read_to_string(self.log_file(self.starts - 1)).unwrap_or_default();
        let said = log
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|line| line["message"] == "the sandbox ledger answers");
        let address = said.and_then(|line| Some(line["address"].as_str()?.to_owned()));
        let address = address.expect("the log says where the sandbox ledger answers");
        LedgerClient::at(&format!("http://{address}"))
    }

    /// The master key in force.
    pub fn master_key(&self) -> String {
        let file = self.data_dir().join("master.key");
        std::fs::read_to_string(file)
            .map_or_else(|_| MASTER_KEY.to_owned(), |key| key.trim().to_owned())
    }

    /// The database behind a service on Postgres.
    pub fn database(&self) -> &Database {
        self.database.as_ref().expect("a service on Postgres")
    }

    /// The SQLite file of a service on SQLite.
    pub fn database_file(&self) -> PathBuf {
        self.data_dir().join("tranche.db")
    }
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            path => vec![path],
        })
        .collect()
}

/// A value that several callers share.
pub(crate) type Shared<T> = Arc<Mutex<T>>;

pub(crate) fn with<T, R>(shared: &Shared<T>, act: impl FnOnce(&mut T) -> R) -> R {
    act(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}
