//! Mistakes in the configuration: no start, a code, and one readable line that names the setting.

use std::net::TcpListener;
use std::path::Path;

use tranche_tests::support::postgres::Database;
use tranche_tests::support::service::{MASTER_KEY, run};

/// Starts the service with these settings in a fresh folder; it must refuse in one line that holds
/// these words.
#[track_caller]
fn refused(folder: &Path, settings: &[(&'static str, &str)], words: &[&str]) -> String {
    let mut all = vec![("TRANCHE_LISTEN", "127.0.0.1:0".to_owned())];
    all.extend(
        settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    let output = run(&["serve"], &all, folder);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let code = output.status.code();
    assert!(
        code.is_some_and(|code| code != 0),
        "{settings:?} exits with {code:?}: {out}{err}"
    );
    assert_eq!(out, "", "{settings:?}");
    let lines: Vec<&str> = err.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(
        lines.len(),
        1,
        "{settings:?} is refused in many lines:\n{err}"
    );
    for word in words {
        assert!(lines[0].contains(word), "{settings:?}: no {word} in: {err}");
    }
    assert!(
        !err.contains("panicked") && !err.contains("RUST_BACKTRACE"),
        "{err}"
    );
    err.into_owned()
}

// API contract: each wrong value by itself.
#[test]
fn every_wrong_setting_is_named_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for (name, value) in [
        ("TRANCHE_LISTEN", "nonsense"),
        ("TRANCHE_LISTEN", "127.0.0.1"),
        ("TRANCHE_LISTEN", "127.0.0.1:99999"),
        ("TRANCHE_LISTEN", "203.0.113.1:80"),
        ("TRANCHE_DATABASE_URL", "mysql://localhost/tranche"),
        ("TRANCHE_DATABASE_URL", "sqlite::memory:"),
        ("TRANCHE_LEDGER", "ethereum"),
        ("TRANCHE_SANDBOX_LISTEN", "here"),
        ("TRANCHE_SANDBOX_LEDGER_MS", "0"),
        ("TRANCHE_SANDBOX_LEDGER_MS", "soon"),
        ("TRANCHE_BURN_TTL_SECONDS", "5"),
        ("TRANCHE_BURN_TTL_SECONDS", "-1"),
        ("TRANCHE_MASTER_KEY", "secret-but-no-key"),
        ("TRANCHE_OIDC_ISSUER", "not a url"),
        ("TRANCHE_SENTRY_DSN", "not a dsn"),
        ("TRANCHE_ALERT_WEBHOOK_URL", "hooks.example"),
        ("TRANCHE_ALERT_QUEUE", "many"),
        ("TRANCHE_ALERT_DROPPED", "0"),
        ("TRANCHE_ALERT_FAILURES_PER_MINUTE", "-1"),
        ("TRANCHE_LOG", "tranche=[loud"),
        ("TRANCHE_QUEUE", "kafka://somewhere"),
        ("TRANCHE_QUEUE_LIMIT", "1"),
        ("TRANCHE_SPOOL_LIMIT", "much"),
        ("TRANCHE_WORKERS", "0"),
        ("TRANCHE_ROLE", "boss"),
        ("TRANCHE_ARCHIVE_URL", "archive"),
        ("TRANCHE_RETENTION_AT", "25:00"),
        ("TRANCHE_RETENTION_CRITICAL_DAYS", "36501"),
        ("TRANCHE_RETENTION_INFO_ARCHIVE_DAYS", "366"),
        ("TRANCHE_RETENTION_WARNING_DAYS", "0"),
        ("TRANCHE_TRAILS", "redis"),
        ("TRANCHE_TRAILS_RETENTION_DAYS", "0"),
        ("TRANCHE_TRAILS_CLEANUP_AT", "2 o'clock"),
        ("TRANCHE_TRAILS_TIME_ZONE", "Lagos"),
        ("TRANCHE_TRAILS_MEMORY_COUNT", "0"),
        ("TRANCHE_RATE_LIMIT", "5000"),
        ("TRANCHE_RATE_LIMIT", "0/h"),
        ("TRANCHE_RATE_LIMIT", "5/h,"),
    ] {
        let err = refused(folder, &[(name, value)], &[name]);
        assert!(
            name != "TRANCHE_MASTER_KEY" || !err.contains(value),
            "{err}"
        );
    }
    refused(
        folder,
        &[("TRANCHE_OIDC_ISSUER", "https://issuer.example")],
        &["TRANCHE_OIDC_AUDIENCE"],
    );
    refused(
        folder,
        &[("TRANCHE_PAGERDUTY_URL", "https://pagerduty.example")],
        &["TRANCHE_PAGERDUTY_ROUTING_KEY"],
    );
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    refused(
        folder,
        &[("TRANCHE_LISTEN", &address)],
        &["TRANCHE_LISTEN", &address],
    );
    std::fs::write(folder.join("file"), "").expect("a file");
    refused(
        folder,
        &[("TRANCHE_DATA_DIR", "file")],
        &["TRANCHE_DATA_DIR"],
    );
}

// API contract: the ledger `stellar` needs endpoint, passphrase, asset and a master key.
#[test]
fn what_a_ledger_needs_is_asked_for_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let asset = "NGNTS:GARY2PWDU3CCOY3HZMIIA3FOF2X4Q45XDFR4BPDFHGXT5BWCYAP24AMO";
    let complete = [
        ("TRANCHE_STELLAR_RPC_URL", "http://127.0.0.1:9"),
        ("TRANCHE_STELLAR_NETWORK_PASSPHRASE", "Some Network"),
        ("TRANCHE_ASSET", asset),
        ("TRANCHE_MASTER_KEY", MASTER_KEY),
    ];
    for (missing, _) in complete {
        let mut settings = vec![("TRANCHE_LEDGER", "stellar")];
        settings.extend(complete.iter().filter(|(name, _)| *name != missing));
        refused(folder.path(), &settings, &[missing]);
    }
    for (name, value) in [
        ("TRANCHE_STELLAR_RPC_URL", "ftp://127.0.0.1"),
        ("TRANCHE_STELLAR_RPC_URL", "http://"),
        ("TRANCHE_ASSET", "NGNTS"),
        ("TRANCHE_ASSET", "NGNTS:GABC"),
        ("TRANCHE_STELLAR_NETWORK_PASSPHRASE", ""),
    ] {
        let mut settings = vec![("TRANCHE_LEDGER", "stellar")];
        settings.extend(complete);
        settings.push((name, value));
        refused(folder.path(), &settings, &[name]);
    }
}

// API contract: a database that needs a master key, or is not there; its password is not told.
#[test]
fn a_database_that_cannot_be_used_is_named_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::create().expect("a database");
    refused(
        folder.path(),
        &[("TRANCHE_DATABASE_URL", &database.url)],
        &["TRANCHE_MASTER_KEY"],
    );
    for url in [
        "postgres://tranche:hunter2hunter2@127.0.0.1:1/tranche",
        "postgres://tranche@127.0.0.1:1/tranche?password=hunter2hunter2",
        "postgres://127.0.0.1:1/tranche?user=tranche&password=hunter2hunter2",
        "postgres://tranche:hunter2hunter2@[broken/tranche",
    ] {
        let settings = [
            ("TRANCHE_DATABASE_URL", url),
            ("TRANCHE_MASTER_KEY", MASTER_KEY),
        ];
        let err = refused(folder.path(), &settings, &["TRANCHE_DATABASE_URL"]);
        assert!(!err.contains("hunter2"), "{err}");
    }
    std::fs::write(folder.path().join("noise.db"), [7; 8192]).expect("a file");
    refused(
        folder.path(),
        &[("TRANCHE_DATABASE_URL", "sqlite://noise.db")],
        &["TRANCHE_DATABASE_URL"],
    );
}

