//! Where master keys come from, and replacing one while the service goes on.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tranche_tests::support::service::{MASTER_KEY, Options, StoreKind, run};

use crate::scene::Scene;

on_both_stores! {
    rotated: a_master_key_is_replaced_without_downtime_on_sqlite,
        a_master_key_is_replaced_without_downtime_on_postgres;
    broken_off: a_rotation_that_was_broken_off_is_finished_on_sqlite,
        a_rotation_that_was_broken_off_is_finished_on_postgres;
    unopened: a_wallet_that_no_key_opens_is_named_on_sqlite,
        a_wallet_that_no_key_opens_is_named_on_postgres;
}

const NEXT: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00123456789abcdef5ca1ab1e5ca1ab1e";

fn told(output: &Output) -> (bool, String) {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), format!("{out}{err}"))
}

fn status(folder: &Path, settings: &[(&'static str, &str)]) -> (bool, String) {
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    told(&run(&["custody", "status"], &settings, folder))
}

fn file(folder: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&path, mode).expect("a mode");
    path.display().to_string()
}

// Keys: the same key from a setting, a file or a command is the same key.
#[test]
fn a_master_key_comes_from_a_setting_a_file_or_a_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let key = file(folder, "key", &format!("{MASTER_KEY}\n"), 0o400);
    let (worked, by_setting) = status(folder, &[("TRANCHE_MASTER_KEY", MASTER_KEY)]);
    assert!(worked && by_setting.contains("in force"), "{by_setting}");
    for setting in [
        ("TRANCHE_MASTER_KEY_FILE", key.as_str()),
        ("TRANCHE_MASTER_KEY_COMMAND", &format!("cat  {key}")),
    ] {
        assert_eq!(status(folder, &[setting]), (true, by_setting.clone()));
    }
    let both = file(folder, "both", &format!("{NEXT}\n{MASTER_KEY}\n"), 0o600);
    let (worked, by_both) = status(folder, &[("TRANCHE_MASTER_KEY_FILE", &both)]);
    assert!(worked && by_both.contains("in force"), "{by_both}");
    assert_ne!(by_both, by_setting);
    let toml = file(
        folder,
        "tranche.toml",
        &format!("master_key_file = \"{both}\""),
        0o600,
    );
    assert_eq!(
        status(folder, &[("TRANCHE_CONFIG", &toml)]),
        (true, by_both.clone())
    );
    // What is set nearer takes the place of every source in the file.
    let settings = [
        ("TRANCHE_CONFIG", toml.as_str()),
        ("TRANCHE_MASTER_KEY", MASTER_KEY),
    ];
    assert_eq!(status(folder, &settings), (true, by_setting));
}

