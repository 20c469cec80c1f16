//! A throwaway Postgres, and a database of one's own on it.
//!
//! One server serves every test of a process; where `TRANCHE_TEST_POSTGRES_URL` names one already
//! (`with-postgres.sh` sets it), that one serves every process. A server started here is tied to
//! this process by a pipe: when the process ends, however it ends, the server and its files go.

use std::collections::hash_map::RandomState;
use std::env;
use std::ffi::OsStr;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

const URL_VARIABLE: &str = "TRANCHE_TEST_POSTGRES_URL";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/support/with-postgres.sh");
/// Says where the server is, then lives as long as the pipe from this process is open.
const KEEPER: &str = r#"echo "$TRANCHE_TEST_POSTGRES_URL"; cat >/dev/null"#;

/// SQLSTATE `invalid_catalog_name`.
const NO_SUCH_DATABASE: &str = "3D000";
/// SQLSTATE `duplicate_database`, and `unique_violation` of its name when two come at once.
const DUPLICATE_DATABASE: [&str; 2] = ["42P04", "23505"];

/// A database that is dropped with this value.
#[derive(Debug)]
pub struct Database {
    /// Where to connect to, as a superuser.
    pub url: String,
    name: String,
}

impl Database {
    /// An empty database.
    ///
    /// # Errors
    /// When Postgres is not installed or does not start, with what to do about it.
    pub fn create() -> io::Result<Self> {
        Self::copy_of("template0")
    }

    /// A database with a schema. `migrate` makes it, once for every server and `schema`, a name of
    /// lower-case letters, digits and underscores that changes with the schema; it must leave no
    /// connection open. Everybody else gets a copy, which is much faster.
    ///
    /// # Errors
    /// As [`Database::create`], and what `migrate` says.
    pub async fn with_schema<M>(schema: &str, migrate: impl FnOnce(String) -> M) -> io::Result<Self>
    where
        M: Future<Output = io::Result<()>>,
    {
        let template = format!("tranche_template_{schema}");
        match Self::copy_of(&template) {
            Err(error) if error.to_string().contains(NO_SUCH_DATABASE) => {}
            copied => return copied,
        }
        let first = Self::create()?;
        migrate(first.url.clone()).await?;
        let rename = format!("ALTER DATABASE {} RENAME TO {template}", first.name);
        if let Err(error) = psql(admin_url()?, &rename) {
            // Another process was faster; this one's goes when it is dropped.
            let said = error.to_string();
            if !DUPLICATE_DATABASE.iter().any(|code| said.contains(code)) {
                return Err(error);
            }
        }
        Self::copy_of(&template)
    }

    /// A copy of another database of the same server, to which nobody may be connected.
    ///
    /// # Errors
    /// As [`Database::create`], and with the server's message when it refuses.
    pub fn copy_of(template: &str) -> io::Result<Self> {
        let admin = admin_url()?;
        let Some((server, _)) = admin.rsplit_once('/') else {
            return Err(io::Error::other(format!(
                "{URL_VARIABLE} must end in /DATABASE, but is {admin}"
            )));
        };
        let name = format!(
            "tranche_{:016x}",
            RandomState::new().build_hasher().finish()
        );
        psql(
            admin,
            &format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )?;
        Ok(Self {
            url: format!("{server}/{name}"),
            name,
        })
    }

    /// Replaces everything in here by what a copy holds; nobody may use either meanwhile.
    ///
    /// # Errors
    /// With the server's message when it refuses.
    pub fn become_copy_of(&self, copy: &Self) -> io::Result<()> {
        let (admin, name, copy) = (admin_url()?, self.name(), copy.name());
        psql(admin, &format!("DROP DATABASE {name} WITH (FORCE)"))?;
        psql(admin, &format!("CREATE DATABASE {name} TEMPLATE {copy}"))?;
        Ok(())
    }

    /// The database's name on its server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs statements in a transaction of another session, which stays open, with the locks that it took,
    /// until what is given is dropped.
    ///
    /// # Errors
    /// When there is no session, or the server refuses.
    pub fn hold(&self, statements: &str) -> io::Result<Held> {
        let mut session = Command::new(client())
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", &self.url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut told = String::new();
        if let (Some(stdin), Some(stdout)) = (&mut session.stdin, &mut session.stdout) {
            writeln!(stdin, "BEGIN; {statements}; SELECT 'held';")?;
            BufReader::new(stdout).read_line(&mut told)?;
        }
        let held = Held(session);
        match told.trim() {
            "held" => Ok(held),
            _ => Err(io::Error::other(format!("{statements}: it is refused"))),
        }
    }

    /// Runs statements as a superuser, past the application, and gives what they print: one line a
    /// row, columns apart by `|`.
    ///
    /// # Errors
    /// With the server's message when it refuses.
    pub fn run(&self, statements: &str) -> io::Result<String> {
        psql(&self.url, statements)
    }
}

/// A session in a transaction: it ends when this is dropped.
#[derive(Debug)]
pub struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        // The end of its input ends the session, and the server rolls back.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(admin) = admin_url() {
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
            // A test's verdict is not changed by what it leaves on a throwaway server.
            let _ = psql(admin, &drop);
        }
    }
}

/// The URL of the server's own database, starting the server if need be.
fn admin_url() -> io::Result<&'static str> {
    static URL: OnceLock<Result<String, String>> = OnceLock::new();
    URL.get_or_init(|| match env::var(URL_VARIABLE) {
        Ok(url) if !url.is_empty() => Ok(url),
        _ => start().map_err(|error| error.to_string()),
    })
    .as_deref()
    .map_err(|why| io::Error::other(why.clone()))
}

fn start() -> io::Result<String> {
    /// Holds the pipe until the process ends.
    static KEPT: OnceLock<Child> = OnceLock::new();
    let mut keeper = Command::new(SCRIPT)
        .args(["sh", "-c", KEEPER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Outlives a signal to this process's group, so that it can still clean up.
        .process_group(0)
        .spawn()?;
    let mut url = String::new();
    if let Some(stdout) = keeper.stdout.take() {
        BufReader::new(stdout).read_line(&mut url)?;
    }
    if url.trim().is_empty() {
        let mut why = String::new();
        if let Some(mut stderr) = keeper.stderr.take() {
            stderr.read_to_string(&mut why)?;
        }
        return Err(io::Error::other(format!(
            "no throwaway PostgreSQL: {}",
            why.trim()
        )));
    }
    keeper.stderr = None;
    KEPT.get_or_init(|| keeper);
    Ok(url.trim().to_owned())
}

fn psql(url: &str, statements: &str) -> io::Result<String> {
    let output = Command::new(client())
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
        .args(["--set", "ON_ERROR_STOP=1", "--set", "VERBOSITY=verbose"])
        .args(["--command", statements, url])
        .output()
        .map_err(|error| io::Error::other(format!("psql does not run: {error}; run make setup")))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let message = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(message.trim().to_owned()))
    }
}

/// `psql` beside the newest server, because the one on Debian's path is a slow wrapper.
fn client() -> PathBuf {
    let version = |path: &Path| -> u32 {
        path.file_name()
            .and_then(OsStr::to_str)
            .and_then(|name| name.parse().ok())
            .unwrap_or(0)
    };
    if let Some(bin) = env::var_os("PGBIN") {
        return Path::new(&bin).join("psql");
    }
    std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/psql").exists())
        .max_by_key(|path| version(path))
        .map_or_else(|| PathBuf::from("psql"), |path| path.join("bin/psql"))
}
