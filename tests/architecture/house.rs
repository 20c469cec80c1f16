//! What a source file must not become, and which files must be there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MOST_LINES: usize = 500;
const SOURCES: [&str; 8] = ["css", "html", "js", "mjs", "py", "rs", "sh", "sql"];
/// Not ours, or not written by hand.
const SKIPPED: [&str; 4] = ["__pycache__", "node_modules", "target", "vendor"];
const STORES: [&str; 2] = ["adapters-postgres", "adapters-sqlite"];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().expect("a directory's entry has a name");
    name.to_string_lossy().into_owned()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Every source file below `folder`, hidden folders left out.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(folder) {
        let name = name_of(&path);
        if path.is_dir() && !path.is_symlink() {
            if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                found.extend(sources(&path));
            }
        } else if SOURCES
            .iter()
            .any(|end| path.extension().is_some_and(|e| e == *end))
        {
            found.push(path);
        }
    }
    found
}

fn is_too_long(text: &str) -> bool {
    text.lines().count() > MOST_LINES
}

/// Lines that silence a lint for good. `#[expect(…, reason = "…")]` says when it is no longer so.
fn silencers(text: &str) -> Vec<usize> {
    let silences = |line: &str| {
        let line: String = line.split_whitespace().collect();
        let attribute = line.starts_with("#[") || line.starts_with("#![");
        attribute && (line.contains("[allow(") || line.contains(",allow("))
    };
    let numbered = (1..).zip(text.lines());
    numbered
        .filter(|(_, line)| silences(line))
        .map(|(number, _)| number)
        .collect()
}

/// The names of a store's migrations, checked to count from 1 without a gap.
fn migrations(names: &[String]) -> Result<BTreeSet<String>, String> {
    for (name, number) in names.iter().zip(1..) {
        let stem = name.strip_suffix(".sql").unwrap_or("");
        let counted = stem.starts_with(&format!("{number:04}_"));
        if !counted {
            return Err(format!("{name} is not migration {number:04}"));
        }
    }
    if names.is_empty() {
        return Err("there is no migration".to_owned());
    }
    Ok(names.iter().cloned().collect())
}

#[test]
fn no_source_file_is_too_long() {
    let files = sources(&root());
    assert!(files.len() > 50, "the walk found the sources");
    let long = |path: &&PathBuf| is_too_long(&fs::read_to_string(path).unwrap_or_default());
    let long: Vec<_> = files.iter().filter(long).collect();
    assert!(long.is_empty(), "above {MOST_LINES} lines: {long:#?}");
}

#[test]
fn no_lint_is_silenced_for_good() {
    for path in sources(&root()) {
        if path.extension().is_some_and(|end| end == "rs") {
            let lines = silencers(&fs::read_to_string(&path).unwrap());
            assert!(
                lines.is_empty(),
                "{path:?}, lines {lines:?}: use expect with a reason"
            );
        }
    }
}

#[test]
fn both_stores_have_every_migration() {
    let [postgres, sqlite] = STORES.map(|store| {
        let folder = root().join("crates").join(store).join("migrations");
        let files = entries(&folder);
        for file in &files {
            assert!(fs::metadata(file).unwrap().len() > 0, "{file:?} is empty");
        }
        let names: Vec<_> = files.iter().map(|file| name_of(file)).collect();
        migrations(&names).unwrap_or_else(|error| panic!("{store}: {error}"))
    });
    assert_eq!(
        postgres, sqlite,
        "a migration of one store is missing in the other"
    );
}

#[test]
fn a_house_in_disorder_is_noticed() {
    assert!(is_too_long(&"x\n".repeat(MOST_LINES + 1)));
    assert!(!is_too_long(&"x\n".repeat(MOST_LINES)));

    for silenced in [
        "[allow(dead_code)]",
        "![allow(clippy::all)]",
        "[cfg_attr(test, allow(x))]",
    ] {
        assert_eq!(silencers(&format!("fn a() {{}}\n    #{silenced}\n")), [2]);
    }
    assert!(silencers("#[expect(dead_code, reason = \"…\")]\n// #[allow(x)]\n").is_empty());

    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    assert!(migrations(&names(&["0001_store.sql", "0002_audit.sql"])).is_ok());
    assert!(migrations(&names(&["0001_store.sql", "0003_audit.sql"])).is_err());
    assert!(migrations(&names(&["0001_store.txt"])).is_err());
    assert!(migrations(&[]).is_err());
}