// Keys: a source that cannot be used is named in one line that holds no key.
#[test]
fn a_master_key_that_cannot_be_had_is_named_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let open = file(folder, "open", MASTER_KEY, 0o644);
    let shared = file(folder, "shared", MASTER_KEY, 0o440);
    let short = file(folder, "short", &MASTER_KEY[2..], 0o400);
    let leaky = file(
        folder,
        "leaky",
        &format!("#!/bin/sh\necho {MASTER_KEY} >&2\necho {MASTER_KEY}\nexit 3\n"),
        0o700,
    );
    let (named, command) = ("TRANCHE_MASTER_KEY_FILE", "TRANCHE_MASTER_KEY_COMMAND");
    let key = ("TRANCHE_MASTER_KEY", MASTER_KEY);
    for (settings, words) in [
        (vec![(named, open.as_str())], vec![named, "0644", "chmod"]),
        (vec![(named, shared.as_str())], vec![named, "0440"]),
        (vec![(named, short.as_str())], vec![named, "64"]),
        (vec![(named, "missing")], vec![named, "missing"]),
        (
            vec![(command, leaky.as_str())],
            vec![command, "exit status: 3"],
        ),
        (
            vec![(command, "missing-program x")],
            vec![command, "missing-program"],
        ),
        (vec![(command, "echo no key")], vec![command, "echo"]),
        (vec![(command, "true")], vec![command, "true"]),
        (vec![(command, " ")], vec![command]),
        (vec![key, (named, &open)], vec!["TRANCHE_MASTER_KEY", named]),
        (
            vec![(named, &open), (command, &leaky)],
            vec![named, command],
        ),
        (
            vec![key, ("TRANCHE_VAULT_ADDR", "http://127.0.0.1:1")],
            vec!["TRANCHE_VAULT_TOKEN"],
        ),
        (
            vec![key, ("TRANCHE_VAULT_TOKEN", "x")],
            vec!["TRANCHE_VAULT_ADDR"],
        ),
        (
            vec![
                key,
                ("TRANCHE_VAULT_ADDR", "vault"),
                ("TRANCHE_VAULT_TOKEN", "x"),
            ],
            vec!["TRANCHE_VAULT_ADDR"],
        ),
    ] {
        let (worked, told) = status(folder, &settings);
        assert!(!worked && told.lines().count() == 1, "{settings:?}: {told}");
        for word in words {
            assert!(told.contains(word), "{settings:?}: no {word} in {told}");
        }
        for secret in [MASTER_KEY, &MASTER_KEY[2..]] {
            assert!(!told.contains(secret), "{settings:?}: {told}");
        }
    }
}

// Keys: `tranche config` shows where keys come from and masks what opens the way to them.
#[test]
fn sources_of_keys_are_shown_masked() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [
        (
            "TRANCHE_MASTER_KEY_COMMAND",
            "/bin/pass --token hunter2hunter2",
        ),
        (
            "TRANCHE_VAULT_ADDR",
            "https://ada:hunter2hunter2@vault.example/",
        ),
        ("TRANCHE_VAULT_TOKEN", "hvs.hunter2hunter2"),
    ];
    let settings = settings.map(|(name, value)| (name, value.to_owned()));
    let (worked, told) = told(&run(&["config"], &settings, folder.path()));
    assert!(worked && !told.contains("hunter2"), "{told}");
    for line in [
        "TRANCHE_MASTER_KEY_COMMAND=/bin/pass ********",
        "TRANCHE_VAULT_ADDR=https://vault.example/…",
        "TRANCHE_VAULT_TOKEN=********",
        "TRANCHE_VAULT_MOUNT=transit",
    ] {
        assert!(
            told.lines().any(|told| told == line),
            "no {line} in\n{told}"
        );
    }
}

/// A service under the former key, with funded wallets of a project each.
async fn scene(store: StoreKind, wallets: usize) -> (Scene, Vec<String>, Vec<String>) {
    let settings = vec![("TRANCHE_MASTER_KEY", MASTER_KEY.to_owned())];
    let scene = Scene::with(
        store,
        Options {
            settings,
            ..Options::default()
        },
    );
    let (mut projects, mut accounts) = (Vec::new(), Vec::new());
    for _ in 0..wallets {
        let project = scene.open(&json!({ "nav": "1000" })).await;
        let view = scene.project_view(&project).await;
        accounts.push(
            view["wallet_account_id"]
                .as_str()
                .expect("an account")
                .to_owned(),
        );
        projects.push(project);
    }
    (scene, projects, accounts)
}

async fn burn(scene: &Scene, project: &str, number: i32) -> Value {
    let milestone = scene.paid(project, number, "10").await;
    scene.disburse(&milestone, &milestone, 30).await.json(200)
}