// API contract: flags before environment before file; a file that is none is named with its place.
#[test]
fn the_file_is_read_and_its_mistakes_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tranche.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("a file");
    let named = [("TRANCHE_CONFIG", "tranche.toml")];
    refused(
        folder.path(),
        &[("TRANCHE_CONFIG", "missing.toml")],
        &["missing.toml"],
    );
    for (text, word) in [
        ("listen = ", "tranche.toml"),
        ("listen = \"a\"\nlisten = \"b\"\n", "tranche.toml"),
        ("listn = \"127.0.0.1:0\"", "listn"),
        ("sandbox_ledger_ms = \"often\"", "TRANCHE_SANDBOX_LEDGER_MS"),
        ("ledger = \"ethereum\"", "TRANCHE_LEDGER"),
    ] {
        write(text);
        refused(folder.path(), &named, &[word]);
    }
    write("listen = \"127.0.0.1:1111\"\nsandbox_ledger_ms = 77\nlog = \"debug\"\n");
    let settings = [
        ("TRANCHE_CONFIG", "tranche.toml".to_owned()),
        ("TRANCHE_LISTEN", "127.0.0.1:2222".to_owned()),
        ("TRANCHE_LOG", "warn".to_owned()),
    ];
    let output = run(&["config", "--log", "error"], &settings, folder.path());
    let told = String::from_utf8_lossy(&output.stdout);
    for line in [
        "TRANCHE_LISTEN=127.0.0.1:2222",
        "TRANCHE_SANDBOX_LEDGER_MS=77",
        "TRANCHE_LOG=error",
    ] {
        assert!(
            told.lines().any(|told| told == line),
            "no {line} in\n{told}"
        );
    }
}
