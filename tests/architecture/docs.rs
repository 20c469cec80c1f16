//! The documents: every requirement names its tests, every named test is there, every link leads
//! somewhere.

use std::collections::BTreeSet;
use std::fs;

use crate::house::{root, sources};

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Each suite that a row may name, and the folders that it lies in.
const SUITES: [(&str, &[&str]); 16] = [
    ("api", &["tests/api", "crates/api"]),
    ("application", &["crates/application"]),
    ("architecture", &["tests/architecture"]),
    ("archive", &["crates/adapters-archive"]),
    (
        "contract",
        &[
            "tests/contract",
            "crates/adapters-postgres",
            "crates/adapters-sqlite",
        ],
    ),
    ("crash", &["tests/crash"]),
    ("domain", &["crates/domain"]),
    ("files", &["crates/adapters-files"]),
    ("ledger", &["tests/ledger", "tests/ledger_contract"]),
    ("model", &["tests/model"]),
    ("pipeline", &["tests/pipeline"]),
    ("queue", &["tests/queue_contract"]),
    ("redis", &["crates/adapters-redis"]),
    ("sandbox", &["crates/stellar-sandbox"]),
    ("spool", &["crates/adapters-spool"]),
    ("stellar", &["crates/adapters-stellar"]),
];

/// The tests that a row names, as `suite module::test`.
fn tests_in(row: &str) -> Vec<&str> {
    let named = quoted(row).into_iter();
    named
        .filter(|text| {
            text.split_once(' ')
                .is_some_and(|(_, test)| test.contains("::"))
        })
        .collect()
}

/// Every name in the sources of the suites, with its suite and the module its file stands for. What
/// runs on both stores is named without the store.
fn functions() -> BTreeSet<String> {
    let files = SUITES.into_iter().flat_map(|(suite, folders)| {
        let files = folders
            .iter()
            .flat_map(|folder| sources(&root().join(folder)));
        files.map(move |file| (suite, file))
    });
    files
        .flat_map(|(suite, file)| {
            let module = file
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .replace("main", "");
            let text = fs::read_to_string(&file).unwrap();
            let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            names
                .map(|name| name.strip_suffix("_on_sqlite").unwrap_or(name))
                .map(|name| format!("{suite} {module}::{name}"))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Rows whose first column is a requirement of this document.
fn rows(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("| ") && !line.contains("| requirement |"))
        .collect()
}

/// The relative links of a document that lead nowhere.
fn broken_links(text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    links
        .filter(|link| !link.contains("://") && !link.starts_with('#'))
        .map(|link| link.split('#').next().unwrap_or(link))
        .filter(|link| !exists(link))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_requirement_names_tests_that_are_there() {
    let text = fs::read_to_string(root().join("docs/requirements.md")).unwrap();
    let there = functions();
    let groups = [
        ("M", 1..=14),
        ("F", 1..=7),
        ("P", 1..=11),
        ("S", 1..=13),
        ("T", 1..=7),
    ];
    let ids = groups
        .into_iter()
        .flat_map(|(group, numbers)| numbers.map(move |n| format!("{group}{n}")));
    for id in ids {
        let row = rows(&text)
            .into_iter()
            .find(|row| row.starts_with(&format!("| {id} |")));
        let row = row.unwrap_or_else(|| panic!("{id} has no row"));
        assert!(!tests_in(row).is_empty(), "{id} names no test");
    }
    let missing: Vec<_> = rows(&text)
        .into_iter()
        .flat_map(tests_in)
        .filter(|test| !there.contains(*test))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let documents = fs::read_dir(root())
        .unwrap()
        .chain(fs::read_dir(root().join("docs")).unwrap())
        .chain(fs::read_dir(root().join("docs/adr")).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let folder = document.parent().unwrap().to_path_buf();
        let broken = broken_links(&text, |link| folder.join(link).exists());
        assert!(broken.is_empty(), "{}: {broken:?}", document.display());
    }
}

#[test]
fn a_document_in_disorder_is_noticed() {
    let row = "| M1 | create | `api nowhere::no_such_test`, `draft → submitted` |";
    assert_eq!(tests_in(row), ["api nowhere::no_such_test"]);
    let there = functions();
    assert!(!there.contains("api nowhere::no_such_test"));
    let known = "architecture docs::a_document_in_disorder_is_noticed";
    assert!(there.contains(known));
    assert!(!there.contains(&known.replace("architecture", "api")));
    let text = "[a](there.md#part) [b](gone.md) [c](https://example.org)";
    assert_eq!(broken_links(text, |link| link == "there.md"), ["gone.md"]);
}