// Keys: replicas restart one by one, the service goes on, and the former key is not needed after.
async fn rotated(store: StoreKind) {
    let (mut scene, mut projects, _) = scene(store, 2).await;
    let keys = [
        format!("{MASTER_KEY} {NEXT}"),
        format!("{NEXT} {MASTER_KEY}"),
    ];
    // Every replica knows both, then the new one seals.
    for (number, key) in (1..).zip(&keys) {
        scene.tranche.set("TRANCHE_MASTER_KEY", Some(key));
        scene.tranche.restart_after(Some(0));
        burn(&scene, &projects[0], number).await;
    }
    projects.push(scene.open(&json!({ "nav": "1000" })).await);
    let (worked, before) = told(&scene.tranche.command(&["custody", "status"]));
    assert!(worked, "{before}");
    assert!(
        before.contains("in force      1") && before.contains("opens         4"),
        "{before}"
    );
    // A replica that was not restarted yet opens what is sealed anew.
    let rotate = |scene: &Scene| told(&scene.tranche.command(&["custody", "rotate"]));
    let (worked, first) = rotate(&scene);
    assert!(worked && first.contains("4 re-wrapped under"), "{first}");
    let (worked, second) = rotate(&scene);
    assert!(worked && second.contains("0 re-wrapped under"), "{second}");
    assert!(second.contains("5 there already"), "{second}");
    for project in &projects {
        burn(&scene, project, 7).await;
    }
    let (worked, after) = told(&scene.tranche.command(&["custody", "status"]));
    assert!(worked && after.contains("in force      5"), "{after}");
    assert!(!after.contains("opens"), "{after}");
    scene.tranche.set("TRANCHE_MASTER_KEY", Some(NEXT));
    scene.tranche.restart_after(Some(0));
    for project in &projects {
        burn(&scene, project, 8).await;
    }
    // The former key alone is refused at the start, before it seals anything.
    assert_eq!(scene.tranche.terminate(), Some(0));
    scene.tranche.set("TRANCHE_MASTER_KEY", Some(MASTER_KEY));
    let (worked, refused) = told(&scene.tranche.command(&["serve"]));
    assert!(
        !worked && refused.contains("TRANCHE_MASTER_KEY"),
        "{refused}"
    );
    let (worked, status) = told(&scene.tranche.command(&["custody", "status"]));
    assert!(!worked && status.contains("not given     5"), "{status}");
}

// Keys: each wallet is re-wrapped by itself; what is left is re-wrapped by the next run.
async fn broken_off(store: StoreKind) {
    let (mut scene, projects, mut accounts) = scene(store, 5).await;
    accounts.sort();
    let third = &accounts[2];
    let refuse = match store {
        StoreKind::Postgres => format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'away' USING ERRCODE = '58030'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON wallets FOR EACH ROW
             WHEN (NEW.account_id = '{third}') EXECUTE FUNCTION refuse();"
        ),
        StoreKind::Sqlite => format!(
            "CREATE TRIGGER refuse BEFORE UPDATE ON wallets WHEN NEW.account_id = '{third}'
             BEGIN SELECT RAISE(ABORT, 'away'); END;"
        ),
    };
    scene.tranche.sql(&refuse).await;
    let both = format!("{NEXT} {MASTER_KEY}");
    scene.tranche.set("TRANCHE_MASTER_KEY", Some(&both));
    scene.tranche.restart_after(Some(0));
    let (worked, told_first) = told(&scene.tranche.command(&["custody", "rotate"]));
    assert!(!worked, "{told_first}");
    let (worked, half) = told(&scene.tranche.command(&["custody", "status"]));
    assert!(worked, "{half}");
    assert!(
        half.contains("in force      2") && half.contains("opens         5"),
        "{half}"
    );
    for project in &projects {
        burn(&scene, project, 1).await;
    }
    let heal = match store {
        StoreKind::Postgres => "DROP TRIGGER refuse ON wallets",
        StoreKind::Sqlite => "DROP TRIGGER refuse",
    };
    scene.tranche.sql(heal).await;
    // Two at once share the work.
    std::thread::scope(|scope| {
        let rotate = || told(&scene.tranche.command(&["custody", "rotate"]));
        for run in [scope.spawn(rotate), scope.spawn(rotate)] {
            let (worked, told) = run.join().expect("it ends");
            assert!(worked, "{told}");
        }
    });
    scene.tranche.set("TRANCHE_MASTER_KEY", Some(NEXT));
    scene.tranche.restart_after(Some(0));
    for project in &projects {
        burn(&scene, project, 2).await;
    }
}

// Keys: what no key opens is told by account and stays as it is; the others are re-wrapped.
async fn unopened(store: StoreKind) {
    let (mut scene, projects, accounts) = scene(store, 3).await;
    let lost = "UPDATE wallets SET key_id = 'feedfeedfeedfeed' WHERE account_id = ";
    scene.tranche.sql(&format!("{lost}'{}'", accounts[0])).await;
    let both = format!("{NEXT} {MASTER_KEY}");
    scene.tranche.set("TRANCHE_MASTER_KEY", Some(&both));
    for rewrapped in [4, 0] {
        let (worked, told) = told(&scene.tranche.command(&["custody", "rotate"]));
        assert!(!worked, "{told}");
        assert!(
            told.contains(&format!("{}: no master key", accounts[0])),
            "{told}"
        );
        assert!(told.contains(&format!("{rewrapped} re-wrapped")), "{told}");
        assert!(told.contains("1 not opened"), "{told}");
    }
    let (worked, status) = told(&scene.tranche.command(&["custody", "status"]));
    assert!(
        !worked && status.contains("feedfeedfeedfeed  not given     1"),
        "{status}"
    );
    scene.tranche.set("TRANCHE_MASTER_KEY", Some(NEXT));
    scene.tranche.restart_after(Some(0));
    burn(&scene, &projects[1], 1).await;
    let milestone = scene.paid(&projects[0], 1, "10").await;
    let refused = scene.disburse(&milestone, "lost", 30).await;
    refused.problem(500, "ledger.misconfigured");
    assert!(!refused.text.contains("feed"), "{}", refused.text);
}

// Keys: the key file of the embedded default is replaced while the service is stopped, and only then.
#[tokio::test]
async fn the_embedded_key_file_is_replaced() {
    let mut scene = Scene::new(StoreKind::Sqlite);
    let project = scene.open(&json!({ "nav": "1000" })).await;
    let file = scene.tranche.data_dir().join("master.key");
    let read = || std::fs::read_to_string(&file).expect("the key file");
    let former = read();
    let rotate = |scene: &Scene| told(&scene.tranche.command(&["custody", "rotate", "--new-key"]));
    let (worked, refused) = rotate(&scene);
    assert!(!worked && refused.contains("stop the service"), "{refused}");
    assert_eq!(read(), former);
    assert_eq!(scene.tranche.terminate(), Some(0));
    let (worked, first) = rotate(&scene);
    assert!(worked && first.contains("3 re-wrapped"), "{first}");
    let alone = read();
    assert_eq!(alone.split_whitespace().count(), 1, "one key is left");
    assert_ne!(alone.trim(), former.trim());
    let mode = std::fs::metadata(&file)
        .expect("the key file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    scene.tranche.restart();
    burn(&scene, &project, 1).await;
    // As a run leaves it that ends before anything is re-wrapped.
    assert_eq!(scene.tranche.terminate(), Some(0));
    std::fs::write(&file, format!("{NEXT}\n{alone}")).expect("a file");
    scene.tranche.restart();
    burn(&scene, &project, 2).await;
    assert_eq!(scene.tranche.terminate(), Some(0));
    let (worked, again) = told(&scene.tranche.command(&["custody", "rotate"]));
    assert!(worked && again.contains("3 re-wrapped"), "{again}");
    assert_eq!(read().trim(), NEXT);
    scene.tranche.restart();
    burn(&scene, &project, 3).await;
    // Elsewhere the key is not ours to make.
    scene.tranche.set("TRANCHE_MASTER_KEY", Some(NEXT));
    let (worked, refused) = rotate(&scene);
    assert!(!worked && refused.contains("--new-key"), "{refused}");
}
